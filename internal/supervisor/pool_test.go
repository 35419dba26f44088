package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/testkit"
)

// The life of a pool: when workers start, serve, rest and end.

func init() {
	parallel.Register(brief)
	parallel.Register(crowd)
	parallel.Register(procs)
	parallel.Register(slowGate)
	parallel.Register(failAt)
}

// slowGate is a gate for a test that makes it known as slow.
func slowGate(ctx context.Context, s testkit.Step) (string, error) { return testkit.Gate(ctx, s) }

// failAt fails for items that are odd multiples of 100.
func failAt(_ context.Context, x int) (int, error) {
	if x%200 == 100 {
		return 0, fmt.Errorf("item with value %d: %w", x, errKnown)
	}
	return x, nil
}

func procs(context.Context, int) (int, error) { return runtime.GOMAXPROCS(0), nil }

func TestEveryTransport(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		out, err := parallel.Map(t.Context(), testkit.Count(1000), testkit.Double, parallel.On(pool))
		if err != nil || len(out) != 1000 || inner(pool).InFlight() != 0 {
			t.Error(len(out), err)
		}
	})
}

func TestWorkersStartOnFirstUse(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2})
	if s := pool.Stats(); s != (parallel.PoolStats{}) {
		t.Errorf("before the first call: %+v", s)
	}
	if _, err := parallel.Map(t.Context(), []int{}, testkit.Double, parallel.On(pool)); err != nil || pool.Stats().Started != 0 {
		t.Errorf("a call without items: %v, %+v", err, pool.Stats())
	}
	if _, err := parallel.Map(t.Context(), testkit.Count(1), testkit.Double, parallel.On(pool)); err != nil {
		t.Fatal(err)
	}
	if s := pool.Stats(); s.Started != 1 || s.Workers != 1 || s.Busy != 0 {
		t.Errorf("after one item: %+v", s)
	}
}

func TestNewestIdleWorkerIsReused(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 3})
	var pids []int
	var finish []func()
	for range 3 {
		pid, f := occupy(t, pool)
		pids, finish = append(pids, pid), append(finish, f)
	}
	if s := pool.Stats(); s.Busy != 3 || s.Workers != 3 {
		t.Errorf("with three items running: %+v", s)
	}
	for _, f := range finish {
		f()
	}
	for range 3 {
		if got, err := parallel.Map(t.Context(), testkit.Count(1), testkit.PID, parallel.On(pool)); err != nil || got[0] != pids[2] {
			t.Errorf("ran in %v, %v, want in %d, which was released last of %v", got, err, pids[2], pids)
		}
	}
	first, f := occupy(t, pool)
	second, g := occupy(t, pool)
	if first != pids[2] || second != pids[1] {
		t.Errorf("two items ran in %d and %d, want in the newest of %v", first, second, pids)
	}
	f()
	g()
	if s := pool.Stats(); s.Started != 3 || s.Died != 0 {
		t.Errorf("at the end: %+v", s)
	}
}

// hall is where the items of crowd meet.
type hall struct {
	Dir  string
	Want int // how many must have been there at once before any leaves
	Item int
}

