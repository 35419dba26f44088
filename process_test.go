package parallel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The life of a pool: when workers start, serve, rest and end.

func init() {
	Register(pidOf)
	Register(crowd)
	Register(procs)
	Register(present)
	Register(slowGate)
}

// slowGate is a gate for a test that makes it known as slow.
func slowGate(ctx context.Context, s step) (string, error) { return gate(ctx, s) }

// present reports whether there is a file of that name.
func present(_ context.Context, name string) (bool, error) { return exists(name), nil }

// pidOf reports the process that it runs in, for any item.
func pidOf(context.Context, int) (int, error) { return os.Getpid(), nil }

func procs(context.Context, int) (int, error) { return runtime.GOMAXPROCS(0), nil }

// bothTransports runs test with workers that have a page, and without; where it
// can be chosen, with a page in memory and one in a file.
func bothTransports(t *testing.T, test func(t *testing.T)) {
	for _, transport := range []string{"page", "file", "pipe"} {
		t.Run(transport, func(t *testing.T) {
			useTransport(t, transport)
			test(t)
		})
	}
}

// useTransport makes the workers of a test have one. The page is the system's own.
func useTransport(t *testing.T, transport string) {
	withoutPage.Store(transport == "pipe")
	pageInFile.Store(transport == "file")
	t.Cleanup(func() {
		withoutPage.Store(false)
		pageInFile.Store(false)
	})
}

// patient is a context that ends when something hangs.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("the call hangs"))
	t.Cleanup(cancel)
	return ctx
}

func onlyOn(t *testing.T, system string) {
	if runtime.GOOS != system {
		t.Skip("only on " + system)
	}
}

// itemErrors takes the error of a call with KeepGoing apart.
func itemErrors(err error) (items []*ItemError) {
	var joined joinedError
	errors.As(err, &joined)
	return joined
}

func TestWorkersStartOnFirstUse(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	if s := pool.Stats(); s != (PoolStats{}) {
		t.Errorf("before the first call: %+v", s)
	}
	if _, err := Map(t.Context(), []int{}, double, On(pool)); err != nil || pool.Stats().Started != 0 {
		t.Errorf("a call without items: %v, %+v", err, pool.Stats())
	}
	if _, err := Map(t.Context(), count(1), double, On(pool)); err != nil {
		t.Fatal(err)
	}
	if s := pool.Stats(); s.Started != 1 || s.Workers != 1 || s.Busy != 0 {
		t.Errorf("after one item: %+v", s)
	}
}

