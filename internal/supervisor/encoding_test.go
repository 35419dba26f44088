package supervisor_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// Values that take long to be encoded or decoded, in calls that end meanwhile.

func init() {
	parallel.Register(growTree)
	parallel.Register(decodeMany)
	parallel.Register(encodeForEver)
	parallel.Register(readTree)
	parallel.Register(failForEver)
}

// tree is a value of many nodes in little memory: each is led to twice.
type tree struct{ L, R *tree }

// endless is a tree that takes minutes to encode.
func endless() *tree {
	n := new(tree)
	for range 40 {
		n = &tree{n, n}
	}
	return n
}

// growTree returns an endless tree, unless it has been given one, which it never is.
func growTree(_ context.Context, t *tree) (*tree, error) {
	if t == nil {
		return nil, nil
	}
	return endless(), nil
}

func readTree(ctx context.Context, i int) (int, error) {
	if _, ok := parallel.Shared[*tree](ctx); !ok {
		return 0, errors.New("nothing is shared")
	}
	return i, nil
}

// soon is a context that ends when an endless tree is being encoded.
func soon(t *testing.T) (ctx context.Context, cause error) {
	cause = errors.New("soon")
	ctx, cancel := context.WithTimeoutCause(testkit.Patient(t), 20*time.Millisecond, cause)
	t.Cleanup(cancel)
	return ctx, cause
}

// quick fails t if f has taken as long as an endless tree.
func quick(t *testing.T, f func()) {
	t.Helper()
	begin := time.Now()
	if f(); time.Since(begin) > 15*time.Second {
		t.Errorf("the call took %v", time.Since(begin))
	}
}

// TestEncodingEndsWithTheCall has items take long to be encoded when ctx ends.
func TestEncodingEndsWithTheCall(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2, KillDelay: time.Hour})
		items := []*tree{nil, endless(), nil, endless()}
		quick(t, func() {
			ctx, cause := soon(t)
			out, err := parallel.Map(ctx, items, growTree, parallel.On(pool))
			if len(out) > 1 || !errors.Is(err, cause) {
				t.Errorf("%d results, error %v", len(out), err)
			}
			var item *parallel.ItemError
			if errors.As(err, &item) {
				t.Errorf("item %d is to blame", item.Index)
			}
		})
		quick(t, func() {
			ctx, cause := soon(t)
			_, err := parallel.Map(ctx, items, growTree, parallel.On(pool), parallel.KeepGoing())
			failed := itemErrors(err)
			for _, e := range failed {
				if !errors.Is(e, cause) {
					t.Errorf("error %v", e)
				}
			}
			if len(failed) < 2 {
				t.Errorf("%d failures: %v", len(failed), err)
			}
		})
		quick(t, func() {
			ctx, cause := soon(t)
			if _, err := parallel.Spawn(ctx, growTree, endless(), parallel.On(pool)).Wait(); !errors.Is(err, cause) {
				t.Errorf("a task: %v", err)
			}
		})
		quick(t, func() {
			ctx, cause := soon(t)
			if _, err := parallel.Map(ctx, testkit.Count(3), readTree, parallel.On(pool), parallel.Share(endless())); !errors.Is(err, cause) {
				t.Errorf("with a shared value: %v", err)
			}
		})
		if _, err := parallel.Map(testkit.Patient(t), make([]*tree, 9), growTree, parallel.On(pool)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if s := pool.Stats(); s.Died != 0 {
			t.Errorf("%d workers died", s.Died)
		}
	})
}

// TestEncodingEndsWithTheLoop leaves a loop over MapSeq while an item is being encoded.
func TestEncodingEndsWithTheLoop(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2})
	taken, read := make(chan struct{}), make(chan struct{})
	input := func(yield func(*tree) bool) {
		yield(nil)
		<-taken
		yield(endless())
		close(read)
	}
	quick(t, func() {
		for _, err := range parallel.MapSeq(testkit.Patient(t), input, growTree, parallel.On(pool)) {
			if err != nil {
				t.Error(err)
			}
			close(taken)
			<-read
			break
		}
	})
}

// TestEncodingOfAResultEndsWithTheCall has a worker encode an endless result, which it stops by
// itself.
func TestEncodingOfAResultEndsWithTheCall(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: time.Hour})
		quick(t, func() {
			ctx, cause := soon(t)
			_, err := parallel.Map(ctx, []*tree{{}}, growTree, parallel.On(pool))
			if !errors.Is(err, cause) && !errors.Is(err, context.DeadlineExceeded) { // by the worker's own clock
				t.Errorf("error %v", err)
			}
		})
		if _, err := parallel.Map(testkit.Patient(t), make([]*tree, 3), growTree, parallel.On(pool)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if s := pool.Stats(); s.Died != 0 || s.Started != 1 {
			t.Errorf("%+v, want one worker, which lives", s)
		}
	})
}

