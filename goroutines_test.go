package parallel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"weak"
)

func square64(_ context.Context, x int) (int, error) { return x * x, nil }

// trust makes fn known as cheap and clean.
func trust(t *testing.T, fn func(context.Context, int) (int, error)) *funcCost {
	t.Helper()
	f := costOf(identify("Map", fn).fn)
	for range 3 {
		if _, err := Map(t.Context(), count(2*trustAfter), fn); err != nil {
			t.Fatal(err)
		}
	}
	if !f.trusted() {
		t.Fatal("the function is not trusted after thousands of items")
	}
	f.cost.Store(costScale) // whatever was measured: 1 ns
	return f
}

func TestAllocationsAreFewAndDoNotGrow(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	trust(t, square64)
	allocs := func(n int) float64 {
		items := count(n)
		return testing.AllocsPerRun(5, func() {
			if _, err := Map(t.Context(), items, square64); err != nil {
				t.Error(err)
			}
		})
	}
	if got := allocs(10); got > 4 {
		t.Errorf("10 tiny items cost %v allocations, want the result and at most 3", got)
	}
	few, many := allocs(100_000), allocs(3_000_000)
	if many > few+100 {
		t.Errorf("%v allocations for 1e5 items, %v for 3e6: they grow", few, many)
	}
}

// TestAloneIsTheLoop checks what a caller who works alone returns, against what
// workers return.
func TestAloneIsTheLoop(t *testing.T) {
	fn := func(_ context.Context, x int) (int, error) {
		switch x {
		case -1:
			return 0, errKnown
		case -2:
			panic("minus two")
		}
		return x + 1, nil
	}
	trust(t, fn)
	for _, bad := range []int{0, -1, -2} {
		for at := range 40 {
			items := count(40)
			if bad != 0 {
				items[at] = bad
			}
			out, err := Map(t.Context(), items, fn)
			want, wantErr := Map(t.Context(), items, fn, Goroutines(2))
			if !slices.Equal(out, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("item %d is %d: alone %v, %v; together %v, %v", at, bad, out, err, want, wantErr)
			}
		}
	}
}

// TestContextEndedByAnItem ends the context in one of many tiny items: those right
// behind it may run, the others must not.
func TestContextEndedByAnItem(t *testing.T) {
	for range 50 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		fn := func(_ context.Context, x int) (int, error) {
			if x == 1010 {
				cancel(cause)
			} else if x > 1010 {
				runtime.Gosched() // to whoever watches the context
			}
			return x, nil
		}
		out, err := Map(ctx, count(5000), fn)
		if !errors.Is(err, cause) || !slices.Equal(out, count(len(out))) {
			t.Fatalf("%d results, %v", len(out), err)
		}
	}
}

// TestAloneGivesUpOnSlowItems has a function that was cheap be slow at an item:
// it is what it costs, the two behind it must run side by side.
func TestAloneGivesUpOnSlowItems(t *testing.T) {
	checkLeaks(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // two workers by default
	for _, first := range []int{0, 1, 7, 500} {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			var slow atomic.Bool
			var running atomic.Int32
			fn := func(_ context.Context, x int) (int, error) {
				switch {
				case !slow.Load():
				case x == first:
					for !alerted() { // one slow item is what it costs
						runtime.Gosched()
					}
				case x == first+1 || x == first+2:
					running.Add(1)
					for running.Load() < 2 {
						runtime.Gosched()
					}
				}
				return x, nil
			}
			trust(t, fn)
			slow.Store(true)
			out, err := Map(ctx, count(first+3), fn)
			if err != nil || !slices.Equal(out, count(first+3)) {
				t.Errorf("%v, %v", out, err)
			}
		}
	}
}

// alerted reports whether a caller who works alone has been given an alert.
func alerted() bool {
	lookout.mu.Lock()
	defer lookout.mu.Unlock()
	return slices.ContainsFunc(lookout.posts, func(w weak.Pointer[post]) bool {
		p := w.Value()
		return p != nil && p.alert.Load() != 0
	})
}

// TestSlowItemsInAChunkAreGivenAway has a slow item in a chunk that was sized for
// fast ones, which takes until the other worker has had nothing to do for long.
// The item behind it waits for others of the chunk, which somebody else must run.
func TestSlowItemsInAChunkAreGivenAway(t *testing.T) {
	checkLeaks(t)
	const n = 50_000
	for _, slow := range []int{100, n / 10} { // in the first chunk, which is a quarter
		var ran, after atomic.Int32
		var past atomic.Bool
		fn := func(_ context.Context, x int) (int, error) {
			switch x {
			case slow:
				still, last := time.Time{}, int32(-1)
				for last < 0 || time.Since(still) < 1000*longChunk {
					if now := ran.Load(); now != last {
						still, last = time.Now(), now // others are at work
					}
					runtime.Gosched()
				}
				past.Store(true)
			case slow + 1:
				for after.Load() < 10 { // items behind it, in its chunk
					runtime.Gosched()
				}
			default:
				if past.Load() {
					after.Add(1)
				}
			}
			ran.Add(1)
			return x, nil
		}
		costOf(identify("Map", fn).fn).cost.Store(costScale) // 1 ns
		out, err := Map(t.Context(), count(n), fn, Goroutines(2))
		if err != nil || !slices.Equal(out, count(n)) {
			t.Errorf("%d results, %v", len(out), err)
		}
	}
}

// TestGoexitOfATrustedFunction ends the caller's goroutine at worst, whether it is
// the only worker or one of several, and makes the function run on other
// goroutines from then on.
func TestGoexitOfATrustedFunction(t *testing.T) {
	fn := func(_ context.Context, x int) (int, error) {
		if x < 0 {
			runtime.Goexit()
		}
		return x, nil
	}
	for _, cost := range []time.Duration{1, time.Millisecond} {
		t.Run(fmt.Sprint("cost=", cost), func(t *testing.T) {
			checkLeaks(t)
			f := costOf(identify("Map", fn).fn)
			f.wild.Store(false) // of an earlier run
			trust(t, fn)
			f.cost.Store(int64(cost) * costScale)
			for f.trusted() {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					out, err := Map(t.Context(), []int{1, -1, 2}, fn)
					if !errors.Is(err, ErrGoexit) || !slices.Equal(out, []int{1}) { // another worker ran it
						t.Errorf("%v, %v", out, err)
					}
				}()
				<-ended
			}
			out, err := Map(t.Context(), []int{1, -1, 2}, fn)
			if !errors.Is(err, ErrGoexit) || !slices.Equal(out, []int{1}) {
				t.Errorf("then %v, %v", out, err)
			}
		})
	}
}

// TestLimitIsKeptAndReached counts how many items run at once.
func TestLimitIsKeptAndReached(t *testing.T) {
	checkLeaks(t)
	for _, n := range []int{1, 3, 20} {
		var now, most atomic.Int32
		full := make(chan struct{})
		_, err := Map(t.Context(), count(100), func(_ context.Context, x int) (int, error) {
			running := now.Add(1)
			defer now.Add(-1)
			if running > most.Load() {
				most.Store(running)
			}
			if int(running) == n {
				select {
				case <-full:
				default:
					close(full)
				}
			}
			<-full // until n are running
			return x, nil
		}, Goroutines(n))
		if err != nil || int(most.Load()) != n {
			t.Errorf("Goroutines(%d): %d ran at once, %v", n, most.Load(), err)
		}
	}
}
