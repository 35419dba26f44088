package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/testkit"
)

func TestGoroutinesRunEachItemOnce(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, n := range []int{1, 2, 3, 10, 1000, 100_000} {
		for _, workers := range []int{1, 2, 7} {
			for _, f := range []*cost.Function{new(cost.Function), trusted(1)} {
				ran := make([]atomic.Int32, n)
				out, err := onGoroutines(t.Context(), n, func(_ context.Context, i int) (int, error) {
					ran[i].Add(1)
					return i, nil
				}, Config{Workers: workers, Cost: f})
				if err != nil || !slices.Equal(out, testkit.Count(n)) {
					t.Errorf("%d items on %d: %d results, %v", n, workers, len(out), err)
				}
				for i := range ran {
					if ran[i].Load() != 1 {
						t.Errorf("%d items on %d: item %d ran %d times", n, workers, i, ran[i].Load())
					}
				}
			}
		}
	}
}

func TestFirstItemsAreNotRunAgain(t *testing.T) {
	c := New(t.Context(), Config{Workers: 2, Total: 10, First: 7, Cost: new(cost.Function), Errors: testErrors{}})
	c.RunGoroutines(&job{fn: func(_ context.Context, i int) (int, error) {
		if i < 7 {
			t.Errorf("item %d ran", i)
		}
		return i, nil
	}})
	if n, err := c.Outcome(); n != 10 || err != nil {
		t.Errorf("%d results, %v", n, err)
	}
}

func TestLowestFailureWins(t *testing.T) {
	testkit.CheckLeaks(t)
	for range 50 {
		out, err := onGoroutines(t.Context(), 1000, func(_ context.Context, i int) (int, error) {
			if i%200 == 100 {
				return 0, errKnown
			}
			return i, nil
		}, Config{Workers: 3})
		if !errors.Is(err, errKnown) || err.Error() != "item 100: known" || !slices.Equal(out, testkit.Count(100)) {
			t.Fatalf("%d results, %v", len(out), err)
		}
	}
}

func TestKeepGoingRunsAll(t *testing.T) {
	out, err := onGoroutines(t.Context(), 1000, func(_ context.Context, i int) (int, error) {
		if i%200 == 100 {
			return 0, errKnown
		}
		return i, nil
	}, Config{Workers: 3, KeepGoing: true})
	if got := indexes(err); len(out) != 1000 || !slices.Equal(got, []int{100, 300, 500, 700, 900}) {
		t.Errorf("%d results, failures of %v", len(out), got)
	}
}

// TestEndingsOfItems has items end in each of the ways in which code of the user's may.
func TestEndingsOfItems(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, workers := range []int{1, 3} {
		f := new(cost.Function)
		out, err := onGoroutines(t.Context(), 100, func(_ context.Context, i int) (int, error) {
			if i%10 < len(endings) {
				endings[i%10].f()
			}
			return i, nil
		}, Config{Workers: workers, KeepGoing: true, Cost: f})
		var joined joinedError
		if errors.As(err, &joined); len(out) != 100 || len(joined) != 30 {
			t.Fatalf("%d results, %d failures: %v", len(out), len(joined), err)
		}
		for i := range out {
			want := i
			if i%10 == 1 || i%10 == 2 || i%10 == 3 {
				want = 0
			}
			if out[i] != want {
				t.Errorf("result %d is %d", i, out[i])
			}
		}
		for _, failure := range joined {
			want := fmt.Sprintf("item %d: panic: oh", failure.Index)
			if failure.Index%10 == 2 {
				want = fmt.Sprintf("item %d: goexit", failure.Index)
			}
			if failure.Err.Error() != want {
				t.Errorf("%v, want %s", failure.Err, want)
			}
		}
		f.Ended(1 << 20)
		if f.Trusted() {
			t.Error("a function that called Goexit is trusted")
		}
	}
}

// TestEndingsOfErrors has a method of an item's error end in each of these ways: every other
// item is run all the same.
func TestEndingsOfErrors(t *testing.T) {
	testkit.CheckLeaks(t)
	texts := []string{"method", "panic: oh", "goexit", "panic: oh"}
	for _, workers := range []int{1, 3} {
		for _, known := range []bool{false, true} { // whether chunks are of many items
			f := new(cost.Function)
			if known {
				f.Set(1)
			}
			out, err := onGoroutines(t.Context(), 1000, func(_ context.Context, i int) (int, error) {
				if i%10 < len(endings) {
					return 0, methodError(endings[i%10].f)
				}
				return i, nil
			}, Config{Workers: workers, KeepGoing: true, Cost: f})
			var joined joinedError
			if errors.As(err, &joined); len(out) != 1000 || len(joined) != 400 {
				t.Fatalf("%d results, %d failures: %v", len(out), len(joined), err)
			}
			for i := range out {
				if i%10 >= len(endings) && out[i] != i {
					t.Errorf("result %d is %d", i, out[i])
				}
			}
			for _, failure := range joined {
				if want := fmt.Sprintf("item %d: %s", failure.Index, texts[failure.Index%10]); failure.Err.Error() != want {
					t.Errorf("%v, want %s", failure.Err, want)
				}
			}
		}
	}
}

