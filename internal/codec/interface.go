package codec

import (
	"fmt"
	"reflect"
	"unsafe"
)

// An interface value travels as a tag: 0 for nil, an odd number for the id of a registered type that is followed by
// the value, an even one for a registered sentinel error.

// encInterface reads any non-empty interface as one with some method. All of them are a method table and a data word,
// and the conversion to any takes the type from the table whatever its methods are; reflect does the same.
func encInterface(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	if n.methods {
		return e.any(b, *(*interface{ M() })(p))
	}
	return e.any(b, *(*any)(p))
}

// any appends an interface value.
func (e *encoder) any(b []byte, v any) ([]byte, error) {
	if err := e.enterValue(); err != nil {
		return b, err
	}
	b, err := e.dynamic(b, v)
	if err != nil {
		return b, err
	}
	e.depth--
	return b, nil
}

// dynamic appends the tag and the value. The frequent basic types need no look-up, unless one of them has a codec.
func (e *encoder) dynamic(b []byte, v any) ([]byte, error) {
	if v != nil && e.types.basics.Load() {
		return e.registered(b, v)
	}
	switch v := v.(type) {
	case nil:
		return append(b, 0), nil
	case string:
		return encString(e, nil, append(b, typeTag(idString)), unsafe.Pointer(&v))
	case bool:
		return appendBool(append(b, typeTag(idBool)), v), nil
	case int:
		return append(append(b, typeTag(idInt)), memory(&v)...), nil
	case int64:
		return append(append(b, typeTag(idInt64)), memory(&v)...), nil
	case float64:
		return append(append(b, typeTag(idFloat64)), memory(&v)...), nil
	}
	return e.registered(b, v)
}

// registered appends a value of a registered type, or a sentinel.
func (e *encoder) registered(b []byte, v any) ([]byte, error) {
	reg := e.types.snapshot()
	if id, ok := reg.sentinelID(v); ok {
		return appendUvarint(b, 2+2*uint64(id)), nil
	}
	rt := reflect.TypeOf(v)
	entry := e.types.entryOf(rt, reg)
	if entry == nil {
		return b, &ValueError{Reason: e.types.unregistered(rt)}
	}
	n, err := entry.node(e.types)
	if err != nil {
		return b, err
	}
	b = appendUvarint(b, 1+2*uint64(entry.id))
	if rt.Kind() == reflect.Pointer && n.pair == noPair {
		q := reflect.ValueOf(v).UnsafePointer()
		return n.enc(e, n, b, unsafe.Pointer(&q))
	}
	// The value is copied to where it has an address. Where an interface keeps it is the runtime's secret.
	c := reflect.New(rt)
	c.Elem().Set(reflect.ValueOf(v))
	return n.enc(e, n, b, c.UnsafePointer())
}

// typeTag is the tag of one of the first types, which fits in a byte.
func typeTag(id int) byte { return byte(1 + 2*id) }

func memory[T int | int64 | float64](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// unregistered explains what to do about a dynamic type.
func (t *Types) unregistered(rt reflect.Type) string {
	if _, err := t.Plan(rt); err != nil {
		hint := ""
		if rt.Implements(reflect.TypeFor[error]()) {
			hint = "; an error that is a variable of the program can be registered by parallel.RegisterError"
		}
		return fmt.Sprintf("an interface holds a %v, which cannot cross a process boundary (%v)%s", rt, err, hint)
	}
	return fmt.Sprintf("an interface holds a %v, which is not registered: add parallel.RegisterType(%s)", rt, example(rt))
}

// example gives Go source for a value of the type.
func example(rt reflect.Type) string {
	switch rt.Kind() {
	case reflect.Struct, reflect.Array:
		return rt.String() + "{}"
	case reflect.Slice, reflect.Map:
		return rt.String() + "(nil)"
	case reflect.String:
		return rt.String() + `("")`
	case reflect.Bool:
		return rt.String() + "(false)"
	case reflect.Pointer:
		return "(" + rt.String() + ")(nil)"
	}
	return rt.String() + "(0)"
}

func decInterface(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if err := d.enter(s); err != nil {
		return s, err
	}
	tag, rest, err := d.uvarint(s)
	if err != nil {
		return s, err
	}
	switch {
	case tag == 0:
	case tag%2 == 0:
		err = d.sentinel(n, tag/2-1, s, p)
	case n.methods:
		rest, err = d.registered(n, tag/2, rest, p)
	default:
		rest, err = d.basic(n, tag/2, rest, (*any)(p))
	}
	if err != nil {
		return s, err
	}
	d.depth--
	return rest, nil
}

func (d *decoder) sentinel(n *node, id uint64, s []byte, p unsafe.Pointer) error {
	reg := d.types.snapshot()
	if id >= uint64(len(reg.sentinels)) {
		return d.malformed(s, "an unknown sentinel error")
	}
	return d.assign(n, reflect.ValueOf(reg.sentinels[id]), s, p)
}

// basic decodes the frequent basic types into an empty interface without reflect.
func (d *decoder) basic(n *node, id uint64, s []byte, p *any) ([]byte, error) {
	if d.types.basics.Load() {
		return d.registered(n, id, s, unsafe.Pointer(p))
	}
	switch {
	case id == idString:
		content, rest, err := d.bytes(s)
		if err == nil {
			*p = string(content)
		}
		return rest, err
	case id == idBool:
		var v bool
		rest, err := decBool(d, nil, s, unsafe.Pointer(&v))
		if err == nil {
			*p = v
		}
		return rest, err
	case id == idInt && len(s) >= len(memory(new(int))):
		var v int
		size := copy(memory(&v), s)
		*p = v
		return s[size:], nil
	case id == idInt64 && len(s) >= 8:
		var v int64
		copy(memory(&v), s)
		*p = v
		return s[8:], nil
	case id == idFloat64 && len(s) >= 8:
		var v float64
		copy(memory(&v), s)
		*p = v
		return s[8:], nil
	}
	return d.registered(n, id, s, unsafe.Pointer(p))
}

// registered decodes a value of any registered type.
func (d *decoder) registered(n *node, id uint64, s []byte, p unsafe.Pointer) ([]byte, error) {
	entry := d.types.entryAt(id)
	if entry == nil {
		return s, d.malformed(s, "an unknown type in an interface")
	}
	if n.methods && !entry.rt.Implements(n.rt) {
		return s, d.malformed(s, fmt.Sprintf("a %v in a %v, which it does not implement", entry.rt, n.rt))
	}
	m, err := entry.node(d.types)
	if err != nil {
		return s, err
	}
	if m.min > len(s) {
		return s, d.short(s)
	}
	v := reflect.New(entry.rt)
	rest, err := m.dec(d, m, s, v.UnsafePointer())
	if err != nil {
		return s, err
	}
	return rest, d.assign(n, v.Elem(), s, p)
}

// assign sets the interface at p. Its type may be one that v does not implement, as the tag is the sender's word.
func (d *decoder) assign(n *node, v reflect.Value, s []byte, p unsafe.Pointer) error {
	if !n.methods {
		*(*any)(p) = v.Interface()
		return nil
	}
	if !v.Type().Implements(n.rt) {
		return d.malformed(s, fmt.Sprintf("a %v in a %v, which it does not implement", v.Type(), n.rt))
	}
	reflect.NewAt(n.rt, p).Elem().Set(v)
	return nil
}
