package codec_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"example.com/parallel/internal/codec"
)

func TestZeroTest(t *testing.T) {
	negative := math.Copysign(0, -1)
	text := "some text"
	type hidden struct {
		a int8
		f float64
		s string
		_ int
	}
	for _, c := range []struct {
		v    any
		want bool
	}{
		{0, true}, {1, false}, {0.0, true}, {negative, false}, {float32(negative), false}, {complex(0, negative), false},
		{"", true}, {text[3:3], true}, {"a", false}, {false, true}, {true, false},
		{[]int(nil), true}, {[]int{}, false}, {map[int]int(nil), true}, {map[int]int{}, false}, {(*int)(nil), true}, {new(int), false},
		{(func())(nil), true}, {(chan int)(nil), true}, {func() {}, false}, {unsafe.Pointer(nil), true},
		{struct{ E error }{}, true}, {struct{ E error }{(*wrapped)(nil)}, false}, {struct{ V any }{0}, false},
		{[0]int{}, true}, {[3]int{}, true}, {[3]int{0, 0, 1}, false}, {[2]float64{0, negative}, false},
		{[2]string{"", text[1:1]}, true}, {[2]string{"", "a"}, false}, {[3][2]hidden{}, true}, {[3][2]hidden{2: {1: {s: "x"}}}, false},
		{hidden{}, true}, {hidden{f: negative}, false}, {hidden{s: text[:0]}, true}, {hidden{a: 1}, false}, {struct{}{}, true},
		{[4]struct{}{}, true}, {Blank{}, true}, {OnlyBlank{}, true}, {[2][0]string{}, true},
	} {
		p := reflect.New(reflect.TypeOf(c.v))
		p.Elem().Set(reflect.ValueOf(c.v))
		if got := codec.IsZero(p.Type().Elem(), p.UnsafePointer()); got != c.want {
			t.Errorf("%T %+v is zero: %t, want %t", c.v, c.v, got, c.want)
		}
	}
}

// Padding and blank fields hold what was there before.
func TestZeroTestPassesOverPadding(t *testing.T) {
	type padded struct {
		a int8
		b int64
		c int8
		_ int32
		d [2]struct {
			e int16
			f int32
		}
	}
	var v padded
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))
	for i := range raw {
		raw[i] = 0xA5
	}
	v.a, v.b, v.c = 0, 0, 0
	for i := range v.d {
		v.d[i].e, v.d[i].f = 0, 0
	}
	if !codec.IsZero(reflect.TypeFor[padded](), unsafe.Pointer(&v)) {
		t.Error("padding counts")
	}
	v.d[1].f = 1
	if codec.IsZero(reflect.TypeFor[padded](), unsafe.Pointer(&v)) {
		t.Error("the last field does not count")
	}
}

// Strict refuses its zero value in both directions, as many types do.
type Strict struct{ v float64 }

func (s Strict) MarshalText() ([]byte, error) {
	if s.v == 0 && !math.Signbit(s.v) {
		return nil, errors.New("invalid zero")
	}
	return fmt.Append(nil, s.v), nil
}

func (s *Strict) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("no text")
	}
	_, err := fmt.Sscan(string(b), &s.v)
	return err
}

// Silent writes nothing for any value.
type Silent struct{ set bool }

func (s Silent) MarshalBinary() ([]byte, error)     { return nil, nil }
func (s *Silent) UnmarshalBinary(data []byte) error { s.set = true; return nil }

// Wide takes more on the wire than its pair writes, so that it is filled up.
type Wide struct {
	text  string
	space [40]int64
}

func (w Wide) MarshalText() ([]byte, error) {
	if w.text == "" && w.space == (Wide{}).space {
		return nil, errors.New("zero")
	}
	return []byte(w.text), nil
}
func (w *Wide) UnmarshalText(b []byte) error { w.text = string(b); return nil }

func TestZeroValuesAreNotMarshaled(t *testing.T) {
	types := new(codec.Types)
	through(t, types, Strict{})
	through(t, types, []Strict{{}, {1.5}, {math.Copysign(0, -1)}, {}})
	through(t, types, map[Strict]*Strict{{}: {}, {1}: nil, {2}: {2}})
	through(t, types, struct {
		A Strict
		B *Strict
		C [2]Strict
	}{B: &Strict{}})
	through(t, types, []Silent{{}, {true}, {}})
	for length := range 300 {
		through(t, types, []Wide{{}, {text: strings.Repeat("x", length)}, {text: "y"}})
	}
	var v any = Strict{}
	if err := types.Register(reflect.TypeOf(v)); err != nil {
		t.Fatal(err)
	}
	through(t, types, v)
}
