package supervisor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// Calls in worker processes from a testing/synctest bubble, whose time stands still meanwhile.
// A pool may be used there and elsewhere.

// inABubble runs test in one.
func inABubble(t *testing.T, test func(t *testing.T)) {
	if runtime.GOOS == "windows" {
		t.Skip("its pipes have no deadlines, so that no limit of time holds in a bubble")
	}
	synctest.Test(t, test)
}

// doubles runs items where it is told.
func doubles(t *testing.T, where parallel.Option) {
	t.Helper()
	out, err := parallel.Map(t.Context(), testkit.Count(100), testkit.Double, where)
	if err != nil || len(out) != 100 || out[99] != 198 {
		t.Errorf("%v, %v", out, err)
	}
}

// TestPoolInAndOutOfBubbles uses a pool outside of bubbles and in several, in turn and at once.
func TestPoolInAndOutOfBubbles(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		where := parallel.On(pool)
		inABubble(t, func(t *testing.T) { doubles(t, where) })
		doubles(t, where)
		kept := pool.Stats().Workers
		busy, finish := occupy(t, pool)
		for range 2 {
			inABubble(t, func(t *testing.T) {
				doubles(t, where)
				for range 3 {
					task := parallel.Spawn(t.Context(), testkit.PID, 0, where)
					if pid, err := task.Wait(); err != nil || pid == os.Getpid() || pid == busy {
						t.Errorf("a task ran in %d, %v", pid, err)
					}
				}
				n := 0
				for r, err := range parallel.MapSeq(t.Context(), slices.Values(testkit.Count(1000)), testkit.Double, where) {
					if n++; err != nil || r != 2*(n-1) {
						t.Errorf("result %d, %v", r, err)
					}
				}
				for range parallel.MapSeq(t.Context(), slices.Values(testkit.Count(1000)), testkit.Double, where) {
					break
				}
				if n != 1000 {
					t.Errorf("%d results", n)
				}
			})
		}
		finish()
		doubles(t, where)
		if s := pool.Stats(); s.Workers < kept || s.Workers > pool.Size || s.Died != 0 || s.Items < 1000 {
			t.Errorf("%+v, want at least %d workers, as before, none of the bubbles', and all items counted", s, kept)
		}
	})
}

// TestCloseInABubble closes a pool in a bubble whose workers are outside, and the other way
// round.
func TestCloseInABubble(t *testing.T) {
	testkit.CheckLeaks(t)
	for range 5 {
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		doubles(t, parallel.On(pool))
		inABubble(t, func(t *testing.T) {
			pool.Close()
			if s := pool.Stats(); s.Workers != 0 {
				t.Errorf("%d workers are left", s.Workers)
			}
			_, err := parallel.Map(t.Context(), testkit.Count(1), testkit.Double, parallel.On(pool))
			if !errors.Is(err, parallel.ErrPoolClosed) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	var pool *parallel.ProcessPool
	inABubble(t, func(t *testing.T) {
		pool = &parallel.ProcessPool{Size: 2}
		doubles(t, parallel.On(pool)) // and leaves nothing that would keep the bubble from ending
	})
	doubles(t, parallel.On(pool))
	pool.Close()
}

// TestCloseWaitsForACallInABubble closes a pool while a call from a bubble runs.
func TestCloseWaitsForACallInABubble(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	dir := t.TempDir()
	runs, open := filepath.Join(dir, "runs"), filepath.Join(dir, "open")
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
		go func() {
			testkit.WaitFor(t, "the pool to be closed", inner(pool).Closed)
			_ = testkit.Touch(context.Background(), open)
		}()
		pool.Close()
	}()
	inABubble(t, func(t *testing.T) {
		_, err := parallel.Map(t.Context(), []testkit.Step{{Make: runs, Wait: open}}, testkit.Gate, parallel.On(pool))
		if err != nil {
			t.Error(err)
		}
	})
	<-closed
}

// TestLimitsInABubble has items and workers run over each limit of time, which hold though the
// bubble's time stands still.
func TestLimitsInABubble(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := &parallel.ProcessPool{Size: 1, KillDelay: 10 * time.Millisecond}
	deaf := []testkit.Step{{Deaf: true}}
	var crash *parallel.CrashError
	inABubble(t, func(t *testing.T) {
		_, err := parallel.Map(t.Context(), deaf, testkit.Gate, parallel.On(pool), parallel.ItemTimeout(20*time.Millisecond))
		if !errors.As(err, &crash) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an item over its time: %v", err)
		}
	})
	runs := filepath.Join(t.TempDir(), "runs")
	for limit := 20 * time.Millisecond; !testkit.Exists(runs); limit *= 2 { // until the item begins in time
		inABubble(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := parallel.Map(ctx, []testkit.Step{{Deaf: true, Make: runs}}, testkit.Gate, parallel.On(pool))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call over its time: %v", err)
			}
		})
	}
	inABubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		runs := filepath.Join(t.TempDir(), "runs")
		go func() {
			for !testkit.Exists(runs) {
				runtime.Gosched()
			}
			cancel()
		}()
		_, err := parallel.Map(ctx, []testkit.Step{{Deaf: true, Make: runs}}, testkit.Gate, parallel.Processes(1))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a call that is cancelled: %v", err)
		}
	})
	if s := pool.Stats(); s.Died != 2 {
		t.Errorf("%+v, want 2 deaths", s)
	}
	pool.Close()
}

// TestStartTimeoutInABubble has a worker that never reaches Init.
func TestStartTimeoutInABubble(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, StartTimeout: 50 * time.Millisecond, Stderr: io.Discard, Env: []string{startEnv + "=hang"}})
	inABubble(t, func(t *testing.T) {
		_, err := parallel.Map(t.Context(), testkit.Count(1), testkit.Double, parallel.On(pool))
		if err == nil || !strings.Contains(err.Error(), "within the StartTimeout") {
			t.Errorf("error %v", err)
		}
	})
}
