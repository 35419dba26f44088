package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

// Foreign cannot cross without a codec.
type Foreign struct{ secret string }

type stringer string

func (s stringer) String() string { return string(s) }

// codecOf makes a codec of two functions, as the root does.
func codecOf[T any](marshal func(T) ([]byte, error), unmarshal func([]byte) (T, error)) codec.Codec {
	return codec.Codec{
		Marshal: func(p unsafe.Pointer) ([]byte, error) { return marshal(*(*T)(p)) },
		Unmarshal: func(b []byte, p unsafe.Pointer) error {
			v, err := unmarshal(b)
			if err == nil {
				*(*T)(p) = v
			}
			return err
		},
	}
}

func addCodec[T any](t *testing.T, types *codec.Types, marshal func(T) ([]byte, error), unmarshal func([]byte) (T, error)) {
	t.Helper()
	if err := types.RegisterCodec(reflect.TypeFor[T](), codecOf(marshal, unmarshal), true); err != nil {
		t.Fatal(err)
	}
}

func marshalForeign(v Foreign) ([]byte, error) {
	switch v.secret {
	case "":
		return nil, errors.New("the zero value was passed")
	case "error":
		return nil, errTrouble
	case "panic":
		panic(errTrouble)
	}
	return []byte(v.secret), nil
}

func unmarshalForeign(b []byte) (Foreign, error) {
	switch string(b) {
	case "unmarshal error":
		return Foreign{}, errTrouble
	case "unmarshal panic":
		panic(errTrouble)
	}
	return Foreign{string(b)}, nil
}

func TestCodec(t *testing.T) {
	types := new(codec.Types)
	addCodec(t, types, marshalForeign, unmarshalForeign)
	for range 2 {
		if err := types.Register(reflect.TypeFor[Foreign]()); err != nil {
			t.Fatal(err)
		}
	}
	through(t, types, Foreign{"x"})
	through(t, types, Foreign{})
	through(t, types, []Foreign{{"x"}, {}, {strings.Repeat("y", 1000)}})
	through(t, types, map[Foreign]map[string]*Foreign{{"a"}: {"b": {"c"}, "d": nil, "e": {}}, {}: nil})
	through(t, types, struct {
		A [2]Foreign
		B any
	}{[2]Foreign{{"x"}, {}}, Foreign{"y"}})
}

// A codec for a pointer is not asked about nil, and is about a pointer to zero.
func TestCodecOfPointer(t *testing.T) {
	types := new(codec.Types)
	asked := 0
	addCodec(t, types, func(v *Foreign) ([]byte, error) { asked++; return []byte(v.secret), nil },
		func(b []byte) (*Foreign, error) { return &Foreign{string(b)}, nil })
	if err := types.Register(reflect.TypeFor[*Foreign]()); err != nil {
		t.Fatal(err)
	}
	through[*Foreign](t, types, nil)
	through[any](t, types, (*Foreign)(nil))
	if asked != 0 {
		t.Error("asked about nil")
	}
	through(t, types, &Foreign{})
	through(t, types, []*Foreign{{}, nil, {"x"}})
	through[any](t, types, &Foreign{"y"})
	through(t, types, map[string]**Foreign{"a": ptr(&Foreign{"x"}), "b": ptr((*Foreign)(nil)), "c": nil})
	if asked != 5 {
		t.Errorf("asked %d times", asked)
	}
	if _, err := types.Plan(reflect.TypeFor[Foreign]()); err == nil {
		t.Error("a codec for a pointer serves the value")
	}
}

// A codec wins over the structure, the type's own methods, and what this package has for a type, basic ones included.
func TestCodecWins(t *testing.T) {
	check := func(name string, v any, add func(types *codec.Types, used *int)) {
		t.Run(name, func(t *testing.T) {
			types, used := new(codec.Types), 0
			add(types, &used)
			for _, v := range []any{v, []any{v}, struct{ F any }{v}} {
				p := reflect.New(reflect.TypeOf(v))
				p.Elem().Set(reflect.ValueOf(v))
				used = 0
				roundTrip(t, types, p)
				if used != 2 {
					t.Errorf("%T: the codec was used %d times, want 2", v, used)
				}
			}
			var a any = v
			b, err := types.AppendAny(nil, a, noLimit)
			if err != nil {
				t.Fatal(err)
			}
			used = 0
			if got, err := types.DecodeAny(b); err != nil || used != 1 || !reflect.DeepEqual(got, v) {
				t.Errorf("DecodeAny: %v, %v, used %d times", got, err, used)
			}
		})
	}
	check("int", 5, func(types *codec.Types, used *int) { countedCodec(t, types, used, 5) })
	check("string", "s", func(types *codec.Types, used *int) { countedCodec(t, types, used, "s") })
	check("bool", true, func(types *codec.Types, used *int) { countedCodec(t, types, used, true) })
	check("time", time.Unix(1, 0).UTC(), func(types *codec.Types, used *int) { countedCodec(t, types, used, time.Unix(1, 0).UTC()) })
	check("struct", Small{ID: 1}, func(types *codec.Types, used *int) {
		countedCodec(t, types, used, Small{ID: 1})
		_ = types.Register(reflect.TypeFor[Small]())
	})
	check("pair", Bin{1}, func(types *codec.Types, used *int) {
		countedCodec(t, types, used, Bin{1})
		_ = types.Register(reflect.TypeFor[Bin]())
	})
}

