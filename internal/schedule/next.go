package schedule

import "sync/atomic"

// cacheLine is at least as long as the cache lines that processors exchange.
const cacheLine = 128

// Next is the function that a typed loop calls for its next item. While the loop is to yield
// that is another one, of the same type, which runs no item and returns ErrYield. So the loop
// notices by the branch on an error that it has anyway, and need not look at a flag:
//
//	for i := s.Lo; i < s.Hi; i++ {
//		if err := fn(ctx, items[i]); err != nil {
//			return WithoutYield(err)
//		}
//		fn = *next.Call.Load()
//	}
//
// The loop begins with Fn, so that it runs an item each time. All workers read Call for each
// item, so it lies on a cache line that is not written while items run.
type Next[F any] struct {
	_        [cacheLine]byte
	Call     atomic.Pointer[F] // &Fn, or &yielding
	Fn       F
	yielding F
	_        [cacheLine]byte
}

// Init makes fn the function that is called, and yielding the one that returns ErrYield.
func (n *Next[F]) Init(fn, yielding F) {
	n.Fn, n.yielding = fn, yielding
	n.Call.Store(&n.Fn)
}

// Yield is [Yielder]'s.
func (n *Next[F]) Yield(raised bool) {
	if raised {
		n.Call.Store(&n.yielding)
	} else {
		n.Call.Store(&n.Fn)
	}
}

// ErrYield is what a loop gets in place of its next item's error when it is to yield. It
// never leaves the loop, so no function of the user's can return it, nor an error that wraps
// it.
var ErrYield error = yieldError{}

type yieldError struct{}

func (yieldError) Error() string { return "parallel: a loop is to yield" }

// WithoutYield is err, but nil for ErrYield, which is no item's failure.
func WithoutYield(err error) error {
	if _, ok := err.(yieldError); ok {
		return nil
	}
	return err
}
