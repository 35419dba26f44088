package parallel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func init() {
	Register(whoAmI)
}

// whoAmI reports the process that it runs in.
func whoAmI(context.Context, struct{}) (int, error) { return os.Getpid(), nil }

func TestSpawn(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		task := Spawn(t.Context(), double, 21, where)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if r, err := task.Wait(); r != 42 || err != nil {
					t.Errorf("Wait = %d, %v", r, err)
				}
			})
		}
		group.Wait()
		<-task.Done()
		if r, err := task.Wait(); r != 42 || err != nil {
			t.Errorf("Wait after the end = %d, %v", r, err)
		}
	})
}

func TestSpawnReturnsAtOnce(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		open := filepath.Join(t.TempDir(), "open")
		task := Spawn(t.Context(), gate, step{Wait: open}, where)
		select {
		case <-task.Done():
			t.Error("the task has ended before it could")
		default:
		}
		_ = touch(t.Context(), open)
		if _, err := task.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestSpawnErrorIsTheItemsOwn(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		_, err := Spawn(t.Context(), errorForms, "sentinel", where).Wait()
		if err != errKnown {
			t.Errorf("error %#v, want the sentinel itself", err)
		}
		_, err = Spawn(t.Context(), panics, 1, where, KeepGoing()).Wait()
		if _, ok := err.(*PanicError); !ok {
			t.Errorf("error %#v, want a PanicError", err)
		}
		_, err = Spawn(t.Context(), goexits, 1, where).Wait()
		if err != ErrGoexit {
			t.Errorf("error %#v, want ErrGoexit", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = Spawn(ctx, double, 1, where).Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

func TestTaskPID(t *testing.T) {
	checkLeaks(t)
	task := Spawn(t.Context(), whoAmI, struct{}{})
	if pid, err := task.Wait(); err != nil || pid != os.Getpid() || task.PID() != 0 {
		t.Errorf("on a goroutine: ran in %d, PID %d, %v", pid, task.PID(), err)
	}
	task = Spawn(t.Context(), whoAmI, struct{}{}, Processes(1))
	pid, err := task.Wait()
	if err != nil || pid == os.Getpid() || task.PID() != pid {
		t.Errorf("in a process: ran in %d, PID %d, %v", pid, task.PID(), err)
	}
}

func TestKillOneTask(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	runs := filepath.Join(dir, "runs")
	doomed := Spawn(t.Context(), gate, step{Make: runs, Deaf: true}, Processes(1))
	other := Spawn(t.Context(), gate, step{Wait: filepath.Join(dir, "open")}, Processes(1))
	waitFor(t, "the task to run", func() bool { return exists(runs) })
	p, err := os.FindProcess(doomed.PID())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = doomed.Wait()
	var crash *CrashError
	if !errors.As(err, &crash) || crash.PID != doomed.PID() || crash.Err != nil || crash.Signal != os.Kill {
		t.Errorf("error %#v, want a CrashError of the killed process", err)
	}
	_ = touch(t.Context(), filepath.Join(dir, "open"))
	if _, err := other.Wait(); err != nil {
		t.Errorf("the other task failed too: %v", err)
	}
}

func TestSpawnItemTimeout(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, where Option) {
		_, err := Spawn(t.Context(), late, "well", where, ItemTimeout(time.Millisecond)).Wait()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