// countedCodec registers a codec that always gives v.
func countedCodec[T any](t *testing.T, types *codec.Types, used *int, v T) {
	addCodec(t, types, func(T) ([]byte, error) { *used++; return nil, nil }, func([]byte) (T, error) { *used++; return v, nil })
}

func TestCodecInPlainPlaces(t *testing.T) {
	types := new(codec.Types)
	addCodec(t, types, func(v uint8) ([]byte, error) { return []byte{v, v}, nil }, func(b []byte) (uint8, error) {
		if len(b) != 2 {
			return 0, errors.New("not from this codec")
		}
		return b[0], nil
	})
	addCodec(t, types, func(v bool) ([]byte, error) { return []byte{7}, nil }, func(b []byte) (bool, error) { return b[0] == 7, nil })
	through(t, types, []uint8{1, 0, 3})
	through(t, types, [3]uint8{1, 0, 3})
	through(t, types, []bool{true, false})
	through(t, types, struct {
		A, B uint8
		C    []uint8
		D    bool
		E    map[uint8]bool
	}{1, 0, []uint8{2}, true, map[uint8]bool{0: true, 1: false}})
	if plan, err := types.Plan(reflect.TypeFor[[4]uint8]()); err != nil || plan.FixedSize() != -1 || plan.Pure() {
		t.Errorf("size %d, pure %t, %v", plan.FixedSize(), plan.Pure(), err)
	}
}

func TestCodecErrors(t *testing.T) {
	types := new(codec.Types)
	addCodec(t, types, marshalForeign, unmarshalForeign)
	plan, err := types.Plan(reflect.TypeFor[[]*Foreign]())
	if err != nil {
		t.Fatal(err)
	}
	for _, trouble := range []string{"error", "panic", "unmarshal error", "unmarshal panic"} {
		v := []*Foreign{{"fine"}, {trouble}}
		b, err := plan.Append(nil, unsafe.Pointer(&v), noLimit)
		if strings.HasPrefix(trouble, "unmarshal") {
			if err != nil {
				t.Fatal(err)
			}
			var got []*Foreign
			err = plan.Decode(b, unsafe.Pointer(&got))
		}
		var failed *codec.ValueError
		if !errors.As(err, &failed) || !errors.Is(err, errTrouble) || !strings.Contains(err.Error(), "the codec for codec_test.Foreign") {
			t.Errorf("%s: %v, want a *ValueError of the codec", trouble, err)
		} else if failed.Path != "[]*codec_test.Foreign[]" {
			t.Errorf("path %q", failed.Path)
		}
	}
}

