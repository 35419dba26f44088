//go:build linux

package parallel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Starts in which an operation fails: the first, then the second, until a start
// meets no fault. After SQLite's tests of memory that runs out.

var errInjected = errors.New("injected fault")

// failing makes operation n of all that are asked for fail, and with forGood
// those after it. The function that it returns reports which one failed first.
func failing(t *testing.T, n int, forGood bool) (failed func() string) {
	at, first := 0, ""
	hook := func(operation string) error {
		at++
		if at < n || at > n && !forGood {
			return nil
		}
		if first == "" {
			first = operation
		}
		return errInjected
	}
	faults.Store(&hook)
	t.Cleanup(func() { faults.Store(nil) })
	return func() string {
		faults.Store(nil)
		return first
	}
}

func TestFaultsInAStart(t *testing.T) {
	for _, forGood := range []bool{false, true} {
		t.Run(fmt.Sprint("forGood=", forGood), func(t *testing.T) {
			for n := 1; ; n++ {
				failed := ""
				t.Run(fmt.Sprint("operation=", n), func(t *testing.T) { failed = faultAt(t, n, forGood) })
				if failed == "" {
					if n < 10 {
						t.Errorf("only %d operations could fail", n-1)
					}
					return
				}
			}
		})
	}
}

// faultAt has operation n of a call's one start fail.
func faultAt(t *testing.T, n int, forGood bool) string {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	operation := failing(t, n, forGood)
	out, err := Map(patient(t), count(3), double, On(pool))
	failed := operation()
	if failed == "" {
		if err != nil || len(out) != 3 {
			t.Errorf("without a fault: %v, %v", out, err)
		}
		return ""
	}
	if !errors.Is(err, errInjected) || len(out) != 0 || !strings.Contains(err.Error(), "cannot start a worker process: ") {
		t.Errorf("a fault in %q: %v, %v", failed, out, err)
	}
	if s := pool.Stats(); s.Workers != 0 || s.Busy != 0 {
		t.Errorf("after a fault in %q: %+v", failed, s)
	}
	if out, err := Map(patient(t), count(3), double, On(pool)); err != nil || len(out) != 3 {
		t.Errorf("after a fault in %q the pool returns %v, %v", failed, out, err)
	}
	return failed
}

// TestDescriptorsRunOut has this process have only so many descriptors.
func TestDescriptorsRunOut(t *testing.T) {
	onlyOn(t, "linux")
	for spare := 0; ; spare++ {
		failed := false
		t.Run(fmt.Sprint("spare=", spare), func(t *testing.T) {
			checkLeaks(t)
			pool := testPool(t, &ProcessPool{Size: 2})
			restore := limitDescriptors(t, spare)
			out, err := Map(patient(t), count(3), double, On(pool))
			restore()
			failed = err != nil
			// EBADF: the child could not give a descriptor the number that it is to have.
			if failed && (!errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.EBADF) || !strings.Contains(err.Error(), "cannot start a worker process: ")) {
				t.Errorf("%v, %v", out, err)
			}
			if out, err := Map(patient(t), count(3), double, On(pool)); err != nil || len(out) != 3 {
				t.Errorf("afterwards the pool returns %v, %v", out, err)
			}
		})
		if !failed {
			if spare < 10 {
				t.Errorf("with %d descriptors to spare nothing failed", spare)
			}
			return
		}
	}
}

// limitDescriptors lets this process open at most spare files more.
func limitDescriptors(t *testing.T, spare int) (restore func()) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	open := make(map[string]bool)
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if _, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // that of ReadDir is closed
			open[e.Name()] = true
		}
	}
	limited := old
	limited.Cur = 0
	for spare >= 0 { // up to the first number that must not be used any more
		if !open[fmt.Sprint(limited.Cur)] {
			spare--
		}
		limited.Cur++
	}
	limited.Cur--
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limited); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}
	return restore
}

// TestWorkerWithoutAddresses starts a worker that may not have as much address space as a
// page takes. It does without, and the parent knows.
func TestWorkerWithoutAddresses(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs the addresses")
	}
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: pageSize / 2, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := Map(patient(t), count(1), double, On(pool))
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if pool.core.idle[0].page != nil {
		t.Error("the parent takes it for a worker with a page")
	}
	items := make([][1000]byte, 100)
	items[99][0] = 1
	out, err := Map(patient(t), items, wide, On(pool))
	if err != nil || !slices.Equal(out, items) {
		t.Errorf("%d results, error %v", len(out), err)
	}
	dir := t.TempDir()
	var crash *CrashError
	if _, err := Map(patient(t), []string{dir}, exitInError, On(pool)); !errors.As(err, &crash) {
		t.Errorf("error %v, want a crash", err)
	}
	if runs, _ := filepath.Glob(filepath.Join(dir, "run-*")); len(runs) != 1 {
		t.Errorf("the item that crashed ran %d times", len(runs))
	}
}
