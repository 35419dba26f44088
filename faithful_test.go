package parallel

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"math/rand"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/quick"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"example.com/parallel/internal/testkit"
)

// What goes into a worker process and comes back equals what goes through a
// goroutine. internal/codec tests the encoding with generated types; these are
// the shapes that users have, through the whole of Map.

type inner struct {
	A int8
	B []string
}

type Embedded struct{ inner }

type Stamped struct {
	time.Time
	Name string
}

type node struct {
	Value       int
	Left, Right *node
}

type shape interface{ Area() float64 }

type square struct{ Side float64 }

func (s square) Area() float64 { return s.Side * s.Side }

type everything struct {
	Bool    bool
	Ints    [3]int16
	U       uint64
	F       float64
	C       complex64
	S       string
	Bytes   []byte
	M       map[string][]int32
	P       *int
	PP      **string
	Any     any
	Err     error
	Shape   shape
	Nested  []map[inner2]*inner
	Dur     time.Duration
	Struct  struct{ X, Y float32 }
	Pointer *everything
}

type inner2 struct{ K string }

func echo[T any](_ context.Context, v T) (T, error) { return v, nil }

// nullString, nullTime and season have text forms that lose something, as those of packages in use do.
type (
	nullString struct{ sql.NullString }
	nullTime   struct{ sql.NullTime }
	season     int
)

func (s nullString) MarshalText() ([]byte, error) { return []byte(s.String), nil }
func (s *nullString) UnmarshalText(b []byte) error {
	s.String, s.Valid = string(b), len(b) > 0
	return nil
}
func (t nullTime) MarshalText() ([]byte, error) { return t.Time.UTC().MarshalText() }
func (t *nullTime) UnmarshalText(text []byte) error {
	t.Valid = true
	return t.Time.UnmarshalText(text)
}
func (s season) MarshalText() ([]byte, error)     { return nil, errors.New("a season without a name") }
func (s *season) UnmarshalText(text []byte) error { return errors.New("a season without a name") }

// strict has hidden state, and a marshaler that refuses its zero value.
type strict struct{ text string }

func (s strict) MarshalBinary() ([]byte, error) {
	if s.text == "" {
		return nil, errors.New("empty")
	}
	return []byte(s.text), nil
}

func (s *strict) UnmarshalBinary(b []byte) error { s.text = string(b); return nil }

// foreign cannot cross but by its codec.
type foreign struct {
	text string
	_    func()
}

func marshalForeign(f foreign) ([]byte, error) {
	switch f.text {
	case "error":
		return nil, errors.New("no such thing")
	case "panic":
		panic("no such thing")
	}
	return []byte(f.text), nil
}

func unmarshalForeign(b []byte) (foreign, error) { return foreign{text: string(b)}, nil }

func init() {
	RegisterCodec(marshalForeign, unmarshalForeign)
	RegisterType(square{}, &square{})
	registerEcho[int]()
	registerEcho[[]byte]()
	registerEcho[map[string]int]()
	registerEcho[*int]()
	registerEcho[float64]()
	registerEcho[Embedded]()
	registerEcho[Stamped]()
	registerEcho[*node]()
	registerEcho[shape]()
	registerEcho[any]()
	registerEcho[error]()
	registerEcho[everything]()
	registerEcho[time.Time]()
	registerEcho[*big.Int]()
	registerEcho[netip.Addr]()
	registerEcho[url.URL]()
	registerEcho[nullString]()
	registerEcho[nullTime]()
	registerEcho[season]()
	registerEcho[strict]()
	registerEcho[*regexp.Regexp]()
	registerEcho[[]*foreign]()
	registerEcho[struct{}]()
	registerEcho[[0]int]()
	registerEcho[map[float64]bool]()
}

// echoes holds, by type, the one function value that is registered: an instance
// made inside a generic function is a new value each time.
var echoes = make(map[reflect.Type]any)

func registerEcho[T any]() {
	fn := echo[T]
	echoes[reflect.TypeFor[T]()] = fn
	Register(fn)
}

// same runs values through both places.
func same[T any](t *testing.T, pool *ProcessPool, values ...T) {
	t.Helper()
	fn := echoes[reflect.TypeFor[T]()].(func(context.Context, T) (T, error))
	want, err := Map(t.Context(), values, fn)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Map(t.Context(), values, fn, On(pool))
	if err != nil {
		t.Fatalf("%v: %v", reflect.TypeFor[T](), err)
	}
	opts := cmp.Options{
		cmp.Exporter(func(t reflect.Type) bool { return t.PkgPath() == reflect.TypeFor[inner]().PkgPath() }),
		cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
		cmp.Comparer(func(a, b *big.Int) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 }),
		cmp.Comparer(func(a, b error) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Exporter(func(t reflect.Type) bool { return t == reflect.TypeFor[url.Userinfo]() }),
		cmp.Comparer(func(a, b *regexp.Regexp) bool { return reflect.DeepEqual(a, b) }),
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("%v: from goroutines (-) and from processes (+):\n%s", reflect.TypeFor[T](), diff)
	}
}

