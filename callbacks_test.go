package parallel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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

// rudeCause is an error, such as a cause of a call's end, one of whose methods calls f.
type rudeCause struct {
	method string
	f      func()
}

func (e *rudeCause) call(method string) {
	if e.method == method {
		e.f()
	}
}

func (e *rudeCause) Error() string { e.call("Error"); return "rude" }
func (e *rudeCause) Is(error) bool { e.call("Is"); return false }
func (e *rudeCause) As(any) bool   { e.call("As"); return false }
func (e *rudeCause) Unwrap() error { e.call("Unwrap"); return errKnown }

// TestMethodsOfACause ends calls with a cause one of whose methods does not return, while items
// run that wait for just that.
func TestMethodsOfACause(t *testing.T) {
	for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
		for _, test := range endings {
			everywhere(t, 2, func(t *testing.T, where Option) {
				cause := &rudeCause{method, test.f}
				for _, keep := range [][]Option{nil, {KeepGoing()}} {
					ctx, cancel := context.WithCancelCause(t.Context())
					runs := filepath.Join(t.TempDir(), "runs")
					var err error
					end := endWithin(t, func() {
						go func() {
							defer cancel(cause)
							testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
						}()
						_, err = Map(ctx, []testkit.Step{{Make: runs}, {}, {}}, testkit.Gate, append(keep, where)...)
					})
					if !end.Returned() || !leadsTo(err, cause) {
						t.Errorf("%s, %s: the call %v, and its error does not lead to the cause", method, test.name, end)
					}
				}
			})
		}
	}
}

// leadsTo reports whether target is in err, without asking methods of other errors than ours.
func leadsTo(err, target error) bool {
	switch err := err.(type) {
	case *ItemError:
		return leadsTo(err.Err, target)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(e error) bool { return leadsTo(e, target) })
	}
	return err == target
}

// TestErrorOfAnItemThatIsLate has an item fail after its limit of time with an error one of
// whose methods does not return.
func TestErrorOfAnItemThatIsLate(t *testing.T) {
	for _, method := range []string{"Is", "As", "Unwrap", "Error"} {
		for _, test := range endings {
			rude := &rudeCause{method, test.f}
			fn := func(ctx context.Context, _ int) (int, error) {
				<-ctx.Done()
				return 0, rude
			}
			_, err := Map(t.Context(), testkit.Count(1), fn, ItemTimeout(time.Millisecond))
			item, ok := err.(*ItemError)
			if !ok {
				t.Fatalf("%s, %s: error %T", method, test.name, err)
			}
			both, ok := item.Err.(*withCause)
			if !ok || both.err != rude || both.cause.Error() != "parallel: item exceeded its timeout of 1ms" {
				t.Errorf("%s, %s: the item's error is a %T", method, test.name, item.Err)
			}
		}
	}
}

// rudeValue is a shared value whose encoder or decoder ends in one of these ways.
type rudeValue struct {
	Encoder, Decoder int // of endings; 0: none, else the position and 1
	hidden           struct{}
}

func (v rudeValue) MarshalBinary() ([]byte, error) {
	if v.Encoder > 0 {
		endings[v.Encoder-1].f()
	}
	return []byte{byte(v.Decoder)}, nil
}

func (v *rudeValue) UnmarshalBinary(b []byte) error {
	if v.Decoder = int(b[0]); v.Decoder > 0 {
		endings[v.Decoder-1].f()
	}
	return nil
}

// readRude reads the shared value.
func readRude(ctx context.Context, i int) (int, error) {
	if _, ok := Shared[rudeValue](ctx); !ok {
		return 0, errors.New("nothing is shared")
	}
	return i, nil
}

func init() { Register(readRude) }

