package supervisor_test

import (
	"context"
	"errors"
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/testkit"
)

// The errors that methods of items and results return have methods too, which may end in any
// way when this process asks them.

func init() { parallel.Register(pass) }

// rudeError is an error one of whose methods calls f.
type rudeError struct {
	method string
	f      func()
}

func (e *rudeError) call(method string) {
	if e.method == method {
		e.f()
	}
}

func (e *rudeError) Error() string { e.call("Error"); return "rude" }
func (e *rudeError) Is(error) bool { e.call("Is"); return false }
func (e *rudeError) As(any) bool   { e.call("As"); return false }
func (e *rudeError) Unwrap() error { e.call("Unwrap"); return nil }

// rude is an item and a result that this process fails to encode, or to decode, with failing.
type rude struct {
	Encode, Decode bool
	hidden         struct{} // it crosses by its methods
}

var failing *rudeError

func (r rude) MarshalBinary() ([]byte, error) {
	if r.Encode && isParent {
		return nil, failing
	}
	b := []byte{0}
	if r.Decode {
		b[0] = 1
	}
	return b, nil
}

func (r *rude) UnmarshalBinary(b []byte) error {
	if r.Decode = b[0] == 1; r.Decode && isParent {
		return failing
	}
	return nil
}

func pass(_ context.Context, r rude) (rude, error) { return r, nil }

// TestMethodsOfErrors has a method of the error of item 3 end in each way, when it is encoded
// and when its result is decoded.
func TestMethodsOfErrors(t *testing.T) {
	for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
		for _, test := range endings {
			for name, item := range map[string]rude{"encoder": {Encode: true}, "decoder": {Decode: true}} {
				t.Run(name+"/"+method+"/"+test.name, func(t *testing.T) {
					testkit.CheckLeaks(t)
					pool := testPool(t, &parallel.ProcessPool{Size: 2})
					failing = &rudeError{method, test.f}
					items := make([]rude, 8)
					items[3] = item
					out, err := parallel.Map(testkit.Patient(t), items, pass, parallel.On(pool), parallel.KeepGoing())
					if len(out) != 8 {
						t.Fatalf("%d results", len(out))
					}
					failed := itemsIn(err)
					if len(failed) != 1 || failed[0].Index != 3 {
						t.Fatalf("%d items failed, want item 3", len(failed))
					}
					text := guard.Methods{Apart: true}.Text(failed[0])
					ended := method == "Error" && test.says == "called runtime.Goexit"
					if ended && !errors.Is(failed[0], parallel.ErrGoexit) || text == "" {
						t.Errorf("the error is %s", text)
					}
					if _, err := parallel.Map(testkit.Patient(t), testkit.Count(100), testkit.Double, parallel.On(pool)); err != nil {
						t.Errorf("afterwards: %v", err)
					}
					if s := pool.Stats(); s.Died != 0 || s.Failed != 1 {
						t.Errorf("%+v, want one failure and no death", s)
					}
				})
			}
		}
	}
}

// itemsIn is itemErrors without asking the errors inside.
func itemsIn(err error) (items []*parallel.ItemError) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		if item, ok := e.(*parallel.ItemError); ok {
			items = append(items, item)
		}
	}
	return items
}
