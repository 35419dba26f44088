package codec_test

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/parallel/internal/codec"
)

// code is a number that marshals itself as text with a prefix which tells the pair that was used.
func marshalAs(prefix string, n int) ([]byte, error) { return fmt.Appendf(nil, "%s%d", prefix, n), nil }

func unmarshalAs(prefix string, b []byte, n *int) error {
	if _, err := fmt.Sscanf(string(b), prefix+"%d", n); err != nil {
		return fmt.Errorf("%q has not the prefix %q: %w", b, prefix, err)
	}
	return nil
}

type (
	// Bin has value receivers where that is possible, PtrBin has pointer receivers throughout.
	Bin    struct{ n int }
	PtrBin struct{ n int }
	Gob    struct{ n int }
	Text   struct{ n int }
	// All has every pair, of which binary comes first; Half lacks one of two methods, so text remains.
	All  struct{ n int }
	Half struct{ n int }
	// Tiny has methods short enough to be inlined into the wrappers of a type that embeds it.
	Tiny struct{}
	// Number has a text form, which is not used: an int crosses by its structure.
	Number int
	Wrong  struct{ N int }
)

func (v Bin) MarshalBinary() ([]byte, error)     { return marshalAs("bin", v.n) }
func (v *Bin) UnmarshalBinary(b []byte) error    { return unmarshalAs("bin", b, &v.n) }
func (v *PtrBin) MarshalBinary() ([]byte, error) { return marshalAs("ptr", v.n) }
func (v *PtrBin) UnmarshalBinary(b []byte) error { return unmarshalAs("ptr", b, &v.n) }
func (v Gob) GobEncode() ([]byte, error)         { return marshalAs("gob", v.n) }
func (v *Gob) GobDecode(b []byte) error          { return unmarshalAs("gob", b, &v.n) }
func (v Text) MarshalText() ([]byte, error)      { return marshalAs("text", v.n) }
func (v *Text) UnmarshalText(b []byte) error     { return unmarshalAs("text", b, &v.n) }
func (v All) MarshalBinary() ([]byte, error)     { return marshalAs("bin", v.n) }
func (v *All) UnmarshalBinary(b []byte) error    { return unmarshalAs("bin", b, &v.n) }
func (v All) GobEncode() ([]byte, error)         { return nil, errors.New("gob used") }
func (v *All) GobDecode([]byte) error            { return errors.New("gob used") }
func (v All) MarshalText() ([]byte, error)       { return nil, errors.New("text used") }
func (v *All) UnmarshalText([]byte) error        { return errors.New("text used") }
func (v Half) MarshalBinary() ([]byte, error)    { return nil, errors.New("binary used") }
func (v Half) GobEncode() ([]byte, error)        { return nil, errors.New("gob used") }
func (v Half) MarshalText() ([]byte, error)      { return marshalAs("half", v.n) }
func (v *Half) UnmarshalText(b []byte) error     { return unmarshalAs("half", b, &v.n) }
func (Tiny) MarshalBinary() ([]byte, error)      { return nil, nil }
func (*Tiny) UnmarshalBinary([]byte) error       { return nil }
func (n Number) MarshalText() ([]byte, error)    { return nil, errors.New("text used") }
func (n *Number) UnmarshalText(b []byte) error   { return errors.New("text used") }
func (Wrong) MarshalBinary() []byte              { panic("wrong signature used") }
func (*Wrong) UnmarshalBinary(string) error      { panic("wrong signature used") }

func TestPairs(t *testing.T) {
	types := new(codec.Types)
	for _, c := range []struct {
		v    any
		wire string
	}{
		{Bin{1}, "bin1"}, {PtrBin{2}, "ptr2"}, {Gob{3}, "gob3"}, {Text{4}, "text4"}, {All{5}, "bin5"}, {Half{6}, "half6"},
		{&Bin{7}, "bin7"}, {[]PtrBin{{8}}, "ptr8"}, {map[Text]Gob{{9}: {10}}, "gob10"}, {Number(11), ""},
		{struct{ X *Bin }{&Bin{12}}, "bin12"}, {[2]Number{13, 14}, ""}, {Wrong{15}, ""},
	} {
		t.Run(fmt.Sprintf("%T", c.v), func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(c.v))
			p.Elem().Set(reflect.ValueOf(c.v))
			roundTrip(t, types, p)
			if b := encode(t, types, p); !strings.Contains(string(b), c.wire) {
				t.Errorf("encoded as %q, want %q in it", b, c.wire)
			}
		})
	}
}

