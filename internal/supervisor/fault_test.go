//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/testkit"
)

// Operations that fail: the first, then the second, until there is one more than there are.
// After SQLite's tests of memory that runs out.

var errInjected = errors.New("injected fault")

// faults makes operation n of those that count fail, and with forGood those after it. It is
// for pools of one worker at a time.
type faults struct {
	n       int
	forGood bool
	later   bool // only writes that are not part of a start count

	mu      sync.Mutex
	greeted bool // the worker has been said hello, with which its start ends
	counted int
	first   string // of the operations that failed; empty: none has
	ended   bool   // nothing fails any more
}

const laterWrite = "later write"

// fault is a launcher's Fault.
func (f *faults) fault(operation string) error {
	switch operation {
	case "pipe", "start", "group", "write":
	default:
		return nil // what can be done without: see TestWithout
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if operation == "write" && f.greeted {
		operation = laterWrite
	}
	f.greeted = operation == "write" || operation == laterWrite
	if f.ended || f.later && operation != laterWrite {
		return nil
	}
	f.counted++
	if f.counted < f.n || f.counted > f.n && !f.forGood {
		return nil
	}
	if f.first == "" {
		f.first = operation
	}
	return errInjected
}

// end ends the faults, and returns the first operation that failed.
func (f *faults) end() (first string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	return f.first
}

func TestFaultsInAStart(t *testing.T) {
	const operations = 8 // of a start
	for _, forGood := range []bool{false, true} {
		t.Run(fmt.Sprint("forGood=", forGood), func(t *testing.T) {
			failed := make(map[string]int)
			for n := range operations {
				t.Run(fmt.Sprint("operation=", n+1), func(t *testing.T) {
					failed[faultInAStart(t, &faults{n: n + 1, forGood: forGood})]++
				})
			}
			want := map[string]int{"pipe": 5, "start": 1, "group": 1, "write": 1}
			if !maps.Equal(failed, want) {
				t.Errorf("these operations failed: %v, want %v", failed, want)
			}
		})
	}
}

// faultInAStart has an operation of the start of a call's one worker fail, or from that one on
// all of them. It returns which. A single failure does not end the call.
func faultInAStart(t *testing.T, f *faults) string {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	setLauncher(pool, &proc.Local{Fault: f.fault})
	hurryStarts(pool)
	out, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.Double, parallel.On(pool))
	failed := f.end()
	if !f.forGood {
		if err != nil || !slices.Equal(out, []int{0, 2, 4}) {
			t.Errorf("a fault in %q: %v, %v", failed, out, err)
		}
		return failed
	}
	if !errors.Is(err, errInjected) || len(out) != 0 || !strings.Contains(err.Error(), "cannot start a worker process: ") {
		t.Errorf("faults in %q: %v, %v", failed, out, err)
	}
	if s := pool.Stats(); s.Workers != 0 || s.Busy != 0 {
		t.Errorf("after faults in %q: %+v", failed, s)
	}
	checkPool(t, pool)
	return failed
}

// checkPool has a pool serve a call.
func checkPool(t *testing.T, pool *parallel.ProcessPool) {
	t.Helper()
	out, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.Double, parallel.On(pool))
	if err != nil || !slices.Equal(out, []int{0, 2, 4}) {
		t.Errorf("afterwards the pool returns %v, %v", out, err)
	}
}

// callsWithFaults are calls in which later writes fail. Each returns an error or is right.
var callsWithFaults = map[string]func(t *testing.T, pool *parallel.ProcessPool) error{
	"small items": func(t *testing.T, pool *parallel.ProcessPool) error {
		out, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.Double, parallel.On(pool))
		return equalOr(err, out, []int{0, 2, 4})
	},
	"items in the segment": func(t *testing.T, pool *parallel.ProcessPool) error {
		items := slices.Repeat([][]byte{bytes.Repeat([]byte{1}, 200_000)}, 5)
		out, err := parallel.Map(testkit.Patient(t), items, bytesBack, parallel.On(pool))
		return equalOr(err, out, items)
	},
	"a shared value": func(t *testing.T, pool *parallel.ProcessPool) error {
		out, err := parallel.Map(testkit.Patient(t), testkit.Count(2), readBig, parallel.On(pool), parallel.Share("shared"))
		return equalOr(err, out, []int{6, 6})
	},
	"a call after another": func(t *testing.T, pool *parallel.ProcessPool) error {
		first, err := parallel.Map(testkit.Patient(t), testkit.Count(1), testkit.Double, parallel.On(pool))
		if err := equalOr(err, first, []int{0}); err != nil {
			return err
		}
		second, err := parallel.Map(testkit.Patient(t), testkit.Count(2), testkit.Double, parallel.On(pool))
		return equalOr(err, second, []int{0, 2})
	},
	"a call that is cancelled": func(t *testing.T, pool *parallel.ProcessPool) error {
		runs := filepath.Join(t.TempDir(), "runs")
		ctx, cancel := context.WithCancel(testkit.Patient(t))
		task := parallel.Spawn(ctx, testkit.Gate, testkit.Step{Make: runs}, parallel.On(pool))
		testkit.WaitFor(t, "the item to run, or the call to end", func() bool {
			select {
			case <-task.Done():
				return true
			default:
				return testkit.Exists(runs)
			}
		})
		cancel()
		_, err := task.Wait()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	},
}

