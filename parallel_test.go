package parallel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/testkit"
)

// The suite: what holds on goroutines holds in processes. Each test runs in all
// places. Functions of tests that run in workers talk to the test through files
// and through their items, since they share no memory with it.

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

func init() {
	Register(testkit.Double)
	Register(testkit.PID)
	Register(failAt)
	Register(testkit.Gate)
	Register(describeContext)
	Register(nested)
	Register(goexits)
	Register(panics)
	Register(errorForms)
	Register(readShared)
	Register(late)
	RegisterEach(testkit.Touch)
	RegisterType(codeError{})
	RegisterError(errKnown)
}

// place is where the items of a test run.
type place struct {
	name    string
	opt     func(t *testing.T, n int) Option // with n workers
	process bool
}

var places = []place{
	{"goroutines", func(_ *testing.T, n int) Option { return Goroutines(n) }, false},
	{"processes", func(_ *testing.T, n int) Option { return Processes(n) }, true},
	{"pool", func(t *testing.T, n int) Option { return On(testPool(t, &ProcessPool{Size: n})) }, true},
	{"file", func(t *testing.T, n int) Option {
		return On(testPool(t, &ProcessPool{Size: n, launcher: &proc.Local{SharedInFile: true}}))
	}, true},
	{"pipe", func(t *testing.T, n int) Option {
		return On(testPool(t, &ProcessPool{Size: n, launcher: &proc.Local{NoShared: true}}))
	}, true},
}

// testPool returns p, to be closed at t's end.
func testPool(t *testing.T, p *ProcessPool) *ProcessPool {
	p.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, p.Env...)
	t.Cleanup(func() { p.Close() })
	return p
}

// everywhere runs test in every place, with n workers.
func everywhere(t *testing.T, n int, test func(t *testing.T, where Option)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			test(t, p.opt(t, n))
		})
	}
}

func TestMapReturnsResultsInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 1000, 100_000} {
		t.Run(fmt.Sprint("n=", n), func(t *testing.T) {
			everywhere(t, 3, func(t *testing.T, where Option) {
				items := testkit.Count(n)
				out, err := Map(t.Context(), items, testkit.Double, where)
				if err != nil {
					t.Fatal(err)
				}
				if out == nil {
					t.Error("the results are nil")
				}
				want := make([]int, n)
				for i := range want {
					want[i] = 2 * i
				}
				if diff := cmp.Diff(want, out); diff != "" {
					t.Error(diff)
				}
				if !slices.Equal(items, testkit.Count(n)) {
					t.Error("items was written to")
				}
			})
		})
	}
}

func TestNothingToDo(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		unregistered := func(context.Context, int) (int, error) { panic("must not run") }
		out, err := Map(t.Context(), nil, unregistered, where)
		if out == nil || len(out) != 0 || err != nil {
			t.Errorf("Map of nothing = %v, %v", out, err)
		}
		ended, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		cancel(cause)
		out, err = Map(ended, testkit.Count(3), testkit.Double, where)
		if len(out) != 0 || !errors.Is(err, cause) || !errors.Is(err, context.Canceled) {
			t.Errorf("Map with an ended context = %v, %v", out, err)
		}
		for _, err := range MapSeq(ended, slices.Values(testkit.Count(3)), testkit.Double, where) {
			if !errors.Is(err, cause) {
				t.Errorf("MapSeq with an ended context yields %v", err)
			}
		}
	})
}

var errKnown = errors.New("known on both sides")

// failAt fails for items that are odd multiples of 100.
func failAt(_ context.Context, x int) (int, error) {
	if x%200 == 100 {
		return 0, fmt.Errorf("item with value %d: %w", x, errKnown)
	}
	return x, nil
}

func TestLowestFailureWins(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		for range 5 {
			out, err := Map(t.Context(), testkit.Count(1000), failAt, where)
			var item *ItemError
			if !errors.As(err, &item) || item.Index != 100 || !errors.Is(err, errKnown) {
				t.Fatalf("error %v, want that of item 100", err)
			}
			if got, want := err.Error(), "parallel: item 100: item with value 100: known on both sides"; got != want {
				t.Errorf("error text %q, want %q", got, want)
			}
			if !slices.Equal(out, testkit.Count(100)) {
				t.Errorf("%d results, want the 100 before the failure", len(out))
			}
		}
	})
}

