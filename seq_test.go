package parallel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/testkit"
)

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

func TestMapSeqYieldsAllInOrder(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		for _, n := range []int{0, 1, 100, 20_000} {
			out, errs := collect(MapSeq(t.Context(), slices.Values(testkit.Count(n)), testkit.Double, where))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if len(out) != n {
				t.Fatalf("%d results of %d items", len(out), n)
			}
			for i, r := range out {
				if r != 2*i {
					t.Fatalf("result %d is %d", i, r)
				}
			}
		}
	})
}

func TestMapSeqUnordered(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		out, errs := collect(MapSeq(t.Context(), slices.Values(testkit.Count(5000)), testkit.Double, where, Unordered()))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		slices.Sort(out)
		for i, r := range out {
			if r != 2*i {
				t.Fatalf("result %d is %d", i, r)
			}
		}
		if len(out) != 5000 {
			t.Errorf("%d results", len(out))
		}
	})
}

// TestMapSeqUnorderedOvertakes has the first item wait until the second has been
// yielded.
func TestMapSeqUnorderedOvertakes(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		dir := t.TempDir()
		second := filepath.Join(dir, "second")
		items := []testkit.Step{{Wait: second}, {Wait: dir}}
		var got []string
		for r, err := range MapSeq(t.Context(), slices.Values(items), testkit.Gate, where, Unordered()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
			if r == dir {
				_ = testkit.Touch(t.Context(), second)
			}
		}
		if !slices.Equal(got, []string{dir, second}) {
			t.Errorf("yielded %q, want the second item first", got)
		}
	})
}

func TestMapSeqFailure(t *testing.T) {
	for _, opts := range [][]Option{nil, {Unordered()}} {
		t.Run(fmt.Sprint("options=", len(opts)), func(t *testing.T) {
			everywhere(t, 3, func(t *testing.T, where Option) {
				out, errs := collect(MapSeq(t.Context(), slices.Values(testkit.Count(1000)), failAt, append(opts, where)...))
				slices.Sort(out)
				var item *ItemError
				if len(errs) != 1 || !errors.As(errs[0], &item) || item.Index != 100 {
					t.Fatalf("errors %v, want that of item 100", errs)
				}
				if len(opts) == 0 && !slices.Equal(out, testkit.Count(100)) {
					t.Errorf("%d results before the failure, want 100", len(out))
				}
				if !slices.Equal(out[:min(len(out), 100)], testkit.Count(100)) {
					t.Errorf("results %v lack some from before the failure", out)
				}
			})
		})
	}
}

func TestMapSeqKeepGoing(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		i := 0
		for r, err := range MapSeq(t.Context(), slices.Values(testkit.Count(1000)), failAt, where, KeepGoing()) {
			var item *ItemError
			if failed := i%200 == 100; failed != (err != nil) || !failed && r != i {
				t.Fatalf("pair %d is %d, %v", i, r, err)
			} else if failed && (!errors.As(err, &item) || item.Index != i) {
				t.Fatalf("pair %d has error %v", i, err)
			}
			i++
		}
		if i != 1000 {
			t.Errorf("%d pairs, want 1000", i)
		}
	})
}

// TestMapSeqReadsAheadWithinBounds looks at how many items have been read when the loop takes
// one, with fast items that are small when encoded, and with some that are not.
func TestMapSeqReadsAheadWithinBounds(t *testing.T) {
	for _, p := range places {
		most := 256
		if p.process {
			most = 4096
		}
		t.Run(p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			checkReadAhead(t, testkit.Double, func(i int) int { return i }, most, p)
		})
		t.Run("large/"+p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			checkReadAhead(t, firstOf, func(i int) (large [256]byte) { large[0] = byte(i); return large }, 256, p)
		})
		t.Run("text/"+p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			checkReadAhead(t, lengthOf, func(i int) string { return strings.Repeat("x", 256+i%10) }, 256, p)
		})
	}
}

func firstOf(_ context.Context, large [256]byte) (byte, error) { return large[0], nil }

func lengthOf(_ context.Context, text string) (int, error) { return len(text), nil }

// checkReadAhead checks that no more than so many items per worker are read ahead of the loop.
func checkReadAhead[T, R any](t *testing.T, fn func(context.Context, T) (R, error), item func(i int) T, most int, p place) {
	const workers = 2
	var read atomic.Int64
	input := func(yield func(T) bool) {
		for i := range 100_000 {
			read.Add(1)
			if !yield(item(i)) {
				return
			}
		}
	}
	taken := int64(0)
	for _, err := range MapSeq(t.Context(), input, fn, p.opt(t, workers)) {
		if err != nil {
			t.Fatal(err)
		}
		taken++
		if ahead := read.Load() - taken; ahead > int64(most*workers) {
			t.Fatalf("%d items were read ahead of the %d taken", ahead, taken)
		}
		if taken == 20_000 {
			break
		}
	}
	if n := read.Load(); n > int64(20_000+most*workers) {
		t.Errorf("%d items were read when 20000 had been taken", n)
	}
}

// TestMapSeqOfResultsWithoutSize has results whose encoding is empty.
func TestMapSeqOfResultsWithoutSize(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		for _, opts := range [][]Option{{where}, {where, Unordered()}} {
			out, errs := collect(MapSeq(t.Context(), slices.Values(testkit.Count(3000)), forget, opts...))
			if len(out) != 3000 || len(errs) > 0 {
				t.Errorf("%d results, errors %v", len(out), errs)
			}
		}
	})
}

func forget(context.Context, int) (struct{}, error) { return struct{}{}, nil }

