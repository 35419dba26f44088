package parallel

// The parent's side of the process place. The worker's side is in worker.go; what
// they say to each other is in internal/wire.
//
//	        parent process                         worker process (this executable again)
//	┌────────────────────────────────┐          ┌─────────────────────────────────────┐
//	│ call      the book (pool.go)   │          │ Init: takes over the descriptors    │
//	│   │ claim            ▲ settle  │ requests │                                     │
//	│ session ── Call, Items, Stop ──┼─────────►│ listen ──► queue ─► execute ─► fn   │
//	│   ▲    items of many bytes ────┼─► page ──┼──────────────►          │           │
//	│   │                  │         │          │                         ▼           │
//	│ handle  ◄────────────┼─────────┼──────────┤◄── outbox ◄─── tray (in the page)   │
//	│   │ reads, buries    ▼         │  results │                                     │
//	│   └─ results of many bytes, ───┼─► page   │                                     │
//	│      what a dead worker left   │          │                                     │
//	│ ProcessPool: idle handles      │   leash  │                                     │
//	│ dispatch: monitor of one call ─┼──────────┤ end of file: kill the whole group   │
//	└────────────────────────────────┘          └─────────────────────────────────────┘
//
// A call (dispatch.go) uses up to Size workers. For each it holds a session
// (session.go), which sends batches of items and takes in the results (outcomes.go).
// A handle (handle.go) is one worker process, from its start to its burial; between
// sessions it lies idle in the pool. Who reads what a worker says is in reader.go. Locks are taken in the order dispatch.mu,
// session.mu, call.mu, pool.mu, handle.mu; under none of them does code of the
// user's run, or anything that waits for a worker. A Goexit in such code ends
// the goroutine that it meets; what that one did goes on in another (persist).

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ProcessPool keeps worker processes for the calls that name it with [On], so
// that only the first pays for their start. The zero value is ready to use, and
// starts workers as calls need them. A ProcessPool is safe for concurrent use;
// calls that run at once share its workers. Set the fields before first use, and
// do not copy a pool after it. Each worker handles one item at a time.
type ProcessPool struct {
	// Size is the most worker processes at once; 0 means GOMAXPROCS.
	Size int

	// MaxItems is the number of items after which a worker is replaced by a
	// fresh one; 0 means no limit. It helps against leaks in C libraries.
	MaxItems int

	// MaxMemoryBytes limits a worker's resident memory; 0 means no limit. A
	// worker over the limit is replaced between items; an item that takes its
	// worker over it fails with a *CrashError that wraps ErrMemoryLimit. The
	// size is sampled every 10 ms, so a fast item can overshoot. Workers are
	// given a GOMEMLIMIT of nine tenths of it. On systems other than Linux,
	// calls fail with errors.ErrUnsupported if it is set.
	MaxMemoryBytes int64

	// MaxMessageBytes limits one encoded item, result or shared value; 0 means
	// 1 GiB. What is larger is that item's error.
	MaxMessageBytes int64

	// IdleTimeout is how long a worker may lie idle before it ends; 0 means 1
	// minute, a negative value never.
	IdleTimeout time.Duration

	// StartTimeout limits the time from starting a worker to its being ready,
	// which all package initialization counts into; 0 means 10 seconds. A
	// worker that has been given an item and lets as much time pass without
	// beginning with it is replaced.
	StartTimeout time.Duration

	// KillDelay is how long an item whose context has ended may take to
	// return before its worker is killed; 0 means 1 second.
	KillDelay time.Duration

	// Env is appended to this process's environment to make that of a worker;
	// of two values for a name the later counts. Workers are given a
	// GOMAXPROCS of their share of this process's.
	Env []string

	// Dir is the workers' working directory; empty means this process's.
	Dir string

	// Stdout and Stderr receive what workers print, in whole lines, never two
	// writes at once; nil means os.Stdout and os.Stderr. Output may arrive a
	// moment after the call that caused it has returned; when Close returns,
	// all has arrived. A writer that blocks holds the workers up.
	Stdout, Stderr io.Writer

	// Logger is told of starts, deaths and replacements of workers; nil means
	// silent.
	Logger *slog.Logger

	once sync.Once
	core *poolCore
}

// Close waits for the calls in flight, ends all workers, and returns when none
// is left. Later calls fail with [ErrPoolClosed]. It can be called more than
// once, and always returns nil. Calling it from a callback of a call that the
// pool serves waits for ever.
func (p *ProcessPool) Close() error {
	p.get().close()
	return nil
}

// Stats returns the pool's counters.
func (p *ProcessPool) Stats() PoolStats { return p.get().snapshot() }

// PoolStats describes a [ProcessPool] at one moment. The counters start at zero
// with the pool and only grow.
type PoolStats struct {
	Workers  int           // worker processes now, those starting included
	Busy     int           // of these, how many serve a call
	Started  int64         // workers started
	Died     int64         // workers that crashed, or were killed because of a limit
	Items    int64         // items that ran to an end, well or not
	Failed   int64         // of these, how many failed
	Retried  int64         // items run again because of Retry
	BytesIn  int64         // encoded results received
	BytesOut int64         // encoded items sent
	BusyTime time.Duration // time that workers spent on items, all together
}