// equalOr returns err, or if that is nil, an error unless out is what is wanted.
func equalOr[R any](err error, out, want []R) error {
	if err == nil && !reflect.DeepEqual(out, want) {
		return fmt.Errorf("%d results, which are not those of the items", len(out))
	}
	return err
}

// TestFaultsInLaterWrites has writes fail that are not part of a start. If one fails, the
// results are right all the same; if all do, the error may be the fault.
func TestFaultsInLaterWrites(t *testing.T) {
	testkit.CheckLeaks(t)
	type fault struct {
		call    string
		n       int
		forGood bool
	}
	tests := make(map[string]fault)
	for call := range callsWithFaults {
		for n := range 4 {
			tests[fmt.Sprintf("%s/%d", call, n+1)] = fault{call, n + 1, false}
		}
		tests[call+"/all"] = fault{call, 1, true}
	}
	sideBySide(t, tests, func(t *testing.T, name string) {
		test := tests[name]
		pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 20 * time.Millisecond})
		f := &faults{n: test.n, forGood: test.forGood, later: true}
		setLauncher(pool, &proc.Local{Fault: f.fault})
		begun := time.Now()
		err := callsWithFaults[test.call](t, pool)
		t.Logf("failed: %q, error %v after %v", f.end(), err, time.Since(begun))
		if err != nil && !(test.forGood && errors.Is(err, errInjected)) {
			t.Errorf("error %v", err)
		}
		if test.n == 1 && f.end() == "" {
			t.Error("no write failed")
		}
		checkPool(t, pool)
	})
}

// TestDescriptorsRunOut has this process have only so many descriptors. As soon as there are
// enough for one worker, a call goes on with that.
func TestDescriptorsRunOut(t *testing.T) {
	for spare := 0; ; spare++ {
		failed := false
		t.Run(fmt.Sprint("spare=", spare), func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: 2})
			hurryStarts(pool)
			restore := testkit.LimitDescriptors(t, spare)
			out, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.Double, parallel.On(pool))
			s := pool.Stats()
			restore()
			failed = err != nil
			// EBADF: the child could not give a descriptor the number that it is to have.
			expected := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.EBADF)
			if failed && (!expected || !strings.Contains(err.Error(), "cannot start a worker process: ")) {
				t.Errorf("%v, %v", out, err)
			}
			if !failed && s.Started-s.Died != 1 { // another start may be under way, which must fail
				t.Errorf("with the least descriptors that are enough: %+v", s)
			}
			checkPool(t, pool)
		})
		if !failed {
			if spare < 10 {
				t.Errorf("with %d descriptors to spare nothing failed", spare)
			}
			return
		}
	}
}

// TestWorkerWithoutAddresses starts a worker that may not have as much address space as a
// segment takes. It does without, and the parent knows.
func TestWorkerWithoutAddresses(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector needs the addresses")
	}
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: shm.Size / 2, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := parallel.Map(testkit.Patient(t), testkit.Count(1), testkit.Double, parallel.On(pool))
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if inner(pool).Idle()[0].Segment() != nil {
		t.Error("the parent takes it for a worker with a segment")
	}
	items := make([][1000]byte, 100)
	items[99][0] = 1
	out, err := parallel.Map(testkit.Patient(t), items, wide, parallel.On(pool))
	if err != nil || !slices.Equal(out, items) {
		t.Errorf("%d results, error %v", len(out), err)
	}
	dir := t.TempDir()
	var crash *parallel.CrashError
	if _, err := parallel.Map(testkit.Patient(t), []string{dir}, exitInError, parallel.On(pool)); !errors.As(err, &crash) {
		t.Errorf("error %v, want a crash", err)
	}
	if runs, _ := filepath.Glob(filepath.Join(dir, "run-*")); len(runs) != 1 {
		t.Errorf("the item that crashed ran %d times", len(runs))
	}
}
