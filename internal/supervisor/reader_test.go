package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// Whose turn it is to read what a worker says.

func init() {
	parallel.Register(slowToDecode)
	parallel.Register(fullOfBs)
	parallel.Register(wide)
	parallel.Register(exitInError)
	parallel.Register(signEnd)
}

// TestShortCallsBehindLongOnes has the caller read in place of a reader who has just
// found that nothing is under way any more.
func TestShortCallsBehindLongOnes(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2})
	for i := range 300 {
		if _, err := parallel.Map(testkit.Patient(t), testkit.Count(20_000+i%97*500), testkit.Double, parallel.On(pool)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if out, err := parallel.Map(testkit.Patient(t), testkit.Count(1), testkit.Double, parallel.On(pool)); err != nil || out[0] != 0 {
				t.Fatal(out, err)
			}
		}
	}
}

func wide(_ context.Context, b [1000]byte) ([1000]byte, error) { return b, nil }

// TestSenderDoesNotFillBothPipes has more results than a pipe holds come back while
// items are being sent.
func TestSenderDoesNotFillBothPipes(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, StartTimeout: 5 * time.Second})
		if _, err := parallel.Map(testkit.Patient(t), make([][1000]byte, 3000), wide, parallel.On(pool)); err != nil {
			t.Fatal(err)
		}
		if s := pool.Stats(); s.Started != 1 {
			t.Errorf("%d workers were started, want 1", s.Started)
		}
	})
}

// slow is a result whose decoder calls a function of the test's first.
type slow struct {
	Data []byte
	own  struct{} // it crosses by its methods
}

var whileDecoding atomic.Pointer[func()]

func (s slow) MarshalBinary() ([]byte, error) { return s.Data, nil }

func (s *slow) UnmarshalBinary(b []byte) error {
	if f := whileDecoding.Load(); f != nil {
		(*f)()
	}
	s.Data = bytes.Clone(b)
	return nil
}

type slowAndMore struct {
	Slow slow
	More string
}

const fill = 800 // enough of one letter to see another

func slowToDecode(context.Context, int) (slowAndMore, error) {
	return slowAndMore{slow{Data: []byte("slow")}, string(bytes.Repeat([]byte{'A'}, fill))}, nil
}

func fullOfBs(context.Context, int) (r [fill + 100]byte, err error) {
	for i := range r {
		r[i] = 'B'
	}
	return r, nil
}

// inDecoder has f called while the result of some call is decoded, the nth time that
// one is.
func inDecoder(t *testing.T, nth int32, f func()) {
	var n atomic.Int32
	hook := func() {
		if n.Add(1) == nth {
			f()
		}
	}
	whileDecoding.Store(&hook)
	t.Cleanup(func() { whileDecoding.Store(nil) })
}

// callMeanwhile starts another call, and returns when that waits for the pool's worker,
// or has ended.
func callMeanwhile(t *testing.T, pool *parallel.ProcessPool, ended chan<- error) {
	go func() {
		_, err := parallel.Map(testkit.Patient(t), testkit.Count(1), fullOfBs, parallel.On(pool))
		ended <- err
	}()
	testkit.WaitFor(t, "the other call to wait for the worker", func() bool { return inner(pool).WorkersWaited() > 0 || len(ended) > 0 })
}

// TestResultIsDecodedBeforeTheWorkerServesAnother has another call wait for the worker
// while the last result of the first is being decoded.
func TestResultIsDecodedBeforeTheWorkerServesAnother(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	other := make(chan error, 1)
	inDecoder(t, 1, func() {
		callMeanwhile(t, pool, other)
		for deadline := time.Now().Add(50 * time.Millisecond); len(other) == 0 && time.Now().Before(deadline); {
			runtime.Gosched() // were it served, it would end here and spoil what is being decoded
		}
	})
	out, err := parallel.Map(testkit.Patient(t), testkit.Count(1), slowToDecode, parallel.On(pool))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count([]byte(out[0].More), []byte("A")); n != fill {
		t.Errorf("of the result, %d bytes are as they were, want %d", n, fill)
	}
	if err := <-other; err != nil {
		t.Error(err)
	}
}