func init() {
	Register(firstOf)
	Register(lengthOf)
	Register(forget)
}

// TestMapSeqReadsLittleAheadOfSlowItems lets items wait until the input has been
// read as far as it will be.
func TestMapSeqReadsLittleAheadOfSlowItems(t *testing.T) {
	const workers = 2
	everywhere(t, workers, func(t *testing.T, where Option) {
		dir := t.TempDir()
		open := filepath.Join(dir, "open")
		var read atomic.Int64
		input := func(yield func(testkit.Step) bool) {
			for range 100 {
				if read.Add(1); !yield(testkit.Step{Wait: open}) {
					return
				}
			}
		}
		go func() {
			for read.Load() < 16*workers {
				time.Sleep(time.Millisecond) // allowed: paces the polling
			}
			_ = testkit.Touch(t.Context(), open)
		}()
		first := true
		for _, err := range MapSeq(t.Context(), input, testkit.Gate, where) {
			if err != nil {
				t.Fatal(err)
			}
			if n := read.Load(); first && n > 16*workers+1 {
				t.Errorf("%d items were read before the first result, want %d", n, 16*workers)
			}
			first = false
			break
		}
	})
}

// TestMapSeqYieldsWhileInputBlocks takes each result before the input gives the
// next item.
func TestMapSeqYieldsWhileInputBlocks(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		taken := make(chan struct{})
		input := func(yield func(int) bool) {
			for i := range 5 {
				if !yield(i) {
					return
				}
				select {
				case <-taken:
				case <-time.After(20 * time.Second):
					t.Errorf("result %d was not yielded while the input waited", i)
					return
				}
			}
		}
		n := 0
		for r, err := range MapSeq(t.Context(), input, testkit.Double, where) {
			if err != nil || r != 2*n {
				t.Fatalf("pair %d is %d, %v", n, r, err)
			}
			n++
			taken <- struct{}{}
		}
		if n != 5 {
			t.Errorf("%d results", n)
		}
	})
}

// TestMapSeqBreakEndsRunningItems leaves the loop while items run that would
// never end by themselves.
func TestMapSeqBreakEndsRunningItems(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		dir := t.TempDir()
		items := []testkit.Step{{Wait: dir}, {Make: filepath.Join(dir, "1")}, {Make: filepath.Join(dir, "2")}}
		for _, err := range MapSeq(t.Context(), slices.Values(items), testkit.Gate, where) {
			if err != nil {
				t.Fatal(err)
			}
			testkit.WaitFor(t, "items 1 and 2 to run", func() bool { return testkit.Exists(items[1].Make) && testkit.Exists(items[2].Make) })
			break
		}
	})
}

func TestMapSeqContextEnds(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		cause := errors.New("enough")
		endless := func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
			}
		}
		var last error
		n := 0
		for _, err := range MapSeq(ctx, endless, testkit.Double, where) {
			if last != nil {
				t.Fatal("a pair after the error")
			}
			if last = err; err == nil {
				n++
			}
			if n == 100 {
				cancel(cause)
			}
		}
		if !errors.Is(last, cause) {
			t.Errorf("the loop ended with %v, want the cause", last)
		}
	})
}

func TestMapSeqPanicOfInputGoesOnInTheLoop(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		n := 0
		defer func() {
			if v := recover(); v != "bad input" || n != 3 {
				t.Errorf("recovered %v after %d results, want the input's panic after 3", v, n)
			}
		}()
		input := func(yield func(int) bool) {
			for i := range 3 {
				yield(i)
			}
			panic("bad input")
		}
		for range MapSeq(t.Context(), input, testkit.Double, where) {
			n++
		}
	})
}

func TestMapSeqPanicInTheLoopLeavesNothing(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		defer func() {
			if v := recover(); v != "in the loop" {
				t.Errorf("recovered %v", v)
			}
		}()
		for range MapSeq(t.Context(), slices.Values(testkit.Count(1000)), testkit.Double, where) {
			panic("in the loop")
		}
	})
}

func TestMapSeqCanBeRangedOverAgain(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		seq := MapSeq(t.Context(), slices.Values(testkit.Count(10)), testkit.Double, where)
		first, _ := collect(seq)
		second, _ := collect(seq)
		if len(first) != 10 || !slices.Equal(first, second) {
			t.Errorf("%v, then %v", first, second)
		}
	})
}

func TestMapSeqProgress(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		var seen []int
		_, errs := collect(MapSeq(t.Context(), slices.Values(testkit.Count(100)), testkit.Double, where, OnProgress(func(done, total int) {
			if total != -1 {
				t.Errorf("total is %d", total)
			}
			seen = append(seen, done)
		})))
		if len(errs) > 0 || !slices.Equal(seen, testkit.Count(101)[1:]) {
			t.Errorf("%v, progress %v", errs, seen)
		}
	})
}

// TestRefusedMapSeqReadsNothing has an input that would block for ever.
func TestRefusedMapSeqReadsNothing(t *testing.T) {
	testkit.CheckLeaks(t)
	closed := &ProcessPool{}
	closed.Close()
	for want, seq := range map[error]func(func(int) bool){
		ErrNotRegistered: func(yield func(int) bool) { t.Error("the input was read") },
		ErrPoolClosed:    func(yield func(int) bool) { t.Error("the input was read") },
	} {
		fn, where := notRegistered, Processes(1)
		if want == ErrPoolClosed {
			fn, where = testkit.Double, On(closed)
		}
		_, errs := collect(MapSeq(t.Context(), seq, fn, where))
		if len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("errors %v, want %v", errs, want)
		}
	}
}
