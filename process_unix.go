//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package parallel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// What a worker inherits, by descriptor number, behind the three standard ones.
const (
	fdRequests = 3 + iota
	fdResults
	fdLeash
	fdPage // absent where newPage makes none
)

// processGroup is a worker and all that it started. A worker leads a process
// group of its own.
type processGroup struct {
	pid  int
	exit *os.File // can be read from when the leader has ended; nil where there is no such thing
}

// attach makes cmd start in a group of its own with files, in the order of the
// constants above, and returns the mark that tells it of them.
func attach(cmd *exec.Cmd, files []*os.File) (mark string, err error) {
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return fmt.Sprint(len(files)), nil
}

// newProcessGroup returns the group that the started cmd leads.
func newProcessGroup(cmd *exec.Cmd) (*processGroup, error) {
	return &processGroup{cmd.Process.Pid, exitFile(cmd.Process.Pid)}, nil
}

// kill ends every process of the group, and the leader, which may have left it.
// The leader must not have been waited for yet: until then nobody else can have
// its number.
func (g *processGroup) kill() {
	_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	_ = syscall.Kill(g.pid, syscall.SIGKILL)
}

func (g *processGroup) close() {
	if g.exit != nil {
		g.exit.Close()
	}
}

// inherit takes over the files that the mark tells of, so that nothing that
// this process starts inherits them in turn.
func inherit(mark string) (*inheritance, error) {
	var n int
	if _, err := fmt.Sscan(mark, &n); err != nil || n < fdPage-fdRequests || n > fdPage-fdRequests+1 {
		return nil, fmt.Errorf("parallel: malformed %s=%q", markVariable, mark)
	}
	for fd := fdRequests; fd < fdRequests+n; fd++ {
		syscall.CloseOnExec(fd)
		if fd != fdPage {
			// A read that blocks would hold the processor of a worker that
			// has but one until the runtime takes it away, 20 µs to 20 ms later.
			_ = syscall.SetNonblock(fd, true)
		}
	}
	in := &inheritance{
		results: os.NewFile(fdResults, "results"),
		leash:   os.NewFile(fdLeash, "leash"),
	}
	var err error
	if in.requests, err = newInlet(os.NewFile(fdRequests, "requests")); err != nil {
		return nil, fmt.Errorf("parallel: the worker process cannot listen: %w", err)
	}
	if fdRequests+n > fdPage {
		in.page = os.NewFile(fdPage, "page")
	}
	tieLeash(fdLeash)
	return in, nil
}

// dieWithGroup ends this worker and all that it started.
func dieWithGroup() {
	if syscall.Getpgrp() == syscall.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	os.Exit(2)
}

// newFilePage makes a page of a file that has lost its name.
func newFilePage() (*os.File, error) {
	f, err := os.CreateTemp("", "parallel-page-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return sized(f), nil
}

// sized makes f as large as a page, or closes it and returns nil if this process may
// not have a file of that size.
func sized(f *os.File) *os.File {
	if err := f.Truncate(pageSize); err != nil {
		f.Close()
		return nil
	}
	return f
}

// mapPage maps the page into this worker's memory.
func mapPage(f *os.File) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
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
