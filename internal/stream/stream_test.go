package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
)

// testErrors makes the errors of tests.
type testErrors struct{}

type itemError struct {
	index      int
	err, cause error
}

func (e *itemError) Error() string   { return fmt.Sprintf("item %d: %v (%v)", e.index, e.err, e.cause) }
func (e *itemError) Unwrap() []error { return []error{e.err, e.cause} }

type endedError struct {
	done, total int
	cause, also error
}

func (e *endedError) Error() string {
	return fmt.Sprintf("ended after %d of %d: %v (%v)", e.done, e.total, e.cause, e.also)
}
func (e *endedError) Unwrap() []error { return []error{e.cause, e.also} }

var errGoexit = errors.New("runtime.Goexit was called")

type panicError string

func (e panicError) Error() string { return "panic: " + string(e) }

func (testErrors) Item(i int, err, cause error) error { return &itemError{i, err, cause} }
func (testErrors) Join(f []schedule.Failure) error    { return f[0].Err }

func (testErrors) Ended(done, total int, cause, also error) error {
	return &endedError{done, total, cause, also}
}

func (testErrors) Recovered(v any) error {
	if v == nil {
		return errGoexit
	}
	return panicError(fmt.Sprint(v))
}

// setting changes how a test's stream is made.
type setting func(c *schedule.Config, o *Options)

func keepGoing(c *schedule.Config, _ *Options)  { c.KeepGoing = true }
func inAnyOrder(_ *schedule.Config, o *Options) { o.Unordered = true }
func workers(n int) setting                     { return func(c *schedule.Config, _ *Options) { c.Workers = n } }

// newStream makes a stream on two workers, unless settings say otherwise.
func newStream[T, R any](ctx context.Context, items iter.Seq[T], fn func(context.Context, T) (R, error), settings ...setting) *Stream[T, R] {
	c, o := schedule.Config{Workers: 2, Cost: new(cost.Function), Errors: testErrors{}}, Options{}
	for _, set := range settings {
		set(&c, &o)
	}
	return New(ctx, c, items, fn, o)
}

// onGoroutines runs s as MapSeq does.
func (s *Stream[T, R]) onGoroutines(yield func(R, error) bool) {
	s.Loop(passes, func(c *schedule.Call) error { c.RunGoroutines(s); return nil }, yield)
}

func passes() error { return nil }

// mapSeq is MapSeq on goroutines.
func mapSeq[T, R any](ctx context.Context, items iter.Seq[T], fn func(context.Context, T) (R, error), settings ...setting) iter.Seq2[R, error] {
	return newStream(ctx, items, fn, settings...).onGoroutines
}

// collect ranges over seq to its end.
func collect[R any](seq iter.Seq2[R, error]) (out []R, errs []error) {
	for r, err := range seq {
		if err != nil {
			errs = append(errs, err)
		} else {
			out = append(out, r)
		}
	}
	return out, errs
}

// upTo is 0, 1, … n−1.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}

// numbers is upTo as a slice.
func numbers(n int) []int { return slices.AppendSeq(make([]int, 0, n), upTo(n)) }

func same(_ context.Context, i int) (int, error) { return i, nil }

var errBad = errors.New("bad")

func failAt(bad int) func(context.Context, int) (int, error) {
	return func(_ context.Context, i int) (int, error) {
		if i%1000 == bad {
			return 0, errBad
		}
		return i, nil
	}
}

// isItem reports whether err is the failure of item i for the given reason.
func isItem(err error, i int, reason error) bool {
	var item *itemError
	return errors.As(err, &item) && item.index == i && errors.Is(item.err, reason)
}

func TestResultsComeInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 100, 20_000} {
		for _, on := range []int{1, 2, 7} {
			out, errs := collect(mapSeq(t.Context(), upTo(n), same, workers(on)))
			if len(errs) > 0 || !slices.Equal(out, numbers(n)) {
				t.Errorf("%d items on %d workers: %d results, errors %v", n, on, len(out), errs)
			}
		}
	}
}

func TestUnorderedYieldsAll(t *testing.T) {
	for _, on := range []int{1, 2, 7} {
		out, errs := collect(mapSeq(t.Context(), upTo(5000), same, inAnyOrder, workers(on)))
		slices.Sort(out)
		if len(errs) > 0 || !slices.Equal(out, numbers(5000)) {
			t.Errorf("on %d workers: %d results, errors %v", on, len(out), errs)
		}
	}
}

