package codec

import "reflect"

// Knows reports whether AppendAny can encode values of v's dynamic type. It spares those that it cannot the error,
// which explains what to do about the type.
func (t *Types) Knows(v any) bool {
	if v == nil {
		return true
	}
	reg := t.snapshot()
	if reg.byType[reflect.TypeOf(v)] != nil {
		return true
	}
	_, ok := reg.sentinelID(v)
	return ok
}

// DynamicType gives the name of the registered type of a value that AppendAny wrote, whether or not the value can be
// decoded; empty if src begins with none.
func (t *Types) DynamicType(src []byte) string {
	d := newDecoder(t, len(src), nil)
	defer d.release()
	reg := t.snapshot()
	tag, _, err := d.uvarint(src)
	if err != nil || tag%2 == 0 || tag/2 >= uint64(len(reg.types)) {
		return ""
	}
	return reg.types[tag/2].rt.String()
}
