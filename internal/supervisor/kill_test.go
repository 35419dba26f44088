//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// Workers that are killed from outside, at any moment.

func init() {
	parallel.Register(tally)
	parallel.Register(overflowAmongMany)
	parallel.Register(shareLength)
}

func TestIdleWorkersAreKilled(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		for round := range 20 {
			for _, pid := range inner(pool).PIDs() {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
					t.Error(err)
				}
			}
			// The deaths may or may not have been noticed by now.
			out, err := parallel.Map(testkit.Patient(t), testkit.Count(4), testkit.Double, parallel.On(pool))
			if err != nil || !slices.Equal(out, []int{0, 2, 4, 6}) {
				t.Fatalf("round %d: %v, %v", round, out, err)
			}
		}
		if s := pool.Stats(); s.Failed != 0 || s.Died < 15 {
			t.Errorf("%+v", s)
		}
	})
}

// tallies are the files that this process has mapped.
var tallies struct {
	sync.Mutex
	byName map[string][]byte
	spun   int
}

// mapTally maps a file that counts the runs of each item, a byte each. What is
// written there stays, however the process ends.
func mapTally(name string) ([]byte, error) {
	tallies.Lock()
	defer tallies.Unlock()
	if b := tallies.byName[name]; b != nil {
		return b, nil
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if tallies.byName == nil {
		tallies.byName = make(map[string][]byte)
	}
	tallies.byName[name] = b
	return b, err
}

// tally notes that its item has run once more.
func tally(ctx context.Context, i int) (int, error) {
	name, _ := parallel.Shared[string](ctx)
	b, err := mapTally(name)
	if err != nil {
		return 0, err
	}
	b[i]++
	for spin := 0; spin < 300; spin++ { // so that an item is met in the act now and then
		tallies.spun += spin
	}
	return i + 1, nil
}

// TestWorkerIsKilledAmongManyItems has a worker killed from outside, somewhere
// in a large number of small items.
func TestWorkerIsKilledAmongManyItems(t *testing.T) {
	n := 1_000_000
	if testkit.Race || testing.Short() {
		n /= 10
	}
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		n := n
		if launcher.NoShared {
			n /= 10 // each item costs a write
		}
		name := filepath.Join(t.TempDir(), "tally")
		if err := os.WriteFile(name, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		var killed atomic.Bool
		out, err := parallel.Map(testkit.Patient(t), testkit.Count(n), tally, parallel.On(pool), parallel.KeepGoing(), parallel.Share(name), parallel.OnProgress(func(done, _ int) {
			if done > n/3 && killed.CompareAndSwap(false, true) {
				_ = syscall.Kill(inner(pool).PIDs()[0], syscall.SIGKILL)
			}
		}))
		ran, _ := os.ReadFile(name)
		blamed := -1
		if err != nil { // else it was killed between two items
			failed := itemErrors(err)
			var crash *parallel.CrashError
			if len(failed) != 1 || !errors.As(err, &crash) || crash.Signal != os.Kill || crash.Err != nil {
				t.Fatalf("error %v, want one crash", err)
			}
			blamed = failed[0].Index
		}
		for i := range n {
			switch {
			case i == blamed && out[i] == 0 && ran[i] <= 1:
			case i != blamed && out[i] == i+1 && ran[i] == 1:
			default:
				t.Fatalf("item %d ran %d times and has result %d; the one to blame is %d", i, ran[i], out[i], blamed)
			}
		}
		if s := pool.Stats(); s.Died != 1 || s.Started != 3 || s.Items != int64(n) {
			t.Errorf("%+v", s)
		}
		t.Logf("blamed: %d", blamed)
	})
}

// TestWorkersDieOnArrival has every worker die when it is given its first item
// and before it runs it.
func TestWorkersDieOnArrival(t *testing.T) {
	testkit.CheckLeaks(t)
	stop := make(chan struct{})
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	var killer sync.WaitGroup
	killer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for _, pid := range inner(pool).PIDs() {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				runtime.Gosched()
			}
		}
	})
	_, err := parallel.Map(testkit.Patient(t), []testkit.Step{{Wait: "never"}}, testkit.Gate, parallel.On(pool))
	close(stop)
	killer.Wait()
	var crash *parallel.CrashError
	if !errors.As(err, &crash) {
		t.Errorf("error %v, want a CrashError", err)
	}
	if out, err := parallel.Map(t.Context(), testkit.Count(3), testkit.Double, parallel.On(pool)); err != nil {
		t.Errorf("afterwards: %v, %v", out, err)
	}
}