// encodeForEver returns a result whose encoder makes a file, and never returns.
func encodeForEver(_ context.Context, file string) (stuck, error) { return stuck{file}, nil }

type stuck struct{ file string }

func (s stuck) MarshalBinary() ([]byte, error) {
	_ = testkit.Touch(context.Background(), s.file)
	select {}
}

func (*stuck) UnmarshalBinary([]byte) error { return nil }

// TestEncoderThatNeverReturns is killed, as fn would be: KillDelay after the end of the call, or
// of the item's time.
func TestEncoderThatNeverReturns(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 10 * time.Millisecond})
		ctx, cancel := context.WithCancel(testkit.Patient(t))
		file := filepath.Join(t.TempDir(), "encodes")
		go func() {
			defer cancel()
			testkit.WaitFor(t, "the result to be encoded", func() bool { return testkit.Exists(file) })
		}()
		if _, err := parallel.Map(ctx, []string{file}, encodeForEver, parallel.On(pool)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		_, err := parallel.Map(testkit.Patient(t), []string{file}, encodeForEver, parallel.On(pool), parallel.ItemTimeout(20*time.Millisecond))
		var crash *parallel.CrashError
		if !errors.As(err, &crash) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if s := pool.Stats(); s.Died != 2 {
			t.Errorf("%d workers died, want 2", s.Died)
		}
	})
}

// failForEver fails with an error whose method makes a file, and never returns.
func failForEver(_ context.Context, file string) (int, error) { return 0, stuckError{file} }

type stuckError struct{ file string }

func (e stuckError) Error() string {
	_ = testkit.Touch(context.Background(), e.file)
	select {}
}

// TestErrorThatNeverReturns is killed likewise, when the worker is to say the item's error.
func TestErrorThatNeverReturns(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 10 * time.Millisecond})
		ctx, cancel := context.WithCancel(testkit.Patient(t))
		file := filepath.Join(t.TempDir(), "asked")
		go func() {
			defer cancel()
			testkit.WaitFor(t, "the error to be asked", func() bool { return testkit.Exists(file) })
		}()
		if _, err := parallel.Map(ctx, []string{file}, failForEver, parallel.On(pool)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if s := pool.Stats(); s.Died != 1 {
			t.Errorf("%d workers died, want 1", s.Died)
		}
	})
}

// counted is a part of a result that calls a function of the test's when it is decoded.
type counted struct{ n int }

var onCounted atomic.Pointer[func()]

func (c counted) MarshalBinary() ([]byte, error) { return []byte{byte(c.n)}, nil }

func (c *counted) UnmarshalBinary(b []byte) error {
	c.n = int(b[0])
	if f := onCounted.Load(); f != nil && isParent {
		(*f)()
	}
	return nil
}

// decodeMany returns n parts.
func decodeMany(_ context.Context, n int) ([]counted, error) {
	parts := make([]counted, n)
	for i := range parts {
		parts[i].n = 1
	}
	return parts, nil
}

// TestDecodingEndsWithTheCall ends the call when the first part of a result is decoded. A small
// result is kept, a large one given up.
func TestDecodingEndsWithTheCall(t *testing.T) {
	for _, test := range []struct {
		parts int
		kept  bool
	}{{50, true}, {100_000, false}} {
		everyTransport(t, func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: 1})
			ctx, cancel := context.WithCancel(testkit.Patient(t))
			defer cancel()
			decoded := 0
			f := func() {
				decoded++
				cancel()
				runtime.Gosched() // to what takes in that the context has ended
			}
			onCounted.Store(&f)
			defer onCounted.Store(nil)
			out, err := parallel.Map(ctx, []int{test.parts}, decodeMany, parallel.On(pool), parallel.KeepGoing())
			switch {
			case test.kept && (err != nil || len(out[0]) != test.parts):
				t.Errorf("a small result: %d parts, %v", len(out[0]), err)
			case !test.kept && (!errors.Is(err, context.Canceled) || out[0] != nil || decoded > test.parts/2):
				t.Errorf("a large result: %d parts were decoded, %d are there, %v", decoded, len(out[0]), err)
			}
		})
	}
}
