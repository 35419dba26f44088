package codec_test

import (
	"database/sql"
	"encoding"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/parallel/internal/codec"
)

// lossy is a pair that loses everything. A type that embeds it as pointer or value is given its own below.
type (
	NullString  struct{ sql.NullString }
	NullTime    struct{ sql.NullTime }
	Enum        int
	ID          [16]byte
	WithFunc    struct{ F func() }
	WithHidden  struct{ f int }
	BareHidden  struct{ f int }
	BareFunc    struct{ F func() }
	FuncType    func()
	Around      struct{ Inner WithFunc }
	AroundBare  struct{ Inner BareFunc }
	AroundPair  struct{ Inner BareFunc }
	SliceOfBare []BareHidden
	MapOfFuncs  map[string]func()
	Anys        struct{ V any }
)

func (NullString) MarshalText() ([]byte, error) { return nil, errUsed }
func (*NullString) UnmarshalText([]byte) error  { return errUsed }
func (NullTime) MarshalText() ([]byte, error)   { return nil, errUsed }
func (*NullTime) UnmarshalText([]byte) error    { return errUsed }
func (Enum) MarshalText() ([]byte, error)       { return nil, errUsed }
func (*Enum) UnmarshalText([]byte) error        { return errUsed }
func (ID) MarshalBinary() ([]byte, error)       { return nil, errUsed }
func (*ID) UnmarshalBinary([]byte) error        { return errUsed }
func (Anys) MarshalText() ([]byte, error)       { return nil, errUsed }
func (*Anys) UnmarshalText([]byte) error        { return errUsed }

func (WithFunc) MarshalText() ([]byte, error)      { return nil, nil }
func (*WithFunc) UnmarshalText([]byte) error       { return nil }
func (WithHidden) GobEncode() ([]byte, error)      { return nil, nil }
func (*WithHidden) GobDecode([]byte) error         { return nil }
func (FuncType) MarshalText() ([]byte, error)      { return nil, nil }
func (*FuncType) UnmarshalText([]byte) error       { return nil }
func (AroundPair) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*AroundPair) UnmarshalBinary([]byte) error   { return nil }
func (SliceOfBare) MarshalBinary() ([]byte, error) { return nil, nil }
func (*SliceOfBare) UnmarshalBinary([]byte) error  { return nil }
func (MapOfFuncs) MarshalText() ([]byte, error)    { return nil, nil }
func (*MapOfFuncs) UnmarshalText([]byte) error     { return nil }

var (
	errUsed = errors.New("a method was used although the structure can cross")
	_       encoding.TextMarshaler
)

func TestWays(t *testing.T) {
	for rt, want := range map[reflect.Type]string{
		reflect.TypeFor[NullString]():  "structure",
		reflect.TypeFor[NullTime]():    "structure",
		reflect.TypeFor[Enum]():        "structure",
		reflect.TypeFor[ID]():          "structure",
		reflect.TypeFor[Anys]():        "structure",
		reflect.TypeFor[net.IP]():      "structure",
		reflect.TypeFor[url.URL]():     "structure",
		reflect.TypeFor[Wrong]():       "structure",
		reflect.TypeFor[Tiny]():        "structure",
		reflect.TypeFor[Around]():      "structure",
		reflect.TypeFor[*WithHidden](): "structure",
		reflect.TypeFor[[]WithFunc]():  "structure",
		reflect.TypeFor[WithFunc]():    "text",
		reflect.TypeFor[WithHidden]():  "gob",
		reflect.TypeFor[FuncType]():    "text",
		reflect.TypeFor[AroundPair]():  "binary",
		reflect.TypeFor[SliceOfBare](): "binary",
		reflect.TypeFor[MapOfFuncs]():  "text",
		reflect.TypeFor[big.Int]():     "gob",
		reflect.TypeFor[netip.Addr]():  "binary",
		reflect.TypeFor[time.Time]():   "time",
		reflect.TypeFor[BareHidden]():  "",
		reflect.TypeFor[BareFunc]():    "",
		reflect.TypeFor[AroundBare]():  "",
		reflect.TypeFor[func()]():      "",
	} {
		if got := codec.Way(new(codec.Types), rt); got != want {
			t.Errorf("%v crosses by %q, want %q", rt, got, want)
		}
	}
}

