package schedule

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/parallel/internal/cost"
)

const (
	// longChunk is for how many chunks' time a runner may have nothing to do while others do.
	// Then a chunk takes much longer than it should, and the rest of it is given away.
	longChunk = 4

	// chunkGrowth is how much larger than the one before a chunk may be during slow start.
	chunkGrowth = 8
)

// team is the Claimant that runs a call's items on goroutines of this process. The fields
// above idle do not change while it runs, or are atomic; the call's mutex guards the others.
//
// A runner that finds nothing to claim in a call whose input is closed leaves, and is
// recalled when items are given back. It does not wait for that: the thread of a goroutine
// that sleeps and is woken just when the call ends takes the place of another, and the next
// call's runners arrive a millisecond late. In a call whose input is open runners wait.
//
// The yield flag is raised when the bound falls, and by the alarm, which is set when a
// runner starves or leaves and goes off longChunk chunks later: then another runner is at a
// chunk that takes much longer than it should. A runner that sees the flag gives back what
// it has not started. A flag that the alarm raised stands until every runner has something
// to do. A job that is a Yielder is told with each change of the flag.
type team struct {
	call      *Call
	group     errgroup.Group
	runners   []runner
	slowStart bool          // chunks must not grow too fast, since fn's cost was not known before
	chunkTime time.Duration // how long a chunk should take
	yielder   Yielder       // the job, if it is one; else nil

	// All runners read yield for each item, so it is on a cache line that is written for
	// nothing else.
	_     [cacheLine]byte
	yield atomic.Uint32 // not zero: every runner should look up between items
	_     [cacheLine]byte

	idle  []*runner     // have left, since there was nothing to claim
	alarm *time.Timer   // raises yield; nil: was never set
	armed bool          // the alarm is set, or about to have gone off
	ran   int           // items that have run well
	busy  time.Duration // what they took, all together
}

// RunGoroutines runs the call's items on as many goroutines as it has workers, and returns
// when all have ended. The caller's goroutine is none of them, so that a Goexit in fn does
// not end the caller.
func (c *Call) RunGoroutines(j Job) {
	t := &c.team
	t.call = c
	t.runners = make([]runner, c.config.Workers)
	for i := range t.runners {
		t.runners[i] = runner{call: c, job: j, number: i}
	}
	t.chunkTime = chunkTimeOf(min(len(t.runners), runtime.GOMAXPROCS(0)))
	t.yielder, _ = j.(Yielder)
	t.slowStart = c.Attach(t, &c.config.Cost.Estimate)
	for i := min(2, len(t.runners)) - 1; i >= 0; i-- {
		t.group.Go(func() error { t.runners[i].begin(); return nil })
	}
	_ = t.group.Wait() // runners report to the call
	c.disarm()
	if t.ran > 0 {
		c.config.Cost.Ended(t.ran)
		c.config.Cost.Learn(t.ran, t.busy)
	}
	for i := range t.runners {
		if cancel := t.runners[i].cancel; cancel != nil {
			cancel(context.Canceled)
		}
	}
}

// begin starts two more runners, so that they come in a tree and not one after the other,
// and goes to work. RunGoroutines has started runners 1 and 0 in this order: a new goroutine
// sits where other processors do not look for a while, until the next one pushes it out. So
// another processor gets runner 1 at once, and the caller's processor runs runner 0 when the
// caller waits. Runner 0 starts no others.
func (r *runner) begin() {
	t := &r.call.team
	for child := 2 * r.number; r.number > 0 && child <= 2*r.number+1 && child < len(t.runners); child++ {
		if !r.call.promising() {
			break
		}
		t.group.Go(func() error { t.runners[child].begin(); return nil })
	}
	r.ctx, r.cancel = context.WithCancelCause(r.call.ctx)
	r.loop(Span{})
}

// promising reports whether there is something for another runner to do, or may be.
func (c *Call) promising() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ledger.closed || c.ledger.left() > 0
}

// nextChunk settles what r has run and claims its next chunk. An empty one means that r is
// to end.
func (c *Call) nextChunk(r *runner) Span {
	s := c.exchange(r, cost.Clock())
	if s.Len() > 0 || c.drained.Load() {
		return s
	}
	// All runners come to their end at about the same time, so most often there is nothing
	// left to do but to see that, which spares leaving and setting the alarm. If there are
	// more runners than processors, looking would keep another from running.
	if c.config.Workers <= runtime.GOMAXPROCS(0) {
		cost.SpinFor(chunkTime, c.drained.Load)
	}
	return c.claimOrLeave(r)
}

