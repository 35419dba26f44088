package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// A pool's Logger and writers may panic, call runtime.Goexit or fail. Nothing is lost but what
// they were given.

// nestedPanic is a value of a panic whose method panics with another such.
type nestedPanic int

func (n nestedPanic) Error() string { panic(n + 1) }

// endings are the ways in which code of the user's ends that does not return, and what is said
// of them.
var endings = []struct {
	name string
	f    func()
	says string
}{
	{"panic", func() { panic("oh") }, "panicked: oh"},
	{"nested panic", func() { panic(nestedPanic(1)) }, "panicked: supervisor_test.nestedPanic (its methods panic)"},
	{"Goexit", runtime.Goexit, "called runtime.Goexit"},
	{"panic during Goexit", func() {
		defer func() { panic("oh") }()
		runtime.Goexit()
	}, "panicked: oh"},
}

// stderrOf is what is written to os.Stderr while f runs.
func stderrOf(t *testing.T, f func()) string {
	name := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	old := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = old }()
	f()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// brokenHandler calls f where it is to.
type brokenHandler struct {
	slog.Handler
	in string
	f  func()
}

func (h brokenHandler) Enabled(context.Context, slog.Level) bool {
	if h.in == "Enabled" {
		h.f()
	}
	return true
}

func (h brokenHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.in == "Handle" {
		h.f()
	}
	return h.Handler.Handle(ctx, r)
}

// rudeAttr is the value of an attribute whose method calls f.
type rudeAttr struct{ f func() }

func (v rudeAttr) LogValue() slog.Value { v.f(); return slog.Value{} }

// TestLoggerThatDoesNotReturn has the Logger end at each of the records that there are: of a
// start, a replacement, a death, the end of an idle worker, and a slow decoder.
func TestLoggerThatDoesNotReturn(t *testing.T) {
	for _, in := range []string{"Enabled", "Handle", "LogValue"} {
		for _, test := range endings {
			t.Run(in+"/"+test.name, func(t *testing.T) {
				testkit.CheckLeaks(t)
				h := brokenHandler{slog.DiscardHandler, in, test.f}
				logger := slog.New(h)
				if in == "LogValue" {
					h.Handler = resolver{}
					logger = slog.New(h).With("rude", rudeAttr{test.f})
				}
				said := stderrOf(t, func() { useLogger(t, logger) })
				if want := "parallel: ProcessPool.Logger " + test.says + ": what it is told is lost whenever it does so\n"; said != want {
					t.Errorf("on standard error: %q, want %q", said, want)
				}
			})
		}
	}
}

// resolver is a handler that asks for the values of its attributes when it is told something,
// with no care for their panics.
type resolver struct{ attrs []slog.Attr }

func (h resolver) Enabled(context.Context, slog.Level) bool { return true }
func (h resolver) WithGroup(string) slog.Handler            { return h }
func (h resolver) WithAttrs(attrs []slog.Attr) slog.Handler {
	return resolver{append(h.attrs, attrs...)}
}
func (h resolver) Handle(_ context.Context, r slog.Record) error {
	for _, a := range h.attrs {
		a.Value.LogValuer().LogValue()
	}
	return nil
}