// occupy has a worker of pool run an item until the function that it returns is
// called, and returns the worker's number.
func occupy(t *testing.T, pool *ProcessPool) (pid int, finish func()) {
	dir := t.TempDir()
	task := Spawn(t.Context(), gate, step{Make: filepath.Join(dir, "runs"), Wait: filepath.Join(dir, "go")}, On(pool))
	waitFor(t, "the item to run", func() bool { return exists(filepath.Join(dir, "runs")) })
	return task.PID(), func() {
		_ = touch(t.Context(), filepath.Join(dir, "go"))
		if _, err := task.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestNewestIdleWorkerIsReused(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 3})
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
		if got, err := Map(t.Context(), count(1), pidOf, On(pool)); err != nil || got[0] != pids[2] {
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

// room is where the items of crowd meet.
type room struct {
	Dir  string
	Want int // how many must have been there at once before any leaves
	Item int
}

// crowd enters the room, waits until it has been full, and returns the most that
// it has seen there.
func crowd(ctx context.Context, r room) (most int, err error) {
	me := filepath.Join(r.Dir, fmt.Sprint("in ", r.Item))
	if err := os.WriteFile(me, nil, 0o600); err != nil {
		return 0, err
	}
	full := filepath.Join(r.Dir, "full")
	for looks := 0; looks < 3 || !exists(full); looks++ {
		if ctx.Err() != nil {
			return most, ctx.Err()
		}
		in, _ := filepath.Glob(filepath.Join(r.Dir, "in *"))
		if most = max(most, len(in)); most >= r.Want {
			_ = os.WriteFile(full, nil, 0o600)
		}
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	return most, os.Remove(me)
}

func TestSizeIsReachedAndNotExceeded(t *testing.T) {
	checkLeaks(t)
	const size = 3
	pool := testPool(t, &ProcessPool{Size: size})
	dir := t.TempDir()
	var calls sync.WaitGroup
	for call := range 3 {
		items := make([]room, 8)
		for i := range items {
			items[i] = room{dir, size, 100*call + i}
		}
		calls.Go(func() {
			seen, err := Map(patient(t), items, crowd, On(pool))
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
			checkLeaks(t)
			pool := testPool(t, &ProcessPool{Size: size})
			var over atomic.Bool
			started := make(chan struct{})
			go func() {
				<-started
				if out, err := Map(t.Context(), count(5), double, On(pool)); err != nil || len(out) != 5 {
					t.Errorf("the small call: %v, %v", out, err)
				}
				over.Store(true)
			}()
			endless := func(yield func(int) bool) {
				for i := 0; !over.Load() && yield(i); i++ {
				}
			}
			n := 0
			for _, err := range MapSeq(patient(t), endless, double, On(pool)) {
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

// TestWaitingCallDoesNotWaitForWhatHasNotBegun has an item of another call queue
// behind one that is running.
func TestWaitingCallDoesNotWaitForWhatHasNotBegun(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	long := []step{{Make: file("0"), Wait: file("go")}}
	for i := 1; i < 10; i++ {
		long = append(long, step{Make: file(fmt.Sprint(i)), Wait: file("small")})
	}
	f, err := lookup(identify("Map", slowGate))
	if err != nil {
		t.Fatal(err)
	}
	f.cost.Store(int64(time.Second) * costScale) // whatever an earlier run of this test took
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := Map(patient(t), long, slowGate, On(pool)); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, "the long call to have two items under way", func() bool { return exists(file("0")) && underWay(pool) == 2 })
	calls.Go(func() {
		if began, err := Map(patient(t), []string{file("1")}, present, On(pool)); err != nil || began[0] {
			t.Errorf("when the small call ran, the next item of the long one had begun: %v, %v", began, err)
		}
		_ = touch(t.Context(), file("small"))
	})
	waitFor(t, "the second item to be given back", func() bool { return underWay(pool) == 1 })
	_ = touch(t.Context(), file("go"))
	calls.Wait()
}

// underWay is how many items the workers of pool have been sent that are not
// settled.
func underWay(pool *ProcessPool) (n int) {
	p := pool.get()
	p.mu.Lock()
	active := slices.Collect(maps.Keys(p.active))
	p.mu.Unlock()
	for _, d := range active {
		d.mu.Lock()
		for _, s := range d.sessions {
			s.mu.Lock()
			n += s.under
			s.mu.Unlock()
		}
		d.mu.Unlock()
	}
	return n
}

// TestStartedWorkerIsKept has a call end while a worker is starting for it.
func TestStartedWorkerIsKept(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	pid, finish := occupy(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := false
	hook := func(operation string) error {
		if operation == "hello" && !cancelled {
			cancelled = true
			cancel() // while it has not been greeted
		}
		return nil
	}
	faults.Store(&hook)
	defer faults.Store(nil)
	if _, err := Map(ctx, count(1), double, On(pool)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	waitFor(t, "the worker to be idle", func() bool {
		p := pool.get()
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle) == 1 && len(p.adopted) == 0
	})
	if got, err := Map(t.Context(), count(1), pidOf, On(pool)); err != nil || got[0] == pid {
		t.Errorf("ran in %v, %v", got, err)
	}
	finish()
	if s := pool.Stats(); s.Started != 2 || s.Died != 0 {
		t.Errorf("the worker that was starting was not kept: %+v", s)
	}
}

func TestCloseWaitsForCalls(t *testing.T) {
	checkLeaks(t)
	pool := &ProcessPool{Size: 2, Env: []string{"GORACE=atexit_sleep_ms=0"}}
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
	waitFor(t, "the pool to refuse calls", func() bool {
		_, err := Map(t.Context(), count(1), double, On(pool))
		if err != nil && (!errors.Is(err, ErrPoolClosed) || !strings.HasPrefix(err.Error(), "parallel: Map: ")) {
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
	if _, err := Spawn(t.Context(), double, 1, On(pool)).Wait(); !errors.Is(err, ErrPoolClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := new(ProcessPool).Close(); err != nil {
		t.Errorf("a pool that was never used: %v", err)
	}
}

func TestStatsAddUp(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	if _, err := Map(t.Context(), count(1000), failAt, On(pool), KeepGoing()); err == nil {
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
	checkLeaks(t)
	for _, size := range []int{1, 2, 64} {
		pool := testPool(t, &ProcessPool{Size: size})
		want := max(1, runtime.GOMAXPROCS(0)/size)
		if got, err := Map(t.Context(), count(1), procs, On(pool)); err != nil || got[0] != want {
			t.Errorf("in a pool of %d, GOMAXPROCS is %v, %v, want %d", size, got, err, want)
		}
		pool.Close()
	}
	pool := testPool(t, &ProcessPool{Size: 1, Env: []string{"GOMAXPROCS=7"}})
	if got, err := Map(t.Context(), count(1), procs, On(pool)); err != nil || got[0] != 7 {
		t.Errorf("Env does not have the last word: %v, %v", got, err)
	}
}
