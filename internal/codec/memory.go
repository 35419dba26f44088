package codec

import (
	"reflect"
	"unsafe"
)

// emptyMemory is where slices without any memory point: not nil, and never read.
var emptyMemory struct{}

// copyPlain copies memory without pointers to a new place that is aligned for its type. Allocating bytes rather than
// elements spares the runtime clearing what is overwritten at once. The runtime aligns bytes as their number suggests
// but does not promise it, hence the second way.
func copyPlain(src []byte, align uintptr) unsafe.Pointer {
	if len(src) == 0 {
		return unsafe.Pointer(&emptyMemory)
	}
	b := make([]byte, len(src))
	copy(b, src)
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)&(align-1) == 0 {
		return p
	}
	words := make([]uint64, (len(src)+7)/8)
	p = unsafe.Pointer(unsafe.SliceData(words))
	copy(unsafe.Slice((*byte)(p), len(src)), src)
	return p
}

// makeElems allocates the zero elements of a slice. Kinds that look the same to the garbage collector are allocated as
// one of them; reflect.MakeSlice would allocate a header as well.
func (n *node) makeElems(count int) unsafe.Pointer {
	switch n.elem.rt.Kind() {
	case reflect.String:
		return unsafe.Pointer(unsafe.SliceData(make([]string, count)))
	case reflect.Pointer, reflect.Map:
		return unsafe.Pointer(unsafe.SliceData(make([]unsafe.Pointer, count)))
	}
	return reflect.MakeSlice(n.rt, count, count).UnsafePointer()
}
