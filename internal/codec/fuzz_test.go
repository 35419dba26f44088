package codec_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fuzzTypes stand for all that a message can be made of.
var fuzzTypes = []reflect.Type{
	reflect.TypeFor[Small](), reflect.TypeFor[Scene](), reflect.TypeFor[Exported](), reflect.TypeFor[map[any]Tree](),
	reflect.TypeFor[[]time.Time](), reflect.TypeFor[*Node](), reflect.TypeFor[[]Padded](), reflect.TypeFor[map[string][]*Bin](),
	reflect.TypeFor[HoldsEmpty](), reflect.TypeFor[[]OnlyBlank](), reflect.TypeFor[map[Inner][2]bool](), reflect.TypeFor[Lists](),
}

// FuzzDecode feeds the decoder. What it accepts can be encoded again, and is then the same.
func FuzzDecode(f *testing.F) {
	types := registered(f)
	for i, rt := range fuzzTypes {
		for seed := range uint64(8) {
			v := reflect.New(rt)
			newGenerator(seed).fill(v.Elem(), 5)
			f.Add(uint8(i), encode(f, types, v))
		}
	}
	f.Add(uint8(slices.Index(fuzzTypes, reflect.TypeFor[[]time.Time]())), encode(f, types, reflect.ValueOf(&[]time.Time{
		time.Unix(0, 0).In(zones()["Europe/Berlin"]),
	})))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		rt := fuzzTypes[int(which)%len(fuzzTypes)]
		plan, err := types.Plan(rt)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.New(rt)
		if err := plan.Decode(b, v.UnsafePointer()); err != nil {
			return
		}
		if times, ok := v.Interface().(*[]time.Time); ok {
			for _, at := range (*times)[:min(len(*times), 3)] {
				use(at)
			}
		}
		again := encode(t, types, v)
		if got := decode(t, types, rt, again); len(b) < 1000 && rt != reflect.TypeFor[HoldsEmpty]() && rt != reflect.TypeFor[map[any]Tree]() {
			if diff := cmp.Diff(v.Interface(), got.Interface(), equal); diff != "" {
				t.Errorf("changed on the way (-first +second):\n%s", diff)
			}
		}
	})
}

// FuzzDecodeAny does the same for interface values.
func FuzzDecodeAny(f *testing.F) {
	types := registered(f)
	for _, v := range kinds() {
		if b, err := types.AppendAny(nil, v, 1<<16); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := types.DecodeAny(b)
		if err != nil {
			return
		}
		again, err := types.AppendAny(nil, v, noLimit)
		if err != nil {
			t.Fatalf("%#v cannot be encoded again: %v", v, err)
		}
		if _, err := types.DecodeAny(again); err != nil {
			t.Errorf("%#v cannot be decoded again: %v", v, err)
		}
	})
}

// FuzzRoundTrip composes a type and values from a seed.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1 << 32))
	f.Add(uint64(4294967799)) // a fixed zone whose name is longer than what is left of the limit
	f.Fuzz(func(t *testing.T, seed uint64) {
		types := registered(t) // new each time, since generated types would pile up
		checkGenerated(t, types, seed)
	})
}
