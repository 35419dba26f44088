//go:build linux

package supervisor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/testkit"
)

// Signals that workers get from outside, and what becomes of exit statuses.

func init() { parallel.Register(sleepAWhile) }

// records is a writer that may be read meanwhile.
type records struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

// count is how many records have that in them.
func (r *records) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), what)
}

// TestStopIsSaid stops a worker in an item, and continues it, twice. The Logger is told of each
// stop, and no item fails.
func TestStopIsSaid(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		log := new(records)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, Logger: slog.New(slog.NewTextHandler(log, nil))})
		var looks atomic.Int64 // at what the worker does
		setLauncher(pool, &proc.Local{NoShared: launcher.NoShared, SharedInFile: launcher.SharedInFile, Fault: func(op string) error {
			if op == "proc" {
				looks.Add(1)
			}
			return nil
		}})
		lookTwice := func() {
			before := looks.Load()
			testkit.WaitFor(t, "the monitor to look", func() bool { return looks.Load() >= before+2 })
		}
		dir := t.TempDir()
		runs, open := filepath.Join(dir, "runs"), filepath.Join(dir, "go")
		items := []testkit.Step{{Wait: dir}, {Make: runs, Wait: open}, {Wait: dir}}
		task := make(chan error, 1)
		go func() {
			_, err := parallel.Map(testkit.Patient(t), items, testkit.Gate, parallel.On(pool))
			task <- err
		}()
		testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
		pid := inner(pool).PIDs()[0]
		for n := range 2 {
			stopProcess(t, pid)
			testkit.WaitFor(t, "the stop to be said", func() bool { return log.count("worker is stopped") == n+1 })
			lookTwice()
			if got := log.count("worker is stopped"); got != n+1 {
				t.Errorf("%d stops have been said %d times", n+1, got)
			}
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			testkit.WaitFor(t, "the worker to go on", func() bool { return state(pid) != "T" })
			lookTwice()
		}
		_ = testkit.Touch(t.Context(), open)
		if err := <-task; err != nil {
			t.Error(err)
		}
		if want := fmt.Sprintf("pid=%d item=1", pid); log.count(want) != 2 {
			t.Errorf("%q is not in both records", want)
		}
		if s := pool.Stats(); s.Died != 0 || s.Started != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func sleepAWhile(_ context.Context, d time.Duration) (time.Duration, error) {
	time.Sleep(d) // allowed: the item takes that long
	return d, nil
}

const drainEnv = "PARALLEL_TEST_DRAIN" // makes this binary the program of TestDrain

// TestProgramThatDrains is no test but the program of TestDrain: a service that ends when it
// gets SIGTERM, after what it has begun.
func TestProgramThatDrains(t *testing.T) {
	if os.Getenv(drainEnv) == "" {
		t.Skip("only as a process of TestDrain")
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	pool := &parallel.ProcessPool{Size: 4, Env: []string{"GORACE=atexit_sleep_ms=0", drainEnv + "="}}
	input := func(yield func(time.Duration) bool) {
		for {
			select {
			case <-asked:
				return
			default:
			}
			if !yield(10 * time.Millisecond) {
				return
			}
		}
	}
	n := 0
	for _, err := range parallel.MapSeq(context.Background(), input, sleepAWhile, parallel.On(pool)) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		if n++; n == 20 {
			fmt.Println("serving")
		}
	}
	pool.Close()
	fmt.Println("drained; died:", pool.Stats().Died)
}

// TestDrain sends signals to all processes of a service, as service managers do. It loses
// nothing.
func TestDrain(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			testkit.CheckLeaks(t)
			service := exec.Command("/proc/self/exe", "-test.run=^TestProgramThatDrains$")
			service.Env = append(os.Environ(), drainEnv+"=1")
			stdout, err := service.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := service.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = service.Process.Kill(); _ = service.Wait() }()
			out := bufio.NewReader(stdout)
			if line, err := out.ReadString('\n'); line != "serving\n" {
				t.Fatalf("%q, %v", line, err)
			}
			pids := childrenOf(t, service.Process.Pid)
			if len(pids) != 4 {
				t.Errorf("it has %d workers", len(pids))
			}
			for _, pid := range append(pids, service.Process.Pid) { // the parent last
				for range 3 {
					_ = syscall.Kill(pid, s)
				}
			}
			rest, _ := io.ReadAll(out)
			if !strings.HasPrefix(string(rest), "drained; died: 0\n") {
				t.Errorf("it says %q", rest)
			}
		})
	}
}

// childrenOf are the child processes of one.
func childrenOf(t *testing.T, pid int) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(b)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

// TestExitStatusIsTaken has other code of this program wait for a worker that dies in an item.
func TestExitStatusIsTaken(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Stderr: io.Discard})
	var worker atomic.Int64
	setLauncher(pool, &proc.Local{Fault: func(op string) error {
		switch op {
		case "pidfd":
			return errInjected
		case "waitid": // the worker is about to be waited for
			for worker.Load() == 0 {
				time.Sleep(time.Millisecond) // allowed: paces the polling
			}
			_, _ = syscall.Wait4(int(worker.Load()), nil, 0, nil)
		}
		return nil
	}})
	blows := []blow{{At: atRun, How: "exit 3", Log: filepath.Join(t.TempDir(), "log")}}
	task := parallel.Spawn(testkit.Patient(t), suffer, blows[0], parallel.On(pool))
	testkit.WaitFor(t, "the worker", func() bool { return task.PID() != 0 })
	worker.Store(int64(task.PID()))
	_, err := task.Wait()
	var crash *parallel.CrashError
	if !errors.As(err, &crash) || crash.ExitCode != -1 || crash.Signal != nil || crash.Err != nil {
		t.Fatalf("error %#v", err)
	}
	if text := err.Error(); strings.Contains(text, "-1") || !strings.Contains(text, "exit status is not known") {
		t.Errorf("error %v", err)
	}
}
