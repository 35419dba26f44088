package parallel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/testkit"
)

func TestSpawn(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		task := Spawn(t.Context(), testkit.Double, 21, where)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if r, err := task.Wait(); r != 42 || err != nil {
					t.Errorf("Wait = %d, %v", r, err)
				}
			})
		}
		group.Wait()
		<-task.Done()
		if r, err := task.Wait(); r != 42 || err != nil {
			t.Errorf("Wait after the end = %d, %v", r, err)
		}
	})
}

func TestSpawnReturnsAtOnce(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		open := filepath.Join(t.TempDir(), "open")
		task := Spawn(t.Context(), testkit.Gate, testkit.Step{Wait: open}, where)
		select {
		case <-task.Done():
			t.Error("the task has ended before it could")
		default:
		}
		_ = testkit.Touch(t.Context(), open)
		if _, err := task.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestSpawnErrorIsTheItemsOwn(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		_, err := Spawn(t.Context(), errorForms, "sentinel", where).Wait()
		if err != errKnown {
			t.Errorf("error %#v, want the sentinel itself", err)
		}
		_, err = Spawn(t.Context(), panics, 1, where, KeepGoing()).Wait()
		if _, ok := err.(*PanicError); !ok {
			t.Errorf("error %#v, want a PanicError", err)
		}
		_, err = Spawn(t.Context(), goexits, 1, where).Wait()
		if err != ErrGoexit {
			t.Errorf("error %#v, want ErrGoexit", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = Spawn(ctx, testkit.Double, 1, where).Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

// TestSpawnThenClose has Close wait for tasks that no goroutine may have begun to run.
func TestSpawnThenClose(t *testing.T) {
	testkit.CheckLeaks(t)
	for range 20 {
		pool := testPool(t, &ProcessPool{Size: 2})
		var tasks []*Task[int]
		for i := range 5 {
			tasks = append(tasks, Spawn(t.Context(), testkit.Double, i, On(pool)))
		}
		pool.Close()
		for i, task := range tasks {
			if r, err := task.Wait(); r != 2*i || err != nil {
				t.Errorf("task %d: %d, %v", i, r, err)
			}
		}
		if _, err := Spawn(t.Context(), testkit.Double, 1, On(pool)).Wait(); !errors.Is(err, ErrPoolClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := Spawn(t.Context(), func(context.Context, int) (int, error) { return 0, nil }, 1, On(pool)).Wait(); !errors.Is(err, ErrNotRegistered) {
			t.Errorf("after Close, a function that is not registered: %v", err)
		}
	}
}

// closing closes pool in a goroutine, and returns when it takes no new calls.
func closing(t *testing.T, pool *ProcessPool) {
	go pool.Close()
	testkit.WaitFor(t, "Close to begin", pool.get().Closed)
}

// TestCloseWaitsForALoop closes the pool when a loop over MapSeq has begun, before it has
// read anything.
func TestCloseWaitsForALoop(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	items := func(yield func(int) bool) {
		closing(t, pool)
		for i := range 10 {
			if !yield(i) {
				return
			}
		}
	}
	n := 0
	for r, err := range MapSeq(t.Context(), items, testkit.Double, On(pool)) {
		if r != 2*n || err != nil {
			t.Errorf("result %d is %d, %v", n, r, err)
		}
		n++
	}
	if n != 10 {
		t.Errorf("%d results", n)
	}
}

// encodedAfter is a value whose encoding waits until ready has been called.
type encodedAfter struct{ ready func() }

func (e encodedAfter) MarshalBinary() ([]byte, error)  { e.ready(); return nil, nil }
func (e *encodedAfter) UnmarshalBinary(b []byte) error { return nil }

// TestCloseWaitsForACallThatEncodes closes the pool while a call encodes its shared value.
func TestCloseWaitsForACallThatEncodes(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	shared := Share(encodedAfter{func() { closing(t, pool) }})
	if out, err := Map(t.Context(), testkit.Count(3), testkit.Double, On(pool), shared); len(out) != 3 || err != nil {
		t.Error(out, err)
	}
}

func TestTaskPID(t *testing.T) {
	testkit.CheckLeaks(t)
	task := Spawn(t.Context(), testkit.PID, 0)
	if pid, err := task.Wait(); err != nil || pid != os.Getpid() || task.PID() != 0 {
		t.Errorf("on a goroutine: ran in %d, PID %d, %v", pid, task.PID(), err)
	}
	task = Spawn(t.Context(), testkit.PID, 0, Processes(1))
	pid, err := task.Wait()
	if err != nil || pid == os.Getpid() || task.PID() != pid {
		t.Errorf("in a process: ran in %d, PID %d, %v", pid, task.PID(), err)
	}
}

func TestKillOneTask(t *testing.T) {
	testkit.CheckLeaks(t)
	dir := t.TempDir()
	runs := filepath.Join(dir, "runs")
	doomed := Spawn(t.Context(), testkit.Gate, testkit.Step{Make: runs, Deaf: true}, Processes(1))
	other := Spawn(t.Context(), testkit.Gate, testkit.Step{Wait: filepath.Join(dir, "open")}, Processes(1))
	testkit.WaitFor(t, "the task to run", func() bool { return testkit.Exists(runs) })
	p, err := os.FindProcess(doomed.PID())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = doomed.Wait()
	var crash *CrashError
	if !errors.As(err, &crash) || crash.PID != doomed.PID() || crash.Err != nil || crash.Signal != os.Kill {
		t.Errorf("error %#v, want a CrashError of the killed process", err)
	}
	_ = testkit.Touch(t.Context(), filepath.Join(dir, "open"))
	if _, err := other.Wait(); err != nil {
		t.Errorf("the other task failed too: %v", err)
	}
}

func TestSpawnItemTimeout(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		_, err := Spawn(t.Context(), late, "well", where, ItemTimeout(time.Millisecond)).Wait()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// TestGoexitOfATrustedFunctionInSpawn has a function that may run on the caller's own
// goroutine call Goexit in a task, which has no caller that could end.
func TestGoexitOfATrustedFunctionInSpawn(t *testing.T) {
	testkit.CheckLeaks(t)
	fn := func(_ context.Context, x int) (int, error) {
		if x < 0 {
			runtime.Goexit()
		}
		return x, nil
	}
	for range 3 {
		if _, err := Map(t.Context(), testkit.Count(2000), fn); err != nil {
			t.Fatal(err)
		}
	}
	known := identify("Map", fn).cost()
	known.Set(1) // whatever was measured: 1 ns
	if again := trustedGoexit.Swap(true); !again && !known.Trusted() {
		t.Fatal("the function is not trusted after thousands of items")
	}
	if _, err := Spawn(t.Context(), fn, -1).Wait(); err != ErrGoexit {
		t.Errorf("error %v", err)
	}
}

// trustedGoexit says that the test has run in this process: from then on its function is not
// trusted any more.
var trustedGoexit atomic.Bool