func TestKeepGoing(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		out, err := Map(t.Context(), testkit.Count(1000), failAt, where, KeepGoing())
		var failed []int
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			failed = append(failed, e.(*ItemError).Index)
		}
		if want := []int{100, 300, 500, 700, 900}; !slices.Equal(failed, want) {
			t.Errorf("failed items %v, want %v", failed, want)
		}
		for i, r := range out {
			if want := i; i%200 == 100 && r != 0 || i%200 != 100 && r != want {
				t.Errorf("result %d is %d", i, r)
			}
		}
		if len(out) != 1000 {
			t.Errorf("%d results", len(out))
		}
	})
}

// TestFailureStopsWhatComesAfterOnly has item 1 fail while 0 and 2 are running:
// 2 is told to stop, 0 runs to its end, and 3 is not started.
func TestFailureStopsWhatComesAfterOnly(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		dir := t.TempDir()
		file := func(name string) string { return filepath.Join(dir, name) }
		items := []testkit.Step{
			{Make: file("0 runs"), Wait: file("2 has left")}, // cancelled, it would return an error
			{Make: file("1 runs"), Wait: file("2 runs"), Fail: "one"},
			{Make: file("2 runs"), Left: file("2 has left")},
			{Make: file("3 runs"), Wait: file("3 runs")},
		}
		out, err := Map(t.Context(), items, testkit.Gate, where)
		var item *ItemError
		if !errors.As(err, &item) || item.Index != 1 || len(out) != 1 {
			t.Errorf("%d results and error %v, want 1 and that of item 1", len(out), err)
		}
		if testkit.Exists(file("3 runs")) {
			t.Error("item 3 was started after the failure of item 1")
		}
		if cause, _ := os.ReadFile(file("2 has left")); !strings.Contains(string(cause), "one") {
			t.Errorf("the cause of item 2's end was %q, want the failure of item 1", cause)
		}
	})
}

// TestLowerFailureReplacesHigher has item 2 fail first, then item 0.
func TestLowerFailureReplacesHigher(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		dir := t.TempDir()
		file := func(name string) string { return filepath.Join(dir, name) }
		items := []testkit.Step{
			{Make: file("0"), Wait: file("1 has left"), Fail: "zero", Deaf: true},
			{Make: file("1"), Left: file("1 has left")}, // ends when 0 fails, or the call
			{Make: file("2"), Wait: file("1"), Fail: "two"},
		}
		// Item 1 must not be told of the failure of item 2: it ends by ours.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for !testkit.Exists(file("2")) || !testkit.Exists(file("1")) || !testkit.Exists(file("0")) {
				time.Sleep(time.Millisecond) // allowed: paces the polling
			}
			_ = os.WriteFile(file("1 has left"), nil, 0o600)
		}()
		out, err := Map(ctx, items, testkit.Gate, where)
		var item *ItemError
		if !errors.As(err, &item) || item.Index != 0 || len(out) != 0 {
			t.Errorf("%d results and error %v, want none and that of item 0", len(out), err)
		}
	})
}

func TestContextEndsTheCall(t *testing.T) {
	cause := errors.New("the user went home")
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keepGoing=", keep), func(t *testing.T) {
			everywhere(t, 2, func(t *testing.T, where Option) {
				dir := t.TempDir()
				file := func(name string) string { return filepath.Join(dir, name) }
				items := []testkit.Step{
					{Wait: dir}, // at once
					{Make: file("1 runs")},
					{Make: file("2 runs")},
					{Make: file("3 runs")},
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() {
					for !testkit.Exists(file("1 runs")) || !testkit.Exists(file("2 runs")) {
						time.Sleep(time.Millisecond) // allowed: paces the polling
					}
					cancel(cause)
				}()
				opts := []Option{where}
				if keep {
					opts = append(opts, KeepGoing())
				}
				out, err := Map(ctx, items, testkit.Gate, opts...)
				if !errors.Is(err, cause) || !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want the context's cause in it", err)
				}
				if testkit.Exists(file("3 runs")) {
					t.Error("item 3 was started")
				}
				if !keep {
					if !slices.Equal(out, []string{dir}) {
						t.Errorf("results %q, want the first", out)
					}
					return
				}
				if !slices.Equal(out, []string{dir, "", "", ""}) {
					t.Errorf("results %q, want the first", out)
				}
				for i, e := range err.(interface{ Unwrap() []error }).Unwrap() {
					if e.(*ItemError).Index != i+1 || !errors.Is(e, cause) {
						t.Errorf("failure %d is %v", i, e)
					}
				}
			})
		})
	}
}

