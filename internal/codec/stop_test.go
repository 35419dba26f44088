package codec_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"unsafe"

	"example.com/parallel/internal/codec"
)

// A patience is a Stopper that says so when it has been asked more often.
type patience struct{ most, asked int }

func (p *patience) Stopped() bool { p.asked++; return p.asked > p.most }

// shared is a value of many nodes in little memory: each is led to twice.
type shared struct{ L, R *shared }

func sharedTo(depth int) *shared {
	n := new(shared)
	for range depth {
		n = &shared{n, n}
	}
	return n
}

// slowly is a type that crosses by its methods.
type slowly struct{ n, _ int }

func (s slowly) MarshalBinary() ([]byte, error)  { return []byte{byte(s.n)}, nil }
func (s *slowly) UnmarshalBinary(b []byte) error { s.n = int(b[0]); return nil }
func large[T any](v T) []T                       { return repeated(v, 1<<20+1<<19) }
func typeOf[T any](v T) (reflect.Type, unsafe.Pointer) {
	return reflect.TypeFor[T](), unsafe.Pointer(&v)
}

// TestStop has values that are large in every way stop while they are encoded and decoded.
func TestStop(t *testing.T) {
	pairs := make(map[int]any)
	for i := range 120_000 {
		pairs[i] = "a text"
	}
	for _, test := range []struct {
		name string
		plan func() (reflect.Type, unsafe.Pointer)
	}{
		{"shared nodes", func() (reflect.Type, unsafe.Pointer) { return typeOf(sharedTo(19)) }},
		{"structs", func() (reflect.Type, unsafe.Pointer) { return typeOf(large(struct{ A bool }{true})) }},
		{"bools in arrays", func() (reflect.Type, unsafe.Pointer) { return typeOf(large([2]struct{ A bool }{})) }},
		{"strings", func() (reflect.Type, unsafe.Pointer) { return typeOf(large("x")) }},
		{"interfaces", func() (reflect.Type, unsafe.Pointer) { return typeOf(large(any(true))) }},
		{"a map", func() (reflect.Type, unsafe.Pointer) { return typeOf(pairs) }},
		{"methods", func() (reflect.Type, unsafe.Pointer) { return typeOf(repeated(slowly{n: 1}, 1000)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			rt, v := test.plan()
			types := new(codec.Types)
			plan, err := types.Plan(rt)
			if err != nil {
				t.Fatal(err)
			}
			start := []byte("start")
			want, err := plan.Append(start, v, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			never := &patience{most: 1 << 30}
			if b, err := plan.AppendUntil(start, v, len(want)-len(start), never); err != nil || len(b) != len(want) || never.asked < 3 {
				t.Errorf("%d bytes, want %d, %v; asked %d times", len(b), len(want), err, never.asked)
			}
			for _, most := range []int{0, 1} {
				p := &patience{most: most}
				if b, err := plan.AppendUntil(start, v, 1<<30, p); err != codec.ErrStopped || string(b) != "start" || p.asked != most+1 {
					t.Errorf("encoding: %v with %d bytes, asked %d times, want to be stopped at %d", err, len(b), p.asked, most+1)
				}
				p = &patience{most: most}
				got := reflect.New(rt)
				if err := plan.DecodeUntil(want[len(start):], got.UnsafePointer(), p); err != codec.ErrStopped || p.asked != most+1 {
					t.Errorf("decoding: %v, asked %d times, want to be stopped at %d", err, p.asked, most+1)
				}
			}
			never = &patience{most: 1 << 30}
			if err := plan.DecodeUntil(want[len(start):], reflect.New(rt).UnsafePointer(), never); err != nil || never.asked < 3 {
				t.Errorf("decoding: %v; asked %d times", err, never.asked)
			}
			if _, err := plan.AppendUntil(nil, v, len(want)-len(start)-1, never); !isSize(err) {
				t.Errorf("beyond the limit: %v", err)
			}
		})
	}
}

func isSize(err error) bool {
	var size *codec.SizeError
	return errors.As(err, &size)
}

// TestStopOfAValueThatNeverEnds stops one that would take longer than the universe is old.
func TestStopOfAValueThatNeverEnds(t *testing.T) {
	rt, v := typeOf(sharedTo(99))
	plan, err := new(codec.Types).Plan(rt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.AppendUntil(nil, v, math.MaxInt, &patience{most: 100}); err != codec.ErrStopped {
		t.Errorf("error %v", err)
	}
}

// TestSmallValuesAreNotStopped has a Stopper that says so from the start.
func TestSmallValuesAreNotStopped(t *testing.T) {
	for _, v := range []any{repeated("a string", 1000), repeated(slowly{n: 1}, 100), hundred()} {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			rt := reflect.TypeOf(v)
			p := reflect.New(rt)
			p.Elem().Set(reflect.ValueOf(v))
			plan, err := new(codec.Types).Plan(rt)
			if err != nil {
				t.Fatal(err)
			}
			b, err := plan.AppendUntil(nil, p.UnsafePointer(), 1<<30, new(patience))
			if err != nil {
				t.Error(err)
			}
			if err := plan.DecodeUntil(b, reflect.New(rt).UnsafePointer(), new(patience)); err != nil {
				t.Error(err)
			}
		})
	}
}
