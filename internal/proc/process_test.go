package proc

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func TestExitCode(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "exit with 7")
	if e := w.Process.Wait(); e != (transport.Exit{Code: 7}) {
		t.Errorf("it ended with %+v", e)
	}
}

func TestKill(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "echo")
	ask(t, w, "hello")
	var group sync.WaitGroup
	for range 4 {
		group.Go(w.Process.Kill)
	}
	want := transport.Exit{Code: -1, Signal: os.Kill}
	if runtime.GOOS == "windows" {
		want = transport.Exit{Code: 1}
	}
	if e := w.Process.Wait(); e != want {
		t.Errorf("it ended with %+v", e)
	}
	group.Wait()
	w.Process.Kill()
	if n, err := w.Process.Resident(); n != 0 || !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a dead process has %d bytes, %v", n, err)
	}
}

func TestResident(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "echo")
	ask(t, w, "hello")
	n, err := w.Process.Resident()
	if runtime.GOOS == "linux" {
		if n < 100<<10 || n > 1<<32 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	} else if n != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%d bytes, %v", n, err)
	}
	w.Process.Kill()
	w.Process.Wait()
}

func TestSignalsByNumber(t *testing.T) {
	if runtime.GOOS == "plan9" {
		t.Skip("signals have no numbers")
	}
	for _, s := range []os.Signal{nil, os.Kill, os.Interrupt} {
		n := SignalNumber(s)
		if got := Signal(n); got != s || (n < 0) != (s == nil) {
			t.Errorf("%v became number %d and %v", s, n, got)
		}
	}
}
