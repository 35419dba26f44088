//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"example.com/parallel/internal/pipe"
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
	pid  int
	exit *os.File // can be read from when the leader has ended; nil if there is no such thing
}

// attach makes cmd start in a group of its own with files, in the order of the constants
// above, and returns the mark that tells it of them.
func attach(cmd *exec.Cmd, files []*os.File) (mark string, err error) {
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return fmt.Sprint(len(files)), nil
}

// newGroup returns the group that the started cmd leads.
func newGroup(cmd *exec.Cmd) (*group, error) {
	return &group{cmd.Process.Pid, exitFile(cmd.Process.Pid)}, nil
}

// kill ends every process of the group, and the leader, which may have left it. The leader
// must not have been reaped yet: until then no other process can have its number.
func (g *group) kill() {
	_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	_ = syscall.Kill(g.pid, syscall.SIGKILL)
}

func (g *group) close() {
	if g.exit != nil {
		g.exit.Close()
	}
}

// inherit takes over the files that the mark tells of, so that nothing that this process
// starts inherits them in turn.
func inherit(mark string) (*Inherited, error) {
	var n int
	if _, err := fmt.Sscan(mark, &n); err != nil || n != fdUp-fdRequests && n != fdDown+1-fdRequests {
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
		Parent:  os.NewFile(fdParent, "parent"),
	}
	var err error
	if in.Requests, err = pipe.NewReader(os.NewFile(fdRequests, "requests")); err != nil {
		return nil, fmt.Errorf("parallel: the worker process cannot listen: %w", err)
	}
	if fdRequests+n > fdUp {
		in.Shared = &Shared{os.NewFile(fdUp, "worker's segment"), os.NewFile(fdDown, "parent's segment")}
	}
	killGroupAtEOF(fdParent)
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

// exitSignal is the signal that ended the process, nil if none did.
func exitSignal(state *os.ProcessState) os.Signal {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
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
