package proc

import (
	"os"
	"os/exec"
	"sync"

	"example.com/parallel/internal/transport"
)

// process is a worker process that was started, and its group. It implements
// transport.Process.
type process struct {
	cmd         *exec.Cmd
	pid         int
	group       *group   // Wait closes it
	parentDeath *os.File // never written to: its end of file says that this process has gone. Wait closes it

	// mu is held while the number of the process is used, so that it is not given back
	// meanwhile: only during system calls that do not block.
	mu     sync.Mutex
	reaped bool // the process has been reaped, or is about to be: its number may be another's
}

// PID implements transport.Process.
func (p *process) PID() int { return p.pid }

// Kill implements transport.Process. After the process has been reaped it does nothing.
func (p *process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.group.kill()
	}
}

// Wait implements transport.Process. What the process leaves in its group is killed after
// its end but before it is reaped, when no other process can have its number.
func (p *process) Wait() transport.Exit {
	p.group.wait()
	p.killForGood()
	_ = p.cmd.Wait() // the state is in p.cmd; the pipes are not its business
	p.group.close()
	p.parentDeath.Close()
	e := transport.Exit{Code: -1}
	if state := p.cmd.ProcessState; state != nil {
		e.Code, e.Signal = state.ExitCode(), exitSignal(state)
	}
	return e
}

// killForGood kills the group for the last time.
func (p *process) killForGood() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group.kill()
	p.reaped = true
}

// Resident implements transport.Process.
func (p *process) Resident() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return 0, os.ErrProcessDone
	}
	return resident(p.pid)
}

// Activity implements transport.Process.
func (p *process) Activity() transport.Activity {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return transport.Activity{}
	}
	return activity(p.pid)
}
