package codec_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
	"github.com/google/go-cmp/cmp"
)

// equal compares like a user's cmp.Diff would, and sees more: unexported fields, the bits of floats, and the zone of a
// time.
var equal = cmp.Options{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
	cmp.Comparer(func(a, b complex128) bool {
		return math.Float64bits(real(a)) == math.Float64bits(real(b)) && math.Float64bits(imag(a)) == math.Float64bits(imag(b))
	}),
	cmp.Comparer(func(a, b complex64) bool {
		return math.Float32bits(real(a)) == math.Float32bits(real(b)) && math.Float32bits(imag(a)) == math.Float32bits(imag(b))
	}),
	cmp.Comparer(sameTime),
}

func sameTime(a, b time.Time) bool {
	aName, aOffset := a.Zone()
	bName, bOffset := b.Zone()
	return a.Equal(b) && aName == bName && aOffset == bOffset && a.Location().String() == b.Location().String()
}

const noLimit = math.MaxInt

// encode encodes a value of the type of *v.
func encode(t testing.TB, types *codec.Types, v reflect.Value) []byte {
	t.Helper()
	plan, err := types.Plan(v.Type().Elem())
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	b, err := plan.Append([]byte("before"), v.UnsafePointer(), noLimit)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if size := plan.FixedSize(); size >= 0 && size != len(b)-len("before") {
		t.Fatalf("FixedSize is %d, the encoding has %d bytes", size, len(b)-len("before"))
	}
	after, ok := strings.CutPrefix(string(b), "before")
	if !ok {
		t.Fatalf("Append changed what was there before: %q", b)
	}
	return []byte(after)
}

// decode decodes and makes sure that nothing refers to the message afterwards.
func decode(t testing.TB, types *codec.Types, rt reflect.Type, b []byte) reflect.Value {
	t.Helper()
	plan, err := types.Plan(rt)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	message := append([]byte(nil), b...)
	v := reflect.New(rt)
	if err := plan.Decode(message, v.UnsafePointer()); err != nil {
		t.Fatalf("Decode(%x): %v", b, err)
	}
	for i := range message {
		message[i] = 0xFF
	}
	return v
}

// roundTrip encodes *v and compares what comes back.
func roundTrip(t *testing.T, types *codec.Types, v reflect.Value) reflect.Value {
	t.Helper()
	b := encode(t, types, v)
	got := decode(t, types, v.Type().Elem(), b)
	if diff := cmp.Diff(v.Interface(), got.Interface(), equal); diff != "" {
		t.Errorf("changed on the way (-sent +received):\n%s", diff)
	}
	return got
}

// through gives v after a round trip.
func through[T any](t *testing.T, types *codec.Types, v T) T {
	t.Helper()
	return *roundTrip(t, types, reflect.ValueOf(&v)).Interface().(*T)
}

type (
	Inner struct {
		A int8
		B int64
	}
	inner struct {
		Name string
		N    int
	}
	Exported struct {
		Inner
		inner
		*Deep
		Last bool
	}
	Deep  struct{ Level []int }
	ByPtr struct {
		*inner
		X int
	}
	Node struct {
		Value int
		Next  *Node
	}
	Tree  map[string]Tree
	Lists []Lists
	Loop  *Loop
	Blank struct {
		A int8
		_ int64
		_ func()
		B int8
		_ [0]func()
	}
	OnlyBlank struct{ _ [100]int64 }
	Small     struct {
		ID   int
		Name string
		Tags []int32
	}
	Padded struct {
		A int8
		B int64
		C bool
	}
	Shape  interface{ Area() float64 }
	Circle struct{ R float64 }
	Square struct{ Side float64 }
	Scene  struct {
		Name   string
		Shapes []Shape
		Any    any
		Err    error
	}
	Empty      struct{}
	EmptySelf  struct{ X [0][]EmptySelf }
	HoldsEmpty struct {
		E []EmptySelf
		N [][0]any
	}
	Color          uint8
	Generic[T any] struct {
		V  T
		Vs []T
	}
)

func (c Circle) Area() float64  { return c.R * c.R * math.Pi }
func (s *Square) Area() float64 { return s.Side * s.Side }

func ptr[T any](v T) *T { return &v }

