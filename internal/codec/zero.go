package codec

import (
	"encoding/binary"
	"reflect"
	"unsafe"
)

// A zeroTest tells whether a value is its type's zero value. It consists of the parts of the memory that are zero in a
// zero value, and in no other. Padding and blank fields, which hold what was there before, are not among them, nor is
// the address of an empty string. Unlike reflect's IsZero, it tells -0 from 0.
type zeroTest []zeroSpan

// A zeroSpan is a run of size bytes, or an array of elements of size bytes that have a test of their own.
type zeroSpan struct {
	off, size uintptr
	elems     *zeroElems
}

type zeroElems struct {
	test  zeroTest
	count int
}

const wordSize = unsafe.Sizeof(uintptr(0))

func zeroTestOf(rt reflect.Type) zeroTest { return zeroTest(nil).add(rt, 0) }

// add appends the test of a value of type rt at offset off.
func (t zeroTest) add(rt reflect.Type, off uintptr) zeroTest {
	switch rt.Kind() {
	case reflect.String: // address and length
		return t.addBytes(off+wordSize, wordSize)
	case reflect.Slice, reflect.Interface: // the address, or the type, is zero only if all else is
		return t.addBytes(off, wordSize)
	case reflect.Array:
		elem, size := zeroTestOf(rt.Elem()), rt.Elem().Size()
		switch {
		case rt.Len() == 0 || len(elem) == 0:
		case len(elem) == 1 && elem[0].elems == nil && elem[0].size == size:
			t = t.addBytes(off, rt.Size())
		default:
			t = append(t, zeroSpan{off, size, &zeroElems{elem, rt.Len()}})
		}
	case reflect.Struct:
		for i := range rt.NumField() {
			if f := rt.Field(i); f.Name != "_" {
				t = t.add(f.Type, off+f.Offset)
			}
		}
	default:
		return t.addBytes(off, rt.Size())
	}
	return t
}

// addBytes joins bytes that lie side by side.
func (t zeroTest) addBytes(off, size uintptr) zeroTest {
	if last := len(t) - 1; last >= 0 && t[last].elems == nil && t[last].off+t[last].size == off {
		t[last].size += size
		return t
	}
	return append(t, zeroSpan{off: off, size: size})
}

// holds reports whether the value at p is zero.
func (t zeroTest) holds(p unsafe.Pointer) bool {
	for i := range t {
		s := &t[i]
		q := unsafe.Add(p, s.off)
		if s.elems == nil {
			if !zeroBytes(unsafe.Slice((*byte)(q), s.size)) {
				return false
			}
			continue
		}
		for j := range s.elems.count {
			if !s.elems.test.holds(unsafe.Add(q, uintptr(j)*s.size)) {
				return false
			}
		}
	}
	return true
}

func zeroBytes(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
