package proc

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// executable is the file that a worker runs. The link stays valid when the file is
// replaced or removed while the program runs.
func executable() (string, error) { return "/proc/self/exe", nil }

// exitFile returns a file that can be read from when child pid has ended, or nil if the
// kernel has no such thing. os has another: this one does not block.
func exitFile(pid int) *os.File {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "exit")
}

// wait waits until the leader has ended, without reaping it, so that its number still
// belongs to it. A system call that waits would hold a processor until the runtime takes
// it away, up to 10 ms later.
func (g *group) wait() {
	if g.exit != nil {
		if conn, err := g.exit.SyscallConn(); err == nil && conn.Read(func(uintptr) bool { return g.ended(unix.WNOHANG) }) == nil {
			return
		}
	}
	g.ended(0)
}

// ended reports whether the leader has ended; without WNOHANG it waits for that.
func (g *group) ended(options int) bool {
	var info unix.Siginfo
	err := retryInterrupted(func() error {
		return unix.Waitid(unix.P_PID, g.pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	})
	return err != nil || info.Signo != 0
}

// killGroupAtEOF has the kernel kill this process group when the other end of the
// parent-death pipe is closed, which the death of the parent does. The goroutine that
// reads the pipe does the same on every system, but it needs a processor: with every one
// of them taken by spinning goroutines that was measured to take 40 to 100 ms, and this
// 0.5 ms. It is only worth having if all of it works.
func killGroupAtEOF(fd int) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETSIG, int(unix.SIGKILL)); err != nil {
		return
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETOWN, -unix.Getpgrp()); err != nil {
		return
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_ASYNC)
	}
}

// resident is the memory that process pid has in use and shares with no other, in bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	return parseStatm(b)
}
