package cost

import (
	"sync/atomic"
	"time"
)

// Function is what is remembered of one function from call to call: of one piece of code,
// since closures with the same code share it.
type Function struct {
	Estimate
	code  uintptr
	ended atomic.Int64 // items known to have ended without a Goexit, up to trustAfter
	wild  atomic.Bool  // one did not

	doubts atomic.Int32 // how many measurements in a row were higher than the estimate
}

// doubtMost is how many measurements in a row may be higher than the estimate until Doubt
// believes one.
const doubtMost = 4

// Doubt is Learn, but believes that items take longer only if several measurements in a row
// have said so. Else a garbage collection, which lasts for two or three short calls, would
// make them look dear.
func (f *Function) Doubt(n int, took time.Duration) {
	if f.Raises(n, took) && f.doubts.Load() < doubtMost {
		f.doubts.Add(1)
		return
	}
	if f.Doubted() {
		f.doubts.Store(0)
	}
	f.Learn(n, took)
}

// Doubted reports whether the last measurement was higher than the estimate and not believed.
func (f *Function) Doubted() bool { return f.doubts.Load() > 0 }

// trustAfter is how many items must have ended without a Goexit before a function is
// trusted.
const trustAfter = 1000

// functions is a cache by hash of the code pointer: a function is in one of ways places
// from its hash on. Where these are taken it takes the first, and the function that was
// there is learned anew.
var functions [1024 + ways]atomic.Pointer[Function]

const ways = 4

// Of returns what is known of the function with that code pointer.
func Of(code uintptr) *Function {
	hash := uint64(code) * 0x9E3779B97F4A7C15 >> 54
	places := functions[hash : hash+ways]
	for i := range places {
		if f := places[i].Load(); f != nil && f.code == code {
			return f
		}
	}
	f := &Function{code: code}
	for i := range places {
		if places[i].CompareAndSwap(nil, f) {
			return f
		}
	}
	places[0].Store(f)
	return f
}

// Trusted reports whether the function may run on the caller's own goroutine. A Goexit
// there cannot be stopped: it would end the caller, as it would in a loop. Elsewhere it is
// an item's error. So a function must have shown for a while that it does no such thing.
func (f *Function) Trusted() bool { return f.ended.Load() >= trustAfter && !f.wild.Load() }

// Ended takes in that n items have ended without a Goexit.
func (f *Function) Ended(n int) {
	if f.ended.Load() < trustAfter {
		f.ended.Add(int64(n))
	}
}

// Goexited takes in that an item has called Goexit: the function is not trusted any more.
func (f *Function) Goexited() { f.wild.Store(true) }
