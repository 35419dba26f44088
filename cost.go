package parallel

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// What a function costs is remembered from call to call, because what is right
// for it depends on that: a helper takes tens of microseconds to arrive, so that
// for less work than that the plain loop wins, and a function that is known to
// be slow should have its helpers from the start.

// funcCost is what is known of one function, that is, of one piece of code:
// closures with the same code share it. It is safe for concurrent use.
type funcCost struct {
	code  uintptr
	cost  atomic.Int64 // of an item, ×costScale
	clean atomic.Int64 // items known to have ended without a Goexit
	wild  atomic.Bool  // one did not
}

// costs is a cache by hash of the code pointer. A function that falls on the
// place of another takes it, and the other is learned anew.
var costs [256]atomic.Pointer[funcCost]

// costOf returns what is known of fn, whose function value holds ptr.
func costOf(ptr unsafe.Pointer) *funcCost {
	code := *(*uintptr)(ptr)
	place := &costs[uint64(code)*0x9E3779B97F4A7C15>>56]
	if f := place.Load(); f != nil && f.code == code {
		return f
	}
	f := &funcCost{code: code}
	place.Store(f)
	return f
}

// trustAfter is how many items must have ended without a Goexit before a
// function is run on the caller's own goroutine.
const trustAfter = 1000

// trusted reports whether the function may run on the caller's own goroutine. A
// Goexit there cannot be stopped: it would end the caller, as it would in a loop.
// Elsewhere it is an item's error. So a function must have shown for a while that
// it does no such thing.
func (f *funcCost) trusted() bool { return f.clean.Load() >= trustAfter && !f.wild.Load() }

// learn takes in that n items ended, and that an item costs cost (×costScale).
func (f *funcCost) learn(n int, cost time.Duration) {
	if f.clean.Load() < trustAfter {
		f.clean.Add(int64(n))
	}
	if cost == 0 {
		return
	}
	// A store by many processors is dear; most often nothing has changed.
	if known := f.cost.Load(); known == 0 || int64(cost) < known*3/4 || int64(cost) > known*4/3 {
		f.cost.Store(int64(cost))
	}
}

// started is where this package's clock begins. time.Since of a fixed time costs
// half of time.Now.
var started = time.Now()

// clock is the time since then.
func clock() time.Duration { return time.Since(started) }
