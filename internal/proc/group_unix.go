//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/transport"
)

// What a worker inherits, by descriptor number, behind the three standard ones.
const (
	fdRequests = 3 + iota
	fdResults
	fdParent
	fdUp // of the segment; absent if there is none
	fdDown
)

// group is a worker and all that it started: a process group that the worker leads.
type group struct {
	pid   int
	exit  *os.File              // can be read from when the leader has ended; nil if there is no such thing
	fault func(op string) error // see Local.Fault
}

// attach makes cmd start with files, in the order of the constants above, as the leader of a
// session or, without that, of a process group. It returns the mark that tells the worker of
// the files.
func attach(cmd *exec.Cmd, files []*os.File, session bool) (mark string, err error) {
	cmd.ExtraFiles = files
	if session {
		setSession(cmd)
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	return strconv.Itoa(len(files)), nil
}

// refused reports whether the system may not allow, or not know, a system call.
func refused(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS)
}

// newGroup returns the group that the started cmd leads.
func newGroup(cmd *exec.Cmd, fault func(op string) error) (*group, error) {
	g := &group{pid: cmd.Process.Pid, fault: fault}
	if fault("pidfd") == nil {
		g.exit = exitFile(g.pid)
	}
	return g, nil
}

// kill ends every process of the group, and the leader, which may have left it. The leader
// must not have been reaped yet: until then no other process can have its number. The error
// says that the leader may not be killed.
func (g *group) kill() error {
	if err := g.fault("kill"); err != nil {
		return err
	}
	_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	if err := syscall.Kill(g.pid, syscall.SIGKILL); err != syscall.ESRCH {
		return err
	}
	return nil
}

func (g *group) close() {
	if g.exit != nil {
		g.exit.Close()
	}
}

// reapByNumber reaps process pid, for which os has failed to wait.
func reapByNumber(pid int) transport.Exit {
	var status syscall.WaitStatus
	err := retryInterrupted(func() error {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		return err
	})
	if err != nil { // something else in this process has reaped it, and has its status
		return transport.Exit{Code: -1}
	}
	return transport.Exit{Code: status.ExitStatus(), Signal: exitSignal(status)}
}

// inherit takes over the files that the mark tells of, so that nothing that this process
// starts inherits them in turn.
func inherit(mark string) (*Inherited, error) {
	n, err := strconv.Atoi(mark)
	if err != nil || n != fdUp-fdRequests && n != fdDown+1-fdRequests {
		return nil, errMark(mark)
	}
	for fd := fdRequests; fd < fdRequests+n; fd++ {
		syscall.CloseOnExec(fd)
		if fd < fdUp {
			// A read that blocks would hold the processor of a worker that has but
			// one until the runtime takes it away, 20 µs to 20 ms later.
			_ = syscall.SetNonblock(fd, true)
		}
	}
	in := &Inherited{
		Results: os.NewFile(fdResults, "results"),
		parent:  os.NewFile(fdParent, "parent"),
	}
	if in.Requests, err = pipe.NewReader(os.NewFile(fdRequests, "requests")); err != nil {
		return nil, fmt.Errorf("parallel: the worker process cannot listen: %w", err)
	}
	if fdRequests+n > fdUp {
		in.Shared = &Shared{os.NewFile(fdUp, "worker's segment"), os.NewFile(fdDown, "parent's segment")}
	}
	return in, nil
}

// DieWithGroup ends this worker process and all that it has started in its group. It does
// not return.
func DieWithGroup() {
	if syscall.Getpgrp() == syscall.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	os.Exit(2)
}

// exitSignal is the signal that ended a process, whose status is a syscall.WaitStatus; nil if
// none did.
func exitSignal(status any) os.Signal {
	if ws, ok := status.(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return nil
}

// retryInterrupted calls f until it is not interrupted by a signal.
func retryInterrupted(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