func TestDeafItemIsKilledInAProcess(t *testing.T) {
	testkit.CheckLeaks(t)
	dir := t.TempDir()
	pool := testPool(t, &ProcessPool{Size: 1, KillDelay: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !testkit.Exists(filepath.Join(dir, "runs")) {
			time.Sleep(time.Millisecond) // allowed: paces the polling
		}
		cancel()
	}()
	_, err := Map(ctx, []testkit.Step{{Make: filepath.Join(dir, "runs"), Deaf: true}}, testkit.Gate, On(pool))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	out, err := Map(t.Context(), testkit.Count(10), testkit.Double, On(pool))
	if err != nil || len(out) != 10 {
		t.Errorf("the pool did not recover: %v, %v", out, err)
	}
}

// contextView is what a function sees of its context.
type contextView struct {
	HasDeadline, Done bool
	Left              time.Duration
}

func describeContext(ctx context.Context, _ int) (contextView, error) {
	deadline, ok := ctx.Deadline()
	return contextView{ok, ctx.Err() != nil, time.Until(deadline)}, nil
}

func TestContextOfItems(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		views, err := Map(ctx, testkit.Count(3), describeContext, where)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			if !v.HasDeadline || v.Done || v.Left < 50*time.Minute || v.Left > time.Hour {
				t.Errorf("a function sees %+v, want a deadline in an hour", v)
			}
		}
		views, err = Map(t.Context(), testkit.Count(1), describeContext, where, ItemTimeout(time.Minute))
		if err != nil || !views[0].HasDeadline || views[0].Left > time.Minute {
			t.Errorf("with ItemTimeout a function sees %+v, %v", views, err)
		}
	})
}

// late takes longer than any timeout of the test, and then succeeds or fails.
func late(ctx context.Context, how string) (string, error) {
	<-ctx.Done()
	switch how {
	case "well":
		return "done", nil
	case "badly":
		return "", errKnown
	default:
		return "", ctx.Err()
	}
}

func TestItemTimeout(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		for _, how := range []string{"well", "badly", "obedient"} {
			out, err := Map(t.Context(), []string{how, how}, late, where, ItemTimeout(5*time.Millisecond), KeepGoing())
			if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 2 {
				t.Errorf("%s: %d failures, want 2", how, n)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v is no timeout", how, err)
			}
			if how == "badly" && !errors.Is(err, errKnown) {
				t.Errorf("%s: %v lost fn's own error", how, err)
			}
			if !slices.Equal(out, []string{"", ""}) {
				t.Errorf("%s: results %q of items that failed", how, out)
			}
		}
		out, err := Map(t.Context(), testkit.Count(100), testkit.Double, where, ItemTimeout(time.Minute))
		if err != nil || len(out) != 100 {
			t.Errorf("with time to spare: %d results, %v", len(out), err)
		}
	})
}

func readShared(ctx context.Context, key string) (string, error) {
	dict, ok := Shared[map[string]string](ctx)
	if !ok {
		return "none", nil
	}
	if _, ok := Shared[map[string]int](ctx); ok {
		return "", errors.New("a shared value of the wrong type")
	}
	return dict[key], nil
}