// crowd enters the hall, waits until it has been full, and returns the most that
// it has seen there.
func crowd(ctx context.Context, h hall) (most int, err error) {
	me := filepath.Join(h.Dir, fmt.Sprint("in ", h.Item))
	if err := os.WriteFile(me, nil, 0o600); err != nil {
		return 0, err
	}
	full := filepath.Join(h.Dir, "full")
	for looks := 0; looks < 3 || !testkit.Exists(full); looks++ {
		if ctx.Err() != nil {
			return most, ctx.Err()
		}
		in, _ := filepath.Glob(filepath.Join(h.Dir, "in *"))
		if most = max(most, len(in)); most >= h.Want {
			_ = os.WriteFile(full, nil, 0o600)
		}
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	return most, os.Remove(me)
}

func TestSizeIsReachedAndNotExceeded(t *testing.T) {
	testkit.CheckLeaks(t)
	const size = 3
	pool := testPool(t, &parallel.ProcessPool{Size: size})
	dir := t.TempDir()
	var calls sync.WaitGroup
	for call := range 3 {
		items := make([]hall, 8)
		for i := range items {
			items[i] = hall{dir, size, 100*call + i}
		}
		calls.Go(func() {
			seen, err := parallel.Map(testkit.Patient(t), items, crowd, parallel.On(pool))
			if err != nil {
				t.Error(err)
			}
			if slices.Max(append(seen, 0)) > size {
				t.Errorf("%v items ran at once in a pool of %d", seen, size)
			}
		})
	}
	calls.Wait()
	if s := pool.Stats(); s.Started != size {
		t.Errorf("%d workers were started, want %d", s.Started, size)
	}
}

// TestSmallCallDoesNotWaitForALongOne has one call go on until the other has
// ended.
func TestSmallCallDoesNotWaitForALongOne(t *testing.T) {
	for _, size := range []int{1, 2} {
		t.Run(fmt.Sprint("size=", size), func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: size})
			var over atomic.Bool
			started := make(chan struct{})
			go func() {
				<-started
				if out, err := parallel.Map(t.Context(), testkit.Count(5), testkit.Double, parallel.On(pool)); err != nil || len(out) != 5 {
					t.Errorf("the small call: %v, %v", out, err)
				}
				over.Store(true)
			}()
			endless := func(yield func(int) bool) {
				for i := 0; !over.Load() && yield(i); i++ {
				}
			}
			n := 0
			for _, err := range parallel.MapSeq(testkit.Patient(t), endless, testkit.Double, parallel.On(pool)) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == 100 {
					close(started)
				}
			}
		})
	}
}

// brief takes a moment.
func brief(_ context.Context, x int) (int, error) {
	time.Sleep(100 * time.Microsecond) // allowed: it is the work
	return x, nil
}

// TestSmallCallBetweenLongOnes has two calls with one worker that are far from their ends
// when a third comes. Whoever of them gets the worker while another waits has not been asked
// for it by that.
func TestSmallCallBetweenLongOnes(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	ctx, cancel := context.WithCancel(testkit.Patient(t))
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			out, err := parallel.Map(ctx, testkit.Count(1_000_000), brief, parallel.On(pool))
			if !errors.Is(err, context.Canceled) || len(out) == 0 {
				t.Errorf("a long call has %d results, %v", len(out), err)
			}
		})
	}
	testkit.WaitFor(t, "the long calls to take turns", func() bool { return pool.Stats().Items > 1000 })
	for range 20 {
		checkDoubles(t, pool, 5)
	}
	cancel()
	calls.Wait()
}

// TestWaitingCallDoesNotWaitForWhatHasNotBegun has an item of another call queue
// behind one that is running.
func TestWaitingCallDoesNotWaitForWhatHasNotBegun(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	long := []testkit.Step{{Make: file("0"), Wait: file("go")}}
	for i := 1; i < 10; i++ {
		long = append(long, testkit.Step{Make: file(fmt.Sprint(i)), Wait: file("small")})
	}
	makeSlow(t, pool)
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := parallel.Map(testkit.Patient(t), long, slowGate, parallel.On(pool)); err != nil {
			t.Error(err)
		}
	})
	testkit.WaitFor(t, "the long call to have two items in flight", func() bool { return testkit.Exists(file("0")) && inner(pool).InFlight() == 2 })
	calls.Go(func() {
		if began, err := parallel.Map(testkit.Patient(t), []string{file("1")}, testkit.Present, parallel.On(pool)); err != nil || began[0] {
			t.Errorf("when the small call ran, the next item of the long one had begun: %v, %v", began, err)
		}
		_ = testkit.Touch(t.Context(), file("small"))
	})
	testkit.WaitFor(t, "the second item to be given back", func() bool { return inner(pool).InFlight() == 1 })
	_ = testkit.Touch(t.Context(), file("go"))
	calls.Wait()
}

// makeSlow makes slowGate known as slow, whatever an earlier run of a test took.
func makeSlow(t *testing.T, pool *parallel.ProcessPool) {
	t.Helper()
	runs, open := filepath.Join(t.TempDir(), "runs"), filepath.Join(t.TempDir(), "go")
	task := parallel.Spawn(t.Context(), slowGate, testkit.Step{Make: runs, Wait: open}, parallel.On(pool))
	testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
	costs := inner(pool).Costs() // of slowGate alone
	_ = testkit.Touch(t.Context(), open)
	if _, err := task.Wait(); err != nil {
		t.Error(err)
	}
	for _, c := range costs { // nothing is measured any more
		c.Set(time.Second)
	}
}

