//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
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
			for i := range items {
				items[i].N = i
			}
			items[2].How, items[2].Dir = how, strayDir(t)
			// An item that neither ends nor sends anything is over its time.
			out, err := parallel.Map(testkit.Patient(t), items, misbehave, parallel.On(pool),
				parallel.KeepGoing(), parallel.ItemTimeout(500*time.Millisecond))
			// It may spoil what it has run itself: the results in its segment, which then
			// are the failures of a process that has died.
			spoilt := map[int]bool{2: true}
			for _, e := range itemErrors(err) {
				var crash *parallel.CrashError
				if touchesSegment(how) && errors.As(e, &crash) {
					spoilt[e.Index] = true
				}
				if !spoilt[e.Index] {
					t.Fatalf("an innocent item failed: %v", e)
				}
			}
			if len(spoilt) > 20 {
				t.Errorf("%d items failed", len(spoilt))
			}
			for i, n := range out {
				// What it says of items that it was given is its word.
				if n != i && !spoilt[i] && !touchesSegment(how) {
					t.Errorf("result %d is %d", i, n)
				}
			}
			if err != nil {
				t.Log(err)
			}
			out, err = parallel.Map(testkit.Patient(t), testkit.Count(100), testkit.Double, parallel.On(pool))
			if err != nil || len(out) != 100 {
				t.Errorf("afterwards: %v, %v", out, err)
			}
		})
	})
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
