package parallel

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
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
	// memory returns the bytes of items whose encoding is their memory; nil if
	// they do not lie in one piece.
	memory(s span) []byte
	// results returns the same for results, which are to be written there.
	results(s span) []byte
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

	quiet bool // no goroutine serves the call's one session, but the caller itself
	ramp  bool // batches must not grow too fast, since the function's cost was not known before

	shared    bool
	shareType string
	share     []byte

	quit     chan struct{} // closed when there is nothing left for another worker to do
	quitOnce sync.Once
	poke     chan struct{} // wakes the monitor; holds one

	servers sync.WaitGroup
	monitor monitoring
	beats   int // of the pool's pulse that it has seen; guarded by the pool's mutex

	mu       sync.Mutex // taken before a session's and the book's
	sessions []*session
	told     []*handle // workers that know of the call

	countMu  sync.Mutex
	deaths   int         // workers lost in a row before they could be given anything
	attempts map[int]int // how often an item was run again; nil: none was
	misses   map[int]int // how often a worker died that had an item and was not running it; nil: none did

	// The monitor's.
	bound int64  // as it was at the last look
	stop  []byte // the frame that tells workers of it
}

// maxFruitless is how many workers may die between being given an item and
// running it, before it is held responsible all the same; and how many in a row
// may die before they can be given any, before the call ends.
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
		quit: make(chan struct{}), poke: make(chan struct{}, 1), bound: noBound,
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
	d.quiet = d.isQuiet()
	d.maxBytes = int(d.pool.config.MaxMessageBytes)
	if v, ok := c.ctx.Value(shareKey{}).(sharedValue); ok {
		d.shareType, d.share, err = v.encode(d.maxBytes)
		if err != nil && s.shared != nil {
			return err // what came along with the context may stay behind
		}
		d.shared = err == nil
	}
	if err := d.pool.enter(d); err != nil {
		return explain(err, "%s", id.caller)
	}
	defer d.pool.leave(d)
	d.run()
	return nil
}

// run serves the call with as many workers as it may have.
func (d *dispatch) run() {
	d.c.mu.Lock()
	d.c.patient = true
	if d.c.closed { // else the input is not to be read ahead
		d.c.itemCost = time.Duration(d.function.cost.Load())
	}
	d.ramp = d.c.itemCost == 0
	poke := d.pokeMonitor
	d.c.onHungry = poke
	d.c.onBound = append(d.c.onBound, poke)
	d.c.mu.Unlock()
	if d.timeout > 0 || d.pool.config.MaxMemoryBytes > 0 {
		d.pokeMonitor()
	}
	if d.quiet {
		var s *session
		d.serveAll(&s)
	} else {
		for range d.c.workers {
			d.serve()
		}
	}
	d.servers.Wait()
	d.c.awaitSettled()
	d.endMonitor()
	d.part()
}

// isQuiet reports whether one worker is enough and nothing that the caller's
// goroutine would do in its session calls code of the user's, which may call Goexit.
func (d *dispatch) isQuiet() bool {
	return d.c.workers == 1 && d.c.total >= 0 && d.c.progress == nil && d.pool.config.silent &&
		d.function.in.Pure() && d.function.out.Pure()
}

// serve runs sessions in a goroutine, one worker after the other, until nothing
// is left to do.
func (d *dispatch) serve() {
	var s *session
	persist(d.servers.Go, func() { d.serveAll(&s) })
}

// serveAll runs session *s, if that is not nil, and others, until nothing is left to
// do.
func (d *dispatch) serveAll(s **session) {
	for *s != nil || d.c.awaitWork() {
		if *s != nil {
			(*s).run()
			*s = nil
			continue
		}
		h, err := d.pool.acquire(d.c.ctx, d)
		if err != nil {
			d.c.end(err)
		}
		if h != nil {
			*s = newSession(d, h)
		}
	}
	// If there is nothing for this one, there is nothing for one that still waits
	// for a worker.
	d.quitOnce.Do(func() { close(d.quit) })
}

// announce is the frame that tells a worker of the call, or if the worker knows
// of it, that the next items belong to it again.
func (d *dispatch) announce(buf []byte, known bool) []byte {
	m := wire.Call{ID: d.id, Known: known}
	if !known {
		m.Function, m.KeepGoing, m.Timeout = d.function.id, d.c.keepGoing, d.timeout
		m.Eager = d.c.total < 0 || d.c.progress != nil
		m.Shared, m.ShareType, m.Share = d.shared, d.shareType, d.share
		if deadline, ok := d.c.ctx.Deadline(); ok {
			m.Deadline = max(1, time.Until(deadline))
		}
	}
	return wire.Finish(m.Append(wire.Begin(buf, wire.KindCall)))
}

// part tells the workers that know of the call that it is over.
func (d *dispatch) part() {
	m := wire.Stop{ID: d.id, Index: -1} // cancelled
	farewell := wire.Finish(m.Append(wire.Begin(nil, wire.KindStop)))
	for _, h := range d.told {
		h.forget(d.id)
		if h.sayLater(farewell); d.shared {
			h.sayNow() // the value may be large
		}
	}
}

func (d *dispatch) add(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = append(d.sessions, s)
	if !slices.Contains(d.told, s.h) {
		d.told = append(d.told, s.h)
	}
}

func (d *dispatch) remove(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.sessions, s); i >= 0 {
		d.sessions = slices.Delete(d.sessions, i, i+1)
	}
}

// pokeMonitor has the monitor look at the sessions, soon.
func (d *dispatch) pokeMonitor() {
	d.startMonitor()
	d.nudgeMonitor()
}

// nudgeMonitor does so if there is one already.
func (d *dispatch) nudgeMonitor() {
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
	for _, s := range d.sessions {
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
	d.fruitful()
	d.pool.items.Add(int64(n))
	d.c.done(n, 0)
}

// fail enters an item that failed.
func (d *dispatch) fail(i int, err error) {
	d.fruitful()
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
	d.function.learn(n, took)
}

// fruitful notes that an item has come to an end.
func (d *dispatch) fruitful() {
	d.countMu.Lock()
	defer d.countMu.Unlock()
	d.deaths = 0
}

// fruitless counts a worker that died when item i was the next that it was to
// run, and reports whether that has happened too often.
func (d *dispatch) fruitless(i int) bool {
	d.countMu.Lock()
	defer d.countMu.Unlock()
	if d.misses == nil {
		d.misses = make(map[int]int)
	}
	d.misses[i]++
	return d.misses[i] > maxFruitless
}

// stillborn counts a worker that died before it could be given an item, and ends
// the call if that has happened too often to go on. Workers that were killed while
// they were idle do not count.
func (d *dispatch) stillborn(h *handle) {
	if h.items > 0 || !h.idleSince.IsZero() {
		return
	}
	d.countMu.Lock()
	d.deaths++
	enough := d.deaths > maxFruitless
	d.countMu.Unlock()
	if enough {
		d.c.end(explain(h.crash(), "worker processes die before they can be given an item"))
	}
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
		if d.attempts == nil {
			d.attempts = make(map[int]int)
		}
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