// kinds has a value of every kind that can cross, and those that lose something with a careless encoding.
func kinds() map[string]any {
	long := make([]string, 300)
	for i := range long {
		long[i] = strings.Repeat("x", i)
	}
	var list *Node
	for i := range 5000 {
		list = &Node{i, list}
	}
	nan := math.Float64frombits(0x7FF0_0000_0000_0001)
	return map[string]any{
		"bool": true, "int": math.MinInt, "int8": int8(-8), "int16": int16(-16), "int32": int32(-32), "int64": int64(math.MinInt64),
		"uint": uint(math.MaxUint), "uint8": uint8(8), "uint16": uint16(16), "uint32": uint32(32), "uint64": uint64(math.MaxUint64),
		"uintptr": uintptr(7), "float32": float32(1.5), "float64": math.Copysign(0, -1), "signalling NaN": nan,
		"NaN32": math.Float32frombits(0xFFA0_0001), "complex64": complex64(complex(1, -2)), "complex128": complex(nan, math.Inf(-1)),
		"string": "grüße\x00\xff", "empty string": "", "named": Color(3), "duration": time.Hour,
		"array": [3]int16{1, 2, 3}, "array of strings": [2]string{"a", ""}, "empty array": [0]string{}, "bools": []bool{true, false},
		"nil slice": []int(nil), "empty slice": []int{}, "ints": []int{1, -1, math.MaxInt}, "bytes": []byte("abc"),
		"nil bools": []bool(nil), "empty bools": []bool{}, "structs": []Padded{{1, 2, true}, {3, 4, false}},
		"nil strings": []string(nil), "empty strings": []string{}, "strings": long, "slices": [][]byte{nil, {}, {1}},
		"slice of empty": make([]Empty, 1000), "empty in itself": HoldsEmpty{[]EmptySelf{{}, {}}, make([][0]any, 3)},
		"nil map": map[string]int(nil), "empty map": map[string]int{}, "map": map[string][]int{"a": nil, "b": {}, "c": {1}},
		"map of structs": map[Inner]Padded{{1, 2}: {3, 4, true}}, "map of any": map[any]any{1: "a", "b": 2.5, true: nil, Color(1): int64(3)},
		"map of maps": map[int]map[int]*int{1: {2: ptr(3), 4: nil}, 5: nil, 6: {}}, "set": map[string]struct{}{"a": {}, "b": {}},
		"nil pointer": (*int)(nil), "pointer to zero": ptr(0), "pointers": ptr(ptr(ptr("deep"))), "pointer to nil": ptr((*int)(nil)),
		"loop type": Loop(ptr(Loop(nil))), "slices of itself": Lists{nil, {}, {{}, nil}}, "tree": Tree{"a": nil, "b": {}, "c": {"d": nil}},
		"list": list, "struct": Small{1, "two", []int32{3, 4}}, "zero struct": Small{}, "padded": Padded{1, -2, true},
		"padded pointer": &Padded{-1, 2, false}, "array of padded": [3]Padded{{1, 2, true}}, "empty struct": Empty{},
		"blank": Blank{A: 1, B: 2}, "slice of only blank": make([]OnlyBlank, 3), "generic": Generic[Small]{Small{1, "a", nil}, []Small{{}}},
		"embedded": Exported{Inner{1, 2}, inner{"n", 3}, &Deep{[]int{4}}, true}, "nil embedded": Exported{},
		"pointer to unexported": ByPtr{&inner{"n", 1}, 2}, "nil to unexported": ByPtr{},
		"anonymous struct": struct {
			A int
			B struct{ C string }
		}{1, struct{ C string }{"x"}},
		"nil interface": ptr(any(nil)), "scene": Scene{"s", []Shape{Circle{1}, &Circle{2}, &Square{3}, nil, (*Square)(nil)}, []any{1, "a", nil, 2.5, true, int64(4)}, nil},
		"nested any": any(map[string]any{"a": []any{map[string]any{"b": nil}}, "c": time.Unix(1, 2).UTC()}),
		"time":       time.Date(2024, 2, 29, 1, 2, 3, 4, time.UTC), "zero time": time.Time{}, "times": []time.Time{{}, time.Unix(1<<40, 999_999_999).UTC()},
		"big int": big.NewInt(-1234567890123456789), "nil big int": (*big.Int)(nil), "big int value": *big.NewInt(7), "address": netip.MustParseAddr("fe80::1%eth0"),
		"url": *must(url.Parse("http://u:p@example.com/a?b#c")), "big rat": big.NewRat(3, 7), "prefixes": []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		"path error": error(&fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}), "number error": error(&strconv.NumError{Func: "Atoi", Num: "x", Err: errors.ErrUnsupported}),
		"signal": os.Signal(syscall.SIGTERM),
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// registered knows the types of this test that stand in interfaces.
func registered(t testing.TB) *codec.Types {
	t.Helper()
	types := new(codec.Types)
	for _, v := range []any{Circle{}, (*Circle)(nil), (*Square)(nil), Color(0), Small{}, Node{}, Padded{}, Lists(nil), (*wrapped)(nil)} {
		if err := types.Register(reflect.TypeOf(v)); err != nil {
			t.Fatalf("Register(%T): %v", v, err)
		}
	}
	return types
}

func TestRoundTrip(t *testing.T) {
	types := registered(t)
	for name, v := range kinds() {
		t.Run(name, func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			roundTrip(t, types, p)
		})
		t.Run(name+" in an interface", func(t *testing.T) {
			if err := types.Register(reflect.TypeOf(v)); err != nil {
				t.Fatal(err)
			}
			b, err := types.AppendAny(nil, v, noLimit)
			if err != nil {
				t.Fatal(err)
			}
			got, err := types.DecodeAny(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v, got, equal); diff != "" {
				t.Errorf("changed on the way (-sent +received):\n%s", diff)
			}
		})
	}
}

