package supervisor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/wire"
)

// Starts that fail because of what the worker does before it reaches Init.

const (
	startEnv     = "PARALLEL_TEST_START"     // tells a worker how to start; empty: as it should
	startDirEnv  = "PARALLEL_TEST_START_DIR" // where a worker that hangs makes a file named by its process
	anotherBuild = "be another build"
)

func init() {
	how := os.Getenv(startEnv)
	if how != anotherBuild {
		parallel.Register(onlyInThisBuild)
	}
	if how != "" {
		startAs(how)
	}
}

func onlyInThisBuild(context.Context, int) (int, error) { return 0, nil }

func startAs(how string) {
	fmt.Fprintln(os.Stderr, "this worker will", how)
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