func TestResultsAreTheSameInBothPlaces(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	zero, seven := 0, 7
	same(t, pool, 0, -1, math.MaxInt)
	same(t, pool, nil, []byte{}, []byte("x"))
	same(t, pool, nil, map[string]int{}, map[string]int{"a": 1})
	same(t, pool, nil, &zero, &seven)
	same(t, pool, 0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(0x7ff8000000000123), math.Inf(1))
	same(t, pool, Embedded{}, Embedded{inner{1, []string{}}}, Embedded{inner{2, []string{"x"}}})
	same(t, pool, nil, &node{}, &node{1, &node{2, nil, nil}, &node{3, &node{4, nil, nil}, nil}})
	same[shape](t, pool, nil, square{2}, &square{3})
	same[any](t, pool, nil, 1, "x", []int{1}, square{1}, time.Duration(3), uint8(4), true, []byte{5})
	same[error](t, pool, nil, errKnown, codeError{3}, fs.ErrNotExist, context.DeadlineExceeded)
	same(t, pool, big.NewInt(-12345), nil)
	same(t, pool, netip.MustParseAddr("fe80::1%eth0"), netip.Addr{})
	u, _ := url.Parse("https://user:pw@example.com/a%20b?q=1#f")
	same(t, pool, *u, url.URL{}, url.URL{Path: "//x"}, url.URL{User: url.UserPassword("", "")}, url.URL{Path: "a:b", OmitHost: true})
	same(t, pool, nullString{}, nullString{sql.NullString{Valid: true}}, nullString{sql.NullString{String: "x"}})
	same(t, pool, nullTime{}, nullTime{sql.NullTime{Time: time.Unix(1, 0).In(time.FixedZone("X", 90))}})
	same(t, pool, 0, season(7))
	same(t, pool, strict{}, strict{"x"})
	longest := regexp.MustCompile("a(|b)")
	longest.Longest()
	same(t, pool, nil, regexp.MustCompile("^a+?$"), longest)
	same[any](t, pool, map[string]string{"a": "b"}, []map[string]any{{"a": json.Number("1.0")}}, [][]float64{{1}, nil}, []error{fs.ErrExist, nil})
	same(t, pool, nil, []*foreign{nil, {}, {text: "x"}})
	same(t, pool, struct{}{})
	same(t, pool, [0]int{})
}

func TestGeneratedValuesAreTheSameInBothPlaces(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2})
	seed := time.Now().UnixNano()
	r := rand.New(rand.NewSource(seed))
	t.Logf("seed %d", seed)
	var values []everything
	for range 30 {
		values = append(values, generate(r, 3))
	}
	same(t, pool, values...)
}

// generate makes a random value, with interfaces filled and nil and empty mixed.
func generate(r *rand.Rand, depth int) everything {
	var e everything
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch v.Type().Field(i).Name {
		case "Any", "Err", "Shape", "Pointer":
			continue
		}
		if random, ok := quick.Value(v.Field(i).Type(), r); ok && r.Intn(5) > 0 {
			v.Field(i).Set(random)
		}
	}
	e.Any = []any{nil, 1, "s", 2.5, []string{"a"}, square{r.Float64()}}[r.Intn(6)]
	e.Err = []error{nil, errKnown, codeError{r.Int()}}[r.Intn(3)]
	e.Shape = []shape{nil, square{1}, &square{2}}[r.Intn(3)]
	if depth > 0 && r.Intn(2) == 0 {
		p := generate(r, depth-1)
		e.Pointer = &p
	}
	return e
}

