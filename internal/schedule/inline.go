package schedule

import (
	"context"
	"time"

	"example.com/parallel/internal/cost"
)

const (
	// inlineTime is the most work, by what is known of the function, that is run inline. A
	// helper costs the caller 4 to 18 µs to start when a processor is idle, and 33 to 54 µs
	// pass before it has arrived.
	inlineTime = 50 * time.Microsecond

	// lookTime is how long items may take, by what is known of them, without a look at the
	// context, and lookEvery how many there may be of them in any case. A look costs more than
	// a tiny item does, and so does leaving the loop for it.
	lookTime  = 5 * time.Microsecond
	lookEvery = 16

	// measureEvery is how many inline calls are made for each that looks at the clock.
	measureEvery = 8
)

// Cheap reports whether n items of the function are best run inline: when all of them take
// little time, and one in any case, as long as the function is trusted not to call
// runtime.Goexit and something is known of its cost.
func Cheap(f *cost.Function, n int) bool {
	return f.Trusted() && (n <= 1 && f.Known() || f.Within(n, inlineTime))
}

// lookStep is how many items may be run without a look at ctx, of those that cost so much.
func lookStep(ctx context.Context, items int, e *cost.Estimate) int {
	if items <= lookEvery || ctx.Done() == nil {
		return items
	}
	return min(items, max(lookEvery, e.Items(lookTime)))
}

// Inline runs a call of n cheap items as a plain loop, on the caller's goroutine. run is
// like [Job.Run], but what it needs to yield is the slot's [Yielder]. It sets *at, which is a
// pointer, as run is a function, so that neither is allocated. Inline gives up when the watchdog sees that an item takes long, or ctx ends:
// *at is less than n then, and the items from there on have not been run.
//
// The error is the failure of item *at, as run returned it or errs.Recovered made it of a
// panic. A Goexit takes the caller with it, and f is not trusted any more.
func Inline(ctx context.Context, n int, f *cost.Function, errs Errors, at *int, run func(s Span, slot *Slot) error) (err error) {
	s := slots.Get().(*Slot)
	s.enter()
	returned := false
	defer func() { // guard.Catch, written out: a call of it would cost as much as some tiny items do
		s.leave()
		slots.Put(s)
		if !returned {
			v := recover()
			if v == nil {
				f.Goexited() // too late for this caller, whose goroutine is ending
			}
			err = errs.Recovered(v)
		}
	}()
	begin, measured := time.Duration(0), s.measures(f)
	if measured {
		begin = cost.Clock()
	}
	step := lookStep(ctx, n, &f.Estimate)
	for err == nil && *at < n && s.yield.Load() == 0 && ctx.Err() == nil {
		err = run(Span{*at, min(n, *at+step)}, s)
	}
	if measured && *at > 0 {
		f.Ended(*at)
		f.Doubt(*at, cost.Clock()-begin)
	}
	returned = true
	return err
}
