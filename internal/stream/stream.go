package stream

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/schedule"
)

// errLoopLeft is the cause with which a loop over MapSeq ends its calls, and errNotRun that of
// a call which could not be run because code of the user's did not return.
var (
	errLoopLeft = errors.New("parallel: the loop over MapSeq was left")
	errNotRun   = errors.New("parallel: MapSeq could not run its items")
)

// Stream is one loop over MapSeq. It is the schedule.Job and the schedule.Stream of its
// call.
type Stream[T, R any] struct {
	call      *schedule.Call
	cancel    context.CancelCauseFunc // ends the call's context
	items     iter.Seq[T]
	fn        func(context.Context, T) (R, error)
	keepGoing bool

	ring   ring[T, R] // the entries, in order
	bag    *bag[T, R] // the entries with Unordered; else nil
	window window
}

// New makes the call of a loop over MapSeq, and the window for it. Of c it sets Total and
// Stream.
func New[T, R any](ctx context.Context, c schedule.Config, items iter.Seq[T], fn func(context.Context, T) (R, error), unordered bool) *Stream[T, R] {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &Stream[T, R]{cancel: cancel, items: items, fn: fn, keepGoing: c.KeepGoing}
	c.Total, c.Stream = -1, s
	s.call = schedule.New(ctx, c)
	s.window.init(s.call)
	if unordered {
		s.bag = newBag[T, R]()
	} else {
		s.ring.init(s.window.size())
	}
	return s
}

// Loop runs the stream and yields what comes out. When it returns, all that it started has
// ended. It may be called once.
//
// Before the input is read, check says why the call would not start anything; nil lets it
// go on. run runs the call's items on workers. It returns when the input has ended and all
// of it is settled, or the call has ended and no worker is left. Its error is why nothing
// was started.
func (s *Stream[T, R]) Loop(check func() error, run func(*schedule.Call) error, yield func(R, error) bool) {
	if s.call.Context().Err() != nil {
		s.cancel(nil)
		yield(*new(R), s.call.Ended(0))
		return
	}
	if err := check(); err != nil {
		s.cancel(nil)
		yield(*new(R), err)
		return
	}
	left := false
	defer func() { s.resume(left) }()
	var parties sync.WaitGroup
	defer parties.Wait()
	defer s.call.Watch()()
	defer func() {
		s.call.End(errLoopLeft)
		s.cancel(errLoopLeft)
	}()
	parties.Go(func() { s.work(run) })
	parties.Go(s.read)
	for {
		r, err, ok := s.take()
		if !ok {
			break
		}
		if !yield(r, err) || err != nil && !s.keepGoing {
			left = true
			return
		}
	}
	if err := s.last(); err != nil {
		yield(*new(R), err)
	}
	left = true
}

// aborted is how code of the user's ended that did not return: the input, the callback, or
// what run has called.
func (s *Stream[T, R]) aborted() guard.End {
	state := s.window.state()
	for _, end := range []guard.End{state.input, s.call.Aborted(), state.run} {
		if !end.Returned() {
			return end
		}
	}
	return guard.End{}
}

// resume goes on with that in the goroutine of the loop, when the other parties have ended.
// left says that the loop was not left by a panic or a Goexit of its body. A Goexit does not
// take the place of one of these; of two panics the runtime reports both.
func (s *Stream[T, R]) resume(left bool) {
	if end := s.aborted(); left || end.Value() != nil {
		end.Resume()
	}
}

// work runs the workers until the input has ended and all of it is settled.
func (s *Stream[T, R]) work(run func(*schedule.Call) error) {
	err := errNotRun // unless run returns
	var end guard.End
	defer func() { // even if code of the user's calls runtime.Goexit
		if err != nil {
			s.call.End(err) // so that the input ends
		}
		owed := err == nil && s.keepGoing
		if owed && s.bag != nil {
			s.bag.finishRest()
		}
		s.window.workersEnded(err, end, owed)
	}()
	guard.Catch(func() { err = run(s.call) }, func(v any) { end = guard.Caught(v) })
}

// last returns the error to end the loop with when no item is left to take. It is nil if
// all of the input has been dealt with.
func (s *Stream[T, R]) last() error {
	state := s.window.state()
	switch {
	case !s.aborted().Returned():
		return nil // resume is about to say what happened
	case state.startErr != nil:
		return state.startErr
	}
	if s.bag != nil {
		if err := s.bag.failure(); err != nil {
			return err
		}
	}
	if state.exhausted && s.window.allTaken() {
		return nil
	}
	return s.call.Ended(int(s.window.taken.Load()))
}

// Failed is schedule.Stream's: it makes the failure of an item ready for the loop. With
// Unordered and without KeepGoing it comes after all items before it, at the end.
func (s *Stream[T, R]) Failed(f schedule.Failure) {
	if s.bag != nil && !s.keepGoing {
		s.bag.fail(f)
		return
	}
	e := s.entry(f.Index)
	e.err = f.Err
	s.finish(f.Index, e)
}

// Bounded is schedule.Stream's: the input may have to end.
func (s *Stream[T, R]) Bounded() { s.window.wakeInput() }

// The methods below are the workers'. They run for each item, in code that is compiled in
// the user's package: see inline.go.

// Run is schedule.Job's: it runs the items of sp until one fails or yield is raised.
func (s *Stream[T, R]) Run(ctx context.Context, sp schedule.Span, at *int, yield *atomic.Uint32) error {
	for i := sp.Lo; i < sp.Hi; i++ {
		*at = i
		e := s.entry(i)
		r, err := s.fn(ctx, e.item)
		if err != nil {
			return err
		}
		e.result = r
		s.finish(i, e)
		if raised(yield) {
			*at = i + 1
			return nil
		}
	}
	*at = sp.Hi
	return nil
}

// Item returns a pointer to item i. It may be used from when the item was claimed until Put
// or the item's failure.
func (s *Stream[T, R]) Item(i int) *T { return &s.entry(i).item }

// Put stores the result of item i, which is the loop's from then on.
func (s *Stream[T, R]) Put(i int, r R) {
	e := s.entry(i)
	e.result = r
	s.finish(i, e)
}

// entry is the entry of item i, which was claimed.
func (s *Stream[T, R]) entry(i int) *entry[T, R] {
	if s.bag != nil {
		return s.bag.at(i)
	}
	return s.ring.at(i)
}

// finish hands entry e of item i to the loop. Once it is done, the entry may be another
// item's.
func (s *Stream[T, R]) finish(i int, e *entry[T, R]) {
	if s.bag != nil {
		s.bag.finish(i, e)
		s.window.finished(anyItem)
		return
	}
	e.done.set()
	s.window.finished(int64(i))
}
