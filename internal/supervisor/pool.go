package supervisor

import (
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
)

// Pool keeps workers for the calls that run in it. It is safe for concurrent use.
//
// The pool counts all of its workers, and counts one out when it has been reaped. What a
// worker is to the pool is its stage. How calls get workers is in lend.go, how workers start
// in start.go.
type Pool struct {
	config   Config
	log      *log
	sinks    *sinks         // where workers' output goes
	calls    gate           // calls that were admitted and have not left
	unreaped sync.WaitGroup // workers that have not been reaped, and starts that have not ended
	counters *counters
	revokes  atomic.Bool // a worker's items could be revoked
	clock    clock.Clock // the system's: the pool is of one call in a testing/synctest bubble

	mu       sync.Mutex
	closed   bool // no call is admitted any more
	drained  bool // the last call has left: no worker is needed any more
	workers  int  // alive or starting
	living   int  // of these, those that have been ready
	idle     list[*worker]
	starting list[*start]
	starts   starts        // what is to be thought of those that failed
	startErr error         // the worst failure of the row in starts
	waiting  list[*waiter] // for a worker, first come first
	holding  list[*call]   // calls that hold workers, in the order in which they are asked for one
	resting  list[*call]   // calls with sessions that have no work for their worker, in the same order
	tick     tick
}

// counters is what Stats tells. They only grow, but for busy.
type counters struct {
	busy, started, died, items, failed, retried, bytesIn, bytesOut, busyTime atomic.Int64
}

// NewPool returns a pool without workers: they start as calls need them.
func NewPool(c Config) *Pool {
	logger := c.Logger
	c.Logger = nil // log is the way to it
	c.Spec.MaxMemoryBytes = c.MaxMemoryBytes
	l := &log{to: logger}
	p := newPool(c, l, newSinks(&c, l), new(counters))
	if onNewPool != nil {
		onNewPool(p)
	}
	return p
}

func newPool(c Config, l *log, s *sinks, n *counters) *Pool {
	p := &Pool{config: c, log: l, sinks: s, counters: n}
	p.starts.pace = usualPace
	p.tick.owed = make(map[*worker]struct{})
	return p
}

// onNewPool is called with each new pool. It is nil but in tests, which reach the pools
// behind those of package parallel by it.
var onNewPool func(*Pool)

// Size is the most workers at once.
func (p *Pool) Size() int { return p.config.Size }

// MaxMessage is the most bytes of an encoded item, result or shared value.
func (p *Pool) MaxMessage() int { return int(p.config.MaxMessageBytes) }

// Enter admits a call, which Close will wait for. A call that was admitted must leave. The
// error is ErrClosed.
func (p *Pool) Enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.calls.Add(1)
	return nil
}

// Leave takes in that a call which was admitted is over.
func (p *Pool) Leave() { p.calls.Done() }

// Run runs the items of c, which was admitted, in the pool's workers, and returns when all
// are settled.
func (p *Pool) Run(c *schedule.Call, what Call) {
	d := newCall(p, c, what)
	if p.outsideBubble() {
		p.runInBubble(d)
		return
	}
	defer p.forget(d)
	d.run()
}

// Close waits for the calls that were admitted, ends all workers and returns when none is
// left. It may be called more than once.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	p.mu.Lock()
	p.drained = true
	for _, w := range p.idle.values() {
		w.retire()
	}
	for _, s := range p.starting.values() {
		s.abandon()
	}
	p.mu.Unlock()
	p.stopTick()
	p.unreaped.Wait()
}

// now is the present by the pool's clock, from a moment on that does not matter.
func (p *Pool) now() time.Duration {
	if p.clock.System {
		return p.clock.Now().Sub(time.Unix(0, 0))
	}
	return cost.Clock()
}

// Closed reports whether Close has been called.
func (p *Pool) Closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Stats returns the pool's counters.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	workers := p.workers
	p.mu.Unlock()
	c := p.counters
	return Stats{
		Workers: workers, Busy: min(workers, int(c.busy.Load())),
		Started: c.started.Load(), Died: c.died.Load(),
		Items: c.items.Load(), Failed: c.failed.Load(), Retried: c.retried.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		BusyTime: time.Duration(c.busyTime.Load()),
	}
}

// forget takes in that d is over. Workers that know of it are told so at the next tick.
func (p *Pool) forget(d *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick.leaveLocked(d)
	for _, w := range d.known {
		p.tick.owed[w] = struct{}{}
	}
	if len(d.known) > 0 {
		p.tickSoonLocked()
	}
}

// retireReason says why w should not serve again; empty if it may.
func (p *Pool) retireReason(w *worker) string {
	switch {
	case w.hasOutgrown():
		return "MaxMemoryBytes"
	case p.config.MaxItems > 0 && w.items >= p.config.MaxItems && w.usable():
		return "MaxItems"
	default:
		return ""
	}
}
