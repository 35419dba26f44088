package schedule

import (
	"context"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
)

const (
	// chunkTime is how long a chunk of items should take: long against the cost of claiming
	// it (about 50 ns), short against what a runner may finish later than the others. Claims
	// are made one after the other, so more than chunkRunners runners at once take longer
	// chunks: see chunkTimeOf.
	chunkTime    = 20 * time.Microsecond
	chunkRunners = 8

	// chunkLeast is how long a chunk should take at least, even at the end of a call: less
	// would not be worth its claim.
	chunkLeast = time.Microsecond
)

// chunkTimeOf is how long a chunk should take if so many runners run at once.
func chunkTimeOf(runners int) time.Duration {
	return chunkTime * time.Duration(max(chunkRunners, runners)) / chunkRunners
}

// runner is one worker of a team: a goroutine, and after a Goexit in fn the one that goes on
// in its place. The goroutine owns the fields, but chunk, cancel and ended are shared with
// runners whose items fail (see cancelAfterLocked): from the first claim on, the call's mutex
// guards them.
type runner struct {
	call   *Call
	job    Job
	number int

	ctx    context.Context // the items' context: it ends when an item before their chunk fails
	cancel context.CancelCauseFunc
	ended  bool // ctx has been ended, for chunk's sake
	chunk  Span // the last one claimed

	at    int           // where Job.Run is
	ran   int           // items that are done and not settled
	since time.Duration // when the first of them was begun, by cost.Clock

	_ [cacheLine]byte // so that no two runners' at lie on one cache line
}

// resume runs what is left of chunk s, and then more, in a new goroutine.
func (r *runner) resume(s Span) {
	r.call.team.group.Go(func() error { r.loop(s); return nil })
}

// loop runs what is left of chunk s, then whatever it can claim.
func (r *runner) loop(s Span) {
	r.since = cost.Clock()
	for {
		for s.Len() > 0 {
			s = r.attempt(s)
		}
		r.report()
		if s = r.call.nextChunk(r); s.Len() == 0 {
			return
		}
	}
}

// report calls back for what has been run, before it is settled, since the call may return
// then. A Goexit of the callback ends this goroutine, so it is settled here.
func (r *runner) report() {
	p := &r.call.progress
	if p.callback == nil {
		return
	}
	guard.Run(func() { p.report(r.ran, r.call.abort) }, func() { r.call.settleRun(r) })
}

// attempt runs the items of s until one fails or the yield flag has been raised, settles the
// one that failed, and returns what is left of s for this runner to run. A panic of fn ends
// here. A Goexit of fn, or of other code of the user's that runs when an item has failed,
// takes this goroutine with it, and a new one goes on with the rest.
func (r *runner) attempt(s Span) (rest Span) {
	var err error
	r.at = s.Lo
	guard.Run(func() {
		defer func() { // even if fn called Goexit
			if err != nil {
				r.call.Fail(r.at, err)
			}
		}()
		guard.Catch(func() { err = r.run(s) }, func(v any) { err = r.call.config.Errors.Recovered(v) })
	}, func() {
		r.call.config.Cost.Goexited()
		r.resume(r.note(s, err != nil))
	})
	return r.note(s, err != nil)
}

// run runs the items of s, one step at a time if their context can end: the yield flag is
// raised only a moment later.
func (r *runner) run(s Span) (err error) {
	c := r.call
	step := lookStep(c.ctx, s.Len(), &c.cost)
	for err == nil && r.at < s.Hi {
		err = r.job.Run(r.ctx, Span{r.at, min(s.Hi, r.at+step)}, &r.at, &c.team.yield)
		if c.team.yield.Load() != 0 || c.ctx.Err() != nil {
			break
		}
	}
	return err
}

// note takes in that the items of s before r.at have been run, and the one there too if it
// failed, which has settled it. It returns what this runner is to run of the rest: all of it,
// or nothing if the call has ended or another runner wants it.
func (r *runner) note(s Span, failed bool) Span {
	c, at := r.call, r.at
	r.ran += at - s.Lo
	if failed {
		at++
	}
	rest := Span{at, s.Hi}
	if rest.Len() > 0 && c.ctx.Err() != nil {
		c.noticeEnd()
	}
	switch {
	case rest.Len() == 0 || c.team.yield.Load() == 0:
		return rest
	case c.Stopped(at):
		c.Skip(rest)
		return Span{}
	case c.calm():
		return rest
	default:
		c.GiveBack(rest)
		return Span{}
	}
}

// holdLocked makes s the runner's chunk. If its context was ended by a failure before the
// chunk that it had then, s was given back from before that failure and is to run to its
// end, in a new context.
func (r *runner) holdLocked(s Span) {
	r.chunk = s
	if r.ended && s.Len() > 0 {
		r.ctx, r.cancel = context.WithCancelCause(r.call.ctx)
		r.ended = false
	}
}
