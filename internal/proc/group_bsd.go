//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func exitFile(int) *os.File { return nil }

// wait waits until the leader has ended, without reaping it, so that its number still
// belongs to it. It returns false if the system refuses that.
func (g *group) wait() bool {
	if g.fault("waitid") != nil {
		return false
	}
	kq, err := unix.Kqueue()
	if err != nil {
		return false
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	var change [1]unix.Kevent_t
	unix.SetKevent(&change[0], g.pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change[0].Fflags = unix.NOTE_EXIT
	events := make([]unix.Kevent_t, 1)
	err = retryInterrupted(func() error {
		n, err := unix.Kevent(kq, change[:], events, nil)
		if err == nil && n == 1 && events[0].Flags&unix.EV_ERROR != 0 {
			err = unix.Errno(events[0].Data)
		}
		return err
	})
	return err == nil || err == unix.ESRCH // it has ended already
}

// reapOrphans does nothing: this process does not become the parent of those that have lost
// theirs.
func (g *group) reapOrphans() {}

// resident cannot be known here without running another program.
func resident(int) (int64, error) { return 0, errors.ErrUnsupported }