// exchange settles what r has run and claims the next chunk. It waits for that only as long
// as the input is open.
func (c *Call) exchange(r *runner, now time.Duration) Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleRunLocked(r, now)
	want := c.cost.Items(c.team.chunkTime)
	if c.team.slowStart {
		want = min(want, chunkGrowth*max(1, r.chunk.Len()))
	}
	s := c.ledger.claimChunk(want, c.cost.Items(chunkLeast))
	if s.Len() == 0 && !c.ledger.closed {
		c.awaitLocked(&c.claims, nil, func() bool {
			s = c.ledger.claimChunk(1, 1)
			return s.Len() > 0
		})
		r.since = cost.Clock()
	}
	r.holdLocked(s)
	return s
}

// claimOrLeave claims an item that was given back since exchange found none, or has r leave.
func (c *Call) claimOrLeave(r *runner) Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drained.Load() {
		return Span{}
	}
	s := c.ledger.claimChunk(1, 1)
	if s.Len() == 0 {
		c.team.leaveLocked(r, c.ledger.open)
	}
	r.holdLocked(s)
	return s
}

// settleRun settles what r has run.
func (c *Call) settleRun(r *runner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleRunLocked(r, cost.Clock())
}

func (c *Call) settleRunLocked(r *runner, now time.Duration) {
	took := now - r.since
	c.settleLocked(r.ran)
	c.cost.Learn(r.ran, took)
	if r.ran > 0 {
		c.team.ran += r.ran
		c.team.busy += took
	}
	r.ran, r.since = 0, now
}

// leaveLocked takes in that r has found nothing to claim, and ends. If the others have more
// items than those they are at (open are claimed in all), the alarm is set in case that
// lasts.
func (t *team) leaveLocked(r *runner, open int) {
	t.idle = append(t.idle, r)
	if open > len(t.runners)-len(t.idle) {
		t.armLocked()
	}
}

// Returned recalls at most n runners that have left. The runner that gives items back has
// not left, so the group is not done.
func (t *team) Returned(n int) {
	for ; n > 0 && len(t.idle) > 0; n-- {
		last := len(t.idle) - 1
		t.idle[last].resume(Span{})
		t.idle = t.idle[:last]
	}
}

// Starved sets the alarm.
func (t *team) Starved() { t.armLocked() }

// Bounded raises the yield flag: what the runners hold may not have to be run any more.
func (t *team) Bounded() { t.setYieldLocked(1) }

// setYieldLocked raises the yield flag or takes it back.
func (t *team) setYieldLocked(yield uint32) {
	t.yield.Store(yield)
	if t.yielder != nil {
		t.yielder.Yield(yield != 0)
	}
}

// cancelAfterLocked ends the context of every runner whose chunk lies behind the failed
// item. A chunk is contiguous, so it lies wholly before or behind a failed item of another.
func (t *team) cancelAfterLocked(f Failure) {
	for i := range t.runners {
		if r := &t.runners[i]; r.chunk.Lo > f.Index {
			r.cancel(f.Err)
			r.ended = true
		}
	}
}

// armLocked sets the alarm, unless it is set or yield has been raised already.
func (t *team) armLocked() {
	if t.armed || t.yield.Load() != 0 {
		return
	}
	t.armed = true
	if t.alarm == nil {
		t.alarm = time.AfterFunc(longChunk*t.chunkTime, t.call.ring)
	} else {
		t.alarm.Reset(longChunk * t.chunkTime)
	}
}

// ring is the alarm going off.
func (c *Call) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.team.armed = false
	if c.wantedLocked() {
		c.team.setYieldLocked(1)
	}
	c.end.wakeAll() // for disarm
}

// wantedLocked reports whether items that are given back would be claimed by other runners.
func (c *Call) wantedLocked() bool { return c.starved > 0 || len(c.team.idle) > 0 }

// disarm stops the alarm, and waits for it if it is just going off.
func (c *Call) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.team.armed && !c.team.alarm.Stop() {
		c.end.sleep()
	}
}

// calm reports that every runner has something to do, so that the yield flag need not be
// obeyed, and takes the flag back if the call may go on.
func (c *Call) calm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wantedLocked() {
		return false
	}
	if c.ledger.bound.Load() == NoBound {
		c.team.setYieldLocked(0)
	}
	return true
}
