package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

func TestCycles(t *testing.T) {
	types := registered(t)
	for _, rt := range []reflect.Type{reflect.TypeFor[*any](), reflect.TypeFor[Tree]()} {
		if err := types.Register(rt); err != nil {
			t.Fatal(err)
		}
	}
	node := &Node{}
	node.Next = &Node{Next: node}
	list := Lists{nil}
	list[0] = list
	tree := Tree{}
	tree["self"] = tree
	var loop Loop
	loop = &loop
	anys := []any{nil}
	anys[0] = anys
	maps := map[string]any{}
	maps["self"] = maps
	var self any
	self = &self
	long := &Node{}
	for last, i := long, 0; i < 5000; i++ {
		last.Next = &Node{}
		if last = last.Next; i == 4999 {
			last.Next = long
		}
	}
	for name, v := range map[string]any{
		"pointer": node, "slice": list, "map": tree, "pointer only": loop, "slice of any": anys, "map of any": maps,
		"pointer to any": &self, "long": long,
	} {
		t.Run(name, func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			plan, err := types.Plan(p.Type().Elem())
			if err != nil {
				t.Fatal(err)
			}
			b, err := plan.Append([]byte("abc"), p.UnsafePointer(), 1<<30)
			var failed *codec.ValueError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), "contains itself") {
				t.Errorf("got %v, want a *ValueError", err)
			}
			if len(failed.Path) > 500 {
				t.Errorf("the path is %d bytes long", len(failed.Path))
			}
			if string(b) != "abc" {
				t.Errorf("dst is %q", b)
			}
		})
	}
}

// What is shared but contains no cycle is not mistaken for one at any depth.
func TestSharingIsNoCycle(t *testing.T) {
	type T struct {
		Zero  *struct{}
		Empty []struct{}
		Next  *T
		Same  []*int
		Maps  []map[string]int
	}
	shared, sharedMap := []*int{ptr(1), nil}, map[string]int{"a": 1}
	zero := &struct{}{}
	var v *T
	for range 1100 {
		v = &T{zero, []struct{}{}, v, shared, []map[string]int{sharedMap, sharedMap}}
	}
	through(t, new(codec.Types), v)
}

// The deepest value that can be encoded can be decoded, and the next deeper one is an error.
func TestDepth(t *testing.T) {
	const maxDepth = 100_000
	nodes := func(n int) *Node {
		var v *Node
		for range n {
			v = &Node{n, v}
		}
		return v
	}
	anys := func(n int) any {
		var v any
		for range n {
			v = []any{v}
		}
		return v
	}
	maps := func(n int) any {
		var v any
		for range n {
			v = map[string]any{"": v}
		}
		return v
	}
	keys := func(n int) any {
		var v any
		for range n {
			v = KeyBox{v}
		}
		return map[any]bool{v: true}
	}
	types := registered(t)
	if err := types.Register(reflect.TypeFor[KeyBox]()); err != nil {
		t.Fatal(err)
	}
	if err := types.Register(reflect.TypeFor[map[any]bool]()); err != nil {
		t.Fatal(err)
	}
	// Each level of a list is one, that of a container in an interface is two.
	for name, c := range map[string]struct{ fits, tooDeep any }{
		"list":   {ptr(nodes(maxDepth)), ptr(nodes(maxDepth + 1))},
		"slices": {ptr(anys(maxDepth/2 - 1)), ptr(anys(maxDepth/2 + 1))},
		"keys":   {ptr(keys(maxDepth - 3)), ptr(keys(maxDepth + 1))},
		"maps":   {ptr(maps(maxDepth/2 - 1)), ptr(maps(maxDepth/2 + 1))},
	} {
		t.Run(name, func(t *testing.T) {
			v := reflect.ValueOf(c.fits)
			b := encode(t, types, v)
			decode(t, types, v.Type().Elem(), b) // comparing would go as deep as encoding, without a limit
			plan, _ := types.Plan(v.Type().Elem())
			_, err := plan.Append(nil, reflect.ValueOf(c.tooDeep).UnsafePointer(), noLimit)
			var failed *codec.ValueError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), "nested") {
				t.Errorf("one level more: got %v, want a *ValueError", err)
			}
		})
	}
}

// KeyBox nests without pointers, so hashing one goes through all levels.
type KeyBox struct{ X any }

// decodeError decodes what must fail.
func decodeError(t *testing.T, types *codec.Types, rt reflect.Type, b []byte) error {
	t.Helper()
	plan, err := types.Plan(rt)
	if err != nil {
		t.Fatal(err)
	}
	err = plan.Decode(b, reflect.New(rt).UnsafePointer())
	if err == nil {
		t.Fatalf("decoded %.40x into a %v", b, rt)
	}
	return err
}

