//go:build !linux

package parallel

import (
	"os"
	"time"
)

// inlet is the reading end of a pipe from one process to another. One goroutine at a
// time may read it.
type inlet struct{ *os.File }

// newInlet makes an inlet of f, which it takes over.
func newInlet(f *os.File) (*inlet, error) { return &inlet{f}, nil }

// linger leaves all waiting to the poller.
func (in *inlet) linger(time.Duration) {}
