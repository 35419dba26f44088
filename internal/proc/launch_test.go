package proc

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func TestTalk(t *testing.T) {
	for _, test := range []struct {
		name     string
		launcher *Local
	}{
		{"zero value", new(Local)},
		{"NoShared", &Local{NoShared: true}},
		{"SharedInFile", &Local{SharedInFile: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			w := launch(t, test.launcher, "echo")
			if w.Shared != nil && test.launcher.NoShared || w.Shared == nil && runtime.GOOS == "linux" && !test.launcher.NoShared {
				t.Errorf("the segment is %v", w.Shared)
			}
			if w.Process.PID() <= 0 {
				t.Errorf("process ID %d", w.Process.PID())
			}
			ask(t, w, "hello")
			ask(t, w, "are you still there?")
			if err := w.Requests.Close(); err != nil {
				t.Error(err)
			}
			if e := w.Process.Wait(); e != (transport.Exit{}) {
				t.Errorf("it ended with %+v", e)
			}
			if n, err := w.Results.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after its end: %d, %v", n, err)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "talk")
	if got := output(t, w); got != "out" {
		t.Errorf("standard output %q", got)
	}
	if b, err := io.ReadAll(w.Stderr); string(b) != "err" || err != nil {
		t.Errorf("standard error %q, %v", b, err)
	}
	w.Process.Wait()
}

func TestSegmentIsShared(t *testing.T) {
	for _, inFile := range []bool{false, true} {
		t.Run(fmt.Sprint("inFile=", inFile), func(t *testing.T) {
			testkit.CheckLeaks(t)
			w := launch(t, &Local{SharedInFile: inFile}, "segment")
			if w.Shared == nil {
				w.Process.Wait()
				t.Skip("there are no segments on this system")
			}
			if got := output(t, w); got != "mapped" {
				b, _ := io.ReadAll(w.Stderr)
				t.Errorf("it says %q, %q", got, b)
			}
			w.Process.Wait()
			if seq, ok := w.Shared.Running(); seq != 5 || !ok {
				t.Errorf("item %d is running, %v", seq, ok)
			}
			up, _ := w.Shared.Inherit()
			if n, err := up.Seek(0, io.SeekEnd); n < shm.Size/2 || err != nil {
				t.Errorf("the segment has %d bytes, %v", n, err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	testkit.CheckLeaks(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROC_TEST_A", "ours")
	t.Setenv("PROC_TEST_B", "ours")
	t.Setenv("GOMAXPROCS", "100")
	for _, test := range []struct {
		name string
		spec transport.Spec
		want []string
		not  []string
	}{
		{"nothing", transport.Spec{},
			[]string{"PROC_TEST_A=ours", "GOMAXPROCS=100", "runtime: GOMAXPROCS=100 GOMEMLIMIT=9223372036854775807"}, []string{"GOMEMLIMIT="}},
		{"all", transport.Spec{Dir: dir, MaxMemoryBytes: 1 << 40, GOMAXPROCS: 3, Env: []string{"PROC_TEST_B=its"}},
			[]string{"Dir=" + dir + " <nil>", "PROC_TEST_A=ours", "PROC_TEST_B=its", "GOMAXPROCS=100", "runtime: GOMAXPROCS=3 GOMEMLIMIT=989560464993"},
			[]string{"GOMEMLIMIT="}},
		{"Env counts", transport.Spec{MaxMemoryBytes: 1 << 40, GOMAXPROCS: 3, Env: []string{"GOMAXPROCS=2", "GOMEMLIMIT=off", markVariable + "=nonsense"}},
			[]string{"GOMAXPROCS=2", "GOMEMLIMIT=off", "runtime: GOMAXPROCS=2 GOMEMLIMIT=9223372036854775807"}, nil},
		{"no limit is too large", transport.Spec{MaxMemoryBytes: math.MaxInt64},
			[]string{"runtime: GOMAXPROCS=100 GOMEMLIMIT=8301034833169298220"}, []string{"GOMEMLIMIT="}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Env = append(test.spec.Env, roleVariable+"=environment", "GORACE=atexit_sleep_ms=0")
			w, err := new(Local).Launch(t.Context(), test.spec)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("there are no worker processes on this system")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeWorker(w)
			lines := strings.Split(output(t, w), "\n")
			w.Process.Wait()
			for _, want := range test.want {
				if !slices.Contains(lines, want) {
					t.Errorf("%q is not in %q", want, lines)
				}
			}
			for _, line := range lines {
				for _, not := range append(test.not, markVariable+"=") {
					if strings.HasPrefix(line, not) {
						t.Errorf("the worker has %q", line)
					}
				}
			}
		})
	}
}

func TestMissingDirectory(t *testing.T) {
	testkit.CheckLeaks(t)
	_, err := new(Local).Launch(t.Context(), transport.Spec{Dir: filepath.Join(t.TempDir(), "none")})
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "ProcessPool.Dir: ") {
		t.Errorf("error %v", err)
	}
}

func TestMalformedMark(t *testing.T) {
	for _, mark := range []string{"", "nonsense", "2", "4", "6", "-3", "1,2", "1,x,3", "3 nonsense", `3 "GOMAXPROCS" nonsense`, `3 "" `} {
		t.Run(mark, func(t *testing.T) {
			cmd := again("wait")
			cmd.Env = append(cmd.Env, markVariable+"="+mark)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), "parallel: ") {
				t.Errorf("%q, %v", out, err)
			}
			if runtime.GOOS != "windows" && !strings.Contains(string(out), fmt.Sprintf("malformed PARALLEL_WORKER=%q", mark)) {
				t.Errorf("%q", out)
			}
		})
	}
}

var errInjected = errors.New("injected fault")

// canDoWithout is operations of a start whose failure does not end it.
var canDoWithout = map[string]bool{
	"proc": true, "epoll": true, "setsig": true, "null": true, "memfd": true, "seal": true, "map": true, "file": true, "session": true, "pidfd": true,
}

// TestFaultsInAStart has the first operation of a start fail, then the second, until a
// start meets no fault.
func TestFaultsInAStart(t *testing.T) {
	var operations []string
	for n := 0; ; n++ {
		failed := ""
		t.Run(fmt.Sprint("operation=", n), func(t *testing.T) { failed = faultInAStart(t, n) })
		if failed == "" {
			break
		}
		operations = append(operations, failed)
	}
	want := []string{
		"proc", "pipe", "pipe", "epoll", "pipe", "setsig", "pipe", "pipe", "null",
		"memfd", "seal", "memfd", "seal", "proc", "map", "map", "session", "start", "pidfd", "group",
	}
	operations = slices.DeleteFunc(operations, func(op string) bool { return op == "file" })
	if runtime.GOOS != "linux" {
		want = slices.DeleteFunc(want, func(op string) bool { return canDoWithout[op] })
		operations = slices.DeleteFunc(operations, func(op string) bool { return canDoWithout[op] })
	}
	if len(operations) > 0 && !slices.Equal(operations, want) {
		t.Errorf("the operations of a start are %q, want %q", operations, want)
	}
}

// faultInAStart has operation n of a start fail, and returns which it is.
func faultInAStart(t *testing.T, n int) (failed string) {
	testkit.CheckLeaks(t)
	at := 0
	l := &Local{Fault: func(op string) error {
		if at++; at-1 != n {
			return nil
		}
		failed = op
		return errInjected
	}}
	w, err := l.Launch(t.Context(), transport.Spec{Env: []string{roleVariable + "=echo", "GORACE=atexit_sleep_ms=0"}})
	at = n + 1 // nothing fails any more
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.Skip("there are no worker processes on this system")
	case failed != "" && !canDoWithout[failed]:
		if err != errInjected || w != nil {
			t.Errorf("a fault in %q: %v, %v", failed, w, err)
		}
		return failed
	case err != nil:
		t.Fatalf("a fault in %q: error %v", failed, err)
	}
	defer closeWorker(w)
	ask(t, w, "hello")
	w.Requests.Close()
	if e := w.Process.Wait(); e != (transport.Exit{}) {
		t.Errorf("a fault in %q: it ended with %+v", failed, e)
	}
	return failed
}

func TestFaultInAWrite(t *testing.T) {
	testkit.CheckLeaks(t)
	broken := false
	w := launch(t, &Local{Fault: func(op string) error {
		if broken && op == "write" {
			return errInjected
		}
		return nil
	}}, "echo")
	ask(t, w, "one")
	broken = true
	if n, err := io.WriteString(w.Requests, "two"); n != 0 || err != errInjected {
		t.Errorf("%d, %v", n, err)
	}
	broken = false
	ask(t, w, "three")
	if err := w.Requests.Close(); err != nil {
		t.Error(err)
	}
	if e := w.Process.Wait(); e != (transport.Exit{}) {
		t.Errorf("it ended with %+v", e)
	}
}

func TestManyAtOnce(t *testing.T) {
	testkit.CheckLeaks(t)
	workers := make([]*transport.Worker, 4)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			var err error
			workers[i], err = new(Local).Launch(t.Context(), transport.Spec{Env: []string{roleVariable + "=echo", "GORACE=atexit_sleep_ms=0"}})
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i, w := range workers {
		if w == nil {
			continue
		}
		defer closeWorker(w)
		ask(t, w, fmt.Sprint("worker ", i))
	}
	// Each has only its own: to close one's requests ends that one.
	for _, w := range workers {
		if w == nil {
			continue
		}
		w.Requests.Close()
		if e := w.Process.Wait(); e != (transport.Exit{}) {
			t.Errorf("it ended with %+v", e)
		}
	}
}
