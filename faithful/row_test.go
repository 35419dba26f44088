package faithful

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/parallel"
)

// A row is what is tested of one type. It holds values as any, so that little code
// is compiled for each type.
type row struct {
	rt       reflect.Type
	values   []any
	through  mapFunc
	boxType  reflect.Type
	options  cmp.Options
	methods  []method
	refusals []refusal
	loose    bool   // see differentInside
	refused  string // what Register panicked with
}

// A mapFunc calls parallel.Map with a type's identity function.
type mapFunc func(ctx context.Context, values []any, opts ...parallel.Option) ([]any, error)

// A method is called on the results of both places.
type method struct {
	name string
	call func(any) any
}

// A refusal is a value that cannot cross, and what the error says about it.
type refusal struct {
	value any
	text  string
}

// A box has a value of type T in every kind of place that a value can be in. The
// fields between them notice a value that takes more or less of the message than
// it should.
type box[T any] struct {
	Before  string
	Value   T
	Pointer *T
	Slice   []T
	Array   [2]T
	Map     map[string]T
	Any     any
	Keys    any // a map[T]string, if keyable(T)
	After   string
}

// boxOf fills a box of type boxType with values that are zero and v.
func boxOf(boxType reflect.Type, v any) any {
	b := reflect.New(boxType).Elem()
	zero := reflect.Zero(b.FieldByName("Value").Type())
	value := zero
	if v != nil {
		value = reflect.ValueOf(v)
	}
	b.FieldByName("Before").SetString("before")
	b.FieldByName("Value").Set(value)
	b.FieldByName("Pointer").Set(b.FieldByName("Value").Addr())
	slice := b.FieldByName("Slice")
	slice.Set(reflect.Append(slice, value, zero, value))
	b.FieldByName("Array").Index(1).Set(value)
	m := reflect.MakeMap(b.FieldByName("Map").Type())
	m.SetMapIndex(reflect.ValueOf(""), zero)
	m.SetMapIndex(reflect.ValueOf("v"), value)
	b.FieldByName("Map").Set(m)
	if v != nil {
		b.FieldByName("Any").Set(value)
	}
	if keyable(zero.Type()) {
		keys := reflect.MakeMap(reflect.MapOf(value.Type(), reflect.TypeFor[string]()))
		keys.SetMapIndex(zero, reflect.ValueOf("zero"))
		keys.SetMapIndex(value, reflect.ValueOf("value"))
		b.FieldByName("Keys").Set(keys)
	}
	b.FieldByName("After").SetString("after")
	return b.Interface()
}

// keyable reports whether values of a type are map keys that a copy of the key finds
// again.
func keyable(rt reflect.Type) bool {
	switch rt.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Chan, reflect.UnsafePointer:
		return false // compared by address
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return false // NaN
	case reflect.Array:
		return keyable(rt.Elem())
	case reflect.Struct:
		for i := range rt.NumField() {
			if !keyable(rt.Field(i).Type) {
				return false
			}
		}
	}
	return rt.Comparable()
}

func through[T any](identity func(context.Context, T) (T, error)) mapFunc {
	return func(ctx context.Context, values []any, opts ...parallel.Option) ([]any, error) {
		items := make([]T, len(values))
		for i, v := range values {
			items[i], _ = v.(T)
		}
		results, err := parallel.Map(ctx, items, identity, opts...)
		values = make([]any, len(results))
		for i, v := range results {
			values[i] = v
		}
		return values, err
	}
}

// check adds the row of type T with these values, besides the zero value. It
// registers T on its own and boxed, so codecs of T must have been registered. What
// an interface type holds must be registered too.
func check[T any](m *moduleTypes, values ...T) *row {
	var zero T
	id := identity[T]
	r := &row{rt: reflect.TypeFor[T](), boxType: reflect.TypeFor[box[T]](), through: through(id), values: []any{zero}}
	m.add(r, func() { parallel.Register(id) })
	for _, v := range values {
		r.values = append(r.values, v)
	}
	return r
}

// add adds a row. It registers the type, so that it can be in an any, and its box.
func (m *moduleTypes) add(r *row, register func()) {
	m.rows = append(m.rows, r)
	r.methods = slices.Clone(common)
	r.refused = panicText(func() {
		register()
		parallel.RegisterType(reflect.Zero(r.boxType).Interface())
		if r.rt.Kind() != reflect.Interface {
			parallel.RegisterType(r.values[0])
		}
		if keyable(r.rt) {
			parallel.RegisterType(reflect.Zero(reflect.MapOf(r.rt, reflect.TypeFor[string]())).Interface())
		}
	})
	if r.rt.Kind() == reflect.Pointer {
		r.values = append(r.values, reflect.New(r.rt.Elem()).Interface())
	}
}

// panicText gives what f panics with, and nothing if it does not.
func panicText(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

// with adds options for go-cmp: those that the module recommends.
func (r *row) with(options ...cmp.Option) *row {
	r.options = append(r.options, options...)
	return r
}

// equalBy compares by a func(a, b T) bool, if equal values can differ in their
// fields: the words of a big.Int have a capacity, for example. It excludes
// reflect.DeepEqual.
func (r *row) equalBy(equal any) *row {
	return r.with(cmp.Comparer(equal)).differentInside()
}

// differentInside says that equal values may differ in unexported fields, so that
// reflect.DeepEqual is left out.
func (r *row) differentInside() *row {
	r.loose = true
	return r
}

// calls adds a func(T) any that calls a method of the type, and whose results are
// compared.
func (r *row) calls(name string, f any) *row {
	fn := reflect.ValueOf(f)
	if fn.Type() != reflect.FuncOf([]reflect.Type{r.rt}, []reflect.Type{reflect.TypeFor[any]()}, false) {
		panic(fmt.Sprintf("calls: %v is no func(%v) any", fn.Type(), r.rt))
	}
	r.methods = append(r.methods, method{name, func(v any) any {
		arg := reflect.Zero(r.rt)
		if v != nil {
			arg = reflect.ValueOf(v)
		}
		return fn.Call([]reflect.Value{arg})[0].Interface()
	}})
	return r
}

// without leaves out a method that is called on values of all types.
func (r *row) without(name string) *row {
	r.methods = slices.DeleteFunc(r.methods, func(m method) bool { return m.name == name })
	return r
}

// refuses adds a value that cannot cross. In processes its error must have text
// in it.
func (r *row) refuses(value any, text string) *row {
	r.refusals = append(r.refusals, refusal{value, text})
	return r
}

// filled adds n random values; see fill.
func (r *row) filled(n int, custom ...any) *row {
	r.values = append(r.values, fill(r.rt, n, custom)...)
	return r
}

func (r *row) runRefusal(t *testing.T, pool *parallel.ProcessPool, refused refusal) {
	t.Helper()
	_, err := r.through(t.Context(), []any{refused.value}, parallel.On(pool))
	if err == nil || !strings.Contains(err.Error(), refused.text) {
		t.Errorf("a value that cannot cross: error %v, want one with %q", err, refused.text)
	}
}
