//go:build linux

package supervisor_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// A dead parent leaves no worker. The parents here are this test binary, run once more with
// a variable that tells it what its workers are to do.

const (
	parentEnv  = "PARALLEL_TEST_PARENT"     // what the workers of a parent that will die do
	stayDirEnv = "PARALLEL_TEST_PARENT_DIR" // where stay reports processes
)

func init() {
	parallel.RegisterEach(stay)
	parallel.Register(stayAndReturn)
}

// stay reports its process, and those that it has started, by a file each, and then stays
// for ever in the way that how says.
func stay(ctx context.Context, how string) error {
	report := func(pid int) error {
		return testkit.Touch(ctx, filepath.Join(os.Getenv(stayDirEnv), strconv.Itoa(pid)))
	}
	if how == "children" {
		for range 3 {
			child := exec.Command("sleep", "1000")
			if err := child.Start(); err != nil {
				return err
			}
			if err := report(child.Process.Pid); err != nil {
				return err
			}
		}
	}
	if err := report(os.Getpid()); err != nil {
		return err
	}
	switch how {
	case "idle":
		return nil
	case "spinning":
		for range 4 * runtime.GOMAXPROCS(0) {
			go func() {
				for {
				}
			}()
		}
		for {
		}
	case "stopped":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {} // it may take a moment
	case "nested":
		return parallel.ForEach(ctx, []string{"children", "spinning"}, stay, parallel.Processes(2))
	default:
		select {}
	}
}

// stayAndReturn is stay for Spawn.
func stayAndReturn(ctx context.Context, how string) (int, error) { return 0, stay(ctx, how) }

// reported are the processes that have reported in dir.
func reported(dir string) (pids []int) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitForEnd waits until a process has ended, reaped or not.
func waitForEnd(t *testing.T, pid int) {
	t.Helper()
	testkit.WaitFor(t, fmt.Sprint("the end of process ", pid), func() bool {
		s := state(pid)
		return s == "" || s == "Z" || s == "X"
	})
}

// TestParentToBeKilled is no test but the parent of one.
func TestParentToBeKilled(t *testing.T) {
	how := os.Getenv(parentEnv)
	if how == "" {
		t.Skip("only as a process of TestDeadParentLeavesNoWorker")
	}
	pool := &parallel.ProcessPool{Size: 2}
	if how == "starting" {
		pool.Env = []string{startEnv + "=hang", startDirEnv + "=" + os.Getenv(stayDirEnv)}
		pool.StartTimeout = time.Hour
	}
	err := parallel.ForEach(t.Context(), []string{how, how}, stay, parallel.On(pool))
	fmt.Println("items ended:", err) // the workers of idle items stay
	select {}
}

func TestDeadParentLeavesNoWorker(t *testing.T) {
	for _, test := range []struct {
		how       string
		processes int // that must have reported
	}{{"idle", 1}, {"waiting", 2}, {"starting", 2}, {"spinning", 2}, {"stopped", 2}, {"children", 8}, {"nested", 12}} {
		t.Run(test.how, func(t *testing.T) {
			testkit.CheckLeaks(t)
			dir := t.TempDir()
			parent := exec.Command("/proc/self/exe", "-test.run=^TestParentToBeKilled$")
			parent.Env = append(os.Environ(), parentEnv+"="+test.how, stayDirEnv+"="+dir)
			stdout, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = parent.Process.Kill(); _ = parent.Wait() }()
			if test.how == "idle" {
				if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "items ended: <nil>\n" {
					t.Fatalf("%q, %v", line, err)
				}
			}
			var pids []int
			testkit.WaitFor(t, "all processes to report", func() bool {
				pids = reported(dir)
				return len(pids) >= test.processes
			})
			if test.how == "stopped" {
				for _, pid := range pids {
					testkit.WaitFor(t, "the workers to stop", func() bool { return state(pid) == "T" })
				}
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			for _, pid := range pids {
				waitForEnd(t, pid)
			}
			took := time.Since(killed)
			t.Logf("%d processes were gone after %v", len(pids), took)
			limit := 100 * time.Millisecond
			if testkit.Race {
				limit *= 5 // the kernel takes its time to clear away the memory of such processes
			}
			if took > limit {
				t.Errorf("it took %v until all were gone", took)
			}
		})
	}
}

// TestKilledWorkerLeavesNoChildren has a worker killed that has started others.
func TestKilledWorkerLeavesNoChildren(t *testing.T) {
	for _, how := range []string{"children", "nested"} {
		t.Run(how, func(t *testing.T) {
			testkit.CheckLeaks(t)
			dir := t.TempDir()
			t.Setenv(stayDirEnv, dir)
			pool := testPool(t, &parallel.ProcessPool{Size: 1})
			task := parallel.Spawn(t.Context(), stayAndReturn, how, parallel.On(pool))
			want := map[string]int{"children": 4, "nested": 6}[how]
			testkit.WaitFor(t, "all processes to report", func() bool { return len(reported(dir)) == want })
			_ = syscall.Kill(task.PID(), syscall.SIGKILL)
			if _, err := task.Wait(); err == nil {
				t.Error("no error")
			}
			for _, pid := range reported(dir) {
				waitForEnd(t, pid)
			}
		})
	}
}