func TestCodecComesFirst(t *testing.T) {
	type (
		Holds  struct{ F *Foreign }
		Failed struct{ F WithFuncs }
	)
	fine := codecOf(marshalForeign, unmarshalForeign)
	foreign := reflect.TypeFor[Foreign]()
	for _, c := range []struct {
		name  string
		want  string // "" if the codec may still come
		rt    reflect.Type
		reach func(types *codec.Types) error
	}{
		{"nothing", "", foreign, func(*codec.Types) error { return nil }},
		{"another type", "", foreign, func(types *codec.Types) error { return types.Register(reflect.TypeFor[Small]()) }},
		{"a type that is refused", "", foreign, func(types *codec.Types) error {
			if types.Register(reflect.TypeFor[Holds]()) == nil {
				return errors.New("not refused")
			}
			return nil
		}},
		{"Register", "Register(main.f) came first", reflect.TypeFor[Part2](), func(types *codec.Types) error {
			_, err := types.PlanFor(stringer("Register(main.f)"), reflect.TypeFor[map[string][]Whole]())
			return err
		}},
		{"the first Register", "Register(main.f) came first", reflect.TypeFor[Part2](), func(types *codec.Types) error {
			if _, err := types.PlanFor(stringer("Register(main.f)"), reflect.TypeFor[Whole]()); err != nil {
				return err
			}
			_, err := types.PlanFor(stringer("Register(main.g)"), reflect.TypeFor[[]Whole]())
			return err
		}},
		{"RegisterType", "RegisterType(codec_test.Whole) came first", reflect.TypeFor[Part2](), func(types *codec.Types) error {
			return types.Register(reflect.TypeFor[Whole]())
		}},
		{"a value", "a value that was sent came first", reflect.TypeFor[[]int](), func(types *codec.Types) error {
			_, err := types.AppendAny(nil, []int{1}, noLimit)
			return err
		}},
		// The struct crosses by its pair because the field cannot cross, which a codec would have changed.
		{"a type that decided", "Register(main.f) came first", reflect.TypeFor[func()](), func(types *codec.Types) error {
			_, err := types.PlanFor(stringer("Register(main.f)"), reflect.TypeFor[Failed]())
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			types := new(codec.Types)
			if err := c.reach(types); err != nil {
				t.Fatal(err)
			}
			err := types.RegisterCodec(c.rt, fine, true)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

type (
	Whole     struct{ Parts []*Part2 }
	Part2     struct{ N int }
	WithFuncs struct{ F func() }
)

func (WithFuncs) MarshalText() ([]byte, error) { return nil, nil }
func (*WithFuncs) UnmarshalText([]byte) error  { return nil }

func TestCodecRefusals(t *testing.T) {
	fine := codecOf(marshalForeign, unmarshalForeign)
	types := new(codec.Types)
	if err := types.RegisterCodec(reflect.TypeFor[Foreign](), fine, true); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"has a codec already": types.RegisterCodec(reflect.TypeFor[Foreign](), fine, true),
		"an interface type":   types.RegisterCodec(reflect.TypeFor[error](), fine, true),
		"after Init":          types.RegisterCodec(reflect.TypeFor[Small](), fine, false),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Another build, which lacks the codec, is told apart.
func TestCodecIsPartOfTheShape(t *testing.T) {
	with, without := new(codec.Types), new(codec.Types)
	addCodec(t, with, func(v Part2) ([]byte, error) { return []byte(strconv.Itoa(v.N)), nil }, func(b []byte) (v Part2, err error) {
		v.N, err = strconv.Atoi(string(b))
		return v, err
	})
	a, err := with.Plan(reflect.TypeFor[Whole]())
	if err != nil {
		t.Fatal(err)
	}
	b, err := without.Plan(reflect.TypeFor[Whole]())
	if err != nil {
		t.Fatal(err)
	}
	if a.Shape() == b.Shape() {
		t.Errorf("equal shapes %s", a.Shape())
	}
	if slices.Equal(with.Describe(), without.Describe()) {
		t.Error("equal descriptions")
	}
	through(t, with, Whole{[]*Part2{{7}, nil, {}}})
}

// Common types in interfaces need no registration.
func TestCommonTypesInInterfaces(t *testing.T) {
	types := new(codec.Types)
	for _, v := range []any{
		map[string]string{"a": "b"}, map[string]int{}, map[string]bool(nil), map[string]float64{"a": 1}, map[string][]string{"a": {"b"}},
		[]map[string]any{{"a": 1}, nil}, []map[string]string{nil}, [][]byte{{1}, nil}, [][]string{{"a"}}, [][]float64{{1}, {}}, [][]int{nil},
		[][]any{{1, "a"}}, []time.Time{time.Unix(1, 0).UTC()}, []time.Duration{1}, json.Number("1.50"), json.RawMessage("{}"), []error{nil, errors.ErrUnsupported},
		ptr("x"), ptr(0), ptr(time.Unix(1, 0).UTC()), time.March, time.Sunday, map[any]any{1: "a"}, map[int]string{1: "a"}, struct{}{}, [16]byte{1},
		map[string]any{"n": json.Number("7"), "list": []any{map[string]string{"a": "b"}}},
	} {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			through(t, types, v)
			through(t, types, []any{v, nil, v})
		})
	}
}

// A type that is known from the start can be registered too, as it may be in programs that need not.
func TestRegisterCommonType(t *testing.T) {
	types := new(codec.Types)
	for _, rt := range []reflect.Type{reflect.TypeFor[Small](), reflect.TypeFor[map[string]string](), reflect.TypeFor[Circle]()} {
		if err := types.Register(rt); err != nil {
			t.Fatal(err)
		}
	}
	through(t, types, []any{map[string]string{"a": "b"}, Small{ID: 1}, map[string]int{"a": 1}, Circle{1}})
}
