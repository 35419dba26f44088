package proc

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setSession makes cmd start as the leader of a session of its own. The parent-death signal
// would be no help: it is tied to the thread that starts a process, and lost if the process
// executes another program from any thread but its first.
func setSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

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
// belongs to it. It returns false if the system refuses that. A system call that waits would
// hold a processor until the runtime takes it away, up to 10 ms later.
func (g *group) wait() bool {
	if g.exit != nil {
		if conn, err := g.exit.SyscallConn(); err == nil && conn.Read(readable) == nil {
			return true
		}
	}
	var info unix.Siginfo
	err := g.waitid(&info, unix.WEXITED|unix.WNOWAIT)
	return err == nil || err == unix.ECHILD // something else in this process has reaped it
}

// readable reports whether a file can be read from.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// waitid waits for what the options say of the leader.
func (g *group) waitid(info *unix.Siginfo, options int) error {
	if err := g.fault("waitid"); err != nil {
		return err
	}
	return retryInterrupted(func() error { return unix.Waitid(unix.P_PID, g.pid, info, options, nil) })
}

// stopped reports whether the leader has been stopped by a signal.
func (g *group) stopped() bool {
	var info unix.Siginfo
	err := g.waitid(&info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT)
	return err == nil && info.Signo != 0
}

// orphanLimit is how many milliseconds a process that was killed may take to end.
const orphanLimit = 1000

// reapOrphans reaps what was in the group if this process has to: where it is the init
// process, as in containers, or has declared itself a subreaper. Otherwise another process
// does. The leader has been reaped and the rest killed.
func (g *group) reapOrphans() {
	if !adoptsOrphans() {
		return
	}
	for looks := 0; looks < orphanLimit; {
		if _, err := unix.Getpgid(g.pid); err == nil {
			return // the number is another's already, since none of the group is left
		}
		switch pid, err := unix.Wait4(-g.pid, nil, unix.WNOHANG, nil); {
		case pid > 0 || err == unix.EINTR:
		case err != nil:
			return // none is left
		default: // by the system's clock, which does not stand still in a bubble
			looks++
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
		}
	}
}

// adoptsOrphans reports whether this process becomes the parent of those that have lost
// theirs.
func adoptsOrphans() bool {
	if os.Getpid() == 1 {
		return true
	}
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return err == nil && subreaper != 0
}

// resident is the memory that process pid has in use and shares with no other, in bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	return parseStatm(b)
}
