package parallel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/wire"
)

// remoteWork is work that can also run in worker processes.
type remoteWork interface {
	work
	// encode appends item i, which may take limit bytes, to dst.
	encode(dst []byte, i int, in *codec.Plan, limit int) ([]byte, error)
	// decode stores the result of item i.
	decode(src []byte, i int, out *codec.Plan) error
}

// dispatch is one call in worker processes. A goroutine for each worker serves
// the sessions; one more, the monitor, sees to everything that has a clock.
type dispatch struct {
	c        *call
	pool     *poolCore
	function *function
	work     remoteWork
	id       uint64 // tells the worker this call from others
	timeout  time.Duration
	retries  int
	maxBytes int // of an encoded item

	shared    bool
	shareType string
	share     []byte

	quit     chan struct{} // closed when there is nothing left for another worker to do
	quitOnce sync.Once
	poke     chan struct{} // wakes the monitor; holds one

	mu       sync.Mutex // taken before a session's and the book's
	sessions map[*session]struct{}
	writes   sync.WaitGroup // the monitor's, which must not wait for a worker

	countMu  sync.Mutex
	deaths   int         // workers lost in a row without any item run in between
	attempts map[int]int // how often an item was run again
}

// maxFruitless is how many workers may die in a row while none runs an item,
// before the next item in turn is held responsible.
const maxFruitless = 3

var lastCallID atomic.Uint64

// runProcesses runs the call's items in worker processes and returns when all
// are settled and, unless the pool is the user's, the processes have gone.
func (c *call) runProcesses(s *settings, id identity, w remoteWork) error {
	f, err := lookup(id)
	if err != nil {
		return err
	}
	d := &dispatch{
		c: c, function: f, work: w, id: lastCallID.Add(1), timeout: s.timeout, retries: s.retries,
		quit: make(chan struct{}), poke: make(chan struct{}, 1),
		sessions: make(map[*session]struct{}), attempts: make(map[int]int),
	}
	if s.pool != nil {
		d.pool = s.pool.get()
	} else {
		d.pool = newPoolCore(&ProcessPool{Size: s.processes})
		defer d.pool.close()
	}
	if d.pool.config.MaxMemoryBytes > 0 && runtime.GOOS != "linux" {
		return fmt.Errorf("parallel: ProcessPool.MaxMemoryBytes on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	d.maxBytes = int(d.pool.config.MaxMessageBytes)
	if v, ok := c.ctx.Value(shareKey{}).(sharedValue); ok {
		if d.shareType, d.share, err = v.encode(d.maxBytes); err != nil {
			return err
		}
		d.shared = true
	}
	if err := d.pool.enter(d); err != nil {
		return fmt.Errorf("parallel: %s: %w", id.caller, err)
	}
	defer d.pool.leave(d)
	d.run()
	return nil
}

// run serves the call with as many workers as it may have.
func (d *dispatch) run() {
	d.c.mu.Lock()
	d.c.patient = true
	d.c.onHungry = d.pokeMonitor
	d.c.onBound = append(d.c.onBound, d.pokeMonitor)
	d.c.mu.Unlock()
	stop := make(chan struct{})
	var monitor, servers sync.WaitGroup
	monitor.Go(func() { d.monitor(stop) })
	for range d.c.workers {
		servers.Go(d.serve)
	}
	servers.Wait()
	d.c.awaitSettled()
	close(stop)
	monitor.Wait()
	d.writes.Wait()
}

// serve runs sessions, one worker after the other, until nothing is left to do.
func (d *dispatch) serve() {
	for d.c.awaitWork() {
		h, err := d.pool.acquire(d.c.ctx, d)
		if err != nil {
			d.c.end(err)
		}
		if h != nil {
			newSession(d, h).run()
		}
	}
	// If there is nothing for this one, there is nothing for one that still
	// waits for a worker.
	d.quitOnce.Do(func() { close(d.quit) })
}

// announce is the frame that tells a worker of the call.
func (d *dispatch) announce(buf []byte) []byte {
	m := wire.Call{
		ID: d.id, Function: d.function.id, KeepGoing: d.c.keepGoing, Timeout: d.timeout,
		Shared: d.shared, ShareType: d.shareType, Share: d.share,
	}
	if deadline, ok := d.c.ctx.Deadline(); ok {
		m.Deadline = max(1, time.Until(deadline))
	}
	return wire.Finish(m.Append(wire.Begin(buf, wire.KindCall)))
}

// farewell is the frame that ends the call in a worker.
func (d *dispatch) farewell() []byte {
	m := wire.Stop{ID: d.id, Index: -1, Cause: appendError(nil, context.Canceled)}
	return wire.Finish(m.Append(wire.Begin(nil, wire.KindStop)))
}

func (d *dispatch) add(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions[s] = struct{}{}
}

func (d *dispatch) remove(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, s)
}

func (d *dispatch) pokeMonitor() {
	select {
	case d.poke <- struct{}{}:
	default: // it is poked already
	}
}

// wake has every part of the call look up.
func (d *dispatch) wake() {
	d.c.mu.Lock()
	d.c.changed.Broadcast()
	d.c.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.sessions {
		s.mu.Lock()
		s.changed.Signal()
		s.mu.Unlock()
	}
}

// finished enters n items that ran well.
func (d *dispatch) finished(n int) {
	if n == 0 {
		return
	}
	d.countMu.Lock()
	d.deaths = 0
	d.countMu.Unlock()
	d.pool.items.Add(int64(n))
	d.c.done(n, 0)
}

// fail enters an item that failed.
func (d *dispatch) fail(i int, err error) {
	d.countMu.Lock()
	d.deaths = 0
	d.countMu.Unlock()
	d.pool.items.Add(1)
	d.pool.failed.Add(1)
	d.c.fail(i, err)
}

// measured enters how long a worker took for n items.
func (d *dispatch) measured(n int, took time.Duration) {
	d.pool.busyTime.Add(int64(took))
	if n == 0 {
		return
	}
	d.c.mu.Lock()
	d.c.learn(n, took)
	d.c.mu.Unlock()
}

// fruitless counts a worker that died without running an item, and reports
// whether that has happened too often.
func (d *dispatch) fruitless() bool {
	d.countMu.Lock()
	defer d.countMu.Unlock()
	d.deaths++
	return d.deaths > maxFruitless
}

// crashed settles the item whose worker died under it.
func (d *dispatch) crashed(i int, crash *CrashError) {
	if d.c.stopped(i) {
		d.c.skip(span{i, i + 1}) // it was not wanted any more
		return
	}
	d.countMu.Lock()
	again := crash.Err == nil && d.attempts[i] < d.retries
	if again {
		d.attempts[i]++
	}
	d.countMu.Unlock()
	if again {
		d.pool.retried.Add(1)
		d.c.giveBack(span{i, i + 1})
		return
	}
	d.fail(i, crash)
}
