//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/transport"
)

// lateLauncher starts workers to which a write returns a while after it has been done, as if
// another thread had taken the processor.
type lateLauncher struct{ proc.Local }

func (l *lateLauncher) Launch(ctx context.Context, spec transport.Spec) (*transport.Worker, error) {
	w, err := l.Local.Launch(ctx, spec)
	if err == nil {
		w.Requests = lateWriter{w.Requests}
	}
	return w, err
}

type lateWriter struct{ io.WriteCloser }

func (w lateWriter) Write(b []byte) (int, error) {
	n, err := w.WriteCloser.Write(b)
	time.Sleep(200 * time.Millisecond) // allowed: the worker is to die before the write returns
	return n, err
}

// TestDeathBeforeTheWriteReturns has a worker run an item, destroy what says so and die, all
// before the sender knows that the item has been written.
func TestDeathBeforeTheWriteReturns(t *testing.T) {
	for _, how := range []string{"a segment of zeros, an end", "half a header"} {
		t.Run(how, func(t *testing.T) {
			pool := testPool(t, &parallel.ProcessPool{Size: 1})
			setLauncher(pool, new(lateLauncher))
			items := []mischief{{How: how, Runs: filepath.Join(t.TempDir(), "runs")}}
			_, err := parallel.Map(t.Context(), items, misbehave, parallel.On(pool))
			if crash := new(parallel.CrashError); !errors.As(err, &crash) {
				t.Errorf("%v, want a CrashError", err)
			}
			checkRuns(t, items, map[int]bool{0: true})
		})
	}
}
