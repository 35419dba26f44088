//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/wire"
)

// Workers that do what no worker should with what they were given: the parent neither panics
// nor hangs, and only the items that they run may fail.

func TestHostileWorkers(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		sideBySide(t, mischiefs, func(t *testing.T, how string) {
			pool := testPool(t, &parallel.ProcessPool{
				Size: 2, StartTimeout: 2 * time.Second, KillDelay: 20 * time.Millisecond, Stdout: io.Discard, Stderr: io.Discard,
			})
			items := make([]mischief, 100)
			dir, runs := strayDir(t), t.TempDir()
			for i := range items {
				items[i].N, items[i].Runs = i, filepath.Join(runs, strconv.Itoa(i))
			}
			items[2].How, items[2].Dir = how, dir
			// An item that neither ends nor sends anything is over its time.
			begun := time.Now()
			out, err := parallel.Map(testkit.Patient(t), items, misbehave, parallel.On(pool),
				parallel.KeepGoing(), parallel.ItemTimeout(time.Second))
			t.Logf("after %v: %v", time.Since(begun), err)
			spoilt := checkSpoilt(t, err)
			for i, n := range out {
				// What it says of items that it was given is its word.
				if n != i && !spoilt[i] && !touchesSegment(how) {
					t.Errorf("result %d is %d", i, n)
				}
			}
			checkRuns(t, items, spoilt)
			out, err = parallel.Map(testkit.Patient(t), testkit.Count(100), testkit.Double, parallel.On(pool))
			if err != nil || len(out) != 100 {
				t.Errorf("afterwards: %v, %v", out, err)
			}
		})
	})
}

// checkSpoilt returns the items that failed. Those of others than the hostile one's, which is
// the third, must have been given to the same worker, and it must have broken the protocol or
// destroyed what says which item it was running.
func checkSpoilt(t *testing.T, err error) (spoilt map[int]bool) {
	spoilt = map[int]bool{2: true}
	pids := make(map[int]bool)
	for _, e := range itemErrors(err) {
		var crash *parallel.CrashError
		if errors.As(e, &crash) {
			pids[crash.PID] = true
		}
		if e.Index == 2 {
			continue
		}
		spoilt[e.Index] = true
		if text := e.Error(); crash == nil || !strings.Contains(text, "broke the protocol") && !strings.Contains(text, "destroyed what says") {
			t.Errorf("an innocent item failed: %v", e)
		}
	}
	if len(pids) > 1 { // that one may have had all of them, if they were thought to be cheap
		t.Errorf("%d items failed, of %d workers", len(spoilt), len(pids))
	}
	return spoilt
}

// checkRuns checks that no item has run twice, and that each one that has not failed has run.
func checkRuns(t *testing.T, items []mischief, spoilt map[int]bool) {
	for i, item := range items {
		runs, _ := os.ReadFile(item.Runs)
		if n := strings.Count(string(runs), "\n"); n > 1 || n == 0 && !spoilt[i] {
			t.Errorf("item %d ran %d times", i, n)
		}
	}
}

// TestHostileWorkerCannotHoldACallThatEnds has the call cancelled while a worker does not
// listen.
func TestHostileWorkerCannotHoldACallThatEnds(t *testing.T) {
	for _, how := range []string{"it takes no hints", "it stops", "it stops reading", "a flood of records", "a stray keeps its pipes"} {
		t.Run(how, func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: 2, KillDelay: 20 * time.Millisecond, StartTimeout: time.Second})
			dir := strayDir(t)
			runs := filepath.Join(dir, "runs")
			ctx, cancel := context.WithCancel(testkit.Patient(t))
			go func() {
				for !testkit.Exists(runs) && ctx.Err() == nil {
					time.Sleep(time.Millisecond) // allowed: paces the polling
				}
				cancel()
			}()
			items := []mischief{{How: how, Dir: dir}, {How: "a flood of records"}, {How: "it signs and waits", Dir: dir}}
			_, err := parallel.Map(ctx, items, misbehave, parallel.On(pool), parallel.KeepGoing())
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func init() { parallel.Register(sayTwice) }

// sayTwice says twice how it ended, and then ends.
func sayTwice(context.Context, int) (int, error) {
	record := outcome(wire.RecordResult, current(), make([]byte, 8))
	results(append(record, record...))
	return 0, nil
}

// TestBreachIsNotTheNextCalls has a worker break the protocol with its last words in a
// call. The next call has nothing to do with that.
func TestBreachIsNotTheNextCalls(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	for range 20 {
		_, _ = parallel.Map(testkit.Patient(t), testkit.Count(1), sayTwice, parallel.On(pool))
		for _, n := range []int{1, 3} {
			if _, err := parallel.Map(testkit.Patient(t), testkit.Count(n), testkit.Double, parallel.On(pool)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
