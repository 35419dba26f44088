package codec_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/url"
	"reflect"
	"testing"
	"time"

	"example.com/parallel/internal/codec"
	"github.com/google/go-cmp/cmp"
)

// A generator composes types and values at random, the same for the same seed.
type generator struct {
	*rand.Rand
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
}

var basicTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](),
	reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](),
	reflect.TypeFor[uint64](), reflect.TypeFor[uintptr](), reflect.TypeFor[string](), reflect.TypeFor[Color](), reflect.TypeFor[Number](),
	reflect.TypeFor[Enum](), reflect.TypeFor[ID](),
}

// Not for keys of maps: NaN and pointers are unequal to what they were.
var otherTypes = []reflect.Type{
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex64](), reflect.TypeFor[complex128](),
	reflect.TypeFor[any](), reflect.TypeFor[error](), reflect.TypeFor[Shape](), reflect.TypeFor[time.Time](), reflect.TypeFor[Small](),
	reflect.TypeFor[Padded](), reflect.TypeFor[Exported](), reflect.TypeFor[ByPtr](), reflect.TypeFor[Node](), reflect.TypeFor[Tree](),
	reflect.TypeFor[Lists](), reflect.TypeFor[Loop](), reflect.TypeFor[Bin](), reflect.TypeFor[PtrBin](), reflect.TypeFor[Value](),
	reflect.TypeFor[Text](), reflect.TypeFor[Scene](), reflect.TypeFor[Empty](), reflect.TypeFor[Blank](), reflect.TypeFor[OnlyBlank](),
	reflect.TypeFor[Generic[[]string]](), reflect.TypeFor[Inlined](), reflect.TypeFor[NullString](), reflect.TypeFor[NullTime](),
	reflect.TypeFor[url.URL](), reflect.TypeFor[Anys](), reflect.TypeFor[OwnGeneric[int]](), reflect.TypeFor[Saved1](),
}

// typ composes a type. A key type can be compared and equals itself.
func (g *generator) typ(depth int, key bool) reflect.Type {
	if depth <= 0 || g.IntN(5) == 0 {
		if !key && g.IntN(2) == 0 {
			return otherTypes[g.IntN(len(otherTypes))]
		}
		return basicTypes[g.IntN(len(basicTypes))]
	}
	choice := g.IntN(5)
	if key {
		choice %= 2
	}
	switch choice {
	case 0:
		return reflect.ArrayOf(g.IntN(4), g.typ(depth-1, key))
	case 1:
		fields := make([]reflect.StructField, g.IntN(6))
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprint("F", i), Type: g.typ(depth-1, key)}
		}
		return reflect.StructOf(fields)
	case 2:
		return reflect.SliceOf(g.typ(depth-1, false))
	case 3:
		return reflect.MapOf(g.typ(depth-1, true), g.typ(depth-1, false))
	default:
		return reflect.PointerTo(g.typ(depth-1, false))
	}
}

// fill sets a value at random. depth bounds values of recursive types.
func (g *generator) fill(v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(g.time()))
		return
	case reflect.TypeFor[any](), reflect.TypeFor[error](), reflect.TypeFor[Shape]():
		g.fillInterface(v, depth)
		return
	case reflect.TypeFor[OwnGeneric[int]]():
		v.Set(reflect.ValueOf(OwnGeneric[int]{x: g.Int()}))
		return
	case reflect.TypeFor[Saved2Pair](): // its pair keeps nothing
		return
	case reflect.TypeFor[Bin](), reflect.TypeFor[PtrBin](), reflect.TypeFor[Text]():
		v.Set(reflect.ValueOf(Bin{g.Int()}).Convert(v.Type()))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(g.Uint64()) >> g.IntN(64))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(g.Uint64() >> g.IntN(64))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(g.float())
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(g.float(), g.float()))
	case reflect.String:
		v.SetString(string(make([]byte, g.IntN(5)*g.IntN(60))) + fmt.Sprint(g.Uint32()))
	case reflect.Array:
		for i := range v.Len() {
			g.fill(v.Index(i), depth)
		}
	case reflect.Struct:
		g.fillStruct(v, depth)
	default:
		g.fillReference(v, depth)
	}
}

