package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
)

// What the tests of this package have in common: errors, a job and a claimant of their own.

var (
	errKnown  = errors.New("known")
	errGoexit = errors.New("goexit")
)

// endings are the ways in which code of the user's ends. The first is a return.
var endings = []struct {
	name string
	f    func()
}{
	{"return", func() {}},
	{"panic", func() { panic("oh") }},
	{"Goexit", runtime.Goexit},
	{"panic during Goexit", func() {
		defer func() { panic("oh") }()
		runtime.Goexit()
	}},
}

// ends is how code of the user's ended, by the name of the ending.
var ends = map[string]guard.End{"panic": guard.Caught("oh"), "Goexit": guard.Caught(nil), "panic during Goexit": guard.Caught("oh")}

// methodError is an error with a method that testErrors.Item calls, as errors.Is does.
type methodError func()

func (methodError) Error() string { return "method" }

// testErrors makes errors that show what they were made of.
type testErrors struct{}

type itemError struct {
	index      int
	err, cause error
}

func (e *itemError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("item %d: %v (%v)", e.index, e.err, e.cause)
	}
	return fmt.Sprintf("item %d: %v", e.index, e.err)
}

func (e *itemError) Unwrap() []error { return []error{e.err, e.cause} }

type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

type endedError struct {
	done, total int
	cause, also error
}

func (e *endedError) Error() string {
	return fmt.Sprintf("ended after %d of %d: %v (%v)", e.done, e.total, e.cause, e.also)
}

func (e *endedError) Unwrap() []error { return []error{e.cause, e.also} }

type joinedError []Failure

func (e joinedError) Error() string {
	var b bytes.Buffer
	for _, f := range e {
		fmt.Fprintln(&b, f.Err)
	}
	return b.String()
}

// indexes are those of the failures in err.
func indexes(err error) []int {
	var all []int
	var joined joinedError
	errors.As(err, &joined)
	for _, f := range joined {
		all = append(all, f.Index)
	}
	return all
}

func (testErrors) Item(index int, err, cause error) error {
	if method, ok := err.(methodError); ok {
		method()
	}
	return &itemError{index, err, cause}
}

func (testErrors) Recovered(v any) error {
	if v == nil {
		return errGoexit
	}
	return &panicError{v}
}

func (testErrors) Ended(done, total int, cause, also error) error {
	return &endedError{done, total, cause, also}
}

func (testErrors) Join(failures []Failure) error { return joinedError(failures) }

// job is the items 0 to len(out), or as many as come.
type job struct {
	fn  func(ctx context.Context, i int) (int, error)
	out []int // nil: the results are dropped
}

func (j *job) Run(ctx context.Context, s Span, at *int, yield *atomic.Uint32) error {
	for i := s.Lo; i < s.Hi; i++ {
		*at = i
		r, err := j.fn(ctx, i)
		if err != nil {
			return err
		}
		if j.out != nil {
			j.out[i] = r
		}
		if yield.Load() != 0 {
			*at = i + 1
			return nil
		}
	}
	*at = s.Hi
	return nil
}

// nextJob is a job whose loop looks at a Next in place of the flag, as those of Map and
// ForEach do.
type nextJob struct {
	job
	Next[func(context.Context, int) (int, error)]
}

func newNextJob(j job) *nextJob {
	n := &nextJob{job: j}
	n.Init(j.fn, func(context.Context, int) (int, error) { return 0, ErrYield })
	return n
}

func (j *nextJob) Run(ctx context.Context, s Span, at *int, _ *atomic.Uint32) error {
	fn := j.Fn
	for i := s.Lo; i < s.Hi; i++ {
		*at = i
		r, err := fn(ctx, i)
		if err != nil {
			return WithoutYield(err)
		}
		j.out[i] = r
		fn = *j.Call.Load()
	}
	*at = s.Hi
	return nil
}

// same returns its item.
func same(_ context.Context, i int) (int, error) { return i, nil }

// onGoroutines runs n items of fn on goroutines.
func onGoroutines(ctx context.Context, n int, fn func(context.Context, int) (int, error), config Config) ([]int, error) {
	config.Total, config.Errors = n, testErrors{}
	if config.Cost == nil {
		config.Cost = new(cost.Function)
	}
	j := &job{fn, make([]int, n)}
	c := New(ctx, config)
	defer c.Watch()()
	c.RunGoroutines(j)
	complete, err := c.Outcome()
	return j.out[:complete], err
}

// asMap does what Map does: it runs n items of fn inline if they are cheap, and what is left
// of them on goroutines.
func asMap(ctx context.Context, n, workers int, fn func(context.Context, int) (int, error), f *cost.Function) ([]int, error) {
	j := &job{fn, make([]int, n)}
	done := 0
	if Cheap(f, n) {
		err := Inline(ctx, n, f, testErrors{}, &done, func(s Span, slot *Slot) error {
			return j.Run(ctx, s, &done, &slot.yield)
		})
		if err != nil {
			return j.out[:done], testErrors{}.Item(done, err, nil)
		}
		if done == n {
			return j.out, nil
		}
	}
	c := New(ctx, Config{Workers: workers, Total: n, First: done, Cost: f, Errors: testErrors{}})
	defer c.Watch()()
	c.RunGoroutines(j)
	complete, err := c.Outcome()
	return j.out[:complete], err
}

// trusted is a function that is known to be trusted and to cost d.
func trusted(d time.Duration) *cost.Function {
	f := new(cost.Function)
	f.Ended(1 << 20)
	f.Set(d)
	return f
}

// claimant writes down what it hears.
type claimant struct {
	mu    sync.Mutex
	heard []string
}

func (p *claimant) add(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = append(p.heard, s)
}

func (p *claimant) Starved()       { p.add("starved") }
func (p *claimant) Bounded()       { p.add("bounded") }
func (p *claimant) Returned(n int) { p.add(fmt.Sprint("returned ", n)) }

// said returns what the claimant has heard since it was asked last.
func (p *claimant) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	heard := p.heard
	p.heard = nil
	return heard
}

// expect fails t unless p has heard just want since it was asked last.
func (p *claimant) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := p.said(); !slices.Equal(got, want) {
		t.Errorf("the claimant heard %q, want %q", got, want)
	}
}
