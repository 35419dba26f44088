package parallel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/testkit"
)

// yieldJob is what a job is here: one that is told to yield.
type yieldJob interface {
	schedule.Job
	schedule.Yielder
}

// yieldingJobs are a Map and a ForEach of n items, which call f with each.
func yieldingJobs(n int, f func(i int) error) map[string]yieldJob {
	items := testkit.Count(n)
	return map[string]yieldJob{
		"Map":     newMapJob(items, make([]int, n), func(_ context.Context, i int) (int, error) { return i, f(i) }),
		"ForEach": newEachJob(items, func(_ context.Context, i int) error { return f(i) }),
	}
}

// runTo runs items from..9 of j once, in a goroutine of its own, and returns where it came to,
// what it panicked with, and its error.
func runTo(j yieldJob, from int) (at int, panicked any, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = j.Run(context.Background(), schedule.Span{Lo: from, Hi: 10}, &at, nil)
	}()
	<-done
	return at, panicked, err
}

// TestLoopsYield has the loops yield at an item that ends in some way. An item is run each
// time even if the yield stands: else a runner that keeps its chunk would get nowhere.
func TestLoopsYield(t *testing.T) {
	errOwn := errors.New("own")
	errWraps := fmt.Errorf("wraps: %w", schedule.ErrYield) // no more than an error
	for _, test := range []struct {
		name     string
		at       func(j yieldJob, i int) error // item 5
		stop     int
		err      error
		panicked any
	}{
		{"nothing happens", func(yieldJob, int) error { return nil }, 10, nil, nil},
		{"raised", func(j yieldJob, _ int) error { j.Yield(true); return nil }, 6, nil, nil},
		{"raised and taken back", func(j yieldJob, _ int) error { j.Yield(true); j.Yield(false); return nil }, 10, nil, nil},
		{"raised, error", func(j yieldJob, _ int) error { j.Yield(true); return errOwn }, 5, errOwn, nil},
		{"raised, error that wraps", func(j yieldJob, _ int) error { j.Yield(true); return errWraps }, 5, errWraps, nil},
		{"raised, panic", func(j yieldJob, _ int) error { j.Yield(true); panic("oh") }, 5, nil, "oh"},
		{"raised, Goexit", func(j yieldJob, _ int) error { j.Yield(true); runtime.Goexit(); return nil }, 5, nil, nil},
		{"error", func(yieldJob, int) error { return errOwn }, 5, errOwn, nil},
		{"panic", func(yieldJob, int) error { panic("oh") }, 5, nil, "oh"},
		{"Goexit", func(yieldJob, int) error { runtime.Goexit(); return nil }, 5, nil, nil},
		{"raised, nested call", func(j yieldJob, _ int) error {
			j.Yield(true)
			out, err := Map(context.Background(), testkit.Count(100), squared)
			if len(out) != 100 {
				return errOwn
			}
			return err
		}, 6, nil, nil},
	} {
		for place := range yieldingJobs(0, nil) {
			var j yieldJob
			var ran []int
			j = yieldingJobs(10, func(i int) error {
				if ran = append(ran, i); i == 5 {
					return test.at(j, i)
				}
				return nil
			})[place]
			at, panicked, err := runTo(j, 2)
			if at != test.stop || err != test.err || panicked != test.panicked {
				t.Errorf("%s, %s: came to %d with %v, panic %v; want %d, %v, %v", place, test.name, at, err, panicked, test.stop, test.err, test.panicked)
			}
			if want := testkit.Count(max(6, test.stop))[2:]; !slices.Equal(ran, want) {
				t.Errorf("%s, %s: items %v ran, want %v", place, test.name, ran, want)
			}
		}
	}
}

// TestLoopsRunAnItemWhileAYieldStands runs all items although the loops are to yield all the
// time: one each time.
func TestLoopsRunAnItemWhileAYieldStands(t *testing.T) {
	for _, place := range []string{"Map", "ForEach"} {
		var ran []int
		j := yieldingJobs(10, func(i int) error { ran = append(ran, i); return nil })[place]
		j.Yield(true)
		for i := range 10 {
			if at, _, err := runTo(j, i); at != i+1 || err != nil || !slices.Equal(ran, testkit.Count(i+1)) {
				t.Errorf("%s: from item %d came to %d with %v; items %v ran", place, i, at, err, ran)
			}
		}
	}
}
