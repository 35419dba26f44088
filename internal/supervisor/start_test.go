package supervisor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// Starts that fail because of what the worker does before it reaches Init.

const (
	startEnv     = "PARALLEL_TEST_START"     // tells a worker how to start; empty: as it should
	startDirEnv  = "PARALLEL_TEST_START_DIR" // where a worker that hangs makes a file named by its process
	anotherBuild = "be another build"
	dieWhileTold = "die while it is told to"
)

func init() {
	how := os.Getenv(startEnv)
	if how != anotherBuild {
		parallel.Register(onlyInThisBuild)
		parallel.Register(exits)
	}
	if how != "" {
		startAs(how)
	}
}

func onlyInThisBuild(context.Context, int) (int, error) { return 0, nil }

func startAs(how string) {
	if how != dieWhileTold {
		fmt.Fprintln(os.Stderr, "this worker will", how)
	}
	switch how {
	case "hang":
		if dir := os.Getenv(startDirEnv); dir != "" {
			_ = testkit.Touch(context.Background(), filepath.Join(dir, fmt.Sprint(os.Getpid())))
		}
		for {
			time.Sleep(time.Hour) // allowed: the process never gets on
		}
	case "exit":
		os.Exit(7)
	case "crash":
		panic("in an init function")
	case dieWhileTold:
		// Each death takes a file away.
		files, _ := filepath.Glob(filepath.Join(os.Getenv(startDirEnv), "*"))
		for _, file := range files {
			if os.Remove(file) == nil {
				killProcess(os.Getpid())
				select {}
			}
		}
	case "talk nonsense":
		talk(append(wire.Begin(nil, 6), "hello"...), 5)
	case "talk too much":
		talk(wire.Begin(nil, 1), math.MaxUint32)
	case "print on the results":
		_, _ = inherited.Results.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	}
}

// talk writes the first frame, which claims that length.
func talk(frame []byte, length uint32) {
	binary.LittleEndian.PutUint32(frame, length)
	new(wire.Sealer).Seal(frame)
	_, _ = inherited.Results.Write(frame)
}

func TestStartsThatFail(t *testing.T) {
	for _, test := range []struct {
		how  string
		want []string
	}{
		{"hang", []string{"has not reached parallel.Init within the StartTimeout of ", "first statement of main"}},
		{"exit", []string{"ended before it had reached parallel.Init"}},
		{"crash", []string{"ended before it had reached parallel.Init", "panic: in an init function"}},
		{"talk nonsense", []string{"broke the protocol", "out of turn"}},
		{"talk too much", []string{"broke the protocol", "the limit is"}},
		{"print on the results", []string{"broke the protocol", "is no frame"}},
		{anotherBuild, []string{"another build", "it lacks"}},
	} {
		t.Run(test.how, func(t *testing.T) {
			testkit.CheckLeaks(t)
			limit := 10 * time.Second
			if test.how == "hang" {
				limit = 50 * time.Millisecond
			}
			out, crash, err := failToStart(t, test.how, limit)
			for test.how == "hang" && crash != nil && len(crash.Stderr) == 0 {
				limit *= 2 // the machine is so slow that the worker had not got to hanging
				out, crash, err = failToStart(t, test.how, limit)
			}
			if len(out) != 0 || crash == nil || !strings.HasPrefix(err.Error(), "parallel: ") {
				t.Fatalf("%v, %v, want a CrashError", out, err)
			}
			if !strings.Contains(string(crash.Stderr), "this worker will "+test.how) {
				t.Errorf("its standard error is %q", crash.Stderr)
			}
			for _, want := range append(test.want, "cannot start a worker process") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if test.how == "exit" && crash.ExitCode != 7 {
				t.Errorf("exit code %d", crash.ExitCode)
			}
		})
	}
}

