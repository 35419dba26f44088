package parallel

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// The goroutines place: how the items of a book are run in this process.

const (
	// aloneTime is the most work, by what is known of the function, that is done
	// by the caller alone. A helper costs the caller 4 to 18 µs to call when a
	// processor is idle, and 33 to 54 µs pass before it has arrived.
	aloneTime = 50 * time.Microsecond

	// chunkTime is how long a chunk of items should take: long against the cost
	// of claiming it (about 100 ns), short against what a worker may finish later
	// than the others.
	chunkTime = 20 * time.Microsecond

	// longChunk is how long a worker may have nothing to do while others do. Then
	// a chunk takes much longer than it should, and the rest of it is given away.
	longChunk = 4 * chunkTime

	// chunkLeast is how long a chunk should take at least, even at the end of a
	// call: less would not be worth its claim.
	chunkLeast = time.Microsecond

	// lookEvery is how many items may be run without a look at the context, which
	// costs more than a tiny item does.
	lookEvery = 16

	// measureEvery is how many calls of cheap items are made for each that looks
	// at the clock.
	measureEvery = 8
)

// cheap reports whether n items of the function are best run by the caller alone:
// when all of them take little time, and one in any case.
func (f *funcCost) cheap(n int) bool {
	cost := f.cost.Load()
	return cost > 0 && f.trusted() && (n <= 1 || int64(n) <= int64(aloneTime)*costScale/cost)
}

// itemError is the error of a call that ended with err at item i; nil if err is.
func itemError(ctx context.Context, i int, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = addCause(err, context.Cause(ctx))
	}
	return &ItemError{Index: i, Err: err}
}

// alone runs a call of n cheap items as a plain loop, on the caller's goroutine,
// with run, which is like work.run. It gives up when the items turn out not to be
// cheap or ctx ends. It returns the failure of item *at, if that is why it ended;
// run keeps *at, which is a pointer so that it costs no allocation.
func alone(ctx context.Context, n int, f *funcCost, at *int, run func(s span, alert *atomic.Uint32) error) (err error) {
	p := posts.Get().(*post)
	p.enter()
	returned := false
	defer func() {
		p.leave()
		posts.Put(p)
		if !returned {
			v := recover()
			if v == nil {
				f.wild.Store(true) // too late for this caller, who is leaving
			}
			err = caught(v)
		}
	}()
	begin, measured := time.Duration(0), p.calls.Load()/2%measureEvery == 0
	if measured {
		begin = clock()
	}
	step := n
	if ctx.Done() != nil {
		step = lookEvery
	}
	for err == nil && *at < n && p.alert.Load() == 0 && ctx.Err() == nil {
		err = run(span{*at, min(n, *at+step)}, &p.alert)
	}
	if measured && *at > 0 {
		f.learn(*at, (clock()-begin)*costScale/time.Duration(*at))
	}
	returned = true
	return err
}

// runner is one worker of this process.
type runner struct {
	c      *call
	w      work
	number int
	ctx    context.Context // fn's: ends when an item before this chunk fails
	cancel context.CancelCauseFunc
	ended  bool          // ctx has been ended for the chunk; guarded by c.mu
	chunk  span          // the last one claimed; written with c.mu held
	since  time.Duration // when its first item that is not settled was begun
	ran    int           // items that are done and not settled
	at     int           // work.run's
	_      [128]byte
}

// runGoroutines runs the call's items on c.workers goroutines and returns when
// all are still. The caller's goroutine is none of them, so that a Goexit in fn
// does not end the caller.
func (c *call) runGoroutines(w work) {
	var group errgroup.Group
	c.mu.Lock()
	c.group, c.patient, c.onHungry, c.onReturn = &group, true, c.armAlert, c.recall
	c.onBound = append(c.onBound, func() { c.alert.Store(1) })
	c.runners = make([]runner, c.workers)
	for i := range c.runners {
		c.runners[i] = runner{c: c, w: w, number: i}
	}
	if c.next == 0 && c.closed { // else the items have turned out to be slow, or the input is not to be read ahead
		c.itemCost = time.Duration(c.cost.cost.Load())
	}
	c.ramp = c.itemCost == 0
	c.mu.Unlock()
	for i := min(2, c.workers) - 1; i >= 0; i-- {
		group.Go(func() error { c.runners[i].begin(); return nil })
	}
	_ = group.Wait() // the goroutines report to the book
	c.disarm()
	if c.ran > 0 {
		c.cost.learn(c.ran, c.busy*costScale/time.Duration(c.ran))
	}
	for i := range c.runners {
		if cancel := c.runners[i].cancel; cancel != nil {
			cancel(context.Canceled)
		}
	}
}

