package stream

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/schedule"
)

// How far the input is read ahead of what the loop has taken, in items per worker.
const (
	aheadSlow = 16
	aheadFast = 256  // while items are fast
	aheadDeep = 4096 // the most, of as many as take deepTime, while they are encoded and small

	fastItem  = 32 * time.Microsecond // what an item takes at most to be a fast one
	deepTime  = time.Millisecond
	smallItem = 256 // bytes that a small one has less than, when encoded

	lookEvery = 16 // items that are read between two looks at how far they may be
)

// What the loop waits for, if it is not the item with that number.
const (
	noItem  = -1 // it does not wait
	anyItem = -2
)

// never is a number of items that is not reached.
const never = math.MaxInt64

// window is how far the parties of a stream have come, and where they wait for one another.
// It counts items and knows nothing of their types.
type window struct {
	call    *schedule.Call
	workers int

	small  atomic.Bool  // items are encoded, and the last one was small
	wakeAt atomic.Int64 // the input is to be woken when so many are taken; never: it does not wait
	waits  atomic.Int64 // the item that the loop waits for, noItem or anyItem

	failedAt atomic.Int64 // the item that end.failed is of; never: none

	mu    sync.Mutex
	space sync.Cond // the input should look again
	ready sync.Cond // the loop should look again
	end   ending    // guarded by mu

	// This changes with each item, and all parties read what is above. So it has a cache line
	// of its own.
	_     [128]byte
	taken atomic.Int64 // items that the loop has taken; written by the loop
	_     [128]byte
}

// ending is what is known of a stream's end.
type ending struct {
	noWorkers bool      // no worker is left
	owed      int       // the loop takes the items before this one, whether they ran or not
	startErr  error     // why nothing was started
	exhausted bool      // the input came to its end by itself
	input     guard.End // how the input ended
	run       guard.End // how what runs the call ended
	failed    error     // with Unordered, the lowest failure that ends the loop, behind all before it
}

func (w *window) init(call *schedule.Call) {
	w.call, w.workers = call, call.Config().Workers
	w.wakeAt.Store(never)
	w.waits.Store(noItem)
	w.failedAt.Store(never)
	w.space.L, w.ready.L = &w.mu, &w.mu
}

// size is the most items that are read and not taken: with deep, if they are encoded.
func (w *window) size(deep bool) int {
	if deep {
		return aheadDeep * w.workers
	}
	return aheadFast * w.workers
}

// state is what is known of the end by now.
func (w *window) state() ending {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// The input's methods.

// waitForSpace waits until the input may be asked for another item when read have been read.
// It returns how many may have been read when it is to be asked again. ok is false if no more
// must be read.
func (w *window) waitForSpace(read int) (mayRead int, ok bool) {
	for {
		if w.call.Stopped(read) {
			return 0, false
		}
		ahead := w.ahead()
		if most := w.toTake() + ahead; read < most {
			return min(most, read+lookEvery), true
		}
		// To be woken for each item would cost more than the item.
		w.sleepUntil(read-ahead/2, read)
	}
}

// ahead is how many items may be read and not taken.
func (w *window) ahead() int {
	cost := w.call.Cost()
	switch {
	case !cost.Less(fastItem):
		return aheadSlow * w.workers
	case !w.small.Load():
		return aheadFast * w.workers
	default:
		return min(max(aheadFast, cost.Items(deepTime)), aheadDeep) * w.workers
	}
}

// sleepUntil waits until so many items have been taken or no more than read may be run. It
// may return early.
func (w *window) sleepUntil(taken, read int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeAt.Store(int64(taken)) // before looking again: the loop sees it from now on
	if w.taken.Load() < int64(taken) && !w.call.Stopped(read) {
		w.space.Wait()
	}
}

// inputEnded takes in that the input has ended, and how: exhausted says that it came to its end.
func (w *window) inputEnded(end guard.End, exhausted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end.input, w.end.exhausted = end, exhausted
}

// The workers' methods.

// encoded takes in how many bytes an item has when encoded.
func (w *window) encoded(size int) {
	if small := size < smallItem; small != w.small.Load() {
		w.small.Store(small)
	}
}

// finished takes in that n items from item on are done, or with anyItem some.
func (w *window) finished(item int64, n int) {
	if waits := w.waits.Load(); item <= waits && waits < item+int64(n) {
		w.wakeLoop()
	}
}

func (w *window) wakeLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready.Signal()
}

// fail takes in a failure that ends the loop, with Unordered. The lowest counts: items behind
// it are not taken any more.
func (w *window) fail(f schedule.Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if int64(f.Index) < w.failedAt.Load() {
		w.failedAt.Store(int64(f.Index))
		w.end.failed = f.Err
	}
}

// workersEnded takes in that no worker is left. If owed, the loop takes every item that was
// read by now, whether it ran or not. err is why nothing was started, and end how what runs
// the call ended.
func (w *window) workersEnded(err error, end guard.End, owed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end.noWorkers, w.end.startErr, w.end.run = true, err, end
	if owed {
		w.end.owed = w.call.Extended()
	}
	w.ready.Signal()
}

// The loop's methods.

// toTake is the number of the item to take next, in order.
func (w *window) toTake() int { return int(w.taken.Load()) }

// took takes in that the loop has taken an item and left its slot.
func (w *window) took() {
	if taken := w.taken.Add(1); taken >= w.wakeAt.Load() {
		w.wakeInput()
	}
}

// wanted is which items of a segment are before a failure that ends the loop.
func (w *window) wanted(number int) uint64 {
	return bitsFrom(0, int(min(max(0, w.failedAt.Load()-int64(number)*segmentSize), segmentSize)))
}

// allTaken reports whether every item that was read has been taken.
func (w *window) allTaken() bool { return w.toTake() == w.call.Extended() }

// wakeInput makes the input look again, if it waits.
func (w *window) wakeInput() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeAt.Store(never)
	w.space.Signal()
}

// await waits until item is to be taken: it is done, as done reports, or it is owed. It
// returns false when that will not come. done is called with mu held.
func (w *window) await(item int64, done func() bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits.Store(item) // before looking again: the worker that finishes it sees it from now on
	defer w.waits.Store(noItem)
	for !done() {
		if w.end.noWorkers {
			return 0 <= item && item < int64(w.end.owed)
		}
		w.ready.Wait()
	}
	return true
}