func (h brokenHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// useLogger does all that a Logger is told of, with one.
func useLogger(t *testing.T, logger *slog.Logger) {
	ctx := testkit.Patient(t)
	pool := testPool(t, &parallel.ProcessPool{
		Size: 2, MaxItems: 3, KillDelay: time.Millisecond, IdleTimeout: time.Millisecond, Logger: logger, Stderr: io.Discard,
	})
	for range 2 {
		if _, err := parallel.Map(ctx, testkit.Count(12), testkit.Double, parallel.On(pool)); err != nil {
			t.Error(err)
		}
		if _, err := parallel.Map(ctx, testkit.Count(1), exit3, parallel.On(pool)); err == nil {
			t.Error("no error")
		}
		// One worker at most, so that the caller itself may start it and read the answer.
		if r, err := parallel.Spawn(ctx, testkit.Double, 4, parallel.On(pool)).Wait(); r != 8 || err != nil {
			t.Errorf("a task: %d, %v", r, err)
		}
		testkit.WaitFor(t, "the workers to have been idle for too long", func() bool { return pool.Stats().Workers == 0 })
	}
	closed := make(chan struct{})
	go func() { defer close(closed); pool.Close() }()
	select {
	case <-closed:
	case <-ctx.Done():
		t.Error("Close hangs")
	}
	if s := pool.Stats(); s.Started < 6 || s.Died != 2 || s.Workers != 0 {
		t.Errorf("%+v, want six starts or more and 2 deaths", s)
	}
}

// rudeWriter calls f for each of the first writes, and passes the others on.
type rudeWriter struct {
	bytes.Buffer
	first atomic.Int32
	f     func([]byte) (int, error)
}

func (w *rudeWriter) Write(p []byte) (int, error) {
	if w.first.Add(-1) >= 0 {
		return w.f(p)
	}
	return w.Buffer.Write(p)
}

// TestWriterThatDoesNotWrite has a writer end or fail at its first two writes. The items, the
// worker and later lines come to no harm, and the Logger is told once.
func TestWriterThatDoesNotWrite(t *testing.T) {
	type write = func([]byte) (int, error)
	writers := map[string]struct {
		f    write
		says string
	}{
		"error":       {func([]byte) (int, error) { return 0, errors.New("disk full") }, `error="disk full"`},
		"short write": {func(p []byte) (int, error) { return len(p) - 1, nil }, `error="short write"`},
		"closed file": {closedFile(t).Write, "file already closed"},
	}
	for _, e := range endings {
		writers[e.name] = struct {
			f    write
			says string
		}{func([]byte) (int, error) { e.f(); return 0, nil }, e.says}
	}
	for name, test := range writers {
		t.Run(name, func(t *testing.T) {
			everyTransport(t, func(t *testing.T) {
				testkit.CheckLeaks(t)
				var log safeBuffer
				outputs := [2]*rudeWriter{{f: test.f}, {f: test.f}}
				pool := testPool(t, &parallel.ProcessPool{
					Size: 1, Stdout: outputs[0], Stderr: outputs[1], Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				for _, o := range outputs {
					o.first.Store(2)
				}
				for i := range 4 { // the output of each arrives before the next
					if err := parallel.ForEach(testkit.Patient(t), []string{"line"}, echo, parallel.On(pool)); err != nil {
						t.Fatal(err)
					}
					for _, o := range outputs {
						testkit.WaitFor(t, "the line to arrive", func() bool { return int(o.first.Load()) <= 1-i })
					}
				}
				if s := pool.Stats(); s.Started != 1 || s.Died != 0 {
					t.Errorf("%+v, want one worker, which lives", s)
				}
				pool.Close()
				for i, o := range outputs {
					if o.String() != "line\nline\n" {
						t.Errorf("output %d is %q, want the last two lines", i, o)
					}
				}
				for _, name := range []string{"output=Stdout", "output=Stderr"} {
					if strings.Count(log.String(), name) != 1 || !strings.Contains(log.String(), test.says) {
						t.Errorf("the Logger was told\n%s\nwant %s once, and %s", &log, name, test.says)
					}
				}
			})
		})
	}
}

// TestWriterThatDoesNotReturnWithoutALogger is said on standard error, once.
func TestWriterThatDoesNotReturnWithoutALogger(t *testing.T) {
	for _, test := range endings {
		testkit.CheckLeaks(t)
		said := stderrOf(t, func() {
			out := &rudeWriter{f: func([]byte) (int, error) { test.f(); return 0, nil }}
			out.first.Store(1 << 30)
			pool := testPool(t, &parallel.ProcessPool{Size: 2, Stdout: out, Stderr: io.Discard})
			if err := parallel.ForEach(testkit.Patient(t), testkit.Count(20), printLines, parallel.On(pool)); err != nil {
				t.Error(err)
			}
			pool.Close()
			if s := pool.Stats(); s.Died != 0 {
				t.Errorf("%s: %d workers died", test.name, s.Died)
			}
		})
		if want := "parallel: ProcessPool.Stdout " + test.says + ": lines that workers print are lost whenever it does so\n"; said != want {
			t.Errorf("%s: on standard error: %q, want %q", test.name, said, want)
		}
	}
}

// TestClosedStdout has workers print while os.Stdout of this process is closed.
func TestClosedStdout(t *testing.T) {
	testkit.CheckLeaks(t)
	old := os.Stdout
	os.Stdout = closedFile(t)
	defer func() { os.Stdout = old }()
	pool := testPool(t, &parallel.ProcessPool{Size: 2, Stderr: io.Discard})
	if err := parallel.ForEach(testkit.Patient(t), testkit.Count(4), printLines, parallel.On(pool)); err != nil {
		t.Error(err)
	}
	if pool.Close(); pool.Stats().Died != 0 {
		t.Error("a worker died")
	}
}

func closedFile(t *testing.T) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return f
}

func init() { parallel.RegisterEach(echo) }

// echo prints a line to both outputs.
func echo(_ context.Context, line string) error {
	_, err := io.WriteString(os.Stdout, line+"\n")
	_, err2 := io.WriteString(os.Stderr, line+"\n")
	return errors.Join(err, err2)
}

// TestProgressMayUseThePool has OnProgress make calls on the pool that its own call uses, all
// workers of which are busy.
func TestProgressMayUseThePool(t *testing.T) {
	for _, size := range []int{1, 3} {
		everyTransport(t, func(t *testing.T) {
			testkit.CheckLeaks(t)
			where := parallel.On(testPool(t, &parallel.ProcessPool{Size: size}))
			ctx := testkit.Patient(t)
			calls, nested := 0, 0
			progress := parallel.OnProgress(func(done, _ int) {
				if calls++; done != calls {
					t.Errorf("call back %d says that %d items are done", calls, done)
				}
				if done%20 != 1 {
					return
				}
				out, err := parallel.Map(ctx, testkit.Count(10), testkit.Double, where)
				if err != nil || len(out) != 10 {
					t.Errorf("a call of the callback: %v, %v", out, err)
				}
				nested++
			})
			if _, err := parallel.Map(ctx, testkit.Count(100), testkit.Double, where, progress); err != nil {
				t.Error(err)
			}
			input := func(yield func(int) bool) {
				for i := range 100 {
					yield(i)
				}
			}
			if calls != 100 || nested != 5 {
				t.Errorf("%d calls back, %d calls, want 100 and 5", calls, nested)
			}
			calls = 0
			for _, err := range parallel.MapSeq(ctx, input, testkit.Double, where, progress) {
				if err != nil {
					t.Error(err)
				}
			}
			if calls != 100 || nested != 10 {
				t.Errorf("MapSeq: %d calls back, %d calls, want 100 and 10", calls, nested)
			}
		})
	}
}
