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
	unordered bool

	window window
	slots  slots[T, R]
	ready  ready[T, R] // with Unordered

	_    [128]byte
	feed feed[T, R] // the input's
	_    [128]byte
	hand hand[T, R] // the loop's
	_    [128]byte
}

// Options are how a stream differs from the plain one.
type Options struct {
	Unordered bool // results are yielded as they finish
	Encoded   bool // Encoded is called, so that the input may be read far ahead of small items
}

// New makes the call of a loop over MapSeq, and the window for it. Of c it sets Total and
// Stream.
func New[T, R any](ctx context.Context, c schedule.Config, items iter.Seq[T], fn func(context.Context, T) (R, error), o Options) *Stream[T, R] {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &Stream[T, R]{cancel: cancel, items: items, fn: fn, keepGoing: c.KeepGoing, unordered: o.Unordered}
	c.Total, c.Stream = -1, s
	s.call = schedule.New(ctx, c)
	s.window.init(s.call)
	s.slots.init(s.window.size(o.Encoded))
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
		s.window.workersEnded(err, end, err == nil && s.keepGoing)
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
	case state.failed != nil:
		return state.failed
	case state.exhausted && s.window.allTaken():
		return nil
	}
	return s.call.Ended(int(s.window.taken.Load()))
}

// Failed is schedule.Stream's: it makes the failure of an item ready for the loop. With
// Unordered and without KeepGoing it comes after all items before it, at the end.
func (s *Stream[T, R]) Failed(f schedule.Failure) {
	if s.unordered && !s.keepGoing {
		s.window.fail(f)
		return
	}
	number, k := split(f.Index)
	g := s.slots.find(number)
	g.fail(k, f.Err)
	g.items[k] = *new(T)
	s.finish(g, f.Index, k, 1)
}

// Bounded is schedule.Stream's: the input may have to end.
func (s *Stream[T, R]) Bounded() { s.window.wakeInput() }

// The methods below are the workers'. They run for each item, in code that is compiled in
// the user's package: see inline.go.

// Run is schedule.Job's: it runs the items of sp until one fails or yield is raised.
func (s *Stream[T, R]) Run(ctx context.Context, sp schedule.Span, at *int, yield *atomic.Uint32) error {
	for i := sp.Lo; i < sp.Hi; {
		number, k := split(i)
		g := s.slots.find(number)
		for end := min(sp.Hi, i-k+segmentSize); i < end; i, k = i+1, k+1 {
			*at = i
			r, err := s.fn(ctx, g.items[k])
			if err != nil {
				return err
			}
			g.items[k], g.results[k] = *new(T), r
			s.finish(g, i, k, 1)
			if raised(yield) {
				*at = i + 1
				return nil
			}
		}
	}
	*at = sp.Hi
	return nil
}

// Items returns the first items of sp, which were claimed, as far as they lie in one piece:
// one at least. They may be used until they are finished, or have failed.
func (s *Stream[T, R]) Items(sp schedule.Span) []T {
	number, k := split(sp.Lo)
	return s.slots.find(number).items[k:min(k+sp.Len(), segmentSize)]
}

// Results is Items for the results, which are to be written to.
func (s *Stream[T, R]) Results(sp schedule.Span) []R {
	number, k := split(sp.Lo)
	return s.slots.find(number).results[k:min(k+sp.Len(), segmentSize)]
}

// Encoded takes in how many bytes an item has when encoded.
func (s *Stream[T, R]) Encoded(size int) { s.window.encoded(size) }

// Finish says that the results of items of sp, which lie in one piece, are in place. They are
// the loop's from then on.
func (s *Stream[T, R]) Finish(sp schedule.Span) {
	number, k := split(sp.Lo)
	g := s.slots.find(number)
	clear(g.items[k : k+sp.Len()])
	s.finish(g, sp.Lo, k, sp.Len())
}

// finish hands n items of g from item i on, which is its item k, to the loop. They have been
// emptied, since the loop needs only the results. Once they are done, g may be used for others.
func (s *Stream[T, R]) finish(g *segment[T, R], i, k, n int) {
	markDone(&g.done, bitsFrom(k, n))
	if !s.unordered {
		s.window.finished(int64(i), n)
	} else if !g.listed.isSet() && s.ready.add(g) {
		s.window.finished(anyItem, 1)
	}
}