func TestHostileDepth(t *testing.T) {
	types := registered(t)
	tags := bytes.Repeat([]byte{1}, 50<<20)
	for _, rt := range []reflect.Type{reflect.TypeFor[Loop](), reflect.TypeFor[***Loop]()} {
		t.Run(rt.String(), func(t *testing.T) { decodeError(t, types, rt, tags) })
	}
	t.Run("slices", func(t *testing.T) {
		decodeError(t, types, reflect.TypeFor[Lists](), bytes.Repeat([]byte{2}, 50<<20))
	})
	t.Run("any", func(t *testing.T) {
		b, err := types.AppendAny(nil, []any{nil}, noLimit)
		if err != nil {
			t.Fatal(err)
		}
		decodeError(t, types, reflect.TypeFor[any](), bytes.Repeat(b[:len(b)-1], 10<<20))
	})
}

func TestMalformed(t *testing.T) {
	types := registered(t)
	huge := binary.AppendUvarint(nil, 1<<62)
	inAny := func(v any) []byte { return must(types.AppendAny(nil, v, noLimit)) }
	second := binary.NativeEndian.AppendUint64(nil, 1)
	time0 := binary.NativeEndian.AppendUint32(second, 0)
	for _, c := range []struct {
		name string
		v    any // a pointer to the type
		b    []byte
	}{
		{"nothing", new(int), nil},
		{"left over", new(int8), []byte{1, 2}},
		{"short", new(int64), []byte{1, 2}},
		{"bool", new(bool), []byte{2}},
		{"bools", new([]bool), []byte{4, 0, 1, 2}},
		{"bool in a struct", new(struct {
			A int8
			B bool
		}), []byte{1, 255}},
		{"string", new(string), []byte{200, 1, 'a'}},
		{"huge string", new(string), huge},
		{"endless number", new(string), bytes.Repeat([]byte{255}, 20)},
		{"huge slice", new([]int8), huge},
		{"huge slice of structs", new([]Small), huge},
		{"huge slice of arrays", new([][1 << 20]int8), []byte{2, 0}},
		{"huge slice of blanks", new([]OnlyBlank), append([]byte{200}, make([]byte, 100)...)},
		{"huge slice of nothing", new([]struct{}), bytes.Repeat([]byte{255}, 9)},
		{"pointer", new(*int), []byte{2}},
		{"pointer to nothing", new(**int), []byte{1}},
		{"huge map", new(map[string]int), huge},
		{"huge map of nothing", new(map[struct{}]struct{}), huge},
		{"same key twice", new(map[int8]int8), []byte{3, 1, 1, 1, 2}},
		{"filler", new(OnlyBlank), append(make([]byte, 33), 1)},
		{"type id", new(any), huge},
		{"sentinel id", new(any), binary.AppendUvarint(nil, 1<<40)},
		{"type that does not implement", new(Shape), inAny(1)},
		{"sentinel that does not implement", new(Shape), []byte{2}},
		{"unhashable key", new(map[any]int8), slicesConcat([]byte{2}, inAny([]int{1}), []byte{1})},
		{"unhashable key in a struct", new(map[[1]any]int8), slicesConcat([]byte{2}, inAny([]int{1}), []byte{1})},
		{"nanoseconds", new(time.Time), slicesConcat(second, []byte{255, 255, 255, 255, 0})},
		{"unknown zone", new(time.Time), slicesConcat(time0, []byte{codec.FirstKnownZone})},
		{"zone beyond the table", new(time.Time), slicesConcat(time0, []byte{255})},
		{"zone of no kind", new(time.Time), slicesConcat(time0, []byte{codec.ZoneLocal, 0, 0, 0})},
		{"zone of two kinds", new(time.Time), slicesConcat(time0, []byte{codec.ZoneFixed | codec.ZoneNamed, 0, 0, 0})},
		{"zone without an offset", new(time.Time), slicesConcat(time0, []byte{codec.ZoneFixed})},
		{"endless offset", new(time.Time), slicesConcat(time0, []byte{codec.ZoneFixed}, bytes.Repeat([]byte{255}, 20))},
		{"zone without a name", new(time.Time), slicesConcat(time0, []byte{codec.ZoneFixed, 0})},
		{"long name of a zone", new(time.Time), slicesConcat(time0, []byte{codec.ZoneFixed, 0, 9, 'x'})},
		{"huge name of a zone", new(time.Time), slicesConcat(time0, []byte{codec.ZoneNamed, 0}, huge)},
		{"zone without an abbreviation", new(time.Time), slicesConcat(time0, []byte{codec.ZoneNamed, 0, 3, 'U', 'T', 'C'})},
		{"zone that is not in the database", new(time.Time), definition(0, codec.ZoneNamed, "x", "x", 0)},
		{"marshaler", new(Bin), []byte{3, 'x', 'y', 'z'}},
		{"huge marshaler", new(Bin), huge},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := decodeError(t, types, reflect.TypeOf(c.v).Elem(), c.b)
			var malformed *codec.DecodeError
			var failed *codec.ValueError
			if !errors.As(err, &malformed) && !errors.As(err, &failed) {
				t.Errorf("got a %T: %v", err, err)
			}
		})
	}
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Every truncation of a good message is an error, and no change of a byte is more than that.
func TestDamagedMessages(t *testing.T) {
	types := registered(t)
	for name, v := range kinds() {
		t.Run(name, func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			b := encode(t, types, p)
			plan, _ := types.Plan(p.Type().Elem())
			step := max(1, len(b)/200)
			for i := 0; i < len(b); i += step {
				if err := plan.Decode(b[:i], reflect.New(p.Type().Elem()).UnsafePointer()); err == nil {
					t.Errorf("the first %d of %d bytes were accepted", i, len(b))
				}
				for _, change := range []byte{1, 2, 0x80, 0xFF} {
					b[i] ^= change
					_ = plan.Decode(b, reflect.New(p.Type().Elem()).UnsafePointer())
					b[i] ^= change
				}
			}
		})
	}
}