// TestEndingsOfTheErrorThatEndsACall is the same for the lowest failure: no item behind it is
// begun after it.
func TestEndingsOfTheErrorThatEndsACall(t *testing.T) {
	testkit.CheckLeaks(t)
	texts := []string{"method", "panic: oh", "goexit", "panic: oh"}
	for _, workers := range []int{1, 3} {
		for i, test := range endings {
			f := new(cost.Function)
			f.Set(1)
			var behind atomic.Bool
			out, err := onGoroutines(t.Context(), 1000, func(_ context.Context, i int) (int, error) {
				if i == 500 {
					return 0, methodError(test.f)
				}
				if i > 500 && workers == 1 {
					behind.Store(true)
				}
				return i, nil
			}, Config{Workers: workers, Cost: f})
			if want := "item 500: " + texts[i]; err == nil || err.Error() != want || !slices.Equal(out, testkit.Count(500)) || behind.Load() {
				t.Errorf("%s: %d results, %v, want %s; items behind it ran: %v", test.name, len(out), err, want, behind.Load())
			}
		}
	}
}

// TestFailureEndsLaterItems has an item fail while a later one and an earlier one run: only
// the later one's context ends.
func TestFailureEndsLaterItems(t *testing.T) {
	testkit.CheckLeaks(t)
	running, failed := make(chan struct{}, 2), make(chan struct{})
	out, err := onGoroutines(t.Context(), 3, func(ctx context.Context, i int) (int, error) {
		if i == 1 {
			<-running
			<-running
			return 0, errKnown
		}
		running <- struct{}{}
		if i == 2 {
			<-ctx.Done()
			close(failed)
			if cause := context.Cause(ctx); cause.Error() != "item 1: known" {
				t.Errorf("item 2 ended because of %v", cause)
			}
			return 0, ctx.Err()
		}
		<-failed
		return i, ctx.Err()
	}, Config{Workers: 3})
	if err.Error() != "item 1: known" || !slices.Equal(out, []int{0}) {
		t.Errorf("%v, %v", out, err)
	}
}

// TestItemsBeforeAFailureAreNotCancelled has a runner whose context was ended, for a chunk
// after the failed item, claim one that was given back from before it.
func TestItemsBeforeAFailureAreNotCancelled(t *testing.T) {
	c := newCall(t.Context(), Config{Total: 10, Cost: new(cost.Function)})
	c.team.call, c.team.runners = c, []runner{{call: c}}
	r := &c.team.runners[0]
	r.ctx, r.cancel = context.WithCancelCause(c.ctx)
	c.ledger.next, c.ledger.open = 8, 6 // 2 to 7 are claimed
	c.ledger.returned = []Span{{0, 2}}
	r.chunk = Span{5, 8}
	c.Fail(3, errKnown)
	if !errors.Is(context.Cause(r.ctx), errKnown) {
		t.Fatal("the context of a later chunk was not ended")
	}
	if s := c.nextChunk(r); s.Lo != 0 || s.Len() == 0 || r.ctx.Err() != nil {
		t.Errorf("claimed %v with a context that says %v, want an item before the failure, not cancelled", s, r.ctx.Err())
	}
	r.cancel(nil)
}

