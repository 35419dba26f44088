package stream

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/guard"
)

// counted is 0, 1, … without end. It counts in read the items that it has given.
func counted(read *atomic.Int64) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := 0; ; i++ {
			if read.Add(1); !yield(i) {
				return
			}
		}
	}
}

// TestReadsAhead looks at how far the input has been read when the loop has taken an item
// and every goroutine waits for the next one to be taken.
func TestReadsAhead(t *testing.T) {
	for _, test := range []struct {
		name     string
		cost     time.Duration
		settings []setting
		ahead    int
	}{
		{"slow", time.Second, nil, 2 * aheadSlow},
		{"unknown", 0, nil, 2 * aheadSlow},
		{"fast", time.Microsecond, nil, 2 * aheadFast},
		{"slow, unordered", time.Second, []setting{inAnyOrder}, 2 * aheadSlow},
		{"fast, unordered", time.Microsecond, []setting{inAnyOrder, workers(1)}, aheadFast},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var read atomic.Int64
				full := make(chan struct{})
				fn := func(_ context.Context, i int) (int, error) { <-full; return i, nil }
				s := newStream(t.Context(), counted(&read), fn, test.settings...)
				if test.cost > 0 {
					s.call.Cost().Set(test.cost) // the clock stands still, so that it stays
				}
				go func() {
					synctest.Wait()
					close(full)
				}()
				want, taken := test.ahead, 0
				for _, err := range s.onGoroutines {
					if err != nil {
						t.Fatal(err)
					}
					taken++ // the loop has taken the item before it is yielded
					if want-taken <= test.ahead/2 {
						want = taken + test.ahead
					}
					synctest.Wait()
					if got := int(read.Load()); got != want {
						t.Fatalf("%d items are read when %d were taken, want %d", got, taken, want)
					}
					if taken == 3*test.ahead {
						break
					}
				}
			})
		})
	}
}

// TestReadsAheadWithinBounds does not stop the clock, so that what items take is learned.
func TestReadsAheadWithinBounds(t *testing.T) {
	var read atomic.Int64
	taken := int64(0)
	for range mapSeq(t.Context(), counted(&read), same) {
		taken++
		if ahead := read.Load() - taken; ahead > 2*aheadFast {
			t.Fatalf("%d items were read ahead of the %d taken", ahead, taken)
		}
		if taken == 20_000 {
			break
		}
	}
	if n := read.Load(); n > 20_000+2*aheadFast {
		t.Errorf("%d items were read when 20000 had been taken", n)
	}
}

func TestNothingIsReadBeforeTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var read atomic.Int64
		s := newStream(t.Context(), counted(&read), same)
		synctest.Wait()
		if n := read.Load(); n > 0 {
			t.Errorf("%d items were read", n)
		}
		for range s.onGoroutines {
			break
		}
	})
}

// endOf is how f ends: what it panics with, "Goexit", or nil if it returns.
func endOf(f func()) any {
	switch end := guard.Apart(f); {
	case end.Returned():
		return nil
	case end.Value() != nil:
		return end.Value()
	default:
		return "Goexit"
	}
}

// endings are the ways in which code of the user's ends that does not return, and what goes on
// in the loop.
var endings = []struct {
	name string
	end  func()
	want any
}{
	{"panic", func() { panic("bad") }, "bad"},
	{"Goexit", runtime.Goexit, "Goexit"},
	{"panic during Goexit", func() {
		defer func() { panic("bad") }()
		runtime.Goexit()
	}, "bad"},
}

func TestPanicOfTheInputGoesOnInTheLoop(t *testing.T) {
	for _, test := range endings {
		for _, settings := range [][]setting{nil, {inAnyOrder}, {keepGoing}, {keepGoing, inAnyOrder}} {
			t.Run(test.name, func(t *testing.T) {
				input := func(yield func(int) bool) {
					for i := range 3 {
						yield(i)
					}
					test.end()
				}
				var out []int
				v := endOf(func() {
					for i, err := range mapSeq(t.Context(), input, same, settings...) {
						if out = append(out, i); err != nil {
							t.Error(err)
						}
					}
				})
				if slices.Sort(out); v != test.want || !slices.Equal(out, numbers(3)) {
					t.Errorf("the loop ended with %v after %v, want %v after 3 results", v, out, test.want)
				}
			})
		}
	}
}

func TestPanicOfTheInputWhenTheLoopIsLeft(t *testing.T) {
	input := func(yield func(int) bool) {
		defer func() { panic("bad end") }()
		for i := 0; yield(i); i++ {
		}
	}
	v := endOf(func() {
		for range mapSeq(t.Context(), input, same) {
			break
		}
	})
	if v != "bad end" {
		t.Errorf("the loop ended with %v", v)
	}
}

// TestTheLoopWaitsForTheInput ends a loop while the input waits for something of its own.
func TestTheLoopWaitsForTheInput(t *testing.T) {
	for _, test := range []struct {
		name string
		left func(i int) bool // whether the loop is left at item i
		bad  int              // the item that fails
	}{
		{"break", func(int) bool { return true }, -1},
		{"failure", func(int) bool { return false }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				release := make(chan struct{})
				input := func(yield func(int) bool) {
					for i := 0; ; i++ {
						if asked.Add(1); i == 1 {
							<-release
						}
						if !yield(i) {
							return
						}
					}
				}
				ended := waiting(func() bool {
					for i := range mapSeq(t.Context(), input, failAt(test.bad)) {
						if test.left(i) {
							break
						}
					}
					return true
				})
				if _, ok := ended(); ok {
					t.Error("the loop has ended before its input")
				}
				close(release)
				if _, ok := ended(); !ok {
					t.Error("the loop has not ended with its input")
				}
				if n := asked.Load(); n != 2 {
					t.Errorf("the input was asked for %d items", n)
				}
			})
		})
	}
}
