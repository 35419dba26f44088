package parallel

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"testing"
	"time"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/testkit"
)

// What becomes of a call whose callbacks do not return: OnProgress, and the input of MapSeq. The
// package comment says it in words.

// endings are the ways in which a callback may end, and how the caller's goroutine then ends.
var endings = []struct {
	name string
	f    func()
	want guard.End
}{
	{"panic", func() { panic("oh") }, guard.Caught("oh")},
	{"error", func() { panic(errKnown) }, guard.Caught(errKnown)},
	{"Goexit", runtime.Goexit, guard.Caught(nil)},
	{"panic during Goexit", func() {
		defer func() { panic("oh") }()
		runtime.Goexit()
	}, guard.Caught("oh")},
}

// callers are the functions that take items, with a call each that calls back.
var callers = map[string]func(ctx context.Context, opts ...Option){
	"Map": func(ctx context.Context, opts ...Option) {
		_, _ = Map(ctx, testkit.Count(1000), failAt, opts...)
	},
	"ForEach": func(ctx context.Context, opts ...Option) {
		_ = ForEach(ctx, make([]string, 100), testkit.Touch, append(opts, KeepGoing())...)
	},
	"MapSeq": func(ctx context.Context, opts ...Option) {
		for range MapSeq(ctx, naturals, failAt, opts...) {
		}
	},
}

// naturals is a sequence without an end.
func naturals(yield func(int) bool) {
	for i := 0; yield(i); i++ {
	}
}

// TestEndOfProgress has OnProgress end in each of these ways at the tenth item. The call ends,
// and the caller's goroutine goes on with the panic or the Goexit.
func TestEndOfProgress(t *testing.T) {
	for name, call := range callers {
		for _, test := range endings {
			everywhere(t, 2, func(t *testing.T, where Option) {
				calls := 0
				end := endWithin(t, func() {
					call(t.Context(), where, OnProgress(func(done, _ int) {
						if calls = done; done == 10 {
							test.f()
						}
					}))
					t.Errorf("%s, %s: the call returned", name, test.name)
				})
				if end != test.want || calls != 10 {
					t.Errorf("%s, %s: the caller %v after %d calls back, want %v after 10", name, test.name, end, calls, test.want)
				}
			})
		}
	}
}

// TestEndOfProgressWithKeepGoing is the same for calls that run every item.
func TestEndOfProgressWithKeepGoing(t *testing.T) {
	for _, test := range endings {
		everywhere(t, 2, func(t *testing.T, where Option) {
			end := endWithin(t, func() {
				_, _ = Map(t.Context(), testkit.Count(1000), failAt, where, KeepGoing(), OnProgress(func(done, _ int) {
					if done == 500 {
						test.f()
					}
				}))
			})
			if end != test.want {
				t.Errorf("%s: the caller %v, want %v", test.name, end, test.want)
			}
		})
	}
}

// endWithin is how f ended, which it must in time.
func endWithin(t *testing.T, f func()) (end guard.End) {
	t.Helper()
	ended := make(chan guard.End, 1)
	go func() { ended <- guard.Apart(f) }()
	select {
	case end = <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the call hangs")
	}
	return end
}

// TestEndOfProgressInATask has the callback of a task end: that is the task's error.
func TestEndOfProgressInATask(t *testing.T) {
	for _, test := range endings {
		everywhere(t, 1, func(t *testing.T, where Option) {
			task := Spawn(t.Context(), testkit.Double, 1, where, OnProgress(func(int, int) { test.f() }))
			_, err := task.Wait()
			var p *PanicError
			switch want := test.want.Value(); {
			case want == nil && err != ErrGoexit:
				t.Errorf("%s: error %v, want ErrGoexit", test.name, err)
			case want != nil && (!errors.As(err, &p) || p.Value != want):
				t.Errorf("%s: error %v, want a PanicError of %v", test.name, err, want)
			}
		})
	}
}

// TestEndOfTheInput has the input of MapSeq end at its eleventh item: the ten results come
// first.
func TestEndOfTheInput(t *testing.T) {
	for _, test := range endings {
		for _, opts := range [][]Option{nil, {Unordered()}, {KeepGoing()}} {
			everywhere(t, 2, func(t *testing.T, where Option) {
				input := func(yield func(int) bool) {
					for i := 0; i < 10 && yield(i); i++ {
					}
					test.f()
				}
				var out []int
				end := endWithin(t, func() {
					for r, err := range MapSeq(t.Context(), input, testkit.Double, append(opts, where)...) {
						if out = append(out, r); err != nil {
							t.Error(err)
						}
					}
				})
				if slices.Sort(out); end != test.want || !slices.Equal(out, []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}) {
					t.Errorf("%s: the loop %v after %v, want %v after 10 results", test.name, end, out, test.want)
				}
			})
		}
	}
}

// TestInputThatGoesOn has the input yield though it was told to stop, which the runtime does
// not allow in a loop either.
func TestInputThatGoesOn(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		for _, opts := range [][]Option{{where}, {where, Unordered()}} {
			var input iter.Seq[int] = func(yield func(int) bool) {
				for {
					yield(1)
				}
			}
			end := endWithin(t, func() {
				for range MapSeq(t.Context(), input, testkit.Double, opts...) {
					break
				}
			})
			if _, ok := end.Value().(runtime.Error); !ok {
				t.Errorf("the loop %v", end)
			}
		}
	})
}

// TestPullOfMapSeq has package iter take a loop over MapSeq apart.
func TestPullOfMapSeq(t *testing.T) {
	for _, test := range endings {
		everywhere(t, 2, func(t *testing.T, where Option) {
			input := func(yield func(int) bool) {
				yield(1)
				test.f()
			}
			end := endWithin(t, func() {
				next, stop := iter.Pull2(MapSeq(t.Context(), input, testkit.Double, where))
				defer stop()
				if r, err, ok := next(); r != 2 || err != nil || !ok {
					t.Errorf("%s: next is %v, %v, %v", test.name, r, err, ok)
				}
				_, _, _ = next()
			})
			if end != test.want {
				t.Errorf("%s: the caller %v, want %v", test.name, end, test.want)
			}
		})
	}
}
