package parallel

import (
	"context"
	"iter"
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/stream"
)

// Map calls fn on each item and returns the results in the order of items, as a
// loop would, but several calls of fn run at once.
//
// If a call of fn fails, Map does what a loop does that returns at the first
// error. The error is the [*ItemError] of the lowest index that fails, and the
// results are those before it. Calls for later items are not started any more,
// and the context of those that are running ends. Calls for earlier items run to
// their end. The package comment says what happens with [KeepGoing], when ctx
// ends, and when fn panics or its worker process dies.
//
// Map returns when all calls of fn have ended. The results are never nil, and
// items is not written to. Map panics if ctx, fn or an option is nil.
func Map[T, R any](ctx context.Context, items []T, fn func(context.Context, T) (R, error), opts ...Option) ([]R, error) {
	check("Map", ctx, fn == nil)
	out := make([]R, len(items))
	id := identify("Map", fn)
	done := 0
	if f := id.cost(); len(opts) == 0 && cheap(f, len(items)) {
		err := schedule.Inline(ctx, len(items), f, makeErrors, &done, func(s schedule.Span, slot *schedule.Slot) error {
			next := mapNext[T, R](slot)
			next.Fn = fn
			err := mapItems(ctx, items, out, fn, s, &done, &next.Call)
			next.Fn = nil // the slot outlives the call; after a panic it keeps fn until its next one
			return err
		})
		if err != nil || done == len(items) {
			return out[:done:done], inlineError(ctx, done, err)
		}
	}
	return mapTogether(ctx, items, out, done, fn, id, opts)
}

// ForEach calls fn on each item as [Map] does, for an fn whose only result is an
// error.
func ForEach[T any](ctx context.Context, items []T, fn func(context.Context, T) error, opts ...Option) error {
	check("ForEach", ctx, fn == nil)
	id := identify("ForEach", fn)
	done := 0
	if f := id.cost(); len(opts) == 0 && cheap(f, len(items)) {
		err := schedule.Inline(ctx, len(items), f, makeErrors, &done, func(s schedule.Span, slot *schedule.Slot) error {
			next := eachNext[T](slot)
			next.Fn = fn
			err := eachItem(ctx, items, fn, s, &done, &next.Call)
			next.Fn = nil // the slot outlives the call; after a panic it keeps fn until its next one
			return err
		})
		if err != nil || done == len(items) {
			return inlineError(ctx, done, err)
		}
	}
	s := newSettings("ForEach", opts)
	j := newEachJob(items, limitedEach(fn, s.timeout))
	_, err := runSlice(ctx, &s, id, j, done, len(items))
	return err
}

// MapSeq calls fn on each item of a sequence, several at once, and yields the
// results in the order of the items, or with [Unordered] as they finish. If an
// item fails, MapSeq yields the results before it, then one pair with the
// [*ItemError], and ends. With [KeepGoing] it yields a pair for every item.
//
// MapSeq is lazy. It does nothing before the result is ranged over. Then it reads
// at most 16 items per worker ahead of what the loop has taken, or 256 per worker
// while an item takes microseconds. In worker processes it reads as many as take
// about a millisecond, at most 4,096 per worker, while items are smaller than 256
// bytes when encoded. Leaving the loop ends the calls of fn that are running.
//
// MapSeq ranges over items in a goroutine of its own. A panic or a runtime.Goexit
// there goes on in the loop, behind the results of the items before it. The loop
// cannot end before items has returned from its current element, even if ctx has
// ended. So a sequence that blocks should watch a context that ends when the loop
// is left.
//
// The result can be ranged over as often as items can.
func MapSeq[T, R any](ctx context.Context, items iter.Seq[T], fn func(context.Context, T) (R, error), opts ...Option) iter.Seq2[R, error] {
	check("MapSeq", ctx, fn == nil)
	s := newSettings("MapSeq", opts)
	if items == nil {
		panic("parallel: MapSeq: items is nil")
	}
	id := identify("MapSeq", fn)
	fn = limited(fn, s.timeout)
	return func(yield func(R, error) bool) {
		o := stream.Options{Unordered: s.unordered, Encoded: s.inProcesses()}
		st := stream.New(s.context(ctx), s.config(id, -1, 0), items, fn, o)
		var in admission
		st.Loop(func() (err error) { in, err = s.admit(id); return err },
			func(c *schedule.Call) error { return in.run(c, &s, &seqJob[T, R]{Stream: st}) }, yield)
	}
}

// Task is one call of a function, started by [Spawn]. It is safe for concurrent
// use.
type Task[R any] struct {
	done   chan struct{} // closed at the end; what is below does not change then
	result R
	err    error
	pid    atomic.Int64
}

// Spawn starts one call of fn with arg and returns without waiting for it, as the
// go statement does. With [Processes] or [On] the call runs in a worker process.
// What holds for an item of [Map] holds for the task. Spawn panics if ctx, fn or
// an option is nil.
func Spawn[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), arg T, opts ...Option) *Task[R] {
	check("Spawn", ctx, fn == nil)
	s := newSettings("Spawn", opts)
	if s.processes > 0 {
		s.processes = 1 // one item needs no more
	}
	t := &Task[R]{done: make(chan struct{})}
	s.onStart = func(pid int) { t.pid.Store(int64(pid)) }
	out := make([]R, 1)
	j := newMapJob([]T{arg}, out, limited(fn, s.timeout))
	call, err := newSliceCall(ctx, &s, identify("Spawn", fn), j, 0, 1)
	go func() {
		defer close(t.done)
		returned := false
		defer func() { // guard.Catch, written out: a deeper stack would have to grow once more
			if !returned { // a callback did not
				t.err = makeErrors.Recovered(recover())
			}
		}()
		if err == nil {
			_, err = call.run()
		}
		if t.err = taskError(err); err == nil {
			t.result = out[0]
		}
		returned = true
	}()
	return t
}

