package stream

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/schedule"
)

var errEnough = errors.New("enough")

// untilEnd is an item that runs until its context ends. It returns why.
func untilEnd(ctx context.Context, _ int) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

func TestBreakEndsRunningItems(t *testing.T) {
	for _, settings := range [][]setting{nil, {inAnyOrder}, {keepGoing}} {
		synctest.Test(t, func(t *testing.T) {
			var causes atomic.Int64
			fn := func(ctx context.Context, i int) (int, error) {
				if i == 0 {
					return 0, nil
				}
				_, err := untilEnd(ctx, i)
				if err == errLoopLeft {
					causes.Add(1)
				}
				return 0, err
			}
			for _, err := range mapSeq(t.Context(), upTo(100), fn, append(settings, workers(3))...) {
				if err != nil {
					t.Error(err)
				}
				synctest.Wait() // items 1 to 3 run
				break
			}
			if n := causes.Load(); n != 3 {
				t.Errorf("%d items were told that the loop was left, want 3", n)
			}
		})
	}
}

func TestPanicInTheLoopLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		v := endOf(func() {
			for range mapSeq(t.Context(), upTo(1000), same) {
				panic("in the loop")
			}
		})
		if v != "in the loop" {
			t.Errorf("the loop ended with %v", v)
		}
	})
}

func TestGoexitInTheLoopLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		go func() {
			for range mapSeq(t.Context(), upTo(1000), same) {
				runtime.Goexit()
			}
		}()
	})
}

func TestContextHasEndedBefore(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	var read atomic.Int64
	out, errs := collect(mapSeq(ctx, counted(&read), same))
	want := endedError{0, -1, errEnough, context.Canceled}
	if len(out) > 0 || len(errs) != 1 || *errs[0].(*endedError) != want || read.Load() > 0 {
		t.Errorf("results %v, errors %v, %d items read", out, errs, read.Load())
	}
}

func TestContextEnds(t *testing.T) {
	for _, settings := range [][]setting{nil, {inAnyOrder}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var read atomic.Int64
		var last error
		n := 0
		for _, err := range mapSeq(ctx, counted(&read), same, settings...) {
			if last != nil {
				t.Fatal("a pair after the error")
			}
			if last = err; err == nil {
				n++
			}
			if n == 100 {
				cancel(errEnough)
			}
		}
		want := endedError{n, -1, errEnough, context.Canceled}
		if got, ok := last.(*endedError); !ok || *got != want {
			t.Errorf("the loop ended with %v, want %v", last, &want)
		}
	}
}

// TestContextEndsWhenAllIsDone ends the context when every item has run and one was taken.
// That is too late to change the outcome.
func TestContextEndsWhenAllIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out []int
		for i, err := range mapSeq(ctx, upTo(3), same) {
			synctest.Wait() // the workers have ended
			if cancel(); err != nil {
				t.Error(err)
			}
			out = append(out, i)
		}
		if !slices.Equal(out, numbers(3)) {
			t.Errorf("results %v", out)
		}
	})
}

// TestKeepGoingAccountsForItemsThatDidNotRun ends the context while two items run, so that
// the others that were read have not.
func TestKeepGoingAccountsForItemsThatDidNotRun(t *testing.T) {
	for _, settings := range [][]setting{{keepGoing}, {keepGoing, inAnyOrder}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			fn := func(ctx context.Context, i int) (int, error) {
				switch i {
				case 0, 2:
					return i, nil
				default:
					return untilEnd(ctx, i)
				}
			}
			var read atomic.Int64
			go func() {
				time.Sleep(time.Second) // allowed: fake time, in a bubble
				cancel(errEnough)
			}()
			out, errs := collect(mapSeq(ctx, counted(&read), fn, settings...))
			if slices.Sort(out); !slices.Equal(out, []int{0, 2}) {
				t.Fatalf("results %v, errors %v", out, errs)
			}
			n := int(read.Load())
			if n < 2*aheadSlow || len(errs) != n-2+1 {
				t.Fatalf("%d items were read, %d errors", n, len(errs))
			}
			last := errs[len(errs)-1]
			if want := (endedError{n, -1, errEnough, context.Canceled}); *last.(*endedError) != want {
				t.Errorf("the last error is %v, want %v", last, &want)
			}
			var indexes []int
			for _, err := range errs[:len(errs)-1] {
				item := err.(*itemError)
				if indexes = append(indexes, item.index); !errors.Is(item.err, errEnough) {
					t.Error(err)
				}
			}
			want := slices.DeleteFunc(numbers(n), func(i int) bool { return i == 0 || i == 2 })
			if len(settings) == 2 {
				slices.Sort(indexes)
			}
			if !slices.Equal(indexes, want) {
				t.Errorf("errors of items %v, want %v", indexes, want)
			}
		})
	}
}

// TestItemReadAfterTheWorkersEnded has the input give an item late. It has no pair.
func TestItemReadAfterTheWorkersEnded(t *testing.T) {
	for _, settings := range [][]setting{{keepGoing}, {keepGoing, inAnyOrder}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			input := func(yield func(int) bool) {
				yield(0)
				time.Sleep(time.Second) // allowed: fake time, in a bubble
				cancel(errEnough)
				time.Sleep(time.Second) // allowed: fake time, in a bubble, in which the workers end
				if yield(1) {
					t.Error("the input is asked for another item")
				}
			}
			out, errs := collect(mapSeq(ctx, input, same, settings...))
			want := endedError{1, -1, errEnough, context.Canceled}
			if !slices.Equal(out, []int{0}) || len(errs) != 1 || *errs[0].(*endedError) != want {
				t.Errorf("results %v, errors %v", out, errs)
			}
		})
	}
}

