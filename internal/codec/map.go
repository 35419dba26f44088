package codec

import (
	"fmt"
	"reflect"
	"unsafe"
)

func encMap(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	m := reflect.NewAt(n.rt, p).Elem()
	if m.IsNil() {
		return append(b, 0), nil
	}
	count := m.Len()
	b = appendUvarint(b, uint64(count)+1)
	if count == 0 {
		return b, nil
	}
	if plus(n.key.min, n.elem.min) > e.room(b)/count {
		return b, e.tooLarge()
	}
	if err := e.enter(n, m.UnsafePointer(), 0); err != nil {
		return b, err
	}
	b, err := encEntries(e, n, b, m, count)
	if err != nil {
		return b, err
	}
	e.leave(n, m.UnsafePointer(), 0)
	return b, nil
}

// encEntries copies every key and value to one place each, where they have an address.
func encEntries(e *encoder, n *node, b []byte, m reflect.Value, count int) ([]byte, error) {
	k, v := reflect.New(n.key.rt), reflect.New(n.elem.rt)
	kp, vp := k.UnsafePointer(), v.UnsafePointer()
	key, value := k.Elem(), v.Elem()
	entries := m.MapRange()
	var err error
	for entries.Next() {
		if count--; count < 0 {
			break
		}
		key.SetIterKey(entries)
		value.SetIterValue(entries)
		if b, err = n.key.enc(e, n.key, b, kp); err != nil {
			return b, within(err, "[key]")
		}
		if b, err = n.elem.enc(e, n.elem, b, vp); err != nil {
			return b, within(err, "[]")
		}
		if len(b) > e.next {
			if err := e.look(b, 0); err != nil {
				return b, err
			}
		}
	}
	if count != 0 {
		return b, &ValueError{Reason: fmt.Sprintf("a %v changed while it was being encoded", n.rt)}
	}
	return b, nil
}

func decMap(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	least := plus(n.key.min, n.elem.min)
	count, s, err := d.length(s, least)
	if err != nil || count < 0 {
		return s, err
	}
	if least == 0 && count > 1 {
		return s, d.malformed(s, "more keys than their type has values")
	}
	m := reflect.MakeMapWithSize(n.rt, count)
	reflect.NewAt(n.rt, p).Elem().Set(m)
	if count == 0 {
		return s, nil
	}
	if err := d.enter(s); err != nil {
		return s, err
	}
	if s, err = decEntries(d, n, s, m, count); err != nil {
		return s, err
	}
	d.depth--
	return s, nil
}

func decEntries(d *decoder, n *node, s []byte, m reflect.Value, count int) ([]byte, error) {
	k, v := reflect.New(n.key.rt), reflect.New(n.elem.rt)
	kp, vp := k.UnsafePointer(), v.UnsafePointer()
	key, value := k.Elem(), v.Elem()
	var err error
	for i := range count {
		if i > 0 {
			key.SetZero()
			value.SetZero()
		}
		if s, err = n.key.dec(d, n.key, s, kp); err != nil {
			return s, within(err, "[key]")
		}
		if !n.hashable && !key.Comparable() {
			return s, within(d.malformed(s, "an unhashable key"), "[key]")
		}
		if s, err = n.elem.dec(d, n.elem, s, vp); err != nil {
			return s, within(err, "[]")
		}
		if len(s) < d.next {
			if err := d.look(s); err != nil {
				return s, err
			}
		}
		m.SetMapIndex(key, value)
	}
	// Without this, a sender could make the receiver work on entries that leave no trace.
	if m.Len() != count {
		return s, d.malformed(s, "a key occurs twice")
	}
	return s, nil
}
