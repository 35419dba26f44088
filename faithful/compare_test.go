package faithful

import (
	"database/sql/driver"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// always are the options of every comparison. They look further than go-cmp
// alone: into unexported fields, at the bits of NaN and at the location of a time.
func always(sawNaN *bool) cmp.Options {
	isFloat := func(p cmp.Path) bool {
		kind := p.Last().Type().Kind()
		return kind == reflect.Float64 || kind == reflect.Float32
	}
	return cmp.Options{
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.FilterPath(isFloat, cmp.Comparer(func(a, b any) bool {
			x, y := reflect.ValueOf(a).Float(), reflect.ValueOf(b).Float()
			*sawNaN = *sawNaN || x != x || y != y
			return math.Float64bits(x) == math.Float64bits(y)
		})),
		cmp.Comparer(sameTime),
		cmp.Comparer(func(a, b *time.Location) bool { return a == b || a.String() == b.String() }),
		cmp.Comparer(func(a, b *big.Int) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 }),
		cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 }),
		cmp.Comparer(func(a, b reflect.Type) bool { return a == b }),
	}
}

// sameTime asks for the same instant in the same location. The rules of the
// location are compared by what they say about the instant.
func sameTime(a, b time.Time) bool {
	nameA, offsetA := a.Zone()
	nameB, offsetB := b.Zone()
	return a.Equal(b) && nameA == nameB && offsetA == offsetB && a.Location().String() == b.Location().String()
}

// compare compares two values, with reflect.DeepEqual too unless the row is
// loose. That cannot be had of values with times, whose locations have caches, and
// of NaN.
func (r *row) compare(t *testing.T, name string, goroutines, processes any) {
	t.Helper()
	sawNaN := false
	if diff := cmp.Diff(goroutines, processes, always(&sawNaN), r.options); diff != "" {
		t.Errorf("%s: from goroutines (-) and from processes (+):\n%s", name, diff)
		return
	}
	if !r.loose && !sawNaN && !holdsTime(r.rt, make(map[reflect.Type]bool)) && !reflect.DeepEqual(goroutines, processes) {
		t.Errorf("%s: not deeply equal: %+v from goroutines, %+v from processes", name, goroutines, processes)
	}
}

// holdsTime reports whether values of a type can have times in them.
func holdsTime(rt reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[rt] {
		return false
	}
	seen[rt] = true
	switch rt.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return holdsTime(rt.Elem(), seen)
	case reflect.Map:
		return holdsTime(rt.Key(), seen) || holdsTime(rt.Elem(), seen)
	case reflect.Struct:
		if rt == reflect.TypeFor[time.Time]() {
			return true
		}
		for i := range rt.NumField() {
			if holdsTime(rt.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// compareMethods calls on both values the methods that types have for their
// texts, and those of the row.
func (r *row) compareMethods(t *testing.T, name string, goroutines, processes any) {
	t.Helper()
	for _, m := range r.methods {
		want, got := call(m, goroutines), call(m, processes)
		sawNaN := false
		if diff := cmp.Diff(want, got, always(&sawNaN), r.options); diff != "" {
			t.Errorf("%s: %s on what comes from goroutines (-) and from processes (+):\n%s", name, m.name, diff)
		}
	}
}

// call gives what a method says. A panic is an answer too: many methods panic on
// a nil pointer.
func call(m method, v any) (result any) {
	defer func() {
		if p := recover(); p != nil {
			result = fmt.Sprintf("panic: %v", p)
		}
	}()
	return m.call(v)
}

// common are the methods that are called on each value, if it or a pointer to it
// has them.
var common = []method{
	named("String", func(v fmt.Stringer) any { return v.String() }),
	named("Error", func(v error) any { return v.Error() }),
	named("MarshalText", func(v encoding.TextMarshaler) any { return answer(v.MarshalText()) }),
	named("MarshalBinary", func(v encoding.BinaryMarshaler) any { return answer(v.MarshalBinary()) }),
	named("GobEncode", func(v gob.GobEncoder) any { return answer(v.GobEncode()) }),
	named("Value", func(v driver.Valuer) any { return answer(v.Value()) }),
	{"json.Marshal", func(v any) any { return answer(json.Marshal(v)) }},
}

// named is the method of an interface.
func named[I any](name string, f func(I) any) method {
	return method{name, func(v any) any {
		if v == nil {
			return nil
		}
		if i, ok := v.(I); ok {
			return f(i)
		}
		p := reflect.New(reflect.TypeOf(v))
		p.Elem().Set(reflect.ValueOf(v))
		if i, ok := p.Interface().(I); ok {
			return f(i)
		}
		return nil
	}}
}

// answer is a method's result, or the text of its error.
func answer[R any](r R, err error) any {
	if err != nil {
		return "error: " + err.Error()
	}
	return r
}

// isZero is for types that cannot be compared.
func isZero[T any](v T) bool { return reflect.ValueOf(v).IsZero() }

// pointers makes an Equal method that panics on nil pointers and on zero values one
// that does not.
func pointers[T any](equal func(a, b *T) bool) func(a, b *T) bool {
	return func(a, b *T) bool {
		if a == nil || b == nil || isZero(*a) || isZero(*b) {
			return a == b || a != nil && b != nil && isZero(*a) && isZero(*b)
		}
		return equal(a, b)
	}
}