// TestRetryStopsAtSuccess has an item kill its worker twice and then run well.
func TestRetryStopsAtSuccess(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2, Stderr: io.Discard})
		dir := t.TempDir()
		for _, test := range []struct {
			deaths, retries int
			fails           bool
		}{{2, 2, false}, {2, 5, false}, {3, 2, true}, {1, 0, true}} {
			name := filepath.Join(dir, fmt.Sprint(test.deaths, test.retries))
			out, err := parallel.Map(testkit.Patient(t), []lives{{name, test.deaths}}, spend, parallel.On(pool), parallel.Retry(test.retries))
			if (err != nil) != test.fails || !test.fails && out[0] != test.deaths {
				t.Errorf("%+v: %v, %v", test, out, err)
			}
		}
		if s := pool.Stats(); s.Retried != 2+2+2 || s.Died != 2+2+3+1 {
			t.Errorf("%+v", s)
		}
	})
}

func init() { parallel.Register(spend) }

// lives is an item that kills its worker while it has any.
type lives struct {
	Log string
	N   int
}

func spend(_ context.Context, l lives) (int, error) {
	spent, _ := os.ReadFile(l.Log)
	if len(spent) < l.N {
		_ = os.WriteFile(l.Log, append(spent, 'x'), 0o600)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return len(spent), nil
}

// overflowAmongMany overflows its stack among goroutines whose stacks the
// runtime will print.
func overflowAmongMany(_ context.Context, n int) (int, error) {
	for range n {
		go func() { select {} }()
	}
	fmt.Fprintln(os.Stderr, "this is where it starts")
	return 0, blow{At: atRun, How: "stack"}.strike(atRun)
}

func TestLastWordsAmongManyStacks(t *testing.T) {
	testkit.CheckLeaks(t)
	var printed strings.Builder
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Stderr: &printed, Env: []string{"GOTRACEBACK=all"}})
	_, err := parallel.Map(testkit.Patient(t), []int{10_000}, overflowAmongMany, parallel.On(pool))
	var crash *parallel.CrashError
	if !errors.As(err, &crash) {
		t.Fatalf("error %v", err)
	}
	pool.Close()
	if printed.Len() < 1<<20 || len(crash.Stderr) > 9<<10 {
		t.Errorf("%d bytes were printed and %d kept: the test is too small", printed.Len(), len(crash.Stderr))
	}
	for _, want := range []string{"this is where it starts\n", "runtime: goroutine stack exceeds", "fatal error: stack overflow"} {
		if !strings.Contains(string(crash.Stderr), want) {
			t.Errorf("%q was not kept", want)
		}
	}
	if want := "(stderr: fatal error: stack overflow)"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q in it", err, want)
	}
}

// state is the letter that stands for the state of a process; none if there is
// no such process.
func state(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:min(1, len(rest))]
}

// stopProcess stops a process, and waits until it stands still.
func stopProcess(t *testing.T, pid int) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, "the process to stop", func() bool { return state(pid) == "T" })
}

// TestStoppedWorkerIsReplaced has an idle worker stopped by a signal: what it is
// sent next is run by another.
func TestStoppedWorkerIsReplaced(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, StartTimeout: time.Second})
		pid, finish := occupy(t, pool)
		finish()
		stopProcess(t, pid)
		out, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.PID, parallel.On(pool))
		if err != nil || out[0] == pid {
			t.Errorf("ran in %v, %v, want not in %d, which is stopped", out, err, pid)
		}
	})
}

func shareLength(ctx context.Context, _ int) (int, error) {
	s, _ := parallel.Shared[string](ctx)
	return len(s), nil
}

// TestStoppedWorkerAndLargeShare has the news of the call not fit into the pipe.
func TestStoppedWorkerAndLargeShare(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 20 * time.Millisecond})
	pid, finish := occupy(t, pool)
	finish()
	stopProcess(t, pid)
	ctx, cancel := context.WithCancel(t.Context())
	call := parallel.Spawn(ctx, shareLength, 0, parallel.On(pool), parallel.Share(strings.Repeat("x", 10<<20)))
	testkit.WaitFor(t, "the call to use the worker", func() bool { return pool.Stats().Busy == 1 })
	cancel()
	if _, err := call.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
