//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func executable() (string, error) { return os.Executable() }

func exitFile(int) *os.File { return nil }

// wait waits until the leader has ended, without reaping it, so that its number still
// belongs to it.
func (g *group) wait() {
	kq, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	var change [1]unix.Kevent_t
	unix.SetKevent(&change[0], g.pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change[0].Fflags = unix.NOTE_EXIT
	events := make([]unix.Kevent_t, 1)
	_ = retryInterrupted(func() error { // ESRCH: it has ended already
		_, err := unix.Kevent(kq, change[:], events, nil)
		return err
	})
}

// killGroupAtEOF does nothing: the goroutine that reads the parent-death pipe must do.
func killGroupAtEOF(int) {}

// resident cannot be known here without running another program.
func resident(int) (int64, error) { return 0, errors.ErrUnsupported }
