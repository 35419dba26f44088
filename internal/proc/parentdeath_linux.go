package proc

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// order gives the near end a higher number than the far one has, as the ends of a pipe have
// unless other files are closed meanwhile. See tie.
func (l *parentDeath) order() error {
	far := 0
	if err := control(l.far, func(fd uintptr) (_ error) { far = int(fd); return }); err != nil {
		return err
	}
	higher := 0
	err := control(l.near, func(fd uintptr) (err error) {
		if int(fd) < far {
			higher, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, far+1)
		}
		return err
	})
	if err == nil && higher > 0 {
		l.near.Close()
		l.near = os.NewFile(uintptr(higher), l.near.Name())
	}
	return err
}

// arm has the kernel send SIGKILL to the far end's owner, once it has one, when the near end
// is closed. The worker's goroutine that reads the far end does the same on every system, but
// it needs a processor. With every one of them taken by spinning goroutines that was measured
// to take 40 to 100 ms, and this 0.5 ms. It is only worth having if all of it works.
func (l *parentDeath) arm() {
	if l.order() != nil {
		return
	}
	l.armed = control(l.far, func(fd uintptr) error {
		if _, err := unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL)); err != nil {
			return err
		}
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		_, err = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
		return err
	}) == nil
}

// tie makes the process group pid the owner, if the far end is armed. This process keeps the far end open, so
// that it sends the signal whatever the worker has closed or executed: when a process dies,
// the kernel closes its files in the reverse order of their numbers, and the near end has the
// higher one. What is not armed is the worker's alone.
func (l *parentDeath) tie(pid int) {
	l.armed = l.armed && control(l.far, func(fd uintptr) error {
		_, err := unix.FcntlInt(fd, unix.F_SETOWN, -pid)
		return err
	}) == nil
	if !l.armed {
		l.far.Close()
	}
}

// control calls f with the descriptor of a file.
func control(file *os.File, f func(fd uintptr) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var refusal error
	err = conn.Control(func(fd uintptr) { refusal = f(fd) })
	return errors.Join(err, refusal)
}
