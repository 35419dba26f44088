package proc

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// makePipe makes a pipe, of which the runtime's poller knows only what is polled of our end.
// os.Pipe tells it of both ends, which is undone for the one that a worker inherits: that took
// five system calls more for each pipe, and woke the thread that waits in the poller.
func makePipe(d direction, polled bool) (our, their *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	mine, other := p[1], p[0]
	if d == inward {
		mine, other = p[0], p[1]
	}
	if polled {
		our = polledFile(mine)
	} else {
		our = os.NewFile(uintptr(mine), "pipe")
	}
	return our, os.NewFile(uintptr(other), "pipe"), nil
}

// polledFile is a file that the poller knows. It blocks if the poller does not take it.
func polledFile(fd int) *os.File {
	if unix.SetNonblock(fd, true) != nil {
		return os.NewFile(uintptr(fd), "pipe")
	}
	f := os.NewFile(uintptr(fd), "pipe")
	if errors.Is(f.SetDeadline(time.Time{}), os.ErrNoDeadline) {
		_ = unix.SetNonblock(fd, false)
	}
	return f
}

// openNull opens the null device, of which the poller need not know.
func openNull() (*os.File, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	return os.NewFile(uintptr(fd), os.DevNull), nil
}
