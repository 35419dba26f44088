package parallel

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

// How far MapSeq reads ahead of what its loop has taken, in items per worker.
const (
	aheadSlow = 16
	aheadFast = 256
	fastItem  = 32 * time.Microsecond // what an item takes at most to be a fast one
)

// errLoopLeft is the cause with which a loop over MapSeq ends its calls.
var errLoopLeft = errors.New("parallel: the loop over MapSeq was left")

// stream is one loop over MapSeq. Three parties meet in it: the input, which a
// goroutine ranges over; the workers, which claim items from the book; and the
// loop, which takes the results. Each waits for the others on a condition of
// its own, all under the book's mutex:
//
//	input --space--> live items --book.changed--> workers --ready--> loop
type stream[T, R any] struct {
	c      *call
	cancel context.CancelCauseFunc
	items  iter.Seq[T]
	fn     func(context.Context, T) (R, error)

	unordered bool

	// The rest is guarded by c.mu.
	space      sync.Cond            // the input may go on, or must end
	ready      sync.Cond            // the loop should look again
	live       map[int]*entry[T, R] // items read and not yet taken
	taken      int                  // items that the loop has taken
	finished   []int                // with unordered, items ready to be taken
	failed     *ItemError           // without KeepGoing, the lowest failure
	still      bool                 // no worker is left
	exhausted  bool                 // the input came to its end by itself
	startErr   error                // why nothing was started
	inputPanic any                  // what the input panicked with
}

// entry is one item on its way.
type entry[T, R any] struct {
	item   T
	result R
	err    error
	done   bool
}

func newStream[T, R any](ctx context.Context, s *settings, items iter.Seq[T], fn func(context.Context, T) (R, error)) *stream[T, R] {
	ctx, cancel := context.WithCancelCause(ctx)
	st := &stream[T, R]{
		c: newCall(ctx, s, -1), cancel: cancel, items: items, fn: fn,
		unordered: s.unordered, live: make(map[int]*entry[T, R]),
	}
	st.space.L, st.ready.L = &st.c.mu, &st.c.mu
	st.c.onFail = st.fail
	st.c.onBound = append(st.c.onBound, st.space.Broadcast, st.ready.Broadcast)
	return st
}

// loop runs the stream and yields what comes out. When it returns, all that it
// started has ended.
func (st *stream[T, R]) loop(s *settings, id identity, yield func(R, error) bool) {
	if st.c.ctx.Err() != nil {
		st.cancel(nil)
		st.c.mu.Lock()
		err := st.c.ended(0)
		st.c.mu.Unlock()
		yield(*new(R), err)
		return
	}
	defer st.repanic()
	var parties sync.WaitGroup
	defer parties.Wait()
	defer st.c.watch()()
	defer func() {
		st.c.end(errLoopLeft)
		st.cancel(errLoopLeft)
	}()
	parties.Go(func() { st.work(s, id) })
	parties.Go(st.read)
	for {
		e, ok := st.take()
		if !ok {
			break
		}
		if !yield(e.result, e.err) || e.err != nil && !st.c.keepGoing {
			return
		}
	}
	if err := st.last(); err != nil {
		yield(*new(R), err)
	}
}

// repanic goes on with a panic of the input or of a callback in the goroutine
// of the loop, unless that is panicking already.
func (st *stream[T, R]) repanic() {
	for _, v := range []any{st.inputPanic, st.c.aborted} {
		if v != nil {
			panic(v)
		}
	}
}

// work runs the workers until the input has ended and all of it is settled.
func (st *stream[T, R]) work(s *settings, id identity) {
	err := st.c.run(s, id, st)
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.still = true
	if err != nil {
		st.startErr = err
		st.c.lower(-1)
	} else if st.c.keepGoing {
		st.settleUnrun()
	}
	st.ready.Broadcast()
}

// settleUnrun gives every item that was read and did not run its error. c.mu is
// held.
func (st *stream[T, R]) settleUnrun() {
	for _, i := range slices.Sorted(maps.Keys(st.live)) {
		if e := st.live[i]; !e.done {
			e.err = &ItemError{Index: i, Err: st.c.endCause()}
			st.finish(i, e)
		}
	}
}