// begin calls two more runners, so that they come in a tree and not one after
// the other, and goes to work. The caller has called runners 1 and 0 in this
// order: a new goroutine sits where other processors do not look for a while,
// until the next one pushes it out. So another processor takes 1 at once, and the
// caller's runs 0 when the caller waits. That one calls nobody.
func (r *runner) begin() {
	for child := 2 * r.number; r.number > 0 && child <= 2*r.number+1 && child < len(r.c.runners); child++ {
		if !r.c.promising() {
			break
		}
		helper := &r.c.runners[child]
		r.c.group.Go(func() error { helper.begin(); return nil })
	}
	r.ctx, r.cancel = context.WithCancelCause(r.c.ctx)
	r.loop(span{})
}

// promising reports whether there is something for another worker to do, or may
// be.
func (c *call) promising() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed || c.leftLocked() > 0
}

// loop runs what is left of chunk s, then whatever it can claim.
func (r *runner) loop(s span) {
	r.since = clock()
	for {
		for s.len() > 0 {
			s = r.attempt(s)
		}
		if s = r.turn(); s.len() == 0 {
			return
		}
	}
}

// turn settles what has been run and claims the next chunk.
func (r *runner) turn() span {
	c := r.c
	if c.progress != nil {
		r.report()
	}
	now := clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	r.settle(now)
	want, least := 1, 1
	if c.itemCost > 0 {
		want = max(1, int(chunkTime*costScale/c.itemCost))
		least = max(1, int(chunkLeast*costScale/c.itemCost))
	}
	if c.ramp {
		want = min(want, 8*max(1, r.chunk.len()))
	}
	r.chunk = c.takeLeast(want, least)
	if r.chunk.len() == 0 && !c.closed {
		c.await(nil, func() bool {
			r.chunk = c.take(1)
			return r.chunk.len() > 0
		})
		r.since = clock()
	}
	if r.chunk.len() == 0 && !c.drains() {
		if r.chunk = c.take(1); r.chunk.len() == 0 {
			c.leave(r)
		}
	}
	if r.ended && r.chunk.len() > 0 {
		// This chunk was given back from before the item that failed, and is
		// to run to its end.
		r.ctx, r.cancel = context.WithCancelCause(c.ctx)
		r.ended = false
	}
	return r.chunk
}

// drains reports whether everything is settled, now or in a moment. All workers
// come to the end at about the same time. c.mu is held, but not all the time.
func (c *call) drains() bool {
	if c.workers <= runtime.GOMAXPROCS(0) {
		c.mu.Unlock()
		spinFor(chunkTime, func() bool { return c.drained.Load() != 0 })
		c.mu.Lock()
	}
	return c.drained.Load() != 0
}

// leave takes in that r has found nothing to do in a closed call, and ends. It
// does not wait: the thread of a worker who sleeps and is woken just when the call
// ends takes the place of another, and the next call's workers arrive a
// millisecond late. But if others have more items than those they are at, it sees
// to it that they get an alert when that lasts. c.mu is held.
func (c *call) leave(r *runner) {
	c.idle = append(c.idle, r)
	if c.open > len(c.runners)-len(c.idle) {
		c.armAlert()
	}
}

// recall brings back at most n workers that have left. c.mu is held by one who
// has not.
func (c *call) recall(n int) {
	for ; n > 0 && len(c.idle) > 0; n-- {
		r := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		c.group.Go(func() error { r.loop(span{}); return nil })
	}
}

