package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A refusal says why a type cannot cross. It becomes a *TypeError unless a type further out crosses by its pair.
type refusal struct {
	reason string
	steps  []string     // of the path to the part that cannot cross, innermost first
	owner  reflect.Type // what could have a pair or a codec: the innermost type around that part that has a name
}

// at notes that the part lies one step below.
func (r *refusal) at(step string) *refusal {
	r.steps = append(r.steps, step)
	return r
}

// within notes a type around the part. An unexported type of the same package gives way to it: where they are not one's
// own, only an exported one can be named.
func (r *refusal) within(rt reflect.Type) *refusal {
	if rt.Name() == "" || rt.PkgPath() == "" {
		return r
	}
	if r.owner == nil {
		r.owner = rt
		return r
	}
	inner := r.owner
	if inner.Name() == "" {
		inner = inner.Elem()
	}
	if inner.PkgPath() == rt.PkgPath() && !exported(inner.Name()) && exported(rt.Name()) {
		r.owner = rt
	}
	return r
}

// behind notes a pointer. A type that is used by a pointer is best given a codec for the pointer.
func (r *refusal) behind(rt reflect.Type) *refusal {
	if r.owner == rt.Elem() && r.owner.Name() != "" {
		r.owner = rt
	}
	return r
}

// of makes the error for rt, the type that was asked for.
func (r *refusal) of(rt reflect.Type) *TypeError {
	slices.Reverse(r.steps)
	return &TypeError{Path: rt.String() + strings.Join(r.steps, ""), Reason: r.reason + r.advice()}
}

// advice says which way the type would go, and what can be done.
func (r *refusal) advice() string {
	if r.owner == nil {
		return ": send what it is made of, and make it inside the function that runs"
	}
	base := r.owner
	if base.Name() == "" {
		base = base.Elem()
	}
	embedded := ""
	if hasPair(base) {
		embedded = " (that of an embedded field knows nothing of the others)"
	}
	return fmt.Sprintf(", so %[1]v would go by a marshaler of its own, and has none%[2]s: give it MarshalBinary and "+
		"UnmarshalBinary, or the pair for gob or text; if it is not your type, add parallel.RegisterCodec("+
		"func(v %[3]v) ([]byte, error) { … }, func(b []byte) (%[3]v, error) { … }) before what needs it is registered",
		base, embedded, r.owner)
}

func exported(name string) bool {
	first, _ := utf8.DecodeRuneInString(name)
	return unicode.IsUpper(first)
}

// hasPair reports whether a type has any pair of methods, its own or not.
func hasPair(rt reflect.Type) bool {
	ptr := reflect.PointerTo(rt)
	return ptr.Implements(reflect.TypeFor[binaryMethods]()) || ptr.Implements(reflect.TypeFor[gobMethods]()) ||
		ptr.Implements(reflect.TypeFor[textMethods]())
}