// The types below embed a type with a pair. Those that have no pair of their own must not lose X.
type (
	Value struct {
		time.Time
		X string
	}
	Pointer struct {
		*Bin
		X string
	}
	TwoLevels struct {
		Value
		Y int
	}
	ThreeLevels struct {
		*TwoLevels
		Z int
	}
	Unexported struct {
		hidden
		X string
	}
	hidden    struct{ Bin }
	Interface struct {
		X string
		encoding.BinaryMarshaler
		encoding.BinaryUnmarshaler
	}
	Both struct {
		X int
		encoding.BinaryMarshaler
		*Bin
	}
	Inlined struct {
		Tiny
		X int
	}
	InlinedLast struct {
		X int
		Tiny
	}
	InlinedPointer struct {
		*Tiny
		X int
	}
	TextInside struct {
		X int
		Number
	}
	GenericValue[T any] struct {
		Bin
		X T
	}
	Derived Value
	// MixedHalf has its own MarshalBinary only, so the pair is none.
	MixedHalf struct {
		Tiny
		X int
	}
)

func (MixedHalf) MarshalBinary() ([]byte, error) { return nil, errors.New("half of a pair used") }

func TestPromotedPairsAreNotUsed(t *testing.T) {
	types := new(codec.Types)
	for _, v := range []any{(*Bin)(nil), Bin{}} {
		if err := types.Register(reflect.TypeOf(v)); err != nil {
			t.Fatal(err)
		}
	}
	type local struct {
		Tiny
		X int
	}
	at := time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, v := range []any{
		Value{at, "x"}, Pointer{&Bin{1}, "x"}, TwoLevels{Value{at, "x"}, 2}, ThreeLevels{&TwoLevels{Value{at, "x"}, 2}, 3},
		Unexported{hidden{Bin{1}}, "x"}, Interface{"x", &Bin{1}, &Bin{2}}, Inlined{X: 1}, InlinedLast{X: 1},
		InlinedPointer{X: 1}, InlinedPointer{&Tiny{}, 1}, TextInside{1, 2}, GenericValue[string]{Bin{1}, "x"}, GenericValue[*int]{Bin{1}, ptr(2)},
		Derived{at, "x"}, MixedHalf{X: 1}, local{X: 1}, Both{X: 1, BinaryMarshaler: Bin{1}, Bin: &Bin{2}},
		struct {
			time.Time
			X int
		}{at, 1},
	} {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			for _, v := range []any{v, []any{v}} {
				p := reflect.New(reflect.TypeOf(v))
				p.Elem().Set(reflect.ValueOf(v))
				if _, ok := v.([]any); ok {
					if err := types.Register(reflect.TypeOf(v.([]any)[0])); err != nil {
						t.Fatal(err)
					}
				}
				roundTrip(t, types, p)
			}
		})
	}
}

// The types below embed a type with a pair and have their own too, which is used although a field offers another.
type (
	OwnValue struct {
		Tiny
		x int
	}
	OwnPointer struct {
		*Bin
		x int
	}
	OwnShort struct {
		Bin
		x int
	}
	OwnDeep struct {
		OwnValue
		y int
	}
	OwnGeneric[T any] struct {
		Bin
		x T
	}
	OwnCalls struct {
		Bin
		x int
	}
	OwnMethodValue struct {
		Bin
		x int
	}
	OwnThroughInterface struct {
		OwnShort
		x int
	}
)

// The compiler knows what these call and may inline a wrapper that it wrote itself.
func (v OwnMethodValue) MarshalBinary() ([]byte, error) {
	marshal := v.Bin.MarshalBinary
	return marshal()
}

func (v *OwnMethodValue) UnmarshalBinary(b []byte) error {
	v.x = 1
	unmarshal := v.Bin.UnmarshalBinary
	return unmarshal(b)
}

func (v OwnThroughInterface) MarshalBinary() ([]byte, error) {
	var m encoding.BinaryMarshaler = Inlined{X: v.x}
	return m.MarshalBinary()
}

func (v *OwnThroughInterface) UnmarshalBinary(b []byte) error {
	v.x = 1
	var m encoding.BinaryUnmarshaler = &Inlined{}
	return m.UnmarshalBinary(b)
}

var shortCalls int