// TestGoexitInADecoderWhileAnotherWaits has the reader's goroutine end while another
// call waits for the worker: what it had taken in is still entered.
func TestGoexitInADecoderWhileAnotherWaits(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	for range 3 { // its cost is known: two items go together
		if _, err := parallel.Map(testkit.Patient(t), testkit.Count(2), slowToDecode, parallel.On(pool)); err != nil {
			t.Fatal(err)
		}
	}
	other := make(chan error, 1)
	inDecoder(t, 2, func() {
		callMeanwhile(t, pool, other)
		runtime.Goexit()
	})
	_, err := parallel.Map(testkit.Patient(t), testkit.Count(2), slowToDecode, parallel.On(pool), parallel.KeepGoing())
	if errs := itemErrors(err); len(errs) != 1 || errs[0].Index != 1 || !errors.Is(err, parallel.ErrGoexit) {
		t.Errorf("error %v, want one of item 1 that is ErrGoexit", err)
	}
	if err := <-other; err != nil {
		t.Error(err)
	}
}

// exitError ends a worker that is asked what it is.
type exitError struct{ dir string }

func (e *exitError) Error() string {
	if !isParent {
		os.Exit(7)
	}
	return "exit"
}

func exitInError(_ context.Context, dir string) (int, error) {
	f, err := os.CreateTemp(dir, "run-*")
	if err != nil {
		return 0, err
	}
	return 0, errors.Join(f.Close(), &exitError{dir})
}

// TestWorkerThatDiesOfAnError has an item's error end the worker when it is to be said:
// that is the item's end, which is not run again.
func TestWorkerThatDiesOfAnError(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1})
		dir := t.TempDir()
		var crash *parallel.CrashError
		if _, err := parallel.Map(testkit.Patient(t), []string{dir}, exitInError, parallel.On(pool)); !errors.As(err, &crash) || crash.ExitCode != 7 {
			t.Errorf("error %v, want a crash with exit code 7", err)
		}
		if runs, _ := filepath.Glob(filepath.Join(dir, "run-*")); len(runs) != 1 {
			t.Errorf("the item ran %d times", len(runs))
		}
	})
}

// signEnd is testkit.Gate, and leaves a file named Left when its call's context ends.
func signEnd(ctx context.Context, s testkit.Step) (string, error) {
	if left := s.Left; left != "" {
		s.Left = ""
		go func() {
			<-ctx.Done()
			_ = os.WriteFile(left, nil, 0o600)
		}()
	}
	return testkit.Gate(ctx, s)
}

// TestEndOfACallIsToldWhenTheWorkerIsFree has a worker serve another call when the first
// ends, and lie idle while the other one goes on elsewhere.
func TestEndOfACallIsToldWhenTheWorkerIsFree(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	open := func(name string) {
		if err := os.WriteFile(file(name), nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	run := func(items ...testkit.Step) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := parallel.Map(testkit.Patient(t), items, signEnd, parallel.On(pool))
			done <- err
		}()
		return done
	}
	first := run(testkit.Step{Make: file("a"), Wait: file("a"), Left: file("ended")}, testkit.Step{Make: file("b"), Wait: file("end b")})
	testkit.WaitFor(t, "both items", func() bool { return testkit.Exists(file("a")) && testkit.Exists(file("b")) })
	second := run(testkit.Step{Make: file("c"), Wait: file("end c")}, testkit.Step{Make: file("d"), Wait: file("end d")})
	testkit.WaitFor(t, "the worker of a to run c", func() bool { return testkit.Exists(file("c")) })
	open("end b")
	if err := <-first; err != nil {
		t.Error(err)
	}
	testkit.WaitFor(t, "the worker of b to run d", func() bool { return testkit.Exists(file("d")) })
	testkit.WaitFor(t, "the tick to stop", func() bool { return !inner(pool).TickSoon() })
	open("end c")
	testkit.WaitFor(t, "the context of a to end", func() bool { return testkit.Exists(file("ended")) })
	open("end d")
	if err := <-second; err != nil {
		t.Error(err)
	}
}
