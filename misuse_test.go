package parallel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/testkit"
)

// panicsWith runs f, which must panic with a message of ours that has want in it.
func panicsWith(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		v := fmt.Sprint(recover())
		if !strings.HasPrefix(v, "parallel: ") || !strings.Contains(v, want) {
			t.Errorf("panic %q, want one with %q", v, want)
		}
	}()
	f()
}

func TestImpossibleArgumentsPanic(t *testing.T) {
	ctx := t.Context()
	var nilMap func(context.Context, int) (int, error)
	var nilEach func(context.Context, int) error
	var nilSeq iter.Seq[int]
	var nilCtx context.Context
	each := func(context.Context, int) error { return nil }
	tests := []struct {
		want string
		f    func()
	}{
		{"Map: fn is nil", func() { _, _ = Map(ctx, testkit.Count(1), nilMap) }},
		{"ForEach: fn is nil", func() { _ = ForEach(ctx, testkit.Count(1), nilEach) }},
		{"MapSeq: fn is nil", func() { MapSeq(ctx, slices.Values(testkit.Count(1)), nilMap) }},
		{"Spawn: fn is nil", func() { Spawn(ctx, nilMap, 1) }},
		{"MapSeq: items is nil", func() { MapSeq(ctx, nilSeq, testkit.Double) }},
		{"Map: ctx is nil", func() { _, _ = Map(nilCtx, testkit.Count(1), testkit.Double) }},
		{"Map: option 1 is nil", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, KeepGoing(), nil) }},
		{"Goroutines(0)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, Goroutines(0)) }},
		{"Processes(-3)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, Processes(-3)) }},
		{"On(nil)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, On(nil)) }},
		{"Retry(-1)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, Retry(-1)) }},
		{"ItemTimeout(0s)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, ItemTimeout(0)) }},
		{"ItemTimeout(-1s)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, ItemTimeout(-time.Second)) }},
		{"OnProgress(nil)", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, OnProgress(nil)) }},
		{"Unordered", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, Unordered()) }},
		{"Unordered", func() { _ = ForEach(ctx, nil, each, Unordered()) }},
		{"Unordered", func() { Spawn(ctx, testkit.Double, 1, Unordered()) }},
		{"ProcessPool.Size is -1", func() { _, _ = Map(ctx, testkit.Count(1), testkit.Double, On(&ProcessPool{Size: -1})) }},
		{"ProcessPool.Size is -2", func() { Spawn(ctx, testkit.Double, 1, On(&ProcessPool{Size: -2})) }},
		{"ProcessPool.MaxItems is -1", func() { _ = (&ProcessPool{MaxItems: -1}).Close() }},
		{fmt.Sprintf("ProcessPool.MaxMessageBytes is %d: it must be at most %d", int64(math.MaxInt64), maxMessageBytes), func() {
			_, _ = Map(ctx, testkit.Count(1), testkit.Double, On(&ProcessPool{MaxMessageBytes: math.MaxInt64}))
		}},
		{"Register: fn is nil", func() { Register(nilMap) }},
		{"RegisterEach: fn is nil", func() { RegisterEach(nilEach) }},
		{"RegisterType", func() { RegisterType(nil) }},
		{"RegisterType(chan int)", func() { RegisterType(make(chan int)) }},
		{"RegisterError", func() { RegisterError(nil) }},
		{"method value", func() { Register((&receiver{}).method) }},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			testkit.CheckLeaks(t)
			panicsWith(t, test.want, test.f)
		})
	}
}

func TestBadPoolPanicsEachTime(t *testing.T) {
	pool := &ProcessPool{Size: -1}
	for range 2 {
		panicsWith(t, "ProcessPool.Size is -1", func() { _, _ = Map(t.Context(), testkit.Count(1), testkit.Double, On(pool)) })
	}
}

type receiver struct{ n int }

func (r *receiver) method(_ context.Context, x int) (int, error) { return x + r.n, nil }

func notRegistered(_ context.Context, x int) (int, error) { return x, nil }

func notRegisteredEach(context.Context, int) error { return nil }

func generic[T any](_ context.Context, x T) (T, error) { return x, nil }

func init() { Register(generic[int]) }

