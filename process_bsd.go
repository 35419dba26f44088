//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package parallel

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func executable() (string, error) { return os.Executable() }

// newPage makes the page of a worker.
func newPage() (*os.File, error) { return newFilePage() }

// shrink does nothing: the space of the file is freed with the worker.
func shrink(*os.File, int64, int64) {}

func exitFile(int) *os.File { return nil }

// wait waits until the leader has ended, without taking its exit status, so that
// its number still belongs to it.
func (g *processGroup) wait() {
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

// tieLeash does nothing: the goroutine that reads the leash must do.
func tieLeash(int) {}

// resident cannot be known here without running another program.
func resident(int) (int64, error) { return 0, errors.ErrUnsupported }