// TestUnevenItems has the loop, the workers and the input wait for one another in turn.
func TestUnevenItems(t *testing.T) {
	for _, settings := range [][]setting{nil, {inAnyOrder}, {keepGoing}, {keepGoing, inAnyOrder}, {workers(5)}} {
		synctest.Test(t, func(t *testing.T) {
			input := func(yield func(int) bool) {
				for i := range 500 {
					if i%100 == 0 {
						time.Sleep(time.Second) // allowed: fake time, in a bubble
					}
					if !yield(i) {
						t.Error("the input is ended")
					}
				}
			}
			fn := func(_ context.Context, i int) (int, error) {
				time.Sleep(time.Duration(i*i%7) * time.Millisecond) // allowed: fake time, in a bubble
				return i, nil
			}
			var out []int
			for i, err := range mapSeq(t.Context(), input, fn, settings...) {
				if err != nil {
					t.Error(err)
				}
				if out = append(out, i); i%50 == 0 {
					time.Sleep(time.Second) // allowed: fake time, in a bubble
				}
			}
			if slices.Sort(out); !slices.Equal(out, numbers(500)) {
				t.Errorf("results %v", out)
			}
		})
	}
}

func TestUnorderedOvertakes(t *testing.T) {
	second := make(chan struct{})
	fn := func(_ context.Context, i int) (int, error) {
		if i == 0 {
			<-second
		}
		return i, nil
	}
	var got []int
	for i, err := range mapSeq(t.Context(), upTo(2), fn, inAnyOrder) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, i); i == 1 {
			close(second)
		}
	}
	if !slices.Equal(got, []int{1, 0}) {
		t.Errorf("yielded %v, want the second item first", got)
	}
}

// TestUnorderedOvertakesByAnyDistance has one item wait until many more than the ring of a
// stream in order could hold were yielded.
func TestUnorderedOvertakesByAnyDistance(t *testing.T) {
	const n = 10 * aheadFast
	all := make(chan struct{})
	fn := func(_ context.Context, i int) (int, error) {
		if i == 0 {
			<-all
		}
		return i, nil
	}
	var got []int
	for i := range mapSeq(t.Context(), upTo(n), fn, inAnyOrder) {
		if got = append(got, i); len(got) == n-1 {
			close(all)
		}
	}
	if len(got) != n || got[n-1] != 0 {
		t.Errorf("%d results, the last %d", len(got), got[len(got)-1])
	}
}

func TestYieldsWhileTheInputBlocks(t *testing.T) {
	for _, settings := range [][]setting{nil, {inAnyOrder}} {
		taken := make(chan struct{})
		input := func(yield func(int) bool) {
			for i := 0; i < 5 && yield(i); i++ {
				<-taken
			}
		}
		n := 0
		for i, err := range mapSeq(t.Context(), input, same, settings...) {
			if err != nil || i != n {
				t.Fatalf("pair %d is %d, %v", n, i, err)
			}
			n++
			taken <- struct{}{}
		}
		if n != 5 {
			t.Errorf("%d results", n)
		}
	}
}

func TestFailureEndsTheLoop(t *testing.T) {
	out, errs := collect(mapSeq(t.Context(), upTo(10_000), failAt(100)))
	if len(errs) != 1 || !isItem(errs[0], 100, errBad) {
		t.Fatalf("errors %v, want that of item 100", errs)
	}
	if !slices.Equal(out, numbers(100)) {
		t.Errorf("%d results before the failure, want 100", len(out))
	}
}

func TestFailureEndsTheUnorderedLoop(t *testing.T) {
	out, errs := collect(mapSeq(t.Context(), upTo(10_000), failAt(100), inAnyOrder))
	if len(errs) != 1 || !isItem(errs[0], 100, errBad) {
		t.Fatalf("errors %v, want that of item 100", errs)
	}
	if slices.Sort(out); len(out) < 100 || !slices.Equal(out[:100], numbers(100)) {
		t.Errorf("results %v lack some from before the failure", out)
	}
}

// TestLowestFailureEndsTheUnorderedLoop has item 3 fail before item 1, and item 0 succeed
// last.
func TestLowestFailureEndsTheUnorderedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := func(ctx context.Context, i int) (int, error) {
			time.Sleep(time.Duration(10-i) * time.Second) // allowed: fake time, in a bubble
			if i%2 == 1 {
				return 0, errBad
			}
			return i, nil
		}
		out, errs := collect(mapSeq(t.Context(), upTo(5), fn, inAnyOrder, workers(5)))
		// Item 4 is done before any has failed, and item 2 before item 1 has.
		if !slices.Equal(out, []int{4, 2, 0}) || len(errs) != 1 || !isItem(errs[0], 1, errBad) {
			t.Errorf("results %v, errors %v", out, errs)
		}
	})
}

