package parallel

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"
)

// Edges that a review found.

// TestItemsBeforeAFailureAreNotCancelled has a worker whose context was ended, for
// a chunk after the failed item, claim one that was given back from before it.
func TestItemsBeforeAFailureAreNotCancelled(t *testing.T) {
	c := newCall(t.Context(), &settings{goroutines: 2}, 10)
	c.runners = []runner{{c: c}}
	r := &c.runners[0]
	r.ctx, r.cancel = context.WithCancelCause(c.ctx)
	c.next, c.open = 8, 6 // 2 to 7 are claimed
	c.returned = []span{{0, 2}}
	r.chunk = span{5, 8}
	c.fail(3, errKnown)
	if !errors.Is(context.Cause(r.ctx), errKnown) {
		t.Fatal("the context of a later chunk was not ended")
	}
	if s := r.turn(); s.lo != 0 || r.ctx.Err() != nil {
		t.Errorf("claimed %v with a context that says %v, want an item before the failure, uncancelled", s, r.ctx.Err())
	}
	r.cancel(nil)
}

func TestGoexitOfATrustedFunctionInSpawn(t *testing.T) {
	checkLeaks(t)
	fn := func(_ context.Context, x int) (int, error) {
		if x < 0 {
			runtime.Goexit()
		}
		return x, nil
	}
	costOf(identify("Map", fn).fn).wild.Store(false) // of an earlier run of this test
	trust(t, fn)
	if _, err := Spawn(t.Context(), fn, -1).Wait(); err != ErrGoexit {
		t.Errorf("error %v", err)
	}
}

// rudeError panics when it is asked what it is.
type rudeError struct{}

func (rudeError) Error() string { return "rude" }

func (rudeError) Is(error) bool { panic("Is panics") }

func TestErrorWhoseIsPanics(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Map(ctx, count(1), func(context.Context, int) (int, error) {
		cancel()
		return 0, rudeError{}
	})
	var rude rudeError
	if !errors.As(err, &rude) {
		t.Errorf("error %v", err)
	}
}

// TestRefusedMapSeqReadsNothing has an input that would block for ever.
func TestRefusedMapSeqReadsNothing(t *testing.T) {
	checkLeaks(t)
	closed := &ProcessPool{}
	closed.Close()
	for want, seq := range map[error]func(func(int) bool){
		ErrNotRegistered: func(yield func(int) bool) { t.Error("the input was read") },
		ErrPoolClosed:    func(yield func(int) bool) { t.Error("the input was read") },
	} {
		fn, where := notRegistered, Processes(1)
		if want == ErrPoolClosed {
			fn, where = double, On(closed)
		}
		_, errs := collect(MapSeq(t.Context(), seq, fn, where))
		if len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("errors %v, want %v", errs, want)
		}
	}
}

func TestInheritedShareMayStayBehind(t *testing.T) {
	checkLeaks(t)
	out, err := Map(t.Context(), count(1), func(ctx context.Context, x int) (int, error) {
		inner, err := Map(ctx, []int{x + 1}, double, Processes(1))
		return inner[0], err
	}, Share(func() {}))
	if err != nil || !slices.Equal(out, []int{2}) {
		t.Errorf("%v, %v", out, err)
	}
}

func TestHugeLimits(t *testing.T) {
	checkLeaks(t)
	out, err := Map(t.Context(), count(10), double, Goroutines(math.MaxInt))
	if err != nil || len(out) != 10 {
		t.Errorf("Map: %v, %v", out, err)
	}
	n := 0
	for _, err := range MapSeq(t.Context(), slices.Values(count(10)), double, Goroutines(math.MaxInt)) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 10 {
		t.Errorf("MapSeq: %d results", n)
	}
}

func TestBadPoolPanicsEachTime(t *testing.T) {
	pool := &ProcessPool{Size: -1}
	for range 2 {
		panicsWith(t, "ProcessPool.Size is -1", func() { _, _ = Map(t.Context(), count(1), double, On(pool)) })
	}
}