// The types below refer to each other. Those whose name ends in Pair have one, those with a func cannot cross by their
// structure.
type (
	AllFine1 struct{ Next *AllFine2 }
	AllFine2 struct{ Next []AllFine1 }

	// Refused because of the second, whichever is asked for.
	Bad1 struct{ Next *Bad2 }
	Bad2 struct {
		Next *Bad1
		F    func()
	}

	// The second has a pair, so both can cross.
	Saved1     struct{ Next *Saved2Pair }
	Saved2Pair struct {
		Next *Saved1
		F    func()
	}

	// The second cannot cross, so the first goes by its pair.
	OverPair struct{ Next *Under }
	Under    struct {
		Next *OverPair
		F    func()
	}

	// Three in a ring, of which the last has the func and the middle the pair.
	Ring1     struct{ Next *Ring2Pair }
	Ring2Pair struct{ Next map[string]Ring3 }
	Ring3     struct {
		Next []Ring1
		F    func()
	}

	// Good is compiled within Fails before Fails is known to fail, and depends on it.
	FailsPair struct {
		Good *Good
		F    func()
	}
	Good struct {
		Back  *FailsPair
		Plain Small
	}

	// Optimist relies on Doomed while that is being compiled, and Doomed cannot cross.
	OuterPair struct {
		Doomed   *Doomed
		Optimist *Optimist
	}
	Doomed struct {
		Optimist *Optimist
		F        func()
	}
	Optimist struct{ Doomed *Doomed }

	// Itself in a slice, empty, with a pair and a func.
	SelfPair struct {
		Selves [0][]SelfPair
		F      [0]func()
	}
)

func (Saved2Pair) MarshalBinary() ([]byte, error) { return nil, nil }
func (*Saved2Pair) UnmarshalBinary([]byte) error  { return nil }
func (OverPair) MarshalBinary() ([]byte, error)   { return nil, nil }
func (*OverPair) UnmarshalBinary([]byte) error    { return nil }
func (Ring2Pair) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*Ring2Pair) UnmarshalBinary([]byte) error   { return nil }
func (FailsPair) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*FailsPair) UnmarshalBinary([]byte) error   { return nil }
func (OuterPair) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*OuterPair) UnmarshalBinary([]byte) error   { return nil }
func (SelfPair) MarshalBinary() ([]byte, error)   { return nil, nil }
func (*SelfPair) UnmarshalBinary([]byte) error    { return nil }

// Whatever is asked for first, and after whatever else, a type crosses in the same way.
func TestRecursiveWays(t *testing.T) {
	ways := map[reflect.Type]string{
		reflect.TypeFor[AllFine1]():   "structure",
		reflect.TypeFor[AllFine2]():   "structure",
		reflect.TypeFor[Bad1]():       "",
		reflect.TypeFor[Bad2]():       "",
		reflect.TypeFor[Saved1]():     "structure",
		reflect.TypeFor[Saved2Pair](): "binary",
		reflect.TypeFor[OverPair]():   "binary",
		reflect.TypeFor[Under]():      "",
		reflect.TypeFor[Ring1]():      "structure",
		reflect.TypeFor[Ring2Pair]():  "binary",
		reflect.TypeFor[Ring3]():      "",
		reflect.TypeFor[FailsPair]():  "binary",
		reflect.TypeFor[Good]():       "structure",
		reflect.TypeFor[OuterPair]():  "binary",
		reflect.TypeFor[Doomed]():     "",
		reflect.TypeFor[Optimist]():   "",
		reflect.TypeFor[SelfPair]():   "binary",
	}
	for first, want := range ways {
		t.Run(first.Name(), func(t *testing.T) {
			if got := codec.Way(new(codec.Types), first); got != want {
				t.Fatalf("crosses by %q, want %q", got, want)
			}
			for second, want := range ways {
				types := new(codec.Types)
				codec.Way(types, first)
				if got := codec.Way(types, second); got != want {
					t.Errorf("%v after %v crosses by %q, want %q", second, first, got, want)
				}
				both := reflect.StructOf([]reflect.StructField{{Name: "A", Type: first}, {Name: "B", Type: reflect.SliceOf(second)}})
				if got := codec.Way(new(codec.Types), both) != ""; got != (ways[first] != "" && want != "") {
					t.Errorf("a struct of %v and %v can cross: %t", first, second, got)
				}
			}
		})
	}
}