func TestShare(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		dict := map[string]string{"a": "alpha", "b": "beta"}
		out, err := Map(t.Context(), []string{"b", "a", "x"}, readShared, where, Share(dict))
		if err != nil || !slices.Equal(out, []string{"beta", "alpha", ""}) {
			t.Errorf("%q, %v", out, err)
		}
		out, err = Map(t.Context(), []string{"a"}, readShared, where)
		if err != nil || !slices.Equal(out, []string{"none"}) {
			t.Errorf("without Share: %q, %v", out, err)
		}
	})
}

func TestInheritedShareMayStayBehind(t *testing.T) {
	testkit.CheckLeaks(t)
	out, err := Map(t.Context(), testkit.Count(1), func(ctx context.Context, x int) (int, error) {
		inner, err := Map(ctx, []int{x + 1}, testkit.Double, Processes(1))
		return inner[0], err
	}, Share(func() {}))
	if err != nil || !slices.Equal(out, []int{2}) {
		t.Errorf("%v, %v", out, err)
	}
}

// nested calls Map where it is told to, and Shared inside that.
func nested(ctx context.Context, depth int) (int, error) {
	if depth == 0 {
		if _, ok := Shared[map[string]string](ctx); !ok {
			return 0, errors.New("the shared value did not come along")
		}
		return 1, nil
	}
	where := Goroutines(2)
	if depth == 1 {
		where = Processes(2)
	}
	out, err := Map(ctx, []int{depth - 1, depth - 1}, nested, where)
	sum := 0
	for _, x := range out {
		sum += x
	}
	return sum, err
}

func TestCallsNest(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		out, err := Map(t.Context(), []int{2, 1}, nested, where, Share(map[string]string{}))
		if err != nil || !slices.Equal(out, []int{4, 2}) {
			t.Errorf("%v, %v", out, err)
		}
	})
}

// TestCallsNestOnOnePool has more calls inside items than the pool has workers.
func TestCallsNestOnOnePool(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	sums, err := Map(t.Context(), testkit.Count(8), func(ctx context.Context, i int) (int, error) {
		out, err := Map(ctx, testkit.Count(20), testkit.Double, On(pool))
		return len(out), err
	}, Goroutines(8))
	if err != nil || !slices.Equal(sums, []int{20, 20, 20, 20, 20, 20, 20, 20}) {
		t.Errorf("%v, %v", sums, err)
	}
}

func TestForEach(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		dir := t.TempDir()
		var names []string
		for i := range 20 {
			names = append(names, filepath.Join(dir, fmt.Sprint(i)))
		}
		if err := ForEach(t.Context(), names, testkit.Touch, where, ItemTimeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !testkit.Exists(name) {
				t.Errorf("%s was not made", name)
			}
		}
		names[3] = filepath.Join(dir, "no", "such", "directory")
		err := ForEach(t.Context(), names, testkit.Touch, where)
		var item *ItemError
		if !errors.As(err, &item) || item.Index != 3 || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v, want that of item 3", err)
		}
	})
}

func TestOnProgress(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, where Option) {
		var inside atomic.Int32
		var seen []int
		_, err := Map(t.Context(), testkit.Count(1000), failAt, where, KeepGoing(), OnProgress(func(done, total int) {
			if inside.Add(1) != 1 {
				t.Error("two calls at once")
			}
			if total != 1000 {
				t.Errorf("total is %d", total)
			}
			seen = append(seen, done)
			inside.Add(-1)
		}))
		if err == nil {
			t.Error("no error")
		}
		want := testkit.Count(1001)[1:]
		if !slices.Equal(seen, want) {
			t.Errorf("progress told of %d steps, want each of 1000 once, in order", len(seen))
		}
	})
}

func TestHugeLimits(t *testing.T) {
	testkit.CheckLeaks(t)
	out, err := Map(t.Context(), testkit.Count(10), testkit.Double, Goroutines(math.MaxInt))
	if err != nil || len(out) != 10 {
		t.Errorf("Map: %v, %v", out, err)
	}
	n := 0
	for _, err := range MapSeq(t.Context(), slices.Values(testkit.Count(10)), testkit.Double, Goroutines(math.MaxInt)) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 10 {
		t.Errorf("MapSeq: %d results", n)
	}
}
