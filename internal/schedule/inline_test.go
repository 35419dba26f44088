package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/testkit"
)

func TestCheap(t *testing.T) {
	wild := trusted(1)
	wild.Goexited()
	for _, test := range []struct {
		name string
		f    *cost.Function
		n    int
		want bool
	}{
		{"little work", trusted(time.Microsecond), 50, true},
		{"much work", trusted(time.Microsecond), 51, false},
		{"many tiny items", trusted(1), 50_000, true},
		{"one item", trusted(time.Second), 1, true},
		{"no item", trusted(time.Second), 0, true},
		{"two slow items", trusted(time.Second), 2, false},
		{"not known", trusted(0), 1, false},
		{"new", new(cost.Function), 1, false},
		{"not trusted", wild, 1, false},
	} {
		if got := Cheap(test.f, test.n); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestInlineAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	f := trusted(1)
	ctx := t.Context()
	out := make([]int, 10)
	if got := testing.AllocsPerRun(100, func() {
		done := 0
		err := Inline(ctx, len(out), f, testErrors{}, &done, func(s Span, _ *Slot) error {
			for i := s.Lo; i < s.Hi; i++ {
				done = i
				out[i] = i
			}
			done = s.Hi
			return nil
		})
		if err != nil || done != len(out) {
			t.Errorf("%d items ran, %v", done, err)
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestInlineIsTheLoop checks what an inline call returns, against what goroutines return.
func TestInlineIsTheLoop(t *testing.T) {
	for _, bad := range []string{"", "error", "panic"} {
		for at := range 40 {
			fn := func(_ context.Context, i int) (int, error) {
				switch {
				case i != at || bad == "":
				case bad == "error":
					return 0, errKnown
				case bad == "panic":
					panic("minus two")
				}
				return i + 1, nil
			}
			for _, ctx := range []context.Context{context.Background(), t.Context()} {
				out, err := asMap(ctx, 40, 2, fn, trusted(1))
				want, wantErr := onGoroutines(ctx, 40, fn, Config{Workers: 2})
				if !slices.Equal(out, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Fatalf("item %d has %q: inline %v, %v; on goroutines %v, %v", at, bad, out, err, want, wantErr)
				}
			}
		}
	}
}

// TestInlineGivesUpOnSlowItems has a function that was cheap be slow at an item: it is what
// it costs, the two behind it must run side by side.
func TestInlineGivesUpOnSlowItems(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, first := range []int{0, 1, 7, 500} {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			var running atomic.Int32
			out, err := asMap(ctx, first+3, 2, func(_ context.Context, i int) (int, error) {
				switch i {
				case first: // one slow item is what it costs
					for !yielding() {
						runtime.Gosched()
					}
				case first + 1, first + 2:
					running.Add(1)
					for running.Load() < 2 {
						runtime.Gosched()
					}
				}
				return i, nil
			}, trusted(1))
			if err != nil || !slices.Equal(out, testkit.Count(first+3)) {
				t.Errorf("%v, %v", out, err)
			}
		}
	}
}

// yielding reports whether an inline call is to yield.
func yielding() bool {
	dog.mu.Lock()
	defer dog.mu.Unlock()
	return slices.ContainsFunc(dog.slots, func(w weak.Pointer[Slot]) bool {
		s := w.Value()
		return s != nil && s.yield.Load() != 0
	})
}

func TestInlineStopsWhenTheContextEnds(t *testing.T) {
	for _, test := range []struct {
		cost time.Duration
		step int // items between two looks
	}{{time.Microsecond, lookEvery}, {lookTime / lookEvery, lookEvery}, {lookTime / 100, 100}, {1, int(lookTime)}} {
		ctx, cancel := context.WithCancel(t.Context())
		done, runs := 0, 0
		err := Inline(ctx, 100_000, trusted(test.cost), testErrors{}, &done, func(s Span, _ *Slot) error {
			if s.Len() != test.step {
				t.Errorf("%d items of %v are run at once, want %d", s.Len(), test.cost, test.step)
			}
			done = s.Hi
			if runs++; runs == 3 {
				cancel()
			}
			return nil
		})
		if err != nil || done != 3*test.step {
			t.Errorf("%d items of %v ran, %v, want %d", done, test.cost, err, 3*test.step)
		}
	}
}

// TestInlineLearns checks that one of measureEvery calls is measured.
func TestInlineLearns(t *testing.T) {
	f := trusted(1)
	for range 100 * measureEvery {
		done := 0
		err := Inline(t.Context(), 1, f, testErrors{}, &done, func(s Span, _ *Slot) error {
			for begin := time.Now(); time.Since(begin) < 10*time.Microsecond; {
			}
			done = s.Hi
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if f.Less(5 * time.Microsecond) {
		t.Errorf("an item of 10 µs is said to take %v", f.Of(1))
	}
}

// TestGoexitOfATrustedFunction ends the caller's goroutine at worst, whether the call is
// inline or not, and makes the function run on other goroutines from then on.
func TestGoexitOfATrustedFunction(t *testing.T) {
	fn := func(_ context.Context, i int) (int, error) {
		if i == 1 {
			runtime.Goexit()
		}
		return i, nil
	}
	for _, d := range []time.Duration{1, time.Millisecond} {
		t.Run(fmt.Sprint("cost=", d), func(t *testing.T) {
			testkit.CheckLeaks(t)
			f := trusted(d)
			for f.Trusted() {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					out, err := asMap(t.Context(), 3, 2, fn, f)
					if !errors.Is(err, errGoexit) || !slices.Equal(out, []int{0}) { // it ran on goroutines
						t.Errorf("%v, %v", out, err)
					}
				}()
				<-ended
			}
			out, err := asMap(t.Context(), 3, 2, fn, f)
			if !errors.Is(err, errGoexit) || !slices.Equal(out, []int{0}) {
				t.Errorf("then %v, %v", out, err)
			}
		})
	}
}

// TestWatchdogAndFakeTime has the first inline call be one for which time stands still: the
// next one must be seen to all the same.
func TestWatchdogAndFakeTime(t *testing.T) {
	testkit.CheckLeaks(t)
	wait := false
	fn := func(_ context.Context, i int) (int, error) {
		for wait && i == 0 && !yielding() {
			runtime.Gosched()
		}
		return i, nil
	}
	for dog.armed.Load() {
		runtime.Gosched()
	}
	f := trusted(1)
	synctest.Test(t, func(t *testing.T) {
		if out, err := asMap(t.Context(), 10, 2, fn, f); err != nil || len(out) != 10 {
			t.Errorf("%v, %v", out, err)
		}
	})
	wait = true
	if out, err := asMap(t.Context(), 10, 2, fn, f); err != nil || len(out) != 10 {
		t.Errorf("%v, %v", out, err)
	}
}

// TestWatchdogForgetsSlots has slots that are not used any more go away.
func TestWatchdogForgetsSlots(t *testing.T) {
	for range 100 {
		if _, err := asMap(t.Context(), 10, 2, same, trusted(1)); err != nil {
			t.Fatal(err)
		}
		runtime.GC() // a pool drops what was not used since the last but one
		runtime.GC()
	}
	dog.mu.Lock()
	defer dog.mu.Unlock()
	dog.scanLocked()
	if n := len(dog.slots); n > 50 {
		t.Errorf("%d slots are remembered after 100 were dropped", n)
	}
}

// TestWatchdogScan checks which call is to yield, look by look.
func TestWatchdogScan(t *testing.T) {
	var d watchdog
	s := d.newSlot()
	kept := newNextJob(job{fn: same})
	s.Keep(kept)
	for i, step := range []struct {
		calls        uint32
		seen, yields bool
	}{
		{0, false, false}, // none yet
		{1, true, false},  // a new call
		{1, true, true},   // the same one
		{2, true, true},   // has just ended; it takes the flag back itself
		{2, false, true},
		{5, true, true}, // another call: the flag is as it was
		{8, true, true}, // calls came and went
		{8, false, true},
	} {
		s.calls.Store(step.calls)
		d.mu.Lock()
		seen := d.scanLocked()
		d.mu.Unlock()
		if told := kept.Call.Load() == &kept.yielding; told != step.yields {
			t.Errorf("look %d: what is kept yields %v, want %v", i, told, step.yields)
		}
		if yields := s.yield.Load() != 0; seen != step.seen || yields != step.yields {
			t.Errorf("look %d: a call was seen %v, yields %v, want %v and %v", i, seen, yields, step.seen, step.yields)
		}
	}
	s.leave()
	if kept.Call.Load() != &kept.Fn || s.yield.Load() != 0 {
		t.Error("the end of a call does not take back what was raised")
	}
	runtime.KeepAlive(s)
}

// TestInlineDoubts has calls take longer than is known: that is believed of so many in a row.
func TestInlineDoubts(t *testing.T) {
	const dear, cheap = time.Millisecond, time.Microsecond
	for _, test := range []struct {
		name string
		took []time.Duration // for an item
		want time.Duration
	}{
		{"one", []time.Duration{dear}, cheap},
		{"a few", []time.Duration{dear, dear, dear, dear}, cheap},
		{"many", []time.Duration{dear, dear, dear, dear, dear}, (cheap + dear) / 2},
		{"not in a row", []time.Duration{dear, dear, dear, dear, cheap, dear, dear, dear, dear}, cheap},
		{"cheaper", []time.Duration{dear, cheap / 2}, cheap / 2},
	} {
		f, s := trusted(cheap), new(Slot)
		for i, took := range test.took {
			s.calls.Store(1)
			if i > 0 && test.took[i-1] == dear && i%5 != 0 && !s.measures(f) {
				t.Errorf("%s: the call behind a dear one is not measured", test.name)
			}
			f.Doubt(10, 10*took)
		}
		if got := f.Of(1); got != test.want {
			t.Errorf("%s: an item is said to take %v, want %v", test.name, got, test.want)
		}
	}
}