// What was compiled for a structure that failed is not used again.
func TestRecursiveValues(t *testing.T) {
	types := new(codec.Types)
	if err := types.Register(reflect.TypeFor[FailsPair]()); err != nil {
		t.Fatal(err)
	}
	through(t, types, Good{&FailsPair{}, Small{1, "a", nil}})
	through(t, types, []Saved1{{&Saved2Pair{}}, {}})
}

// Each level fails after it has looked at both types of the next one.
type (
	Deep0 struct {
		A, B *Deep1
		C    *Deep1b
		F    func()
	}
	Deep1 struct {
		A *Deep2
		B *Deep2b
		F func()
	}
	Deep1b struct {
		A *Deep2
		B *Deep2b
		F func()
	}
	Deep2  struct{ F func() }
	Deep2b struct{ F func() }
)

func (Deep0) MarshalText() ([]byte, error)  { return nil, nil }
func (*Deep0) UnmarshalText([]byte) error   { return nil }
func (Deep1) MarshalText() ([]byte, error)  { return nil, nil }
func (*Deep1) UnmarshalText([]byte) error   { return nil }
func (Deep1b) MarshalText() ([]byte, error) { return nil, nil }
func (*Deep1b) UnmarshalText([]byte) error  { return nil }
func (Deep2) MarshalText() ([]byte, error)  { return nil, nil }
func (*Deep2) UnmarshalText([]byte) error   { return nil }
func (Deep2b) MarshalText() ([]byte, error) { return nil, nil }
func (*Deep2b) UnmarshalText([]byte) error  { return nil }

func TestLevelsThatFail(t *testing.T) {
	if got := codec.Way(new(codec.Types), reflect.TypeFor[Deep0]()); got != "text" {
		t.Errorf("crosses by %q, want text", got)
	}
}

type (
	Owner  struct{ inner ownerInner }
	Public struct{ Inner ownerInner }
	// ownerInner cannot be named outside of its package.
	ownerInner struct{ f int }
	EmbedsTime struct {
		time.Time
		f int
	}
)

func TestAdvice(t *testing.T) {
	const way, text = ", so %s would go by a marshaler of its own, and has none", "parallel.RegisterCodec(func(v %s) ([]byte, error) { … }, func(b []byte) (%s, error) { … })"
	for _, c := range []struct {
		rt          reflect.Type
		path        string
		owner, line string
	}{
		{reflect.TypeFor[[]BareHidden](), "[]codec_test.BareHidden[].f", "codec_test.BareHidden", "codec_test.BareHidden"},
		{reflect.TypeFor[map[string]*BareFunc](), "map[string]*codec_test.BareFunc[].F", "codec_test.BareFunc", "*codec_test.BareFunc"},
		{reflect.TypeFor[Public](), "codec_test.Public.Inner.f", "codec_test.Public", "codec_test.Public"},
		{reflect.TypeFor[struct{ P **Public }](), "struct { P **codec_test.Public }.P.Inner.f", "codec_test.Public", "*codec_test.Public"},
		{reflect.TypeFor[Owner](), "codec_test.Owner.inner", "codec_test.Owner", "codec_test.Owner"},
		{reflect.TypeFor[struct{ X []struct{ F func() } }](), "struct { X []struct { F func() } }.X[].F", "", ""},
		{reflect.TypeFor[EmbedsTime](), "codec_test.EmbedsTime.f", "codec_test.EmbedsTime", "codec_test.EmbedsTime"},
		{reflect.TypeFor[*time.Location](), "*time.Location.name", "time.Location", "*time.Location"},
	} {
		_, err := new(codec.Types).Plan(c.rt)
		var refused *codec.TypeError
		if !errors.As(err, &refused) {
			t.Errorf("%v: %v, want a *TypeError", c.rt, err)
			continue
		}
		if refused.Path != c.path {
			t.Errorf("path %q, want %q", refused.Path, c.path)
		}
		if c.owner == "" {
			if strings.Contains(refused.Reason, "RegisterCodec") {
				t.Errorf("%v: advice about a type without a name: %v", c.rt, err)
			}
			continue
		}
		for _, want := range []string{strings.ReplaceAll(way, "%s", c.owner), strings.ReplaceAll(text, "%s", c.line)} {
			if !strings.Contains(refused.Reason, want) {
				t.Errorf("%v:\n\t%v, want\n\t%s in it", c.rt, err, want)
			}
		}
	}
}
