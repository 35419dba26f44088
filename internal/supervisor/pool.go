package supervisor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
)

// Pool keeps workers for the calls that run in it. It is safe for concurrent use.
//
// A worker is in one of these places: starting for a call, or adopted, which is starting
// for any call; idle; held by a session. The pool counts them all, and counts one out when
// it has been reaped.
type Pool struct {
	config   Config
	log      log
	sinks    sinks          // where workers' output goes
	calls    gate           // calls that were admitted and have not left
	unreaped sync.WaitGroup // workers that have not been reaped
	counters *counters
	clock    clock.Clock // the system's: the pool is of one call in a testing/synctest bubble

	mu      sync.Mutex
	closed  bool                 // no call is admitted any more
	drained bool                 // the last call has left: no worker is needed any more
	workers int                  // alive or starting
	idle    []*worker            // newest last
	adopted map[*worker]struct{} // starting for any call
	waiting []chan *worker       // calls that wait for a worker, first come first; see acquire
	active  map[*call]struct{}
	tick    tick
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
	p := newPool(c)
	p.log.to = logger
	if onNewPool != nil {
		onNewPool(p)
	}
	return p
}

func newPool(c Config) *Pool {
	p := &Pool{
		config: c, counters: new(counters), active: make(map[*call]struct{}), adopted: make(map[*worker]struct{}),
	}
	p.sinks.init(&p.config, &p.log)
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

// Run runs the items of c in the pool's workers, and returns when all are settled. Its
// error is ErrClosed, and then nothing was started; all others are in c.
func (p *Pool) Run(c *schedule.Call, what Call) error {
	if !p.clock.System && clock.Bubbled() {
		return p.runInBubble(c, what)
	}
	d := newCall(p, c, what)
	if err := p.enter(d); err != nil {
		return err
	}
	defer p.leave(d)
	d.run()
	return nil
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
	for _, w := range p.idle {
		w.retire()
	}
	p.idle = nil
	for w := range p.adopted {
		w.retire()
	}
	p.mu.Unlock()
	p.stopTick()
	p.unreaped.Wait()
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

// enter admits a call. A call that was admitted must leave.
func (p *Pool) enter(d *call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.calls.Add(1)
	p.active[d] = struct{}{}
	p.tickSoonLocked()
	return nil
}

func (p *Pool) leave(d *call) {
	p.mu.Lock()
	delete(p.active, d)
	for _, w := range d.known {
		p.tick.owed[w] = struct{}{}
	}
	p.tickSoonLocked()
	p.mu.Unlock()
	p.calls.Done()
}

// acquire returns a worker for d: an idle one, else a new one, else the next that another
// call releases. It returns nil if d's context ends, or d has no more use for a worker,
// while it waits.
func (p *Pool) acquire(ctx context.Context, d *call) (*worker, error) {
	for {
		w, offer := p.claim()
		switch {
		case w != nil && w.usable():
			return w, nil
		case w != nil:
			continue // it died while it was idle; room is made when it is reaped
		case offer == nil:
			return p.start(ctx, d.quit)
		}
		p.askForWorkers()
		select {
		case w := <-offer:
			if w != nil {
				return w, nil
			}
			// There is room for a new one.
		case <-ctx.Done():
			p.withdraw(offer)
			return nil, nil
		case <-d.quit:
			p.withdraw(offer)
			return nil, nil
		}
	}
}

// claim takes an idle worker, or room for a new one (both nil), or a place in the queue.
func (p *Pool) claim() (w *worker, offer chan *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		w = p.idle[n-1]
		p.idle = p.idle[:n-1]
		return w, nil
	}
	if p.workers < p.config.Size {
		p.workers++
		return nil, nil
	}
	offer = make(chan *worker, 1)
	p.waiting = append(p.waiting, offer)
	return nil, offer
}

// askForWorkers has the calls that hold workers without work for them look up.
func (p *Pool) askForWorkers() {
	p.mu.Lock()
	active := slices.Collect(maps.Keys(p.active))
	p.mu.Unlock()
	for _, d := range active {
		d.wake() // takes locks that come before the pool's
	}
}

// wanted reports whether a call waits for a worker.
func (p *Pool) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}

// withdraw leaves the queue. An offer that was made meanwhile goes on to the next.
func (p *Pool) withdraw(offer chan *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.waiting {
		if o == offer {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
	if w := <-offer; w == nil || w.usable() {
		p.offerLocked(w)
	}
}

// offerLocked gives w to the call that has waited longest, or lets it be idle. A nil w
// stands for room for a new worker.
func (p *Pool) offerLocked(w *worker) {
	if len(p.waiting) > 0 {
		p.waiting[0] <- w // has room for one
		p.waiting = p.waiting[1:]
		return
	}
	if w == nil {
		return
	}
	w.idleSince, w.served = cost.Clock(), true
	p.idle = append(p.idle, w)
	p.tickForIdleLocked()
}

// release takes back a worker that acquire returned.
func (p *Pool) release(w *worker) {
	if reason := p.retireReason(w); reason != "" {
		w.retire()
		p.log.debug("parallel: worker replaced", "pid", w.pid(), "reason", reason, "items", w.items)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !w.usable(): // room is made when it is reaped
	case p.drained:
		w.retire()
	default:
		p.offerLocked(w)
	}
}

// retireReason says why w should not serve again; empty if it may.
func (p *Pool) retireReason(w *worker) string {
	if p.config.MaxItems > 0 && w.items >= p.config.MaxItems {
		return "MaxItems"
	}
	if p.outgrown(w) {
		return "MaxMemoryBytes"
	}
	return ""
}

// outgrown reports whether w has reached the memory limit. A worker that has run nothing
// has not: its replacement would be no better.
func (p *Pool) outgrown(w *worker) bool {
	if p.config.MaxMemoryBytes == 0 || w.items == 0 {
		return false
	}
	size, err := w.link.Process.Resident()
	return err == nil && size >= p.config.MaxMemoryBytes
}

// adopt takes charge of a worker that is starting, until disown.
func (p *Pool) adopt(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.adopted[w] = struct{}{}
}

func (p *Pool) disown(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.adopted, w)
}

// gone makes room for another worker after w has been reaped, or could not be started and
// is nil.
func (p *Pool) gone(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(other *worker) bool { return other == w })
	p.workers--
	p.offerLocked(nil)
}
