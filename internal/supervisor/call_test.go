package supervisor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// TestShareIsSentOnceToEachWorker has two calls take turns on a worker.
func TestShareIsSentOnceToEachWorker(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	type call struct {
		share memo
		ran   chan struct{}
	}
	calls := [2]*call{}
	for i := range calls {
		calls[i] = &call{memo{Log: t.TempDir() + "/log"}, make(chan struct{})}
	}
	done := make(chan struct{})
	for i, c := range calls {
		other := calls[1-i]
		go func() {
			defer func() { done <- struct{}{} }()
			n := 0
			endless := func(yield func(int) bool) {
				for i := 0; yield(i); i++ {
					select {
					case <-other.ran:
						if i > 1000 {
							return
						}
					default:
					}
				}
			}
			for _, err := range parallel.MapSeq(testkit.Patient(t), endless, readMemo, parallel.On(pool), parallel.Share(c.share)) {
				if err != nil {
					t.Error(err)
				}
				if n++; n == 1000 {
					close(c.ran)
				}
			}
		}()
	}
	<-done
	<-done
	for i, c := range calls {
		if log, _ := os.ReadFile(c.share.Log); len(log) != 1 {
			t.Errorf("the value of call %d was decoded %d times in one worker", i, len(log))
		}
	}
}

func init() { parallel.Register(readMemo) }

// memo leaves a byte in a file whenever it is decoded.
type memo struct {
	Log string
	own struct{} // it crosses by its methods
}

func (m memo) MarshalBinary() ([]byte, error) { return []byte(m.Log), nil }

func (m *memo) UnmarshalBinary(b []byte) error {
	m.Log = string(b)
	f, err := os.OpenFile(m.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write([]byte{'x'})
	return err
}

func readMemo(ctx context.Context, i int) (int, error) {
	if _, ok := parallel.Shared[memo](ctx); !ok {
		return 0, errors.New("nothing is shared")
	}
	return i, nil
}

func init() { parallel.Register(tryst) }

// meeting is an item that takes the time and then waits for a file. Most do
// neither.
type meeting struct {
	For  time.Duration
	With string
}

func tryst(ctx context.Context, m meeting) (int, error) {
	time.Sleep(m.For) // allowed: longer than results wait in the worker, which decides nothing if it works
	for m.With != "" && !testkit.Exists(m.With) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	return 0, nil
}

// TestItemsOfAPartWaitForEachOther has an item wait for what the parent does when
// it learns of one that is before it in the same part, behind a long one.
func TestItemsOfAPartWaitForEachOther(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	if _, err := parallel.Map(testkit.Patient(t), make([]meeting, 50_000), tryst, parallel.On(pool)); err != nil { // so that it is known as cheap
		t.Fatal(err)
	}
	file := t.TempDir() + "/met"
	items := make([]meeting, 100)
	items[3].For = 5 * time.Millisecond // longer than results wait in the worker
	items[6].With = file
	_, err := parallel.Map(testkit.Patient(t), items, tryst, parallel.On(pool), parallel.OnProgress(func(done, _ int) {
		if done == 6 {
			_ = os.WriteFile(file, nil, 0o600)
		}
	}))
	if err != nil {
		t.Error(err)
	}
}

// deadlyCause is a cause of a call's end whose text cannot be had: asking for it ends the
// goroutine.
type deadlyCause struct{}

func (deadlyCause) Error() string { runtime.Goexit(); return "" }

// TestCauseThatCannotBeEncoded ends a call with such a cause: its items are told to stop all
// the same, and killed if they do not.
func TestCauseThatCannotBeEncoded(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 50 * time.Millisecond})
	runs := filepath.Join(t.TempDir(), "runs")
	ctx, cancel := context.WithCancelCause(testkit.Patient(t))
	go func() {
		for !testkit.Exists(runs) {
			time.Sleep(time.Millisecond) // allowed: paces the polling
		}
		cancel(deadlyCause{})
	}()
	_, err := parallel.Map(ctx, []testkit.Step{{Make: runs, Deaf: true}}, testkit.Gate, parallel.On(pool))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, deadlyCause{}) {
		t.Error("the cause is not in the error")
	}
}

// slowCause is a cause of a call's end whose text cannot be had before the channel is closed.
type slowCause chan struct{}

func (c slowCause) Error() string { <-c; return "slow" }

// TestCauseThatBlocks ends a call with such a cause: its item is told to stop and killed all
// the same, and then the call waits for the cause's method.
func TestCauseThatBlocks(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 50 * time.Millisecond})
	runs := filepath.Join(t.TempDir(), "runs")
	cause := make(slowCause)
	ctx, cancel := context.WithCancelCause(testkit.Patient(t))
	ended := make(chan error)
	go func() {
		_, err := parallel.Map(ctx, []testkit.Step{{Make: runs, Deaf: true}}, testkit.Gate, parallel.On(pool))
		ended <- err
	}()
	testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
	cancel(cause)
	testkit.WaitFor(t, "the worker to be killed", func() bool { return pool.Stats().Died == 1 })
	select {
	case err := <-ended:
		t.Errorf("the call did not wait: %v", err)
	default:
	}
	close(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause in it", err)
	}
}