// TestMethodsOfASharedValue has a method of a shared value end in each way: the encoder's end
// is the call's error, and the decoder's that of the item that reads the value.
func TestMethodsOfASharedValue(t *testing.T) {
	for _, p := range places[1:] {
		for i, test := range endings {
			t.Run(p.name+"/"+test.name, func(t *testing.T) {
				testkit.CheckLeaks(t)
				where := p.opt(t, 2)
				run := func(v rudeValue, opts ...Option) map[string]error {
					opts = append(opts, where, Share(v))
					errs := make(map[string]error)
					end := endWithin(t, func() {
						_, errs["Map"] = Map(t.Context(), testkit.Count(4), readRude, opts...)
						for _, err := range MapSeq(t.Context(), naturals, readRude, opts...) {
							if errs["MapSeq"] = err; err != nil {
								break
							}
						}
						_, errs["Spawn"] = Spawn(t.Context(), readRude, 1, opts...).Wait()
					})
					if !end.Returned() {
						t.Errorf("the caller %v", end)
					}
					return errs
				}
				for name, err := range run(rudeValue{Encoder: i + 1}) {
					if err == nil || !strings.HasPrefix(err.Error(), "parallel: Share: cannot encode the shared value: ") {
						t.Errorf("%s: error %v", name, err)
					}
				}
				for _, opts := range [][]Option{nil, {KeepGoing()}} {
					for name, err := range run(rudeValue{Decoder: i + 1}, opts...) {
						var p *PanicError
						if !errors.As(err, &p) && !errors.Is(err, ErrGoexit) {
							t.Errorf("%s: error %v", name, err)
						}
					}
				}
				if _, err := Map(t.Context(), testkit.Count(4), readRude, where, Share(rudeValue{})); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestMethodsOfAnErrorInline has the caller's own goroutine run a function that is known, whose
// error has a method that does not return. The caller goes on.
func TestMethodsOfAnErrorInline(t *testing.T) {
	for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
		for _, test := range endings {
			rude := &rudeCause{method, test.f}
			ctx, cancel := context.WithCancel(t.Context())
			fn := func(_ context.Context, x int) (int, error) {
				if x < 0 {
					cancel()
					return 0, rude
				}
				return x, nil
			}
			for range 3 {
				if _, err := Map(t.Context(), testkit.Count(2000), fn); err != nil {
					t.Fatal(err)
				}
			}
			id := identify("Map", fn)
			id.cost().Set(1) // whatever was measured: 1 ns
			if !cheap(id.cost(), 1) {
				t.Fatal("the call would not run inline")
			}
			var err error
			if end := guard.Apart(func() { _, err = Map(ctx, []int{-1}, fn) }); !end.Returned() || !leadsTo(err, rude) {
				t.Errorf("%s, %s: the caller %v, with a %T", method, test.name, end, err)
			}
			cancel()
		}
	}
}

// coded is an item and a result that crosses by a codec, one of whose functions ends where the
// value says, and as the ending says.
type coded struct{ at, ending byte }

// Where a function of the codec may end.
const (
	codedInParent = 1 << iota
	codedInWorker
	codedMarshal
	codedUnmarshal
)

func (c coded) end(what byte) {
	here := byte(codedInParent)
	if inherited != nil {
		here = codedInWorker
	}
	if c.at == here|what {
		endings[c.ending].f()
	}
}

func passCoded(_ context.Context, c coded) (coded, error) { return c, nil }

func init() {
	RegisterCodec(func(c coded) ([]byte, error) {
		c.end(codedMarshal)
		return []byte{c.at, c.ending}, nil
	}, func(b []byte) (coded, error) {
		c := coded{b[0], b[1]}
		c.end(codedUnmarshal)
		return c, nil
	})
	Register(passCoded)
}

// TestEndOfACodec has the functions of a codec end in both processes: the item fails, and the
// others do not.
func TestEndOfACodec(t *testing.T) {
	for i, test := range endings {
		for _, at := range []byte{codedInParent, codedInWorker} {
			for _, what := range []byte{codedMarshal, codedUnmarshal} {
				everywhere(t, 2, func(t *testing.T, where Option) {
					items := make([]coded, 6)
					items[3] = coded{at | what, byte(i)}
					var out []coded
					var err error
					end := endWithin(t, func() { out, err = Map(t.Context(), items, passCoded, where, KeepGoing()) })
					if s := newSettings("Map", []Option{where}); !s.inProcesses() {
						if err != nil || out[3] != items[3] {
							t.Errorf("on goroutines, where nothing is encoded: %v", err)
						}
						return
					}
					var item *ItemError
					if !end.Returned() || !errors.As(err, &item) || item.Index != 3 || len(err.(joinedError)) != 1 || len(out) != 6 {
						t.Errorf("%s at %d: the caller %v, error %v", test.name, at|what, end, err)
					}
					if test.name == "Goexit" != errors.Is(err, ErrGoexit) && test.name != "panic during Goexit" {
						t.Errorf("%s at %d: error %v", test.name, at|what, err)
					}
				})
			}
		}
	}
}

// TestItemsThatWaitForOneAnother have all of them run at once, if so many may.
func TestItemsThatWaitForOneAnother(t *testing.T) {
	everywhere(t, 4, func(t *testing.T, where Option) {
		for range 3 {
			dir := t.TempDir()
			items := make([]testkit.Step, 4)
			for i := range items {
				items[i] = testkit.Step{Make: filepath.Join(dir, fmt.Sprint(i)), Wait: filepath.Join(dir, "all")}
			}
			go testkit.WaitFor(t, "all items to run", func() bool {
				for _, item := range items {
					if !testkit.Exists(item.Make) {
						return false
					}
				}
				return testkit.Touch(t.Context(), items[0].Wait) == nil
			})
			if _, err := Map(testkit.Patient(t), items, testkit.Gate, where); err != nil {
				t.Error(err)
			}
		}
	})
}
