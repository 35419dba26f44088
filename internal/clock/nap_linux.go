package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Nap sleeps for about d, which should be short: less than the millisecond to which the runtime's
// timers are rounded while nothing else runs. It is by the system's clock.
func (c Clock) Nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal may end it
}