// Wait waits for the task to end and returns what fn returned. Unlike the error of
// Map, its error has no [*ItemError] around it. Wait may be called any number of
// times. If fn ran in a process of the task's own, that process has gone when Wait
// returns.
func (t *Task[R]) Wait() (R, error) {
	<-t.done
	return t.result, t.err
}

// Done returns a channel that is closed when the task has ended.
func (t *Task[R]) Done() <-chan struct{} { return t.done }

// PID returns the process ID of the worker process that runs the task, or that
// ran it. It returns 0 on a goroutine, and before the task has started.
func (t *Task[R]) PID() int { return int(t.pid.Load()) }

// taskError is err, of a call with one item, without the item's number.
func taskError(err error) error {
	switch err := err.(type) {
	case *ItemError:
		return err.Err
	case joinedError:
		return err[0].Err
	default:
		return err
	}
}

// mapTogether is Map from item done on, with several calls running at once. It is a
// function of its own so that what it needs is not paid for by calls that the caller's
// goroutine does inline.
func mapTogether[T, R any](ctx context.Context, items []T, out []R, done int, fn func(context.Context, T) (R, error), id identity, opts []Option) ([]R, error) {
	s := newSettings("Map", opts)
	j := newMapJob(items, out, limited(fn, s.timeout))
	n, err := runSlice(ctx, &s, id, j, done, len(items))
	clear(out[n:])
	return out[:n:n], err
}

// check refuses what no function can work with.
func check(name string, ctx context.Context, nilFn bool) {
	if ctx == nil {
		panic("parallel: " + name + ": ctx is nil")
	}
	if nilFn {
		panic("parallel: " + name + ": fn is nil")
	}
}

// identity is what tells a worker process which function to run.
type identity struct {
	caller string         // the function of this package that was called
	fn     unsafe.Pointer // the function value
	typ    reflect.Type   // its type
}

// identify reads the identity of fn. The pointer inside a function value tells
// functions apart where names and code addresses do not: every instance of a
// generic function has the same name, and closures that differ in what they
// captured have the same code.
func identify[F any](caller string, fn F) identity {
	return identity{caller, *(*unsafe.Pointer)(unsafe.Pointer(&fn)), reflect.TypeFor[F]()}
}

// cost is what is known of the function on goroutines.
func (id identity) cost() *cost.Function { return cost.Of(*(*uintptr)(id.fn)) }

// inlineError is the error of a call that ended inline with err at item i; nil if err is.
func inlineError(ctx context.Context, i int, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return makeErrors.Item(i, err, context.Cause(ctx))
	}
	return makeErrors.Item(i, err, nil)
}

// runSlice runs the n items of j, of which done have been run already. It returns the number
// of results there are.
func runSlice(ctx context.Context, s *settings, id identity, j job, done, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	call, err := newSliceCall(ctx, s, id, j, done, n)
	if err != nil {
		return 0, err
	}
	return call.run()
}

// sliceCall is a call whose items are in a slice.
type sliceCall struct {
	*schedule.Call
	settings *settings
	job      job
	in       admission
	over     bool // it has ended before it could begin
}

// newSliceCall makes a call of the n items of j, of which done have been run already. It must
// be run. The error is why nothing is to be started.
func newSliceCall(ctx context.Context, s *settings, id identity, j job, done, n int) (c sliceCall, err error) {
	c = sliceCall{Call: schedule.New(s.context(ctx), s.config(id, n, done)), settings: s, job: j}
	if ctx.Err() != nil {
		c.End(context.Cause(ctx))
		c.over = true
		return c, nil
	}
	c.in, err = s.admit(id)
	return c, err
}

// run runs the call. It returns the number of results there are.
func (c sliceCall) run() (int, error) {
	if c.over {
		return c.Outcome()
	}
	defer c.Watch()() // even if fn calls Goexit here
	if err := c.in.run(c.Call, c.settings, c.job); err != nil {
		return 0, err
	}
	return c.Outcome()
}

// limited is fn with a limit of d for each call; 0 is none. A call that returns later
// has failed, whatever it returns, so that the outcome is the same whether such a call can
// be killed or not.
func limited[T, R any](fn func(context.Context, T) (R, error), d time.Duration) func(context.Context, T) (R, error) {
	if d == 0 {
		return fn
	}
	return func(ctx context.Context, item T) (R, error) {
		start := time.Now() // before the context's own clock starts, so that its end is late in any case
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		r, err := fn(ctx, item)
		if time.Since(start) < d {
			return r, err
		}
		return *new(R), overtime(d, err)
	}
}

// limitedEach is limited for a function without a result.
func limitedEach[T any](fn func(context.Context, T) error, d time.Duration) func(context.Context, T) error {
	if d == 0 {
		return fn
	}
	limitedFn := limited(withoutResult(fn), d)
	return func(ctx context.Context, item T) error {
		_, err := limitedFn(ctx, item)
		return err
	}
}

// withoutResult gives fn a result that carries nothing.
func withoutResult[T any](fn func(context.Context, T) error) func(context.Context, T) (struct{}, error) {
	return func(ctx context.Context, item T) (struct{}, error) { return struct{}{}, fn(ctx, item) }
}

// overtime is the error of a call that took longer than limit and ended with
// err, which may be nil.
func overtime(limit time.Duration, err error) error {
	late := &timeoutError{limit}
	switch {
	case err == nil:
		return late
	case isError(err, context.DeadlineExceeded):
		return err
	default:
		return addCause(err, late)
	}
}