// The package promises how much a message can make the decoder allocate.
func TestAllocationIsBounded(t *testing.T) {
	const perByte, constant = 256, 4 << 10
	types := registered(t)
	type Wide struct{ A, B, C, D, E any }
	for name, c := range map[string]struct {
		v any // a pointer to the type
		b []byte
	}{
		"slice headers":         {new([][]int), appendLength(1<<16, 0)},
		"empty slices":          {new([][]int), appendLength(1<<16, 1)},
		"anys":                  {new([]any), appendLength(1<<16, 0)},
		"zero pointers":         {new([]*[0]int), appendLength(1<<16, 1)},
		"pointers":              {new([]**int), appendLength(1<<16, 1, 0)},
		"blanks":                {new([]*OnlyBlank), appendLength(1000, slicesConcat([]byte{1}, make([]byte, 34))...)},
		"empty maps":            {new([]map[string]int), appendLength(1<<16, 1)},
		"small maps":            {new([]map[string]any), appendLength(1<<16, 2, 0, 0)},
		"maps with wide values": {new([]map[int8][16]any), appendLength(1000, slicesConcat([]byte{2, 0}, make([]byte, 16))...)},
		"lying map":             {new(map[int8]int8), appendLength(1<<16, 1, 1)},
		"lying wide map":        {new(map[[8]string][8]string), appendLength(1<<12, make([]byte, 16)...)},
		"maps of marshalers":    {new([]map[Fills]Fills), appendLength(1000, slicesConcat([]byte{2}, make([]byte, 12))...)},
		"marshalers":            {new([]Roomy), appendLength(1000, slicesConcat([]byte{1}, make([]byte, 170))...)},
		"zero marshalers":       {new([]Roomy), appendLength(1000, make([]byte, 171)...)},
		"anys of registered":    {new([]any), appendLength(1<<14, must(types.AppendAny(nil, Padded{}, noLimit))...)},
		"zones":                 {new([][2]time.Time), appendLength(1000, slicesConcat(definition(0, codec.ZoneFixed, "", "", 1), definition(0, codec.ZoneFixed, "", "", 2))...)},
		"strings in any":        {new([]any), appendLength(1<<14, must(types.AppendAny(nil, "", noLimit))...)},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := types.Plan(reflect.TypeOf(c.v).Elem())
			if err != nil {
				t.Fatal(err)
			}
			p := reflect.ValueOf(c.v).UnsafePointer()
			_ = plan.Decode(c.b[:0], p)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = plan.Decode(c.b, p)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%.1f bytes for each of %d bytes of input (%v)", float64(allocated)/float64(len(c.b)), len(c.b), err)
			if strings.HasPrefix(name, "lying") == (err == nil) {
				t.Errorf("decoding gives %v", err)
			}
			if allocated > perByte*uint64(len(c.b))+constant {
				t.Errorf("%d bytes of input made the decoder allocate %d", len(c.b), allocated)
			}
		})
	}
}

// Fills is the largest type that a map keeps in place, and takes as little on the wire as any.
type Fills struct{ hidden [128]byte }

func (f Fills) MarshalBinary() ([]byte, error) { return f.hidden[:0], nil }
func (*Fills) UnmarshalBinary(b []byte) error  { return nil }

// Roomy takes much memory for nothing on the wire.
type Roomy struct{ hidden [512]int64 }

func (Roomy) MarshalBinary() ([]byte, error)  { return nil, nil }
func (*Roomy) UnmarshalBinary(b []byte) error { return nil }

// appendLength is a slice or map of count elements that are all encoded alike.
func appendLength(count int, element ...byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(count)+1), bytes.Repeat(element, count)...)
}

// A slice that is decoded is aligned for its elements, whatever the position in the message.
func TestAlignment(t *testing.T) {
	for n := range 40 {
		v := struct {
			S string
			F []uint64
			I []int16
		}{strings.Repeat("x", n), make([]uint64, n), make([]int16, n)}
		got := through(t, new(codec.Types), v)
		if n > 0 && uintptr(unsafe.Pointer(&got.F[0]))%unsafe.Alignof(got.F[0]) != 0 {
			t.Errorf("n = %d: %p", n, &got.F[0])
		}
		if n > 0 && uintptr(unsafe.Pointer(&got.I[0]))%unsafe.Alignof(got.I[0]) != 0 {
			t.Errorf("n = %d: %p", n, &got.I[0])
		}
	}
}