// TestStartedWorkerIsKept has a call end while a worker is starting for it.
func TestStartedWorkerIsKept(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2})
	ctx, cancel := context.WithCancel(t.Context())
	var armed atomic.Bool
	setLauncher(pool, &proc.Local{Fault: func(op string) error {
		if op == "write" && armed.CompareAndSwap(true, false) {
			cancel() // while the worker has not been greeted
		}
		return nil
	}})
	pid, finish := occupy(t, pool)
	armed.Store(true)
	if _, err := parallel.Map(ctx, testkit.Count(1), testkit.Double, parallel.On(pool)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	testkit.WaitFor(t, "the worker to be idle", func() bool { return len(inner(pool).Idle()) == 1 && inner(pool).Starting() == 0 })
	if armed.Load() {
		t.Error("no worker was greeted")
	}
	if got, err := parallel.Map(t.Context(), testkit.Count(1), testkit.PID, parallel.On(pool)); err != nil || got[0] == pid {
		t.Errorf("ran in %v, %v", got, err)
	}
	finish()
	if s := pool.Stats(); s.Started != 2 || s.Died != 0 {
		t.Errorf("the worker that was starting was not kept: %+v", s)
	}
}

func TestCloseWaitsForCalls(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := &parallel.ProcessPool{Size: 2, Env: []string{"GORACE=atexit_sleep_ms=0"}}
	_, finish := occupy(t, pool)
	var closed atomic.Int32
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() {
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			closed.Add(1)
		})
	}
	testkit.WaitFor(t, "the pool to refuse calls", func() bool {
		_, err := parallel.Map(t.Context(), testkit.Count(1), testkit.Double, parallel.On(pool))
		if err != nil && (!errors.Is(err, parallel.ErrPoolClosed) || !strings.HasPrefix(err.Error(), "parallel: Map: ")) {
			t.Fatalf("error %v", err)
		}
		return err != nil
	})
	if closed.Load() != 0 {
		t.Error("Close returned while a call was in flight")
	}
	finish()
	closers.Wait()
	if err := pool.Close(); err != nil || pool.Stats().Workers != 0 {
		t.Errorf("once more: %v, %+v", err, pool.Stats())
	}
	if _, err := parallel.Spawn(t.Context(), testkit.Double, 1, parallel.On(pool)).Wait(); !errors.Is(err, parallel.ErrPoolClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := new(parallel.ProcessPool).Close(); err != nil {
		t.Errorf("a pool that was never used: %v", err)
	}
}

func TestStatsAddUp(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2})
	if _, err := parallel.Map(t.Context(), testkit.Count(1000), failAt, parallel.On(pool), parallel.KeepGoing()); err == nil {
		t.Error("no error")
	}
	s := pool.Stats()
	if s.Items != 1000 || s.Failed != 5 || s.Died != 0 || s.Retried != 0 || s.Busy != 0 {
		t.Errorf("%+v, want 1000 items, 5 of them failed", s)
	}
	if s.BytesOut < 1000 || s.BytesIn < 995 || s.BytesOut > 100_000 || s.BytesIn > 100_000 {
		t.Errorf("%+v: the numbers of bytes cannot be", s)
	}
	_, finish := occupy(t, pool)
	finish()
	if s := pool.Stats(); s.Items != 1001 || s.BusyTime <= 0 || s.BusyTime > time.Minute {
		t.Errorf("%+v", s)
	}
}

func TestWorkersGetTheirShareOfProcessors(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, size := range []int{1, 2, 64} {
		pool := testPool(t, &parallel.ProcessPool{Size: size})
		want := max(1, runtime.GOMAXPROCS(0)/size)
		if got, err := parallel.Map(t.Context(), testkit.Count(1), procs, parallel.On(pool)); err != nil || got[0] != want {
			t.Errorf("in a pool of %d, GOMAXPROCS is %v, %v, want %d", size, got, err, want)
		}
		pool.Close()
	}
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Env: []string{"GOMAXPROCS=7"}})
	if got, err := parallel.Map(t.Context(), testkit.Count(1), procs, parallel.On(pool)); err != nil || got[0] != 7 {
		t.Errorf("Env does not have the last word: %v, %v", got, err)
	}
}
