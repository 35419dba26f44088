package parallel

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// span is the items [lo, hi).
type span struct{ lo, hi int }

func (s span) len() int { return s.hi - s.lo }

// noBound is the bound of a call that nothing limits.
const noBound = math.MaxInt64

// work is the typed side of a call. The scheduler knows items by number only.
type work interface {
	// run calls fn on the items of s one after the other and stores the results,
	// until one fails or there is an alert after one. It keeps *at at the item that it
	// is running, and leaves it at the first that it has not run.
	run(ctx context.Context, s span, at *int, alert *atomic.Uint32) error
}

// call is the book of one Map, ForEach, MapSeq or Spawn: which items are
// claimed, which are settled, which failed, and how far the call may still go.
// It serves goroutines and worker processes alike and knows neither.
//
// Every item is claimed once and then settled in one of four ways: done, failed,
// skipped (the call ended before it ran) or given back, to be claimed again.
type call struct {
	ctx       context.Context // the caller's, with the shared value in it
	keepGoing bool
	workers   int
	total     int // −1: not known

	// bound is the last item that may still be started: the lowest failed one,
	// −1 once the call has been ended from outside, else noBound. It only falls.
	bound atomic.Int64

	mu       sync.Mutex
	changed  sync.Cond        // a claim that waits should look again
	next     int              // the first item that was never claimed
	avail    int              // items there are so far
	closed   bool             // there will be no more
	patient  bool             // claims wait for items that may be given back
	returned []span           // given back, in index order, to be claimed first
	open     int              // items claimed and not settled
	skipped  []span           // items that will not be run
	failures []*ItemError     // with keepGoing all, else the lowest at most
	cause    error            // why the call was ended from outside
	itemCost time.Duration    // what an item took lately, ×costScale; 0: not known
	hungry   int              // claims that wait for items which other workers have
	onBound  []func()         // called, with mu held, when bound falls
	onHungry func()           // called, with mu held, when a claim gets hungry; may be nil
	onReturn func(n int)      // called, with mu held, when n items are given back; may be nil
	onFail   func(*ItemError) // takes the failures instead, with mu held; may be nil
	onStart  func(pid int)    // told when a worker process is given an item; may be nil

	// The goroutines place's; see goroutines.go.
	cost    *funcCost     // what is known of fn
	ran     int           // items that have run well
	busy    time.Duration // what they took, all together
	drained atomic.Uint32 // not zero: every item is settled
	ramp    bool          // chunks must not grow too fast, since fn's cost was not known before
	alert   atomic.Uint32 // not zero: every worker should look up between items
	runners []runner
	idle    []*runner // have left, since there was nothing to claim
	group   *errgroup.Group
	alarm   *time.Timer // gives an alert; guarded by mu, as
	armed   bool        // whether it is set

	progressMu sync.Mutex
	progress   func(done, total int)
	finished   int // items reported so far; guarded by progressMu
	aborted    any // what progress panicked with; guarded by mu
}

// maxStreamWorkers is the most workers of a call whose items cannot be counted.
const maxStreamWorkers = 1 << 16

// costScale makes a fraction of a nanosecond count.
const costScale = 1024

func newCall(ctx context.Context, s *settings, total int) *call {
	c := &call{
		ctx: ctx, keepGoing: s.keepGoing, workers: s.workers(),
		total: total, progress: s.progress,
		onStart: s.onStart,
	}
	if s.shared != nil {
		c.ctx = context.WithValue(ctx, shareKey{}, s.shared)
	}
	c.changed.L = &c.mu
	c.bound.Store(noBound)
	if total >= 0 {
		c.avail, c.closed = total, true
		c.workers = min(c.workers, total)
	} else {
		c.workers = min(c.workers, maxStreamWorkers)
	}
	return c
}

// watch ends the call when its context ends. The function it returns stops the
// watching and leaves nothing of it behind.
func (c *call) watch() (stop func()) {
	if c.ctx.Done() == nil {
		return func() {}
	}
	ended := make(chan struct{})
	stopFunc := context.AfterFunc(c.ctx, func() {
		defer close(ended)
		c.end(context.Cause(c.ctx))
	})
	return func() {
		if !stopFunc() {
			<-ended
		}
	}
}

// stopped reports whether item i may not be started any more.
func (c *call) stopped(i int) bool { return int64(i) > c.bound.Load() }

// settle marks n claimed items as settled. mu is held.
func (c *call) settle(n int) {
	c.open -= n
	if c.open == 0 && c.patient {
		if c.closed && c.leftLocked() == 0 {
			c.drained.Store(1)
		}
		c.changed.Broadcast()
	}
}

// done settles n items that ran well and took took together, 0 if not known.
func (c *call) done(n int, took time.Duration) {
	if n == 0 {
		return
	}
	defer func() { // even if the callback calls Goexit
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(n)
		c.learn(n, took)
	}()
	c.report(n) // before it is settled, since the call may return then
}