func TestUnregisteredFunctionsAreRefusedByName(t *testing.T) {
	captured := t.Name()
	closure := func(context.Context, int) (int, error) { return len(captured), nil }
	r := &receiver{1}
	tests := []struct {
		name, want string
		fn         func(context.Context, int) (int, error)
	}{
		{"function", "add parallel.Register(parallel.notRegistered) to an init function", notRegistered},
		{"closure", "parallel.TestUnregisteredFunctionsAreRefusedByName.func1", closure},
		{"method value", "parallel.(*receiver).method-fm", r.method},
	}
	everywhere(t, 1, func(t *testing.T, where Option) {
		s := newSettings("Map", []Option{where})
		if !s.inProcesses() {
			for _, test := range tests {
				if _, err := Map(t.Context(), testkit.Count(1), test.fn, where); err != nil {
					t.Errorf("%s: %v, but goroutines run any function", test.name, err)
				}
			}
			return
		}
		for _, test := range tests {
			out, err := Map(t.Context(), testkit.Count(1), test.fn, where)
			if !errors.Is(err, ErrNotRegistered) || len(out) != 0 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, %v, want ErrNotRegistered with %q", test.name, out, err, test.want)
			}
			for _, err := range MapSeq(t.Context(), slices.Values(testkit.Count(1)), test.fn, where, KeepGoing()) {
				if !errors.Is(err, ErrNotRegistered) {
					t.Errorf("%s: MapSeq yields %v", test.name, err)
				}
			}
			if _, err := Spawn(t.Context(), test.fn, 1, where).Wait(); !errors.Is(err, ErrNotRegistered) {
				t.Errorf("%s: Spawn: %v", test.name, err)
			}
		}
		err := ForEach(t.Context(), testkit.Count(1), notRegisteredEach, where)
		if !errors.Is(err, ErrNotRegistered) || !strings.Contains(err.Error(), "parallel.RegisterEach(parallel.notRegisteredEach)") {
			t.Errorf("ForEach: %v", err)
		}
	})
}

func TestGenericInstancesAreTold(t *testing.T) {
	testkit.CheckLeaks(t)
	out, err := Map(t.Context(), testkit.Count(3), generic[int], Processes(1))
	if err != nil || !slices.Equal(out, testkit.Count(3)) {
		t.Errorf("generic[int]: %v, %v", out, err)
	}
	if _, err := Map(t.Context(), []string{"x"}, generic[string], Processes(1)); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("generic[string], which is not registered: %v", err)
	}
}

func TestRegisteredTooLate(t *testing.T) {
	testkit.CheckLeaks(t)
	Register(notRegisteredInTime)
	_, err := Map(t.Context(), testkit.Count(1), notRegisteredInTime, Processes(1))
	if !errors.Is(err, ErrNotRegistered) || !strings.Contains(err.Error(), "after Init") {
		t.Errorf("error %v", err)
	}
	out, err := Map(t.Context(), testkit.Count(3), testkit.Double, Processes(1))
	if err != nil || len(out) != 3 {
		t.Errorf("other functions stopped working: %v, %v", out, err)
	}
}

func notRegisteredInTime(_ context.Context, x int) (int, error) { return x, nil }

func TestNotInitialized(t *testing.T) {
	testkit.CheckLeaks(t)
	initialized.Store(false)
	defer initialized.Store(true)
	_, err := Map(t.Context(), testkit.Count(1), testkit.Double, Processes(1))
	if !errors.Is(err, ErrNotInitialized) || !strings.Contains(err.Error(), "parallel.Init()") {
		t.Errorf("error %v", err)
	}
}

func TestUnshareable(t *testing.T) {
	testkit.CheckLeaks(t)
	_, err := Map(t.Context(), []string{"a"}, readShared, Processes(1), Share(make(chan int)))
	if err == nil || !strings.Contains(err.Error(), "parallel: Share: ") {
		t.Errorf("error %v", err)
	}
	if _, err := Map(t.Context(), []string{"a"}, readShared, Share(make(chan int))); err != nil {
		t.Errorf("on goroutines anything can be shared: %v", err)
	}
}

func TestLaterOptionWins(t *testing.T) {
	pool := &ProcessPool{Size: 3}
	for _, test := range []struct {
		opts    []Option
		process bool
		workers int
	}{
		{[]Option{Processes(2), Goroutines(4)}, false, 4},
		{[]Option{Goroutines(4), Processes(2)}, true, 2},
		{[]Option{Processes(2), On(pool)}, true, 3},
		{[]Option{On(pool), Processes(2)}, true, 2},
		{[]Option{On(pool), Goroutines(7)}, false, 7},
	} {
		s := newSettings("Map", test.opts)
		if s.inProcesses() != test.process || s.workers() != test.workers {
			t.Errorf("%+v: in processes %v, %d workers", s, s.inProcesses(), s.workers())
		}
	}
}

func TestLongJoinIsCut(t *testing.T) {
	_, err := Map(t.Context(), testkit.Count(100), func(context.Context, int) (int, error) { return 0, errors.New("no") }, KeepGoing())
	if text := err.Error(); strings.Count(text, "\n") != joinedShown || !strings.Contains(text, "and 95 more items failed") {
		t.Errorf("the text is\n%s", text)
	}
}

// TestOwnFingerprint computes what workers compare in place of this package's own types
// and errors.
func TestOwnFingerprint(t *testing.T) {
	var own codec.Types
	for _, rt := range ownTypes {
		if err := own.Register(rt); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range ownErrors {
		if err := own.RegisterError(err); err != nil {
			t.Fatal(err)
		}
	}
	if want := fmt.Sprintf("%x", shapeHash(own.Describe()[1:]...)); ownFingerprint != want {
		t.Errorf("ownFingerprint is %q, should be %q", ownFingerprint, want)
	}
}
