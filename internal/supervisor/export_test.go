package supervisor

import (
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/transport"
)

// What the tests of this package see of it that start workers: they are in package
// supervisor_test, since their functions are registered with package parallel.

// BatchBytes is from how many bytes on a batch is sent in several frames.
const BatchBytes = batchBytes

// ErrorsOfUsers makes the errors in tests of package supervisor: those of package parallel,
// which it must not import.
var ErrorsOfUsers interface {
	Errors
	schedule.Errors
}

// OnNewPool has f called with each pool that is made from now on, before it is used.
func OnNewPool(f func(p *Pool)) { onNewPool = f }

// Env is what the workers' environment has besides this process's.
func (p *Pool) Env() []string { return p.config.Spec.Env }

// SetLauncher changes how workers are started. The pool must not have been used.
func (p *Pool) SetLauncher(l transport.Launcher) { p.config.Launcher = l }

// HurryStarts has starts that fail given up after some milliseconds. The pool must not have
// been used.
func (p *Pool) HurryStarts() {
	p.starts.pace = pace{first: time.Millisecond, longest: 10 * time.Millisecond, patience: 10 * time.Millisecond}
}

// SetMaxMemory changes a limit between calls.
func (p *Pool) SetMaxMemory(n int64) { p.config.MaxMemoryBytes = n }

// Errors makes the pool's errors.
func (p *Pool) Errors() Errors { return p.config.Errors }

// WorkersWaited is how many workers calls wait for.
func (p *Pool) WorkersWaited() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.n
}

// Idle are the workers that are idle, the newest last, and Starting is how many are starting.
func (p *Pool) Idle() []*worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle.values()
}

func (p *Pool) Starting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starting.n
}

// FailedStarts is how many starts in a row have failed.
func (p *Pool) FailedStarts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts.row
}

// TickSet reports whether the housekeeping timer is set.
func (p *Pool) TickSet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tick.set
}

// TickSoon reports whether it is set for a call that has come or gone.
func (p *Pool) TickSoon() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tick.soon
}

func (w *worker) Segment() *shm.Segment { return w.segment }

// PIDs are the numbers of the worker processes that are idle or serve a call.
func (p *Pool) PIDs() (pids []int) {
	for _, w := range p.Idle() {
		pids = append(pids, w.pid())
	}
	p.eachSession(func(s *session) { pids = append(pids, s.worker.pid()) })
	return pids
}

// InFlight is how many items the workers have been sent that are not settled.
func (p *Pool) InFlight() (n int) {
	p.eachSession(func(s *session) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n += s.window.items
	})
	return n
}

// Costs are what is known of the functions that calls run.
func (p *Pool) Costs() (costs []*cost.Estimate) {
	for _, d := range p.activeCalls() {
		costs = append(costs, d.what.Function.Cost)
	}
	return costs
}

func (p *Pool) eachSession(f func(s *session)) {
	for _, d := range p.activeCalls() {
		d.lookAt(f)
	}
}

// activeCalls are the calls that hold workers.
func (p *Pool) activeCalls() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holding.values()
}
