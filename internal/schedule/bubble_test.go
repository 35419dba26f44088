package schedule

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/testkit"
)

// In a testing/synctest bubble time stands still while any goroutine runs, so that a loop
// which waits for a clock never ends there.

// nap sleeps until ctx ends.
func nap(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func TestItemsThatSleepUnevenlyInABubble(t *testing.T) {
	naps := []time.Duration{1, 3, 2, 2, 5}
	for _, workers := range []int{1, 2, 3, 50} {
		for _, f := range []*cost.Function{new(cost.Function), trusted(1), trusted(time.Second)} {
			synctest.Test(t, func(t *testing.T) {
				out, err := onGoroutines(t.Context(), len(naps), func(ctx context.Context, i int) (int, error) {
					return i, nap(ctx, naps[i]*time.Second)
				}, Config{Workers: workers, Cost: f})
				if err != nil || !slices.Equal(out, testkit.Count(len(naps))) {
					t.Errorf("on %d: %v, %v", workers, out, err)
				}
			})
		}
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			out, err := onGoroutines(ctx, 2, func(ctx context.Context, i int) (int, error) {
				return i, nap(ctx, []time.Duration{1, 30}[i]*time.Second)
			}, Config{Workers: workers})
			if !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(out, testkit.Count(1)) {
				t.Errorf("with a deadline on %d: %v, %v", workers, out, err)
			}
		})
	}
}

// TestSlowItemsAreSharedInABubble has a chunk of many items that all turn out to take long.
// Time passes only if all goroutines wait, so it tells how many ran at once.
func TestSlowItemsAreSharedInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		out, err := onGoroutines(t.Context(), 100, func(ctx context.Context, i int) (int, error) {
			return i, nap(ctx, time.Second)
		}, Config{Workers: 10, Cost: trusted(1)})
		if err != nil || !slices.Equal(out, testkit.Count(100)) {
			t.Errorf("%v, %v", out, err)
		}
		if took := time.Since(begin); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("100 items of 1 s on 10 goroutines took %v", took)
		}
	})
}

func TestInputThatEndsLateInABubble(t *testing.T) {
	for _, workers := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			naps := []time.Duration{1, 3, 2}
			c := New(t.Context(), Config{Workers: workers, Total: -1, Cost: new(cost.Function), Errors: testErrors{}})
			go func() {
				for range naps {
					time.Sleep(time.Second) // allowed: fake time, in a bubble
					c.Extend(1)
				}
				time.Sleep(10 * time.Second) // allowed: fake time, in a bubble
				c.CloseInput()
			}()
			out := make([]int, len(naps))
			c.RunGoroutines(&job{func(ctx context.Context, i int) (int, error) { return i, nap(ctx, naps[i]*time.Second) }, out})
			if n, err := c.Outcome(); n != len(naps) || err != nil || !slices.Equal(out, testkit.Count(len(naps))) {
				t.Errorf("%d results, %v", n, err)
			}
		})
	}
}

// TestInputThatIsNotClosedInABubble has the call end while its runners wait for the input.
func TestInputThatIsNotClosedInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := New(ctx, Config{Workers: 3, Total: -1, Cost: new(cost.Function), Errors: testErrors{}})
		defer c.Watch()()
		c.Extend(5)
		c.RunGoroutines(&job{fn: same})
		n, err := c.Outcome()
		if want := "ended after 5 of -1: context deadline exceeded (context deadline exceeded)"; n != 5 || err.Error() != want {
			t.Errorf("%d results, error %q", n, err)
		}
	})
}