// get returns the pool's inner part, made on first use.
func (p *ProcessPool) get() *poolCore {
	p.check()
	p.once.Do(func() { p.core = newPoolCore(p) })
	return p.core
}

// size is the most workers at once.
func (p *ProcessPool) size() int { return p.get().config.Size }

// poolConfig is a pool's fields with the defaults filled in.
type poolConfig struct {
	Size, MaxItems                       int
	MaxMemoryBytes, MaxMessageBytes      int64
	IdleTimeout, StartTimeout, KillDelay time.Duration
	Env                                  []string
	Dir                                  string
	stdout, stderr                       func() io.Writer
	logger                               *slog.Logger
	silent                               bool // there was none
}

// poolCore is the part of a pool that lives apart from its fields.
type poolCore struct {
	config   poolConfig
	outputMu sync.Mutex     // held while writing workers' output
	calls    sync.WaitGroup // calls in flight
	burials  sync.WaitGroup // workers that are not gone yet

	mu      sync.Mutex
	closed  bool                 // no call is admitted any more
	ended   bool                 // the last call has left: no worker is needed any more
	workers int                  // alive or starting
	idle    []*handle            // newest last
	adopted map[*handle]struct{} // starting, for whichever call comes
	waiting []chan *handle       // calls that wait for a worker, first come first; see acquire
	active  map[*dispatch]struct{}
	timer   *time.Timer // ends idle workers; nil until the first one idles
	pulse   pulse

	busy,
	started, died, items, failed, retried, bytesIn, bytesOut, busyTime atomic.Int64
}

// check panics if a field has a value that it cannot have.
func (p *ProcessPool) check() {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"Size", int64(p.Size)}, {"MaxItems", int64(p.MaxItems)}, {"MaxMemoryBytes", p.MaxMemoryBytes},
		{"MaxMessageBytes", p.MaxMessageBytes}, {"StartTimeout", int64(p.StartTimeout)}, {"KillDelay", int64(p.KillDelay)},
	} {
		if f.value < 0 {
			panic(fmt.Sprintf("parallel: ProcessPool.%s is %d: it must not be negative", f.name, f.value))
		}
	}
}

func newPoolCore(p *ProcessPool) *poolCore {
	c := poolConfig{
		Size: p.Size, MaxItems: p.MaxItems,
		MaxMemoryBytes: p.MaxMemoryBytes, MaxMessageBytes: p.MaxMessageBytes,
		IdleTimeout: p.IdleTimeout, StartTimeout: p.StartTimeout, KillDelay: p.KillDelay,
		Env: p.Env, Dir: p.Dir, logger: p.Logger,
		stdout: func() io.Writer { return os.Stdout },
		stderr: func() io.Writer { return os.Stderr },
	}
	orDefault(&c.Size, runtime.GOMAXPROCS(0))
	orDefault(&c.MaxMessageBytes, 1<<30)
	orDefault(&c.IdleTimeout, time.Minute)
	orDefault(&c.StartTimeout, 10*time.Second)
	orDefault(&c.KillDelay, time.Second)
	c.MaxMessageBytes = min(c.MaxMessageBytes, maxFrame-frameSlack)
	if p.Stdout != nil {
		c.stdout = func() io.Writer { return p.Stdout }
	}
	if p.Stderr != nil {
		c.stderr = func() io.Writer { return p.Stderr }
	}
	if c.silent = c.logger == nil; c.silent {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return &poolCore{config: c, active: make(map[*dispatch]struct{}), adopted: make(map[*handle]struct{}),
		pulse: pulse{owed: make(map[*handle]struct{})}}
}

func orDefault[V comparable](v *V, value V) {
	var zero V
	if *v == zero {
		*v = value
	}
}

// enter admits a call. Each that was admitted must leave.
func (p *poolCore) enter(d *dispatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrPoolClosed
	}
	p.calls.Add(1)
	p.active[d] = struct{}{}
	p.awaitBeat()
	return nil
}

func (p *poolCore) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *poolCore) leave(d *dispatch) {
	p.mu.Lock()
	delete(p.active, d)
	for _, h := range d.told {
		p.pulse.owed[h] = struct{}{}
	}
	p.awaitBeat()
	p.mu.Unlock()
	p.calls.Done()
}