func TestFixedSize(t *testing.T) {
	word := strconv.IntSize / 8
	for _, c := range []struct {
		v    any
		want int
	}{
		{1, word}, {Color(1), 1}, {[3]int32{}, 12}, {complex64(0), 8}, {struct{}{}, 0}, {[0]string{}, 0},
		{struct{ A, B float64 }{}, 16}, {struct {
			A int32
			B [2]int16
		}{}, 8},
		{true, -1}, {"", -1}, {[]int{}, -1}, {Padded{}, -1}, {Blank{}, -1}, {time.Time{}, -1}, {struct{ _ int }{}, -1}, {[2]*int{}, -1},
	} {
		t.Run(fmt.Sprintf("%T", c.v), func(t *testing.T) {
			plan, err := new(codec.Types).Plan(reflect.TypeOf(c.v))
			if err != nil {
				t.Fatal(err)
			}
			if got := plan.FixedSize(); got != c.want {
				t.Errorf("FixedSize is %d, want %d", got, c.want)
			}
		})
	}
}

// A map can hold several NaN keys, none of which can be looked up.
func TestNaNKeys(t *testing.T) {
	nan := math.NaN()
	m := map[float64]int{nan: 1, math.Copysign(nan, -1): 2, nan: 3, 0: 4}
	b := encode(t, new(codec.Types), reflect.ValueOf(&m))
	got := *decode(t, new(codec.Types), reflect.TypeOf(m), b).Interface().(*map[float64]int)
	sum := 0
	for _, v := range got {
		sum += v
	}
	if len(got) != 4 || sum != 10 {
		t.Errorf("got %v, want %v", got, m)
	}
}

// Padding and blank fields hold arbitrary memory. They must not show in the encoding, nor be written by it.
func TestPaddingDoesNotTravel(t *testing.T) {
	dirty := func(fill byte) []byte {
		var memory [3]Padded
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&memory)), unsafe.Sizeof(memory))
		for i := range raw {
			raw[i] = fill
		}
		for i := range memory {
			memory[i].A, memory[i].B, memory[i].C = 1, 2, true
		}
		return encode(t, new(codec.Types), reflect.ValueOf(&memory))
	}
	if a, b := dirty(0), dirty(0xFF); string(a) != string(b) {
		t.Errorf("equal values have two encodings:\n%x\n%x", a, b)
	}
}

func TestLimit(t *testing.T) {
	types := registered(t)
	for name, v := range kinds() {
		t.Run(name, func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			plan, err := types.Plan(p.Type().Elem())
			if err != nil {
				t.Fatal(err)
			}
			size := len(encode(t, types, p))
			dst := make([]byte, 3, 100)
			copy(dst, "abc")
			if b, err := plan.Append(dst, p.UnsafePointer(), size); err != nil || len(b) != 3+size {
				t.Errorf("with a limit of its size %d: %d bytes, %v", size, len(b), err)
			}
			for _, limit := range []int{size - 1, size / 2, 0, -1} {
				if limit >= size || size == 0 {
					continue
				}
				var tooLarge *codec.SizeError
				b, err := plan.Append(dst, p.UnsafePointer(), limit)
				if !errors.As(err, &tooLarge) || tooLarge.Limit != limit {
					t.Errorf("with a limit of %d of %d bytes: %v, want a *SizeError", limit, size, err)
				}
				if string(b) != "abc" {
					t.Errorf("after an error dst is %q", b)
				}
			}
		})
	}
}

// A value that is small in memory but enormous when written out is given up as soon as the limit is reached.
func TestLimitStopsExplosion(t *testing.T) {
	type dag struct{ L, R *dag }
	v := &dag{}
	for range 200 {
		v = &dag{v, v}
	}
	plan, err := new(codec.Types).Plan(reflect.TypeOf(v))
	if err != nil {
		t.Fatal(err)
	}
	var tooLarge *codec.SizeError
	if _, err := plan.Append(nil, unsafe.Pointer(&v), 1<<20); !errors.As(err, &tooLarge) {
		t.Errorf("got %v, want a *SizeError", err)
	}
}