// failToStart calls with workers that cannot start.
func failToStart(t *testing.T, how string, limit time.Duration) (out []int, crash *parallel.CrashError, err error) {
	pool := testPool(t, &parallel.ProcessPool{
		Size: 2, StartTimeout: limit, Stderr: new(strings.Builder), Env: []string{startEnv + "=" + how},
	})
	hurryStarts(pool)
	defer pool.Close()
	out, err = parallel.Map(testkit.Patient(t), testkit.Count(10), testkit.Double, parallel.On(pool))
	errors.As(err, &crash)
	return out, crash, err
}

// killProcess kills a process, as anyone may.
func killProcess(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// launches is a launcher in its first form: a function.
type launches func(ctx context.Context, spec transport.Spec) (*transport.Worker, error)

func (l launches) Launch(ctx context.Context, spec transport.Spec) (*transport.Worker, error) {
	return l(ctx, spec)
}

// numbered starts workers by l, which is told how many it has started before.
func numbered(l func(n int, ctx context.Context, spec transport.Spec) (*transport.Worker, error)) launches {
	var n atomic.Int64
	return func(ctx context.Context, spec transport.Spec) (*transport.Worker, error) {
		return l(int(n.Add(1)-1), ctx, spec)
	}
}

// checkDoubles has pool serve a call of n items, which must not notice anything.
func checkDoubles(t *testing.T, pool *parallel.ProcessPool, n int) {
	t.Helper()
	out, err := parallel.Map(testkit.Patient(t), testkit.Count(n), testkit.Double, parallel.On(pool))
	if err != nil || len(out) != n || n > 1 && out[n-1] != 2*(n-1) {
		t.Errorf("%d results, %v", len(out), err)
	}
}

// TestDeathsAtStart has workers killed before they reach Init, when none lives, or in place
// of one that was killed during the call.
func TestDeathsAtStart(t *testing.T) {
	for _, warm := range []bool{false, true} {
		for deaths := 1; deaths <= 4; deaths++ {
			t.Run(fmt.Sprintf("warm=%v/deaths=%d", warm, deaths), func(t *testing.T) {
				testkit.CheckLeaks(t)
				dir := t.TempDir()
				pool := testPool(t, &parallel.ProcessPool{Size: 2, Env: []string{startEnv + "=" + dieWhileTold, startDirEnv + "=" + dir}})
				if warm {
					checkDoubles(t, pool, 10)
				}
				for i := range deaths {
					_ = testkit.Touch(t.Context(), filepath.Join(dir, fmt.Sprint(i)))
				}
				for _, pid := range inner(pool).PIDs() {
					killProcess(pid)
				}
				checkDoubles(t, pool, 40)
				if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 && !warm {
					t.Errorf("%d of %d workers have not died", len(files), deaths)
				}
			})
		}
	}
}

// TestStartsFailInEveryCall has the first starts fail for a call of each kind.
func TestStartsFailInEveryCall(t *testing.T) {
	calls := map[string]func(t *testing.T, on parallel.Option) error{
		"Map": func(t *testing.T, on parallel.Option) error {
			_, err := parallel.Map(testkit.Patient(t), testkit.Count(5), testkit.Double, on)
			return err
		},
		"MapSeq": func(t *testing.T, on parallel.Option) error {
			n := 0
			for r, err := range parallel.MapSeq(testkit.Patient(t), slices.Values(testkit.Count(5)), testkit.Double, on) {
				if err != nil || r != 2*n {
					return fmt.Errorf("result %d is %d, %w", n, r, err)
				}
				n++
			}
			return nil
		},
		"Spawn": func(t *testing.T, on parallel.Option) error {
			_, err := parallel.Spawn(testkit.Patient(t), testkit.Double, 5, on).Wait()
			return err
		},
		"many Spawns": func(t *testing.T, on parallel.Option) error {
			var tasks []*parallel.Task[int]
			for i := range 100 {
				tasks = append(tasks, parallel.Spawn(testkit.Patient(t), testkit.Double, i, on))
			}
			for _, task := range tasks {
				if _, err := task.Wait(); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: 1})
			setLauncher(pool, numbered(func(n int, ctx context.Context, spec transport.Spec) (*transport.Worker, error) {
				if n < 3 {
					return nil, syscall.EAGAIN
				}
				return launcher.Launch(ctx, spec)
			}))
			if err := call(t, parallel.On(pool)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEverySecondStartFails in a pool that starts a worker for each item.
func TestEverySecondStartFails(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxItems: 1})
	setLauncher(pool, numbered(func(n int, ctx context.Context, spec transport.Spec) (*transport.Worker, error) {
		if n%2 == 0 {
			return nil, syscall.ENOMEM
		}
		return launcher.Launch(ctx, spec)
	}))
	checkDoubles(t, pool, 20)
	if s := pool.Stats(); s.Items != 20 || s.Died != 0 || s.Started < 20 {
		t.Errorf("%+v", s)
	}
}

// TestExecutableIsReplaced has every start but the first be one of another build.
func TestExecutableIsReplaced(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2, Stderr: io.Discard})
	setLauncher(pool, numbered(func(n int, ctx context.Context, spec transport.Spec) (*transport.Worker, error) {
		if n > 0 {
			spec.Env = append(slices.Clone(spec.Env), startEnv+"="+anotherBuild)
		}
		return launcher.Launch(ctx, spec)
	}))
	pid, finish := occupy(t, pool)
	task := parallel.Spawn(testkit.Patient(t), testkit.PID, 0, parallel.On(pool))
	testkit.WaitFor(t, "a start of another build to fail", func() bool { return pool.Stats().Died > 0 && inner(pool).Starting() == 0 })
	finish()
	if got, err := task.Wait(); err != nil || got != pid {
		t.Errorf("ran in %d, %v, want in %d", got, err, pid)
	}
	checkDoubles(t, pool, 100)
	killProcess(pid)
	_, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.Double, parallel.On(pool))
	if err == nil || !strings.Contains(err.Error(), "another build") {
		t.Errorf("when no worker of this build lives: %v", err)
	}
}

