package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// What workers print, and what they are given to see: output, environment,
// directory, log.

func init() {
	parallel.Register(surroundings)
	parallel.RegisterEach(printLines)
	parallel.RegisterEach(printBinary)
	parallel.Register(exit3)
}

// surroundings reports the working directory, or the variable with a name.
func surroundings(_ context.Context, name string) (string, error) {
	if name == "" {
		return os.Getwd()
	}
	value, ok := os.LookupEnv(name)
	if !ok {
		return "unset", nil
	}
	return value, nil
}

func TestEnvAndDir(t *testing.T) {
	testkit.CheckLeaks(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PARALLEL_TEST_INHERITED", "from the parent")
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Dir: dir, Env: []string{"PARALLEL_TEST_A=1", "PARALLEL_TEST_A=2"}})
	got, err := parallel.Map(t.Context(), []string{"", "PARALLEL_TEST_INHERITED", "PARALLEL_TEST_A", "PARALLEL_WORKER"}, surroundings, parallel.On(pool))
	if want := []string{dir, "from the parent", "2", "unset"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("a worker sees %q, %v, want %q", got, err, want)
	}
}

// printLines prints a hundred lines to both outputs, each in pieces.
func printLines(_ context.Context, item int) error {
	for i := range 100 {
		for _, w := range []io.Writer{os.Stdout, os.Stderr} {
			for _, piece := range []string{"<", fmt.Sprint(item), "-", fmt.Sprint(i), ">\n"} {
				if _, err := io.WriteString(w, piece); err != nil {
					return err
				}
			}
		}
	}
	_, err := fmt.Print("no newline at the end")
	return err
}

// recorder is an output that notes what it is given.
type recorder struct {
	t      *testing.T
	inside *atomic.Int32 // of all outputs of a pool
	mu     sync.Mutex
	writes [][]byte
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.inside.Add(1) != 1 {
		r.t.Error("two writes at once")
	}
	defer r.inside.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, bytes.Clone(p))
	return len(p), nil
}

func TestOutputComesInWholeLines(t *testing.T) {
	testkit.CheckLeaks(t)
	var inside atomic.Int32
	outputs := [2]*recorder{{t: t, inside: &inside}, {t: t, inside: &inside}}
	pool := testPool(t, &parallel.ProcessPool{Size: 3, Stdout: outputs[0], Stderr: outputs[1]})
	if err := parallel.ForEach(t.Context(), testkit.Count(9), printLines, parallel.On(pool)); err != nil {
		t.Fatal(err)
	}
	pool.Close() // after which all has arrived
	for i, output := range outputs {
		var lines []string
		for _, w := range output.writes {
			lines = append(lines, strings.SplitAfter(string(w), "\n")...)
			if !bytes.HasSuffix(w, []byte("\n")) && !bytes.HasSuffix(w, []byte("no newline at the end")) {
				t.Errorf("output %d was given a part of a line: …%q", i, w[max(0, len(w)-20):])
			}
		}
		seen := make(map[string]int)
		for _, line := range lines {
			seen[strings.ReplaceAll(line, "no newline at the end", "")]++
		}
		delete(seen, "")
		if len(seen) != 900 {
			t.Errorf("output %d: %d different lines, want 900", i, len(seen))
		}
		for item := range 9 {
			for n := range 100 {
				if line := fmt.Sprintf("<%d-%d>\n", item, n); seen[line] != 1 {
					t.Fatalf("output %d has line %q %d times", i, line, seen[line])
				}
			}
		}
	}
}

// printBinary prints a mebibyte in which there is no newline.
func printBinary(context.Context, int) error {
	_, err := os.Stdout.Write(bytes.Repeat([]byte{0, 0xff, 6, 5}, 256<<10))
	return err
}

func TestBinaryOutput(t *testing.T) {
	testkit.CheckLeaks(t)
	output := &recorder{t: t, inside: new(atomic.Int32)}
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Stdout: output})
	if err := parallel.ForEach(t.Context(), testkit.Count(2), printBinary, parallel.On(pool)); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if all := bytes.Join(output.writes, nil); !bytes.Equal(all, bytes.Repeat([]byte{0, 0xff, 6, 5}, 512<<10)) {
		t.Errorf("%d bytes arrived, want 2 MiB, as they were", len(all))
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestBrokenOutputHurtsNoItem(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2, Stdout: brokenWriter{}, Stderr: brokenWriter{}})
	if err := parallel.ForEach(t.Context(), testkit.Count(4), printLines, parallel.On(pool)); err != nil {
		t.Error(err)
	}
}

func exit3(context.Context, int) (int, error) {
	os.Exit(3)
	return 0, nil
}

func TestLogger(t *testing.T) {
	testkit.CheckLeaks(t)
	var mu sync.Mutex
	var log bytes.Buffer
	pool := &parallel.ProcessPool{Size: 1, MaxItems: 2, Stderr: io.Discard}
	var handler slog.Handler = slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
	pool.Logger = slog.New(lockedHandler{handler, &mu, pool})
	pool = testPool(t, pool)
	if _, err := parallel.Map(t.Context(), testkit.Count(2), testkit.Double, parallel.On(pool)); err != nil {
		t.Fatal(err)
	}
	if _, err := parallel.Map(t.Context(), testkit.Count(1), exit3, parallel.On(pool)); err == nil {
		t.Fatal("no error")
	}
	pool.Close()
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"worker started", "worker replaced", "reason=MaxItems", "items=2", "worker died", "exited with code 3", "pid="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

// lockedHandler is a handler that also asks the pool how it is, which must not
// hold a lock while it logs.
type lockedHandler struct {
	slog.Handler
	mu   *sync.Mutex
	pool *parallel.ProcessPool
}

func (h lockedHandler) Handle(ctx context.Context, r slog.Record) error {
	_ = h.pool.Stats()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Handler.Handle(ctx, r)
}
