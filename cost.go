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

// costs is a cache by hash of the code pointer: a function is in one of the
// costWays places from its hash on. Where these are taken it takes the first, and
// the function that was there is learned anew.
var costs [1024 + costWays]atomic.Pointer[funcCost]

const costWays = 4

// costOf returns what is known of fn, whose function value holds ptr.
func costOf(ptr unsafe.Pointer) *funcCost {
	code := *(*uintptr)(ptr)
	hash := uint64(code) * 0x9E3779B97F4A7C15 >> 54
	ways := costs[hash : hash+costWays]
	for i := range ways {
		if f := ways[i].Load(); f != nil && f.code == code {
			return f
		}
	}
	f := &funcCost{code: code}
	for i := range ways {
		if ways[i].CompareAndSwap(nil, f) {
			return f
		}
	}
	ways[0].Store(f)
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

// spinRounds is how often spinFor looks at most: about 20 µs of looks.
const spinRounds = 1000

// spinFor calls done again and again until it reports true, for at most d, and
// reports whether it did. It is bounded in rounds too, since a clock may stand
// still: in a testing/synctest bubble it does while any goroutine runs.
func spinFor(d time.Duration, done func() bool) bool {
	begin := clock()
	for range spinRounds {
		if done() {
			return true
		}
		if clock()-begin >= d {
			break
		}
	}
	return false
}