// read ranges over the input.
func (st *stream[T, R]) read() {
	returned, exhausted := false, false
	defer func() {
		v := recover()
		if !returned && v == nil {
			v = ErrGoexit
		}
		st.c.mu.Lock()
		defer st.c.mu.Unlock()
		st.inputPanic, st.exhausted = v, exhausted
		st.c.closed = true
		st.c.changed.Broadcast()
		st.ready.Broadcast()
	}()
	if st.waitForSpace() {
		exhausted = true
		for item := range st.items {
			st.push(item)
			if !st.waitForSpace() {
				exhausted = false
				break
			}
		}
	}
	returned = true
}

// push makes one more item available.
func (st *stream[T, R]) push(item T) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.live[st.c.avail] = &entry[T, R]{item: item}
	st.c.avail++
	st.c.changed.Signal()
}

// waitForSpace waits until the input may be asked for another item. It returns
// false if it must not be asked any more.
func (st *stream[T, R]) waitForSpace() bool {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	for !st.c.stopped(st.c.avail) {
		ahead := aheadSlow
		if cost := st.c.cost; cost > 0 && cost < fastItem*costScale {
			ahead = aheadFast
		}
		if st.c.avail-st.taken < ahead*st.c.workers {
			return true
		}
		st.space.Wait()
	}
	return false
}

// take waits for the next item whose turn has come. It returns false when
// nothing more will be ready.
func (st *stream[T, R]) take() (*entry[T, R], bool) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	for {
		if i, ok := st.front(); ok {
			e := st.live[i]
			delete(st.live, i)
			st.taken++
			st.space.Signal()
			return e, true
		}
		if st.still {
			return nil, false
		}
		st.ready.Wait()
	}
}

// front returns the item whose turn has come, if it is finished. c.mu is held.
func (st *stream[T, R]) front() (int, bool) {
	if !st.unordered {
		e := st.live[st.taken]
		return st.taken, e != nil && e.done
	}
	for len(st.finished) > 0 {
		i := st.finished[0]
		st.finished = st.finished[1:]
		if st.failed == nil || i < st.failed.Index {
			return i, true
		}
	}
	return 0, false
}

// last returns the error to end the loop with, when no item is left to take:
// nil if all of the input has been dealt with.
func (st *stream[T, R]) last() error {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	switch {
	case st.startErr != nil:
		return st.startErr
	case st.c.aborted != nil || st.inputPanic != nil:
		return nil // the panic will say it
	case st.failed != nil:
		return st.failed
	case st.exhausted && st.taken == st.c.avail:
		return nil
	default:
		return st.c.ended(st.taken)
	}
}

// fail takes in the failure of an item. c.mu is held.
func (st *stream[T, R]) fail(failure *ItemError) {
	i := failure.Index
	if st.unordered && !st.c.keepGoing {
		if st.failed == nil || i < st.failed.Index {
			st.failed = failure // yielded when all before it are
		}
		return
	}
	e := st.live[i]
	e.err = failure
	st.finish(i, e)
}

// finish makes entry e of item i ready for the loop. c.mu is held.
func (st *stream[T, R]) finish(i int, e *entry[T, R]) {
	e.done = true
	if st.unordered {
		st.finished = append(st.finished, i)
		st.ready.Signal()
	} else if i == st.taken {
		st.ready.Signal()
	}
}

// The methods below are the stream's work, as the workers see it.

func (st *stream[T, R]) run(ctx context.Context, c *call, s span, at *int) error {
	for i := s.lo; i < s.hi && !c.stopped(i); i++ {
		*at = i
		e := st.entry(i)
		r, err := st.fn(ctx, e.item)
		if err != nil {
			return err
		}
		st.put(i, e, r)
		*at = i + 1
	}
	return nil
}

func (st *stream[T, R]) encode(dst []byte, i int, in *codec.Plan, limit int) ([]byte, error) {
	return in.Append(dst, unsafe.Pointer(&st.entry(i).item), limit)
}

func (st *stream[T, R]) decode(src []byte, i int, out *codec.Plan) error {
	var r R
	if err := decodeInto(&r, src, out); err != nil {
		return err
	}
	st.put(i, st.entry(i), r)
	return nil
}

func (st *stream[T, R]) entry(i int) *entry[T, R] {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	return st.live[i]
}

func (st *stream[T, R]) put(i int, e *entry[T, R], r R) {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	e.result = r
	st.finish(i, e)
}