// TestTimesAreTheSameInBothPlaces compares what equality of times passes over:
// the location, its name and its rules.
func TestTimesAreTheSameInBothPlaces(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	times := []time.Time{
		{}, time.Now(), time.Now().UTC(), time.Unix(0, 1),
		time.Date(2024, 7, 1, 12, 0, 0, 5, berlin),
		time.Date(1890, 1, 1, 0, 0, 0, 0, berlin),
		time.Date(2500, 7, 1, 0, 0, 0, 0, berlin),
		time.Date(2024, 1, 1, 0, 0, 0, 0, time.FixedZone("ODD", 12345)),
	}
	fn := echoes[reflect.TypeFor[time.Time]()].(func(context.Context, time.Time) (time.Time, error))
	got, err := Map(t.Context(), times, fn, On(pool))
	if err != nil {
		t.Fatal(err)
	}
	describe := func(v time.Time) string {
		later := v.AddDate(0, 6, 0) // in the other half of the year
		return fmt.Sprintf("%v | %v | %v | %v | %v", v.Round(0), v.Location(), v.IsDST(), later.Round(0), later.IsDST())
	}
	for i := range times {
		if want, got := describe(times[i]), describe(got[i]); want != got {
			t.Errorf("time %d: sent %s, got %s", i, want, got)
		}
	}
	if got[1].Location() != time.Local {
		t.Errorf("a local time came back in %v", got[1].Location())
	}
	same(t, pool, Stamped{times[4], "with a name"}, Stamped{})
}

func TestSelfContainingValueIsTheItemsError(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	loop := &node{Value: 1}
	loop.Left = loop
	fn := echoes[reflect.TypeFor[*node]()].(func(context.Context, *node) (*node, error))
	out, err := Map(t.Context(), []*node{{Value: 1}, loop, {Value: 3}}, fn, On(pool), KeepGoing())
	if err == nil || !strings.HasPrefix(err.Error(), "parallel: item 1: cannot encode the item: ") {
		t.Errorf("error %v", err)
	}
	if out[0].Value != 1 || out[1] != nil || out[2].Value != 3 {
		t.Errorf("results %v", out)
	}
}

func TestUnregisteredDynamicTypeIsTheItemsError(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	fn := echoes[reflect.TypeFor[any]()].(func(context.Context, any) (any, error))
	_, err := Map(t.Context(), []any{1, Embedded{}}, fn, On(pool))
	if err == nil || !strings.Contains(err.Error(), "item 1: ") || !strings.Contains(err.Error(), "parallel.RegisterType(parallel.Embedded{})") {
		t.Errorf("error %v", err)
	}
}

// TestCodecThatFailsIsTheItemsError sends values whose codec fails, and those around them.
func TestCodecThatFailsIsTheItemsError(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	fn := echoes[reflect.TypeFor[[]*foreign]()].(func(context.Context, []*foreign) ([]*foreign, error))
	items := [][]*foreign{{{text: "a"}}, {{}, {text: "error"}}, {{text: "panic"}}, {{text: "b"}}}
	out, err := Map(t.Context(), items, fn, On(pool), KeepGoing())
	for _, want := range []string{
		"item 1: cannot encode the item: []*parallel.foreign[]: marshal function of the codec for parallel.foreign: no such thing",
		"item 2: cannot encode the item: []*parallel.foreign[]: marshal function of the codec for parallel.foreign panicked: no such thing",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if out[0][0].text != "a" || out[3][0].text != "b" || out[1] != nil || out[2] != nil {
		t.Errorf("results %v", out)
	}
}

func TestRegisterCodecRefuses(t *testing.T) {
	type late struct{ N int }
	bytesOf := func(n withConn) ([]byte, error) { return nil, nil }
	for want, register := range map[string]func(){
		"RegisterCodec(parallel.foreign): it has a codec already": func() { RegisterCodec(marshalForeign, unmarshalForeign) },
		"RegisterCodec(parallel.withConn): a function is nil":     func() { RegisterCodec(bytesOf, nil) },
		"RegisterCodec(error): an interface type": func() {
			RegisterCodec(func(error) ([]byte, error) { return nil, nil }, func([]byte) (error, error) { return nil, nil })
		},
		"RegisterCodec(parallel.late): it is called after Init": func() {
			RegisterCodec(func(late) ([]byte, error) { return nil, nil }, func([]byte) (late, error) { return late{}, nil })
		},
		"RegisterCodec(parallel.inner2): Register(example.com/parallel.": func() {
			RegisterCodec(func(inner2) ([]byte, error) { return nil, nil }, func([]byte) (inner2, error) { return inner2{}, nil })
		},
	} {
		panicsWith(t, want, register)
	}
}

type withConn struct {
	Name  string
	Parts []struct{ conn chan int }
}

func TestRegisterNamesThePath(t *testing.T) {
	for want, register := range map[string]func(){
		"parallel.withConn.Parts[].conn": func() { Register(func(context.Context, withConn) (int, error) { return 0, nil }) },
		"map[string]func()":              func() { Register(func(context.Context, int) (map[string]func(), error) { return nil, nil }) },
	} {
		panicsWith(t, want, register)
	}
}
