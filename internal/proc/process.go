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
	group       *group       // Wait closes it
	parentDeath *parentDeath // Wait closes it

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
		p.killLocked()
	}
}

// killLocked kills the group. If that is refused, the worker is left to end as if this process
// had died.
func (p *process) killLocked() {
	if err := p.group.kill(); err != nil {
		p.parentDeath.near.Close()
	}
}

// Wait implements transport.Process. What the process leaves in its group is killed after
// its end but before it is reaped, when no other process can have its number. If the system
// refuses to wait without reaping, it is killed right after that.
func (p *process) Wait() (e transport.Exit) {
	if p.group.wait() {
		p.killForGood()
		e = p.reap()
	} else {
		e = p.reap()
		p.killForGood()
	}
	p.group.reapOrphans()
	p.group.close()
	p.parentDeath.Close()
	return e
}

// killForGood kills the group for the last time.
func (p *process) killForGood() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killLocked()
	p.reaped = true
}

// reap waits for the process, and reaps it.
func (p *process) reap() transport.Exit {
	_ = p.cmd.Wait() // the state is in p.cmd; the pipes are not its business
	if state := p.cmd.ProcessState; state != nil {
		return transport.Exit{Code: state.ExitCode(), Signal: exitSignal(state.Sys())}
	}
	e := reapByNumber(p.pid)
	_ = p.cmd.Process.Release()
	return e
}

// Resident implements transport.Process.
func (p *process) Resident() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return 0, os.ErrProcessDone
	}
	if err := p.group.fault("proc"); err != nil {
		return 0, err
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
	if p.group.fault("proc") == nil {
		if a := activity(p.pid); a.Known {
			return a
		}
	}
	return transport.Activity{Stopped: p.group.stopped()}
}