// settle settles what has been run until now. c.mu is held.
func (r *runner) settle(now time.Duration) {
	r.c.settle(r.ran)
	r.c.learn(r.ran, now-r.since)
	if r.ran > 0 {
		r.c.ran += r.ran
		r.c.busy += now - r.since
	}
	r.ran, r.since = 0, now
}

// report tells progress of what has been run, before it is settled, since the
// call may return then. It is settled even if the callback calls Goexit, which
// ends this worker.
func (r *runner) report() {
	returned := false
	defer func() {
		if !returned {
			r.c.mu.Lock()
			defer r.c.mu.Unlock()
			r.settle(clock())
		}
	}()
	r.c.report(r.ran)
	returned = true
}

// attempt runs the items of s until one fails or an alert has been given, and
// returns what is left to run of it. A panic in fn ends here; a Goexit takes this
// goroutine with it, and the rest goes on in a new one.
func (r *runner) attempt(s span) (rest span) {
	r.at = s.lo
	returned := false
	defer func() {
		if returned {
			return
		}
		err := caught(recover())
		rest = r.note(s, err)
		if err == ErrGoexit {
			r.c.cost.wild.Store(true)
			r.goOn(rest)
		}
	}()
	step := s.len()
	if r.c.ctx.Done() != nil {
		step = lookEvery // the alert comes a moment later than the end of ctx
	}
	var err error
	for err == nil && r.at < s.hi {
		err = r.w.run(r.ctx, span{r.at, min(s.hi, r.at+step)}, &r.at, &r.c.alert)
		if r.c.alert.Load() != 0 || r.c.ctx.Err() != nil {
			break
		}
	}
	returned = true
	return r.note(s, err)
}

// goOn runs what is left of chunk s, and then more, in a new goroutine.
func (r *runner) goOn(s span) {
	r.c.group.Go(func() error { r.loop(s); return nil })
}

// note takes in that the items of s before r.at have been run, and that the one
// there failed with err, if that is not nil. It returns what this runner is to
// run of the rest.
func (r *runner) note(s span, err error) span {
	at := r.at
	r.ran += at - s.lo
	if err != nil {
		r.c.fail(at, err)
		at++
	}
	rest := span{at, s.hi}
	if rest.len() > 0 && r.c.ctx.Err() != nil {
		r.c.end(context.Cause(r.c.ctx)) // the watcher may not have noticed yet
	}
	switch {
	case rest.len() == 0 || r.c.alert.Load() == 0:
		return rest
	case r.c.stopped(at):
		r.c.skip(rest)
		return span{}
	case r.c.fed():
		return rest
	default:
		r.c.giveBack(rest)
		return span{}
	}
}

// armAlert sees to it that an alert is given if workers that have nothing to do
// get nothing for a while: then somebody is at a chunk that takes much longer
// than it should. An alert that has been given stands until nobody is hungry. mu
// is held.
func (c *call) armAlert() {
	if c.armed || c.alert.Load() != 0 {
		return
	}
	c.armed = true
	if c.alarm == nil {
		c.alarm = time.AfterFunc(longChunk, c.alarmed)
	} else {
		c.alarm.Reset(longChunk)
	}
}

func (c *call) alarmed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	if c.wanted() {
		c.alert.Store(1)
	}
	c.changed.Broadcast() // for disarm
}

// wanted reports whether items that are given back would be taken. c.mu is held.
func (c *call) wanted() bool { return c.hungry > 0 || len(c.idle) > 0 }

// disarm ends what armAlert began.
func (c *call) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.armed && !c.alarm.Stop() {
		c.changed.Wait() // it is just going off
	}
}

// fed takes back an alert that nobody needs: it reports whether every worker has
// something to do and the call may go on.
func (c *call) fed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted() {
		return false
	}
	if c.bound.Load() == noBound {
		c.alert.Store(0)
	}
	return true
}

// caught turns what recover returned, in a function that did not return, into
// an error.
func caught(v any) error {
	if v == nil {
		return ErrGoexit
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}
