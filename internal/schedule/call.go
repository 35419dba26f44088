package schedule

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
)

// maxStreamWorkers is the most workers of a call whose items cannot be counted.
const maxStreamWorkers = 1 << 16

// errAborted is why a call was ended whose callback panicked or called runtime.Goexit, which
// goes on in the caller. Items that run are told it.
var errAborted = errors.New("parallel: a callback did not return")

// Call is the state of one Map, ForEach, MapSeq or Spawn. It serves goroutines and worker
// processes alike. Make one with New. All methods are safe for concurrent use, except that
// Attach or RunGoroutines is called once and Outcome when no worker is left.
type Call struct {
	ctx      context.Context
	config   Config
	cost     cost.Estimate // of an item of this call
	progress progress
	drained  atomic.Bool // every item is settled, so nothing will be given back

	mu       sync.Mutex
	claims   sleepers  // claims that wait for items
	servers  sleepers  // AwaitWork
	end      sleepers  // AwaitSettled and disarm
	ledger   ledger    // but for its bound, guarded by mu
	claimant Claimant  // who runs the items; never nil
	starved  int       // claims that wait for items which other workers hold
	failures failures  // with KeepGoing all, else the lowest at most; none if there is a Stream
	cause    error     // why the call was ended from outside
	aborted  guard.End // of the callback, if that did not return

	team team // RunGoroutines uses it
}

// New returns a call in ctx, which items get as their context.
func New(ctx context.Context, config Config) *Call {
	c := &Call{ctx: ctx, config: config, claimant: noClaimant{}}
	l := &c.ledger
	l.bound.Store(NoBound)
	if l.next = config.First; config.Total >= 0 {
		l.avail.Store(int64(config.Total))
		l.closed = true
		l.workers = max(1, min(config.Workers, config.Total))
	} else {
		l.workers = min(config.Workers, maxStreamWorkers)
	}
	c.config.Workers = l.workers
	c.progress.callback, c.progress.total = config.Progress, config.Total
	for _, s := range []*sleepers{&c.claims, &c.servers, &c.end} {
		s.changed.L = &c.mu
	}
	return c
}

// Context is the call's context.
func (c *Call) Context() context.Context { return c.ctx }

// Config is what the call is made of. It must not be changed.
func (c *Call) Config() *Config { return &c.config }

// Cost is what an item of this call has taken lately. The claimant lets it learn.
func (c *Call) Cost() *cost.Estimate { return &c.cost }

// Attach makes p the claimant, which runs the call's items. known is what is known of the
// function's cost there. It is used unless the input is still to be read (what is read
// ahead depends on the cost, and should be little at first), or some items were run inline
// before (and have turned out not to be as cheap as was known). slowStart reports that
// nothing is known, so claims must not grow too fast.
func (c *Call) Attach(p Claimant, known *cost.Estimate) (slowStart bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claimant = p
	if c.ledger.fresh() {
		c.cost.Start(known)
	}
	return !c.cost.Known()
}

// Watch ends the call when its context ends. stop ends the watching and leaves nothing
// behind.
func (c *Call) Watch() (stop func()) {
	if c.ctx.Done() == nil {
		return func() {}
	}
	ended := make(chan struct{})
	stopFunc := context.AfterFunc(c.ctx, func() {
		defer close(ended)
		c.End(context.Cause(c.ctx))
	})
	return func() {
		if !stopFunc() {
			<-ended
		}
	}
}

// Stopped reports whether item i may not be started any more.
func (c *Call) Stopped(i int) bool { return int64(i) > c.ledger.bound.Load() }

// Bound is the last item that may still be started: the lowest that failed, −1 when the
// call has been ended from outside, else NoBound.
func (c *Call) Bound() int64 { return c.ledger.bound.Load() }

// lowerLocked lets the call go no further than item bound.
func (c *Call) lowerLocked(bound int64) {
	c.ledger.bound.Store(bound)
	c.wakeAllLocked()
	c.claimant.Bounded()
	if c.config.Stream != nil {
		c.config.Stream.Bounded()
	}
}

// End ends the call from outside: no further item is started. The first cause counts.
func (c *Call) End(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause)
}

func (c *Call) endLocked(cause error) {
	if c.cause == nil {
		c.cause = cause
	}
	if c.ledger.bound.Load() >= 0 {
		c.lowerLocked(-1)
	}
}

// noticeEnd ends the call if its context has ended, which the watcher may not have noticed
// yet. It returns why the call was ended from outside, nil if it was not.
func (c *Call) noticeEnd() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cause := c.endCauseLocked()
	if cause != nil {
		c.endLocked(cause)
	}
	return cause
}

// EndCause is why the call was ended from outside, nil if it was not. It does not wait for
// the watcher to have noticed the end of the context.
func (c *Call) EndCause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endCauseLocked()
}

func (c *Call) endCauseLocked() error {
	if c.cause == nil && c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return c.cause
}

// StopCause is what items that must stop are told: why the call was ended from outside,
// else the failure that set the bound, else nil.
func (c *Call) StopCause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cause := c.endCauseLocked(); cause != nil || len(c.failures) == 0 {
		return cause
	}
	return c.failures[0].Err
}

// abort ends the call because the callback did not return, but ended with end. That goes on in
// the caller's goroutine when all workers are still.
func (c *Call) abort(end guard.End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = end // progress calls back no more
	c.endLocked(errAborted)
}

// Aborted is how the callback ended, if that did not return: the caller is to resume it.
func (c *Call) Aborted() guard.End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aborted
}
