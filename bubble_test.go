package parallel

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// In a testing/synctest bubble time stands still while any goroutine runs, so that a
// loop which waits for a clock never ends there.

func nap(ctx context.Context, seconds int) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Duration(seconds) * time.Second):
		return seconds, nil
	}
}

func TestItemsThatSleepUnevenlyInABubble(t *testing.T) {
	naps := []int{1, 3, 2, 2, 5}
	for _, n := range []int{1, 2, 3, 50} {
		synctest.Test(t, func(t *testing.T) {
			if out, err := Map(t.Context(), naps, nap, Goroutines(n)); err != nil || !slices.Equal(out, naps) {
				t.Errorf("Map on %d: %v, %v", n, out, err)
			}
			each := func(ctx context.Context, s int) error { _, err := nap(ctx, s); return err }
			if err := ForEach(t.Context(), naps, each, Goroutines(n)); err != nil {
				t.Errorf("ForEach on %d: %v", n, err)
			}
			err := ForEach(t.Context(), []int{1, 30}, each, Goroutines(n), ItemTimeout(5*time.Second))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ForEach with a limit on %d: %v", n, err)
			}
		})
	}
}

func TestInputThatEndsLateInABubble(t *testing.T) {
	for _, opts := range [][]Option{{Goroutines(1)}, {Goroutines(2)}, {Goroutines(3), Unordered()}} {
		synctest.Test(t, func(t *testing.T) {
			late := func(yield func(int) bool) {
				for _, s := range []int{1, 3, 2} {
					time.Sleep(time.Second) // allowed: fake time, in a bubble
					if !yield(s) {
						return
					}
				}
				time.Sleep(10 * time.Second) // allowed: fake time, in a bubble
			}
			sum := 0
			for s, err := range MapSeq(t.Context(), late, nap, opts...) {
				if err != nil {
					t.Error(err)
				}
				sum += s
			}
			if sum != 6 {
				t.Errorf("the results add up to %d, want 6", sum)
			}
		})
	}
}