func (g *generator) fillStruct(v reflect.Value, depth int) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name == "_" {
			continue
		}
		// The fields of an embedded struct of an unexported type can be set through its address only.
		field := v.Field(i)
		g.fill(reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem(), depth)
	}
}

// fillReference sets what can be nil: to nil, to something empty, or to something.
func (g *generator) fillReference(v reflect.Value, depth int) {
	if depth <= 0 || g.IntN(4) == 0 {
		return
	}
	n := g.IntN(4) * g.IntN(3)
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		g.fill(v.Elem(), depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n+1))
		for i := range n {
			g.fill(v.Index(i), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			g.fill(key, depth-1)
			g.fill(value, depth-1)
			if key.Comparable() {
				v.SetMapIndex(key, value)
			}
		}
	}
}

func (g *generator) fillInterface(v reflect.Value, depth int) {
	if depth <= 0 || g.IntN(4) == 0 {
		return
	}
	choices := []any{Circle{g.float()}, &Circle{1}, &Square{g.float()}, (*Square)(nil), io.EOF, g.failure(), errors.ErrUnsupported}
	if v.NumMethod() == 0 {
		choices = append(choices, g.Int(), "s", g.float(), true, int64(1), []byte{1}, []string(nil), Color(3), g.time(), Node{Value: 2})
		nested := reflect.New(reflect.TypeFor[map[string]any]()).Elem()
		g.fill(nested, depth-1)
		choices = append(choices, nested.Interface())
	}
	for {
		if c := reflect.ValueOf(choices[g.IntN(len(choices))]); c.Type().Implements(v.Type()) {
			v.Set(c)
			return
		}
	}
}

// failure gives an error that holds another one.
func (g *generator) failure() error {
	return &wrapped{Op: "read", N: g.Int(), Err: io.ErrUnexpectedEOF}
}

type wrapped struct {
	Op  string
	N   int
	Err error
}

func (w *wrapped) Error() string { return w.Op }

func (w *wrapped) Area() float64 { return 0 }

func (g *generator) float() float64 {
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.NaN(), math.Float64frombits(0xFFF8_0000_0000_1234), math.MaxFloat64}
	if i := g.IntN(2 * len(special)); i < len(special) {
		return special[i]
	}
	return g.NormFloat64()
}

func (g *generator) time() time.Time {
	at := time.Unix(int64(g.Uint64())>>g.IntN(64), g.Int64N(1e9))
	switch g.IntN(4) {
	case 0:
		return time.Time{}
	case 1:
		return at.UTC()
	case 2:
		return at.In(time.FixedZone("zone", g.IntN(7200)))
	}
	return at
}

// TestGenerated sends values of generated types and compares what arrives.
func TestGenerated(t *testing.T) {
	types := registered(t)
	count := 1500
	if testing.Short() {
		count = 150
	}
	for seed := range uint64(count) {
		checkGenerated(t, types, seed)
	}
}

func checkGenerated(t *testing.T, types *codec.Types, seed uint64) {
	t.Helper()
	g := newGenerator(seed)
	rt := g.typ(4, false)
	plan, err := types.Plan(rt)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for range 3 {
		v := reflect.New(rt)
		g.fill(v.Elem(), 4)
		b := encode(t, types, v)
		got := decode(t, types, rt, b)
		if diff := cmp.Diff(v.Interface(), got.Interface(), equal); diff != "" {
			t.Fatalf("seed %d: a %v changed on the way (-sent +received):\n%s", seed, rt, diff)
		}
		if _, err := plan.Append(nil, v.UnsafePointer(), len(b)); err != nil {
			t.Fatalf("seed %d: with a limit of the size: %v", seed, err)
		}
		if len(b) > 0 {
			if _, err := plan.Append(nil, v.UnsafePointer(), len(b)-1); err == nil {
				t.Fatalf("seed %d: more bytes than the limit", seed)
			}
		}
	}
}
