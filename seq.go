package parallel

import (
	"context"
	"errors"
	"iter"
	"math"
	"sync"
	"sync/atomic"
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
//	input --space--> slots --book.changed--> workers --ready--> loop
//
// While nobody waits, an item costs one turn with the mutex, the input's; a
// worker has one for each chunk, and the loop none.
type stream[T, R any] struct {
	c      *call
	cancel context.CancelCauseFunc
	items  iter.Seq[T]
	fn     func(context.Context, T) (R, error)

	unordered bool

	slots slots[T, R]
	taken atomic.Int64 // items that the loop has taken

	space  sync.Cond    // the input may go on, or must end
	wakeAt atomic.Int64 // wake the input when so many have been taken; never if it does not wait
	ready  sync.Cond    // the loop should look again
	waits  atomic.Int64 // the item that the loop waits for; −1: it does not

	// The rest is guarded by c.mu.
	finished   []int      // with unordered, items ready to be taken
	failed     *ItemError // without KeepGoing, the lowest failure
	still      bool       // no worker is left
	exhausted  bool       // the input came to its end by itself
	startErr   error      // why nothing was started
	inputPanic any        // what the input panicked with
}

// never is a number of items that is not reached.
const never = math.MaxInt64

func newStream[T, R any](ctx context.Context, s *settings, items iter.Seq[T], fn func(context.Context, T) (R, error)) *stream[T, R] {
	ctx, cancel := context.WithCancelCause(ctx)
	st := &stream[T, R]{
		c: newCall(ctx, s, -1), cancel: cancel, items: items, fn: fn,
		unordered: s.unordered,
	}
	st.slots.init(&st.c.mu, s.unordered, aheadFast*st.c.workers)
	st.wakeAt.Store(never)
	st.waits.Store(-1)
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
	if err := s.refusal(id); err != nil { // before the input is read
		st.cancel(nil)
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
		r, err, ok := st.take()
		if !ok {
			break
		}
		if !yield(r, err) || err != nil && !st.c.keepGoing {
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
	for i := range st.slots.all(int(st.taken.Load()), st.c.avail) {
		if e := st.slots.atLocked(i); !e.done.Load() {
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
	st.slots.add(st.c.avail).item = item
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
		if cost := st.c.itemCost; cost > 0 && cost < fastItem*costScale {
			ahead = aheadFast
		}
		ahead *= st.c.workers
		if st.c.avail-int(st.taken.Load()) < ahead {
			return true
		}
		// To be woken for each item would cost more than the item. But what is
		// taken from now on must be seen.
		st.wakeAt.Store(int64(st.c.avail - ahead/2))
		if st.taken.Load() < st.wakeAt.Load() {
			st.space.Wait()
		}
	}
	return false
}

// take waits for the next pair whose turn has come. It returns false when
// nothing more will be ready.
func (st *stream[T, R]) take() (r R, err error, ok bool) {
	var e *entry[T, R]
	if st.unordered {
		e = st.takeAny()
	} else {
		e = st.takeNext()
	}
	if e == nil {
		return r, nil, false
	}
	r, err = e.result, e.err
	st.slots.free(e)
	if taken := st.taken.Add(1); taken >= st.wakeAt.Load() {
		st.c.mu.Lock()
		st.wakeAt.Store(never)
		st.space.Signal()
		st.c.mu.Unlock()
	}
	return r, err, true
}

// takeNext waits for the item after those that have been taken; nil is none.
func (st *stream[T, R]) takeNext() *entry[T, R] {
	next := int(st.taken.Load())
	if e := st.slots.at(next); e != nil && e.done.Load() {
		return e
	}
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.waits.Store(int64(next)) // before looking again: whoever finishes it now sees it
	defer st.waits.Store(-1)
	for {
		if e := st.slots.atLocked(next); e != nil && e.done.Load() {
			return e
		}
		if st.still {
			return nil
		}
		st.ready.Wait()
	}
}

// takeAny waits for an item that is finished; nil is none.
func (st *stream[T, R]) takeAny() *entry[T, R] {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	for {
		for len(st.finished) > 0 {
			i := st.finished[0]
			st.finished = st.finished[1:]
			if st.failed == nil || i < st.failed.Index {
				return st.slots.remove(i)
			}
		}
		if st.still {
			return nil
		}
		st.ready.Wait()
	}
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
	case st.exhausted && int(st.taken.Load()) == st.c.avail:
		return nil
	default:
		return st.c.ended(int(st.taken.Load()))
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
	e := st.slots.atLocked(i)
	e.err = failure
	st.finish(i, e)
}

// finish makes entry e of item i ready for the loop. c.mu is held.
func (st *stream[T, R]) finish(i int, e *entry[T, R]) {
	e.done.Store(true)
	if st.unordered {
		st.finished = append(st.finished, i)
	}
	st.ready.Signal()
}

// put stores a result and makes its entry ready for the loop. Once done is set,
// the entry is the loop's and may be another item's.
func (st *stream[T, R]) put(i int, e *entry[T, R], r R) {
	e.result = r
	if !st.unordered {
		e.done.Store(true)
		if st.waits.Load() != int64(i) {
			return
		}
	}
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	if st.unordered {
		st.finish(i, e)
	} else {
		st.ready.Signal()
	}
}

// The methods below are the stream's work, as the workers see it.

func (st *stream[T, R]) run(ctx context.Context, s span, at *int, alert *atomic.Uint32) error {
	i := s.lo
	for i < s.hi {
		*at = i
		e := st.slots.at(i)
		r, err := st.fn(ctx, e.item)
		if err != nil {
			return err
		}
		st.put(i, e, r)
		if i++; alert.Load() != 0 {
			break
		}
	}
	*at = i
	return nil
}

func (st *stream[T, R]) encode(dst []byte, i int, in *codec.Plan, limit int) ([]byte, error) {
	return in.Append(dst, unsafe.Pointer(&st.slots.at(i).item), limit)
}

func (st *stream[T, R]) decode(src []byte, i int, out *codec.Plan) error {
	var r R
	if err := decodeInto(&r, src, out); err != nil {
		return err
	}
	st.put(i, st.slots.at(i), r)
	return nil
}

func (st *stream[T, R]) memory(span) []byte { return nil }

func (st *stream[T, R]) results(span) []byte { return nil }