func exits(context.Context, int) (int, error) { os.Exit(3); return 0, nil }

// TestCrashesAreNoFailedStarts has the first item of each worker end it.
func TestCrashesAreNoFailedStarts(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	_, err := parallel.Map(testkit.Patient(t), testkit.Count(8), exits, parallel.On(pool), parallel.KeepGoing())
	if items := itemErrors(err); len(items) != 8 {
		t.Errorf("error %v", err)
	}
	if n := inner(pool).FailedStarts(); n != 0 {
		t.Errorf("%d count as starts that failed", n)
	}
}

// TestCloseWhileStartsFail waits for the calls that wait for a worker, until they fail.
func TestCloseWhileStartsFail(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2, Stderr: io.Discard, Env: []string{startEnv + "=exit"}})
	hurryStarts(pool)
	var tasks []*parallel.Task[int]
	for range 5 {
		tasks = append(tasks, parallel.Spawn(testkit.Patient(t), testkit.Double, 1, parallel.On(pool)))
	}
	pool.Close()
	for _, task := range tasks {
		var crash *parallel.CrashError
		if _, err := task.Wait(); !errors.As(err, &crash) || crash.ExitCode != 7 || !strings.Contains(string(crash.Stderr), "this worker will exit") {
			t.Errorf("error %v, want a crash with the last one's standard error", err)
		}
	}
}

func TestStartInAMissingDirectory(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Dir: filepath.Join(t.TempDir(), "none")})
	_, err := parallel.Map(t.Context(), testkit.Count(1), testkit.Double, parallel.On(pool))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "cannot start a worker process") {
		t.Errorf("error %v", err)
	}
	if s := pool.Stats(); s.Workers != 0 || s.Started != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCloseEndsStartingWorkers(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, StartTimeout: time.Hour, Env: []string{startEnv + "=hang"}})
	ctx, cancel := context.WithCancel(t.Context())
	task := parallel.Spawn(ctx, testkit.Double, 1, parallel.On(pool))
	testkit.WaitFor(t, "the worker to be started", func() bool { return pool.Stats().Started == 1 })
	cancel()
	if _, err := task.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	pool.Close()
	if s := pool.Stats(); s.Workers != 0 {
		t.Errorf("after Close: %+v", s)
	}
}
