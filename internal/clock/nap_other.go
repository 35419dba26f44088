//go:build !linux

package clock

import "time"

// Nap sleeps for about d, which should be short. It is by the system's clock.
func (c Clock) Nap(d time.Duration) {
	done := make(chan struct{})
	c.AfterFunc(d, func() { close(done) })
	<-done
}