// acquire returns a worker for d: an idle one, else a new one, else the next
// that another call releases. It returns nil if d's context ends, or d has no
// more use for one, while waiting.
func (p *poolCore) acquire(ctx context.Context, d *dispatch) (*handle, error) {
	for {
		p.mu.Lock()
		if n := len(p.idle); n > 0 {
			h := p.idle[n-1]
			p.idle = p.idle[:n-1]
			p.mu.Unlock()
			if h.alive() {
				return h, nil
			}
			continue // it died while idle; its burial makes room
		}
		if p.workers < p.config.Size {
			p.workers++
			p.mu.Unlock()
			return p.start(ctx, d.quit)
		}
		offer := make(chan *handle, 1)
		p.waiting = append(p.waiting, offer)
		p.mu.Unlock()
		p.askToYield()
		select {
		case h := <-offer:
			if h != nil {
				return h, nil
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

// askToYield has the calls that hold workers without work for them look up.
func (p *poolCore) askToYield() {
	p.mu.Lock()
	active := slices.Collect(maps.Keys(p.active))
	p.mu.Unlock()
	for _, d := range active {
		d.wake() // takes the book's lock, which must not be taken under ours
	}
}

// wanted reports whether another call waits for a worker.
func (p *poolCore) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}

// withdraw takes back a wait. An offer that was made meanwhile goes on.
func (p *poolCore) withdraw(offer chan *handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.waiting {
		if o == offer {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
	if h := <-offer; h == nil || h.alive() {
		p.offer(h)
	}
}

// offer gives h to whoever has waited longest, or lets it idle. A nil h stands
// for room for a new worker. mu is held.
func (p *poolCore) offer(h *handle) {
	if len(p.waiting) > 0 {
		p.waiting[0] <- h // has room for one
		p.waiting = p.waiting[1:]
		return
	}
	if h == nil {
		return
	}
	h.idleSince = time.Now()
	p.idle = append(p.idle, h)
	p.armIdleTimer()
}

// release takes back a worker that acquire returned.
func (p *poolCore) release(h *handle) {
	if reason := p.retireReason(h); reason != "" {
		h.retire()
		p.config.logger.Debug("parallel: worker replaced", "pid", h.pid, "reason", reason, "items", h.items)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !h.alive(): // its burial makes room
	case p.ended:
		h.retire()
	default:
		p.offer(h)
	}
}

// adopt takes charge of a worker that is starting, until disown.
func (p *poolCore) adopt(h *handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.adopted[h] = struct{}{}
}

func (p *poolCore) disown(h *handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.adopted, h)
}

// retireReason says why h should not serve again, or nothing.
func (p *poolCore) retireReason(h *handle) string {
	if p.config.MaxItems > 0 && h.items >= p.config.MaxItems {
		return "MaxItems"
	}
	if p.outgrown(h) {
		return "MaxMemoryBytes"
	}
	return ""
}

// outgrown reports whether h has reached the memory limit. A worker that has run
// nothing has not: replacing it would bring nothing better.
func (p *poolCore) outgrown(h *handle) bool {
	if p.config.MaxMemoryBytes == 0 || h.items == 0 {
		return false
	}
	size, err := resident(h.pid)
	return err == nil && size >= p.config.MaxMemoryBytes
}

// buried makes room for another worker after h has gone, or could not be started
// and is nil.
func (p *poolCore) buried(h *handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(other *handle) bool { return other == h })
	p.workers--
	p.offer(nil)
}

// armIdleTimer sees to it that idle workers end in time. mu is held.
func (p *poolCore) armIdleTimer() {
	if p.config.IdleTimeout < 0 || p.closed || len(p.idle) == 0 {
		return
	}
	wait := max(0, time.Until(p.idle[0].idleSince.Add(p.config.IdleTimeout)))
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.endIdle)
	} else {
		p.timer.Reset(wait)
	}
}

// endIdle ends the workers that have been idle for too long.
func (p *poolCore) endIdle() {
	p.mu.Lock()
	var late []*handle
	for len(p.idle) > 0 && time.Since(p.idle[0].idleSince) >= p.config.IdleTimeout {
		late = append(late, p.idle[0])
		p.idle[0].retire()
		p.idle = p.idle[1:]
	}
	p.armIdleTimer()
	p.mu.Unlock()
	for _, h := range late {
		p.config.logger.Debug("parallel: worker ended", "pid", h.pid, "reason", "IdleTimeout")
	}
}

// close waits for the calls in flight and ends all workers.
func (p *poolCore) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	p.mu.Lock()
	p.ended = true
	for _, h := range p.idle {
		h.retire()
	}
	p.idle = nil
	for h := range p.adopted {
		h.retire()
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	p.stopBeating()
	p.burials.Wait()
}

func (p *poolCore) snapshot() PoolStats {
	p.mu.Lock()
	workers := p.workers
	p.mu.Unlock()
	return PoolStats{
		Workers: workers, Busy: min(workers, int(p.busy.Load())),
		Started: p.started.Load(), Died: p.died.Load(),
		Items: p.items.Load(), Failed: p.failed.Load(), Retried: p.retried.Load(),
		BytesIn: p.bytesIn.Load(), BytesOut: p.bytesOut.Load(),
		BusyTime: time.Duration(p.busyTime.Load()),
	}
}