func TestKeepGoingYieldsAPairForEachItem(t *testing.T) {
	for _, settings := range [][]setting{{keepGoing}, {keepGoing, inAnyOrder}} {
		seen := make([]int, 10_000)
		n := 0
		for i, err := range mapSeq(t.Context(), upTo(len(seen)), failAt(100), settings...) {
			var item *itemError
			if errors.As(err, &item) {
				if i = item.index; i%1000 != 100 || !isItem(err, i, errBad) {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if seen[i]++; len(settings) == 1 && i != n {
				t.Fatalf("pair %d is that of item %d", n, i)
			}
			n++
		}
		if slices.Max(seen) != 1 || slices.Min(seen) != 1 {
			t.Errorf("pairs of items: %v", seen)
		}
	}
}

func TestPanicAndGoexitOfAnItem(t *testing.T) {
	fn := func(_ context.Context, i int) (int, error) {
		switch i {
		case 3:
			runtime.Goexit()
		case 4:
			panic("oh")
		}
		return i, nil
	}
	for _, settings := range [][]setting{{keepGoing}, {keepGoing, inAnyOrder}} {
		out, errs := collect(mapSeq(t.Context(), upTo(50), fn, settings...))
		if len(out) != 48 || len(errs) != 2 {
			t.Fatalf("%d results, errors %v", len(out), errs)
		}
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		if !isItem(errs[0], 3, errGoexit) || !isItem(errs[1], 4, panicError("oh")) {
			t.Errorf("errors %v", errs)
		}
	}
}

func TestProgress(t *testing.T) {
	var seen []int
	progress := func(c *schedule.Config, _ *Options) {
		c.Progress = func(done, total int) {
			if seen = append(seen, done); total != -1 {
				t.Errorf("total is %d", total)
			}
		}
	}
	_, errs := collect(mapSeq(t.Context(), upTo(100), same, progress))
	if len(errs) > 0 || !slices.Equal(seen, numbers(101)[1:]) {
		t.Errorf("%v, progress %v", errs, seen)
	}
}

// remote runs a stream's items as worker processes do: items and results go by number, several
// at once, and items may be given back after they were looked at.
type remote struct{}

func (remote) Starved()     {}
func (remote) Bounded()     {}
func (remote) Returned(int) {}

func runRemotely(s *Stream[int, int], c *schedule.Call) error {
	c.Attach(remote{}, new(cost.Estimate))
	var servers sync.WaitGroup
	for range c.Config().Workers {
		servers.Go(func() {
			returned := false
			for {
				claimed := c.Claim(5, 1, 0, nil)
				if claimed.Len() == 0 {
					return
				}
				if returned = !returned && claimed.Lo%11 == 3; returned {
					c.GiveBack(claimed)
					continue
				}
				for claimed.Len() > 0 {
					claimed.Lo += runSome(s, c, claimed)
				}
			}
		})
	}
	servers.Wait()
	c.AwaitSettled()
	return nil
}

// runSome runs the first items of claimed, which lie in one piece, and returns how many.
func runSome(s *Stream[int, int], c *schedule.Call, claimed schedule.Span) int {
	items, results := s.Items(claimed), s.Results(claimed)
	n := copy(results, items)
	for k, item := range items {
		s.Encoded(8)
		if item%1000 == 100 {
			n = k
			break
		}
	}
	if n > 0 {
		s.Finish(schedule.Span{Lo: claimed.Lo, Hi: claimed.Lo + n})
		c.Done(n)
		return n
	}
	results[0] = 0
	c.Fail(claimed.Lo, errBad)
	return 1
}

func TestItemsByNumber(t *testing.T) {
	encoded := func(_ *schedule.Config, o *Options) { o.Encoded = true }
	for _, settings := range [][]setting{{}, {inAnyOrder}, {workers(5)}, {encoded}, {encoded, inAnyOrder, workers(5)}} {
		s := newStream(t.Context(), upTo(5000), same, append(settings, keepGoing)...)
		s.call.Cost().Set(time.Microsecond)
		run := func(c *schedule.Call) error { return runRemotely(s, c) }
		out, errs := collect(func(yield func(int, error) bool) { s.Loop(passes, run, yield) })
		want := slices.DeleteFunc(numbers(5000), func(i int) bool { return i%1000 == 100 })
		if slices.Sort(out); !slices.Equal(out, want) || len(errs) != 5 {
			t.Errorf("%d results, errors %v", len(out), errs)
		}
	}
}
