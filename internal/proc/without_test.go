//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func init() {
	roles["say what there is"] = func() {
		n, err := os.Stdin.Read(make([]byte, 1))
		fmt.Printf("stdin: %d %v, segment: %v, leads its group: %v\n", n, err, inherited.Shared != nil, syscall.Getpgrp() == os.Getpid())
	}
}

// TestWithout has the system refuse what workers can do without, once and for good. What is
// done instead is what docs/reliability.md says.
func TestWithout(t *testing.T) {
	for _, test := range []struct {
		op      string
		instead func(t *testing.T, p *process, w *transport.Worker)
	}{
		{"proc", func(t *testing.T, p *process, w *transport.Worker) {
			if path, err := os.Executable(); p.cmd.Path != path || err != nil {
				t.Errorf("it has executed %s, want %s; %v", p.cmd.Path, path, err)
			}
		}},
		{"null", func(t *testing.T, p *process, w *transport.Worker) {
			if info, err := p.cmd.Stdin.(*os.File).Stat(); err == nil {
				t.Errorf("its standard input is still open: %v", info)
			}
		}},
		{"session", func(t *testing.T, p *process, w *transport.Worker) {
			if p.cmd.SysProcAttr.Setsid || !p.cmd.SysProcAttr.Setpgid {
				t.Errorf("%+v", p.cmd.SysProcAttr)
			}
		}},
		{"epoll", nil}, // see package pipe
		{"setsig", func(t *testing.T, p *process, w *transport.Worker) {
			if p.parentDeath.armed {
				t.Error("the kernel sends a signal")
			}
		}},
		{"pidfd", func(t *testing.T, p *process, w *transport.Worker) {
			if p.group.exit != nil {
				t.Error("its exit has a file")
			}
		}},
		{"memfd", nil}, // see package shm
		{"seal", nil},
		{"map", nil},
	} {
		for _, forGood := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/forGood=%v", test.op, forGood), func(t *testing.T) {
				testkit.CheckLeaks(t)
				l := &Local{Fault: (&refusal{op: test.op, forGood: forGood}).fault}
				w := launch(t, l, "echo")
				if test.instead != nil {
					test.instead(t, w.Process.(*process), w)
				}
				serveAndEnd(t, w)
				serveAndBeKilled(t, launch(t, l, "echo"))
				w = launch(t, l, "say what there is")
				if got := output(t, w); !strings.HasPrefix(got, "stdin: 0 EOF, ") || !strings.HasSuffix(got, "leads its group: true\n") {
					t.Errorf("it says %q", got)
				}
				w.Process.Wait()
			})
		}
	}
}

// refusal is a Fault that makes one operation fail, the first time or always.
type refusal struct {
	op      string
	forGood bool
	n       int
}

func (r *refusal) fault(op string) error {
	if op != r.op {
		return nil
	}
	if r.n++; r.n > 1 && !r.forGood {
		return nil
	}
	return errInjected
}

// serveAndBeKilled is the same with a worker that is killed.
func serveAndBeKilled(t *testing.T, w *transport.Worker) {
	t.Helper()
	ended := make(chan transport.Exit, 1)
	go func() { ended <- w.Process.Wait() }()
	ask(t, w, "are you there?")
	w.Process.Kill()
	if e := <-ended; e != (transport.Exit{Code: -1, Signal: os.Kill}) {
		t.Errorf("it ended with %+v", e)
	}
	w.Process.Kill() // does nothing
}

// TestWithoutAWait has the system refuse to wait without reaping, by one way or by all.
func TestWithoutAWait(t *testing.T) {
	for _, ops := range [][]string{{"waitid"}, {"pidfd"}, {"waitid", "pidfd"}} {
		t.Run(strings.Join(ops, ","), func(t *testing.T) {
			testkit.CheckLeaks(t)
			l := &Local{Fault: failing(ops...)}
			serveAndEnd(t, launch(t, l, "echo"))
			serveAndBeKilled(t, launch(t, l, "echo"))

			dir := reportDir(t)
			w := launch(t, l, "leave a child", dirVariable+"="+dir)
			testkit.WaitFor(t, "the child to report", func() bool { return len(reported(t, dir)) == 1 })
			w.Requests.Close()
			w.Process.Wait()
			for _, pid := range reported(t, dir) {
				testkit.WaitFor(t, fmt.Sprint("the end of process ", pid), func() bool { return gone(pid) })
			}
		})
	}
}