// TestSlowItemsInAChunkAreGivenAway has a slow item in a chunk that was sized for fast ones,
// which takes until the other runner has had nothing to do for so long that the alarm has
// gone off. The item behind it waits for others of the chunk, which another runner must run.
func TestSlowItemsInAChunkAreGivenAway(t *testing.T) {
	testkit.CheckLeaks(t)
	const n = 50_000
	for _, slow := range []int{100, n / 10} { // in the first chunk, which is a quarter
		for _, told := range []bool{false, true} { // whether the job is told of yield
			c := New(t.Context(), Config{Workers: 2, Total: n, Cost: trusted(1), Errors: testErrors{}})
			var after atomic.Int32
			var past atomic.Bool
			j := job{out: make([]int, n)}
			j.fn = func(_ context.Context, i int) (int, error) {
				switch i {
				case slow:
					for c.team.yield.Load() == 0 {
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
				return i, nil
			}
			if told {
				c.RunGoroutines(newNextJob(j))
			} else {
				c.RunGoroutines(&j)
			}
			if complete, err := c.Outcome(); err != nil || complete != n || !slices.Equal(j.out, testkit.Count(n)) {
				t.Errorf("%d results, %v", complete, err)
			}
		}
	}
}

// TestYielderHearsWhatTheFlagSays raises the flag and has it taken back.
func TestYielderHearsWhatTheFlagSays(t *testing.T) {
	c := newCall(t.Context(), Config{Total: 10})
	j := newNextJob(job{fn: same})
	c.team.yielder = j
	for _, step := range []struct {
		name string
		do   func()
		want uint32
	}{
		{"nobody waits when the alarm goes off", c.ring, 0},
		{"a runner waits", func() { c.starved = 1; c.ring() }, 1},
		{"it waits still", func() { c.calm() }, 1},
		{"it has something to do", func() { c.starved = 0; c.calm() }, 0},
		{"the bound falls", c.team.Bounded, 1},
	} {
		step.do()
		told := j.Call.Load() == &j.yielding
		if got := c.team.yield.Load(); got != step.want || told != (got != 0) {
			t.Errorf("%s: the flag is %d, and the job is told to yield: %v", step.name, got, told)
		}
	}
}

// TestLimitIsKeptAndReached counts how many items run at once.
func TestLimitIsKeptAndReached(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, n := range []int{1, 3, 20} {
		var now, most atomic.Int32
		full := make(chan struct{})
		_, err := onGoroutines(t.Context(), 100, func(_ context.Context, i int) (int, error) {
			running := now.Add(1)
			defer now.Add(-1)
			for seen := most.Load(); running > seen && !most.CompareAndSwap(seen, running); seen = most.Load() {
			}
			if int(running) == n {
				select {
				case <-full:
				default:
					close(full)
				}
			}
			<-full // until n are running
			return i, nil
		}, Config{Workers: n})
		if err != nil || int(most.Load()) != n {
			t.Errorf("%d workers: %d items ran at once, %v", n, most.Load(), err)
		}
	}
}

// TestContextEndedByAnItem ends the context in one of many tiny items: as many as take
// lookTime may run behind it, the others must not.
func TestContextEndedByAnItem(t *testing.T) {
	testkit.CheckLeaks(t)
	const n = 40_000
	for range 50 {
		for _, f := range []*cost.Function{new(cost.Function), trusted(1)} {
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			out, err := asMap(ctx, n, 2, func(_ context.Context, i int) (int, error) {
				if i == 1010 {
					cancel(cause)
				} else if i > 1010 {
					runtime.Gosched() // to the goroutine that watches the context
				}
				return i, nil
			}, f)
			if !errors.Is(err, cause) || !slices.Equal(out, testkit.Count(len(out))) || len(out) == n {
				t.Fatalf("%d results, %v", len(out), err)
			}
		}
	}
}

// TestProgressOnGoroutines has the callback end in each of the ways in which code of the
// user's may.
func TestProgressOnGoroutines(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, test := range endings {
		var seen []int
		end := guard.Apart(func() {
			_, err := onGoroutines(t.Context(), 1000, same, Config{Workers: 3, Progress: func(done, total int) {
				seen = append(seen, done)
				if done == 500 {
					test.f()
				}
			}})
			if err != nil {
				t.Error(err)
			}
		})
		if want := ends[test.name]; end != want {
			t.Errorf("%s: the caller %v, want %v", test.name, end, want)
		}
		steps := 500
		if end.Returned() {
			steps = 1000
		}
		if !slices.Equal(seen, testkit.Count(steps + 1)[1:]) {
			t.Errorf("%s: told of %d steps, in order: %v", test.name, len(seen), slices.IsSorted(seen))
		}
	}
}

// TestFunctionIsLearned checks that a call's items teach what the function costs.
func TestFunctionIsLearned(t *testing.T) {
	f := new(cost.Function)
	spin := func(_ context.Context, i int) (int, error) {
		for begin := time.Now(); time.Since(begin) < 20*time.Microsecond; {
		}
		return i, nil
	}
	for range 3 {
		if _, err := onGoroutines(t.Context(), 500, spin, Config{Workers: 2, Cost: f}); err != nil {
			t.Fatal(err)
		}
	}
	if !f.Known() || !f.Trusted() || f.Less(15*time.Microsecond) {
		t.Errorf("after 1500 items of 20 µs one is said to take %v, trusted %v", f.Of(1), f.Trusted())
	}
}

func TestAllocationsDoNotGrow(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	allocs := func(n int) float64 {
		j := &job{same, make([]int, n)}
		f := trusted(1)
		return testing.AllocsPerRun(5, func() {
			c := New(t.Context(), Config{Workers: 2, Total: n, Cost: f, Errors: testErrors{}})
			c.RunGoroutines(j)
			if _, err := c.Outcome(); err != nil {
				t.Error(err)
			}
		})
	}
	few, many := allocs(100_000), allocs(3_000_000)
	if many > few+20 {
		t.Errorf("%v allocations for 1e5 items, %v for 3e6: they grow", few, many)
	}
}
