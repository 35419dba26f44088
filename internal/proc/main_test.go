package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

// The workers here are this test binary, started by Local. So is the parent that a test
// kills, but for Local.

const (
	roleVariable = "PROC_TEST_ROLE" // what a worker, or another process of a test, does
	dirVariable  = "PROC_TEST_DIR"  // where it reports itself, by files named after process IDs

	withoutVariable = "PROC_TEST_WITHOUT" // what a parent's launcher is to do without
)

var inherited = func() *Inherited {
	if os.Getenv(roleVariable) == "hang before Inherit" {
		report()
		stay()
	}
	return Inherit()
}()

func init() {
	if os.Getenv(roleVariable) == "hang in initialization" {
		report()
		stay()
	}
}

func TestMain(m *testing.M) {
	role, ok := os.LookupEnv(roleVariable)
	switch {
	case !ok && inherited == nil:
		os.Exit(m.Run())
	case !ok:
		fail("a worker without a role")
	case inherited != nil:
		inherited.Settle()
	}
	if f, ok := roles[role]; ok {
		f()
		os.Exit(0)
	}
	fail("unknown role " + role)
}

// roles are what processes of tests do.
var roles = map[string]func(){
	"echo":         func() { _, _ = io.Copy(inherited.Results, inherited.Requests) },
	"exit with 7":  func() { os.Exit(7) },
	"wait":         func() { report(); stay() },
	"talk":         func() { fmt.Print("out"); fmt.Fprint(os.Stderr, "err") },
	"environment":  environment,
	"segment":      segment,
	"spin":         spin,
	"parent":       func() { parent(os.Getenv(roleVariable + "_WORKER")) },
	"nested":       func() { report(); parent("wait") },
	"have a child": func() { start("wait"); report(); stay() },
	"leave a child": func() {
		start("wait")
		_, _ = io.Copy(io.Discard, inherited.Requests)
	},
	"descriptors": func() {
		for fd, target := range testkit.Descriptors() {
			fmt.Println(fd, target)
		}
	},
	"have a child list its descriptors": func() {
		child := again("descriptors")
		child.Stdout = os.Stdout
		if err := child.Run(); err != nil {
			fail(err.Error())
		}
	},
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(3)
}

// stay does not return. A select without cases would: the runtime ends a process in which
// nothing else goes on.
func stay() {
	for {
		time.Sleep(time.Hour) // allowed: the process never gets on
	}
}

// report tells the test of this process.
func report() {
	name := filepath.Join(os.Getenv(dirVariable), fmt.Sprint(os.Getpid()))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		fail(err.Error())
	}
}

// failing is a Fault that makes operations fail.
func failing(ops ...string) func(op string) error {
	return func(op string) error {
		if slices.Contains(ops, op) {
			return errInjected
		}
		return nil
	}
}

// again is this test binary once more, as a process that is no worker.
func again(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

// start starts one, and leaves it alone.
func start(role string) {
	if err := again(role).Start(); err != nil {
		fail(err.Error())
	}
}

func environment() {
	dir, err := os.Getwd()
	fmt.Printf("Dir=%s %v\n", dir, err)
	fmt.Printf("runtime: GOMAXPROCS=%d GOMEMLIMIT=%d\n", runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1))
	for _, line := range os.Environ() {
		fmt.Println(line)
	}
}

// segment maps the segment, and says in it that item 5 is running.
func segment() {
	m, err := shm.Map(inherited.Shared.Up, inherited.Shared.Down)
	if err != nil {
		fail(err.Error())
	}
	m.SetRunning(5)
	fmt.Print("mapped")
}

// spin takes every processor.
func spin() {
	report()
	for range 4 * runtime.GOMAXPROCS(0) {
		go func() {
			for {
			}
		}()
	}
	for {
	}
}

// parent starts a worker, and waits to be killed.
func parent(role string) {
	l := new(Local)
	if op, ok := os.LookupEnv(withoutVariable); ok {
		l.Fault = failing(op)
	}
	w, err := l.Launch(context.Background(), transport.Spec{Env: []string{roleVariable + "=" + role}})
	if err != nil {
		fail(err.Error())
	}
	fmt.Println("launched")
	_, _ = io.Copy(os.Stderr, w.Stderr) // what goes wrong there
	stay()
}

// launch starts a worker with that role. At its end the test closes all that it holds.
func launch(t *testing.T, l *Local, role string, env ...string) *transport.Worker {
	t.Helper()
	w, err := l.Launch(t.Context(), transport.Spec{Env: append(env, roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("there are no worker processes on this system")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWorker(w) })
	return w
}

// closeWorker closes all that belongs to the supervisor.
func closeWorker(w *transport.Worker) {
	w.Process.Kill()
	for _, c := range []io.Closer{w.Requests, w.Results, w.Stdout, w.Stderr} {
		c.Close()
	}
	if w.Shared != nil {
		w.Shared.Close()
	}
}

// ask has a worker in the role "echo" answer.
func ask(t *testing.T, w *transport.Worker, question string) {
	t.Helper()
	if _, err := io.WriteString(w.Requests, question); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len(question))
	if _, err := io.ReadFull(w.Results, answer); err != nil || string(answer) != question {
		t.Fatalf("asked %q it answers %q, %v", question, answer, err)
	}
}

// serveAndEnd has a worker in the role "echo" answer, and end by itself. Meanwhile it is waited
// for.
func serveAndEnd(t *testing.T, w *transport.Worker) {
	t.Helper()
	ended := make(chan transport.Exit, 1)
	go func() { ended <- w.Process.Wait() }()
	for i := range 100 {
		ask(t, w, fmt.Sprint("question ", i))
	}
	select {
	case e := <-ended:
		t.Errorf("a worker that answers is said to have ended with %+v", e)
	default:
	}
	w.Requests.Close()
	if e := <-ended; e != (transport.Exit{}) {
		t.Errorf("it ended with %+v", e)
	}
}

// output is all that a worker writes to its standard output, which it closes.
func output(t *testing.T, w *transport.Worker) string {
	t.Helper()
	b, err := io.ReadAll(w.Stdout)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
