package parallel

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
)

// What workers print, and what they are given to see: output, environment,
// directory, log.

func init() {
	Register(surroundings)
	RegisterEach(printLines)
	RegisterEach(printBinary)
	Register(exit3)
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
	checkLeaks(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PARALLEL_TEST_INHERITED", "from the parent")
	pool := testPool(t, &ProcessPool{Size: 1, Dir: dir, Env: []string{"PARALLEL_TEST_A=1", "PARALLEL_TEST_A=2"}})
	got, err := Map(t.Context(), []string{"", "PARALLEL_TEST_INHERITED", "PARALLEL_TEST_A", markVariable}, surroundings, On(pool))
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
	checkLeaks(t)
	var inside atomic.Int32
	outputs := [2]*recorder{{t: t, inside: &inside}, {t: t, inside: &inside}}
	pool := testPool(t, &ProcessPool{Size: 3, Stdout: outputs[0], Stderr: outputs[1]})
	if err := ForEach(t.Context(), count(9), printLines, On(pool)); err != nil {
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
	checkLeaks(t)
	output := &recorder{t: t, inside: new(atomic.Int32)}
	pool := testPool(t, &ProcessPool{Size: 1, Stdout: output})
	if err := ForEach(t.Context(), count(2), printBinary, On(pool)); err != nil {
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
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2, Stdout: brokenWriter{}, Stderr: brokenWriter{}})
	if err := ForEach(t.Context(), count(4), printLines, On(pool)); err != nil {
		t.Error(err)
	}
}

func exit3(context.Context, int) (int, error) {
	os.Exit(3)
	return 0, nil
}

func TestLogger(t *testing.T) {
	checkLeaks(t)
	var mu sync.Mutex
	var log bytes.Buffer
	pool := &ProcessPool{Size: 1, MaxItems: 2, Stderr: io.Discard}
	var handler slog.Handler = slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
	pool.Logger = slog.New(lockedHandler{handler, &mu, pool})
	pool = testPool(t, pool)
	if _, err := Map(t.Context(), count(2), double, On(pool)); err != nil {
		t.Fatal(err)
	}
	if _, err := Map(t.Context(), count(1), exit3, On(pool)); err == nil {
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
	pool *ProcessPool
}

func (h lockedHandler) Handle(ctx context.Context, r slog.Record) error {
	_ = h.pool.Stats()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Handler.Handle(ctx, r)
}

func TestTailKeepsWhatSaysMost(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a line of a stack\n", n/18+1) }
	full := long(2 * stderrKept)[:2*stderrKept]
	overflow := "runtime: goroutine stack exceeds 1000000000-byte limit\nruntime: sp=0xc stack=[0xc, 0xd]\nfatal error: stack overflow\n"
	tests := []struct {
		name, text string
		want       []string
		line       string
	}{
		{"empty", "", nil, ""},
		{"short", "one\ntwo\n", []string{"one\ntwo\n"}, "two"},
		{"no newline", "one\ntwo", []string{"one\ntwo"}, "two"},
		{"just kept", full, []string{full}, "a"},
		{"long", "first\n" + long(1<<16) + "last\n", []string{"first\n", "last\n", "…"}, "last"},
		{"crash at once", overflow + long(1<<16) + "exit status 2\n", []string{overflow, "exit status 2"}, "fatal error: stack overflow"},
		{"crash later", "first\n" + long(1<<16) + overflow + long(1<<16) + "last\n", []string{"first\n", overflow, "last\n"}, "fatal error: stack overflow"},
		{"crash at the end", "first\n" + long(1<<16) + overflow + long(500), []string{"first\n", overflow}, "fatal error: stack overflow"},
		{"crash near the end", long(1<<16) + overflow + long(3900), []string{overflow}, "fatal error: stack overflow"},
		{"a panic that was logged before", long(5000) + "panic: handled\n" + long(1<<16) + "fatal error: real\n" + long(1<<16), []string{"fatal error: real\n"}, "fatal error: real"},
		{"signal", long(1<<16) + "SIGSEGV: segmentation violation\n" + long(1<<16), []string{"SIGSEGV: seg"}, "SIGSEGV: segmentation violation"},
		{"no last words", long(1<<16) + "SIGnals are fun\nnot a panic: no\n" + long(1<<16), nil, "a line of a stack"},
	}
	for _, test := range tests {
		for _, step := range []int{1, 7, 4096, 1 << 30} {
			var kept tail
			for rest := []byte(test.text); len(rest) > 0; {
				n := min(step, len(rest))
				kept.write(rest[:n])
				rest = rest[n:]
			}
			got := string(kept.bytes())
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s, %d bytes at a time: %q is not in\n%.200s…", test.name, step, want, got)
				}
			}
			if len(got) > 2*stderrKept+20 {
				t.Errorf("%s: %d bytes are kept", test.name, len(got))
			}
			if len(test.text) <= 2*stderrKept && got != test.text {
				t.Errorf("%s: %q was kept of %q", test.name, got, test.text)
			}
			if line := tellingLine([]byte(got)); line != test.line {
				t.Errorf("%s: the telling line is %q, want %q", test.name, line, test.line)
			}
			if kept.reset(); len(kept.bytes()) != 0 {
				t.Errorf("%s: %q is left after a reset", test.name, kept.bytes())
			}
		}
	}
}