// TestKillIsRefused has the system refuse to kill. The worker ends all the same, and so does
// what it has started.
func TestKillIsRefused(t *testing.T) {
	for _, without := range [][]string{{"kill"}, {"kill", "setsig"}} {
		for _, role := range []string{"wait", "have a child", "stop"} {
			if role == "stop" && (len(without) > 1 || runtime.GOOS != "linux") {
				continue // it takes the kernel
			}
			t.Run(strings.Join(without, ",")+"/"+role, func(t *testing.T) {
				testkit.CheckLeaks(t)
				dir := reportDir(t)
				w := launch(t, &Local{Fault: failing(without...)}, role, dirVariable+"="+dir)
				n := map[string]int{"have a child": 2}[role]
				testkit.WaitFor(t, "all processes to report", func() bool { return len(reported(t, dir)) == max(n, 1) })
				w.Process.Kill()
				w.Process.Kill()
				if e := w.Process.Wait(); e == (transport.Exit{}) {
					t.Errorf("it ended with %+v", e)
				}
				for _, pid := range reported(t, dir) {
					testkit.WaitFor(t, fmt.Sprint("the end of process ", pid), func() bool { return gone(pid) })
				}
			})
		}
	}
}

// TestStatusIsTaken has other code of this process wait for any child.
func TestStatusIsTaken(t *testing.T) {
	for _, without := range []string{"", "pidfd", "waitid"} {
		t.Run("without="+without, func(t *testing.T) {
			testkit.CheckLeaks(t)
			w := launch(t, &Local{Fault: failing(without)}, "echo")
			ask(t, w, "are you there?")
			w.Requests.Close()
			if pid, err := syscall.Wait4(w.Process.PID(), nil, 0, nil); pid != w.Process.PID() || err != nil {
				t.Fatalf("%d, %v", pid, err)
			}
			if e := w.Process.Wait(); e != (transport.Exit{Code: -1}) {
				t.Errorf("it ended with %+v", e)
			}
		})
	}
}

// TestNothingSaysWhichFile removes all that names the executable.
func TestNothingSaysWhichFile(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	if path := executedAs(); path == "" {
		t.Error("the kernel does not say how it has found this file")
	} else if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	args := os.Args
	defer func() { os.Args = args }()
	for _, os.Args = range [][]string{nil, {}, {"another name"}} {
		testkit.CheckLeaks(t)
		serveAndEnd(t, launch(t, new(Local), "echo"))
	}
}

// TestStopped stops a worker and continues it.
func TestStopped(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	for _, without := range []string{"", "proc", "waitid"} {
		t.Run("without="+without, func(t *testing.T) {
			testkit.CheckLeaks(t)
			w := launch(t, &Local{Fault: failing(without)}, "echo")
			for range 3 {
				ask(t, w, "are you there?")
				if w.Process.Activity().Stopped {
					t.Error("a worker that answers is said to be stopped")
				}
				if err := syscall.Kill(w.Process.PID(), syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				testkit.WaitFor(t, "the worker to be stopped", func() bool { return w.Process.Activity().Stopped })
				if err := syscall.Kill(w.Process.PID(), syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
			}
			serveAndEnd(t, w)
			if a := w.Process.Activity(); a != (transport.Activity{}) {
				t.Errorf("after its end: %+v", a)
			}
		})
	}
}

// TestResidentWithoutProc asks for what only /proc says.
func TestResidentWithoutProc(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	testkit.CheckLeaks(t)
	w := launch(t, &Local{Fault: failing("proc")}, "echo")
	if n, err := w.Process.Resident(); n != 0 || !errors.Is(err, errInjected) {
		t.Errorf("%d, %v", n, err)
	}
	serveAndEnd(t, w)
}