// learn takes a measurement of n items into the estimate of an item's cost: the
// mean of the old estimate and the new one, so that it follows a change within
// a few chunks. mu is held.
func (c *call) learn(n int, took time.Duration) {
	if took == 0 || n == 0 {
		return
	}
	fresh := max(1, took*costScale/time.Duration(n))
	if c.itemCost == 0 {
		c.itemCost = fresh
	} else {
		c.itemCost = (c.itemCost + fresh) / 2
	}
}

// costNow is what an item takes, times costScale; 0 when not known.
func (c *call) costNow() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.itemCost
}

// fail settles item i, which failed with err.
func (c *call) fail(i int, err error) {
	c.mu.Lock()
	cause := c.endCause()
	if cause != nil {
		c.endLocked(cause)
	}
	c.mu.Unlock()
	err = addCause(err, cause) // runs methods of the user's
	c.mu.Lock()
	e := &ItemError{Index: i, Err: err}
	switch {
	case c.onFail != nil:
		c.onFail(e)
	case c.keepGoing:
		c.failures = append(c.failures, e)
	case len(c.failures) == 0:
		c.failures = []*ItemError{e}
	case i < c.failures[0].Index:
		c.failures[0] = e
	}
	if !c.keepGoing && int64(i) < c.bound.Load() {
		c.lower(int64(i))
		for j := range c.runners {
			if r := &c.runners[j]; r.chunk.lo > i {
				r.cancel(e)
				r.ended = true
			}
		}
	}
	c.mu.Unlock()
	defer func() { // even if the callback calls Goexit
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(1)
	}()
	c.report(1)
}

// lower lets the call go no further than item bound. mu is held.
func (c *call) lower(bound int64) {
	c.bound.Store(bound)
	c.changed.Broadcast()
	for _, f := range c.onBound {
		f()
	}
}

// end ends the call from outside: no further item is started.
func (c *call) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause)
}

func (c *call) endLocked(cause error) {
	if c.cause == nil {
		c.cause = cause
	}
	if c.bound.Load() >= 0 {
		c.lower(-1)
	}
}

// endCause is why the call was ended from outside, nil if it was not. It does
// not wait for the watcher to have noticed. mu is held.
func (c *call) endCause() error {
	if c.cause == nil && c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return c.cause
}

// skip settles the items of s, which were claimed and did not run.
func (c *call) skip(s span) {
	if s.len() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped = append(c.skipped, s)
	c.settle(s.len())
}

// report tells progress of n more finished items.
func (c *call) report(n int) {
	if c.progress == nil {
		return
	}
	c.progressMu.Lock()
	defer c.progressMu.Unlock()
	returned := false
	defer func() {
		if !returned {
			c.abort(recover())
		}
	}()
	for range n {
		c.finished++
		c.progress(c.finished, c.total)
	}
	returned = true
}

// abort ends the call because a callback of the caller's panicked with v, or
// called Goexit if v is nil. The caller meets the panic when all is still.
func (c *call) abort(v any) {
	if v == nil {
		v = ErrGoexit
	}
	c.mu.Lock()
	if c.aborted == nil {
		c.aborted = v
	}
	c.mu.Unlock()
	c.end(errors.New("parallel: a callback panicked"))
}

// outcome closes the book when no worker is left. It returns the number of
// leading items that have results, and the call's error.
func (c *call) outcome() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted != nil {
		panic(c.aborted)
	}
	c.skipped = append(c.skipped, c.returned...)
	if c.next < c.avail {
		c.skipped = append(c.skipped, span{c.next, c.avail})
	}
	if c.keepGoing {
		return c.avail, c.joined()
	}
	complete := c.avail
	for _, s := range c.skipped {
		complete = min(complete, s.lo)
	}
	if len(c.failures) > 0 && c.failures[0].Index <= complete {
		return c.failures[0].Index, c.failures[0]
	}
	if complete == c.avail && c.closed {
		return complete, nil
	}
	return complete, c.ended(complete)
}

// ended is the error of a call that stopped after n items. mu is held.
func (c *call) ended(n int) error {
	cause := c.endCause()
	e := &endedError{done: n, total: c.total, cause: cause}
	if err := c.ctx.Err(); err != nil && !isError(cause, err) {
		e.also = err
	}
	return e
}

// joined is the error of a call that kept going: every failure, and the cause
// of the end for each item that did not run. mu is held.
func (c *call) joined() error {
	all := c.failures
	for _, s := range c.skipped {
		for i := s.lo; i < s.hi; i++ {
			all = append(all, &ItemError{Index: i, Err: c.endCause()})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b *ItemError) int { return cmp.Compare(a.Index, b.Index) })
	return joinedError(all)
}