func (v OwnValue) MarshalBinary() ([]byte, error)      { return marshalAs("own", v.x) }
func (v *OwnValue) UnmarshalBinary(b []byte) error     { return unmarshalAs("own", b, &v.x) }
func (v *OwnPointer) MarshalBinary() ([]byte, error)   { return marshalAs("own", v.x) }
func (v *OwnPointer) UnmarshalBinary(b []byte) error   { return unmarshalAs("own", b, &v.x) }
func (v OwnShort) MarshalBinary() ([]byte, error)      { shortCalls++; return nil, nil }
func (v *OwnShort) UnmarshalBinary([]byte) error       { v.x = 1; return nil }
func (v OwnDeep) MarshalBinary() ([]byte, error)       { return marshalAs("own", v.y) }
func (v *OwnDeep) UnmarshalBinary(b []byte) error      { return unmarshalAs("own", b, &v.y) }
func (v OwnGeneric[T]) MarshalBinary() ([]byte, error) { return fmt.Appendf(nil, "own%v", v.x), nil }
func (v *OwnGeneric[T]) UnmarshalBinary(b []byte) error {
	_, err := fmt.Sscanf(string(b), "own%v", &v.x)
	return err
}
func (v OwnCalls) MarshalBinary() ([]byte, error)  { return v.Bin.MarshalBinary() }
func (v *OwnCalls) UnmarshalBinary(b []byte) error { v.x = 1; return v.Bin.UnmarshalBinary(b) }

func TestOwnPairsAreUsed(t *testing.T) {
	types := new(codec.Types)
	for _, v := range []any{
		OwnValue{x: 1}, OwnPointer{x: 2}, OwnDeep{y: 3}, OwnGeneric[int]{x: 4}, OwnGeneric[string]{x: "s"}, OwnCalls{Bin{5}, 1},
		OwnMethodValue{Bin{5}, 1}, OwnThroughInterface{x: 1},
		[]OwnValue{{x: 6}}, map[string]OwnPointer{"a": {x: 7}}, &OwnDeep{y: 8},
	} {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			roundTrip(t, types, p)
		})
	}
	t.Run("short methods", func(t *testing.T) {
		shortCalls = 0
		through(t, types, OwnShort{x: 1})
		if shortCalls == 0 {
			t.Error("the type's own method was not called")
		}
	})
}

func TestTextOfRegexp(t *testing.T) {
	r := through(t, new(codec.Types), struct{ R *regexp.Regexp }{regexp.MustCompile("a+b")})
	if r.R.String() != "a+b" {
		t.Errorf("got %v", r.R)
	}
}

// Troubled fails as its field says, in one direction or the other.
type Troubled struct{ trouble string }

var errTrouble = errors.New("trouble")

func (v Troubled) MarshalBinary() ([]byte, error) {
	switch v.trouble {
	case "marshal error":
		return nil, errTrouble
	case "marshal panic":
		panic(errTrouble)
	}
	return []byte(v.trouble), nil
}

func (v *Troubled) UnmarshalBinary(b []byte) error {
	switch string(b) {
	case "unmarshal error":
		return errTrouble
	case "unmarshal panic":
		panic(errTrouble)
	}
	v.trouble = string(b)
	return nil
}

func TestMarshalerErrors(t *testing.T) {
	types := new(codec.Types)
	plan, err := types.Plan(reflect.TypeFor[map[string][]Troubled]())
	if err != nil {
		t.Fatal(err)
	}
	for _, trouble := range []string{"marshal error", "marshal panic", "unmarshal error", "unmarshal panic"} {
		t.Run(trouble, func(t *testing.T) {
			v := map[string][]Troubled{"a": {{"none"}, {trouble}}}
			b, err := plan.Append(nil, reflect.ValueOf(&v).UnsafePointer(), noLimit)
			if strings.HasPrefix(trouble, "unmarshal") {
				if err != nil {
					t.Fatal(err)
				}
				var got map[string][]Troubled
				err = plan.Decode(b, reflect.ValueOf(&got).UnsafePointer())
			}
			var failed *codec.ValueError
			if !errors.As(err, &failed) || !errors.Is(err, errTrouble) {
				t.Fatalf("got %v, want a *ValueError that wraps %v", err, errTrouble)
			}
			if want := "map[string][]codec_test.Troubled[][]"; failed.Path != want {
				t.Errorf("path is %q, want %q", failed.Path, want)
			}
		})
	}
}

// Keeper keeps what it is given, which is against the rules of encoding.BinaryUnmarshaler; decode overwrites the
// message to find out.
type Keeper struct{ b []byte }

func (k Keeper) MarshalBinary() ([]byte, error)  { return k.b, nil }
func (k *Keeper) UnmarshalBinary(b []byte) error { k.b = b; return nil }

func TestUnmarshalerMayKeepItsArgument(t *testing.T) {
	through(t, new(codec.Types), Keeper{[]byte("kept")})
}