func TestCheckComesBeforeTheInput(t *testing.T) {
	var read atomic.Int64
	s := newStream(t.Context(), counted(&read), same)
	run := func(*schedule.Call) error { t.Error("the workers run"); return nil }
	out, errs := collect(func(yield func(int, error) bool) {
		s.Loop(func() error { return errBad }, run, yield)
	})
	if len(out) > 0 || !slices.Equal(errs, []error{errBad}) || read.Load() > 0 {
		t.Errorf("results %v, errors %v, %d items read", out, errs, read.Load())
	}
	if s.call.Context().Err() == nil {
		t.Error("the context of the call is left")
	}
}

// TestNothingIsStarted has run return an error while the input waits for space, or reads.
func TestNothingIsStarted(t *testing.T) {
	for _, settings := range [][]setting{nil, {inAnyOrder}, {keepGoing}, {keepGoing, inAnyOrder}} {
		for _, delay := range []time.Duration{0, time.Second} {
			synctest.Test(t, func(t *testing.T) {
				var read atomic.Int64
				s := newStream(t.Context(), counted(&read), same, settings...)
				run := func(*schedule.Call) error {
					time.Sleep(delay) // allowed: fake time, in a bubble
					return errBad
				}
				pairs := 0
				s.Loop(passes, run, func(_ int, err error) bool {
					if pairs++; err != errBad || s.call.EndCause() != errBad {
						t.Errorf("the loop yields %v when the call has ended with %v", err, s.call.EndCause())
					}
					return true
				})
				if pairs != 1 || read.Load() > 2*aheadSlow {
					t.Errorf("%d pairs, %d items read", pairs, read.Load())
				}
			})
		}
	}
}

func TestEndOfACallbackGoesOnInTheLoop(t *testing.T) {
	for _, test := range endings {
		for _, settings := range [][]setting{nil, {inAnyOrder}, {keepGoing}} {
			t.Run(test.name, func(t *testing.T) {
				calls := 0
				progress := func(c *schedule.Config, _ *Options) {
					c.Progress = func(done, _ int) {
						if calls = done; done == 5 {
							test.end()
						}
					}
				}
				var read atomic.Int64
				v := endOf(func() {
					for range mapSeq(t.Context(), counted(&read), same, append(settings, progress)...) {
					}
				})
				if v != test.want || calls != 5 {
					t.Errorf("the loop ended with %v after %d calls back, want %v after 5", v, calls, test.want)
				}
			})
		}
	}
}

// TestEndOfWhatRunsTheCall has code of the user's end beside the workers: as a method of a
// shared value may, or of a context.
func TestEndOfWhatRunsTheCall(t *testing.T) {
	for _, test := range endings {
		for _, settings := range [][]setting{nil, {inAnyOrder}, {keepGoing}, {keepGoing, inAnyOrder}} {
			synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
				var read atomic.Int64
				s := newStream(t.Context(), counted(&read), same, settings...)
				v := endOf(func() {
					s.Loop(passes, func(*schedule.Call) error { test.end(); return nil }, func(int, error) bool {
						t.Errorf("%s: the loop yields", test.name)
						return true
					})
				})
				if v != test.want {
					t.Errorf("%s: the loop ended with %v, want %v", test.name, v, test.want)
				}
			})
		}
	}
}

// TestEndsOfTheLoopAndTheInput has the body of the loop end, and then the input.
func TestEndsOfTheLoopAndTheInput(t *testing.T) {
	for _, test := range []struct {
		name        string
		body, input func()
		want        any
	}{
		{"panics", func() { panic("body") }, func() { panic("input") }, "input"}, // the runtime prints both
		{"panic and Goexit", func() { panic("body") }, runtime.Goexit, "body"},
		{"Goexit and panic", runtime.Goexit, func() { panic("input") }, "input"},
		{"Goexits", runtime.Goexit, runtime.Goexit, "Goexit"},
	} {
		v := endOf(func() {
			input := func(yield func(int) bool) {
				defer test.input()
				for yield(1) {
				}
			}
			for range mapSeq(t.Context(), input, same) {
				test.body()
			}
		})
		if v != test.want {
			t.Errorf("%s: the loop ended with %v, want %v", test.name, v, test.want)
		}
	}
}

// TestEndsMeet ends many loops at the moment when the input, the workers and the loop are
// all at it.
func TestEndsMeet(t *testing.T) {
	for round := range 300 {
		settings := [][]setting{nil, {inAnyOrder}, {keepGoing}, {keepGoing, inAnyOrder}}[round%4]
		ctx, cancel := context.WithCancel(t.Context())
		input := func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
				if round%3 == 0 && i == round {
					cancel()
				}
			}
		}
		fn := failAt(round)
		if round%3 == 0 {
			fn = same
		}
		n := 0
		for range mapSeq(ctx, input, fn, settings...) {
			if n++; n == 2*round {
				break
			}
		}
		cancel()
	}
}
