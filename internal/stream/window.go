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
	aheadFast = 256
	fastItem  = 32 * time.Microsecond // what an item takes at most to be a fast one
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

	wakeAt atomic.Int64 // the input is to be woken when so many are taken; never: it does not wait
	waits  atomic.Int64 // the item that the loop waits for, noItem or anyItem

	mu    sync.Mutex
	space sync.Cond // the input should look again
	ready sync.Cond // the loop should look again
	end   ending    // guarded by mu

	// These two change with each item, and all parties read what is above. So each has a
	// cache line of its own.
	_     [128]byte
	read  atomic.Int64 // items that are in their slots; written by the input
	_     [128]byte
	taken atomic.Int64 // items that the loop has taken; written by the loop
}

// ending is what is known of a stream's end.
type ending struct {
	noWorkers bool      // no worker is left
	owed      int       // the loop takes the items before this one, whether they ran or not
	startErr  error     // why nothing was started
	exhausted bool      // the input came to its end by itself
	input     guard.End // how the input ended
	run       guard.End // how what runs the call ended
}

func (w *window) init(call *schedule.Call) {
	w.call, w.workers = call, call.Config().Workers
	w.wakeAt.Store(never)
	w.waits.Store(noItem)
	w.space.L, w.ready.L = &w.mu, &w.mu
}

// size is the most items that are read and not taken.
func (w *window) size() int { return aheadFast * w.workers }

// state is what is known of the end by now.
func (w *window) state() ending {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// The input's methods.

// next is the number of the item that is read next.
func (w *window) next() int { return int(w.read.Load()) }

// added takes in that item i is in its slot.
func (w *window) added(i int) { w.read.Store(int64(i) + 1) }

// waitForSpace waits until the input may be asked for another item. It returns false if it
// must not be asked any more.
func (w *window) waitForSpace() bool {
	for {
		read := w.next()
		if w.call.Stopped(read) {
			return false
		}
		ahead := w.ahead()
		if read-int(w.taken.Load()) < ahead {
			return true
		}
		// To be woken for each item would cost more than the item.
		w.sleepUntil(read - ahead/2)
	}
}

// ahead is how many items may be read and not taken.
func (w *window) ahead() int {
	if w.call.Cost().Less(fastItem) {
		return aheadFast * w.workers
	}
	return aheadSlow * w.workers
}

// sleepUntil waits until so many items have been taken or the call's bound has fallen. It
// may return early.
func (w *window) sleepUntil(taken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeAt.Store(int64(taken)) // before looking again: the loop sees it from now on
	if w.taken.Load() < int64(taken) && !w.call.Stopped(w.next()) {
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

// finished takes in that an item is done: the one with that number, or anyItem.
func (w *window) finished(item int64) {
	if w.waits.Load() == item {
		w.wakeLoop()
	}
}

func (w *window) wakeLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready.Signal()
}

// workersEnded takes in that no worker is left. If owed, the loop takes every item that was
// read by now, whether it ran or not. err is why nothing was started, and end how what runs
// the call ended.
func (w *window) workersEnded(err error, end guard.End, owed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end.noWorkers, w.end.startErr, w.end.run = true, err, end
	if owed {
		w.end.owed = w.next()
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

// allTaken reports whether every item that was read has been taken.
func (w *window) allTaken() bool { return w.taken.Load() == w.read.Load() }

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
