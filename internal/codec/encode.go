package codec

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
	"unsafe"
)

// maxDepth limits how deeply pointers, slices, maps and interfaces nest, for encoding and decoding alike. A linked
// list of this length takes some tens of megabytes of stack, of the gigabyte that Go allows.
const maxDepth = 100_000

// trackAfter is the depth at which an encoder begins to remember which pointers lie on the path to where it is. A
// value that contains itself is found one round later, and all others pay nothing.
const trackAfter = 1000

// An encoder is the state of one call of Append.
type encoder struct {
	types  *Types
	max    int     // length that the buffer may reach
	next   int     // length beyond which to look up: at max, or before that whether to stop
	limit  int     // as the caller gave it, for the error
	stop   Stopper // nil: none
	calls  int     // of methods of the value's types; not counted without stop
	depth  int
	onPath map[visit]struct{} // used beyond trackAfter only
	zones  zoneTable
}

// A visit is a reference that is being followed. The node belongs to it since a struct and its first field share an
// address, and the length since a slice may hold a part of itself.
type visit struct {
	p   unsafe.Pointer
	n   *node
	len int
}

// encoders keeps encoders for reuse: an encoder is passed to function values, so it would be allocated at each call.
var encoders = sync.Pool{New: func() any { return new(encoder) }}

func newEncoder(t *Types, start, limit int, stop Stopper) *encoder {
	e := encoders.Get().(*encoder)
	e.types, e.limit, e.depth = t, limit, 0
	e.max = plus(start, max(limit, 0))
	if e.next = e.max; stop != nil {
		e.next, e.stop, e.calls = min(e.max, start+bytesAnyway), stop, 0
	}
	return e
}

// release gives the encoder back, without anything that belongs to the value.
func (e *encoder) release() {
	e.types = nil
	if e.stop != nil {
		e.stop = nil
	}
	if e.onPath != nil {
		e.onPath = nil
	}
	e.zones.reset()
	encoders.Put(e)
}

// room is how many bytes may still be added; it is negative when small fields have gone beyond the limit unchecked.
func (e *encoder) room(b []byte) int { return max(e.max-len(b), 0) }

func (e *encoder) tooLarge() error { return &SizeError{e.limit} }

// look looks up, when b has grown beyond next: whether there is room for need bytes more, and
// whether to stop. Every reference that is followed adds a byte at least, so that it comes to
// pass however often a value leads to the same one.
func (e *encoder) look(b []byte, need int) error {
	switch {
	case len(b)+need > e.max:
		return e.tooLarge()
	case e.stop.Stopped():
		return ErrStopped
	}
	e.next = min(e.max, len(b)+lookStep)
	return nil
}

// beforeCall looks whether to stop before one more method of the value's types is called, which
// may take any time. There is a Stopper.
func (e *encoder) beforeCall() error {
	if e.calls++; e.calls > callsAnyway && e.stop.Stopped() {
		return ErrStopped
	}
	return nil
}

// enter begins to follow a reference from a value of n's type; leave ends it. An error ends the whole encoding, so
// leave is not called after one.
func (e *encoder) enter(n *node, p unsafe.Pointer, length int) error {
	if e.depth++; e.depth > trackAfter {
		return e.track(visit{p, n, length})
	}
	return nil
}

// enterValue counts a level that has no address of its own.
func (e *encoder) enterValue() error {
	if e.depth++; e.depth > maxDepth {
		return &ValueError{Reason: tooDeep}
	}
	return nil
}

func (e *encoder) track(v visit) error {
	if e.depth > maxDepth {
		return &ValueError{Reason: tooDeep}
	}
	if _, ok := e.onPath[v]; ok {
		return &ValueError{Reason: fmt.Sprintf("a %v that contains itself cannot cross a process boundary", v.n.rt)}
	}
	if e.onPath == nil {
		e.onPath = make(map[visit]struct{})
	}
	e.onPath[v] = struct{}{}
	return nil
}

func (e *encoder) leave(n *node, p unsafe.Pointer, length int) {
	if e.depth > trackAfter {
		delete(e.onPath, visit{p, n, length})
	}
	e.depth--
}

var tooDeep = "nested more than " + strconv.Itoa(maxDepth) + " levels deep"

// header is the memory of every slice.
type header struct {
	data     unsafe.Pointer
	len, cap int
}

func encPlain(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	if uintptr(e.room(b)) < n.size {
		return b, e.tooLarge()
	}
	return append(b, unsafe.Slice((*byte)(p), n.size)...), nil
}

func encBool(_ *encoder, _ *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	return appendBool(b, *(*bool)(p)), nil
}

func encString(e *encoder, _ *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	s := *(*string)(p)
	if e.room(b) < len(s) {
		return b, e.tooLarge()
	}
	return append(appendUvarint(b, uint64(len(s))), s...), nil
}

func encPlainSlice(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	h := (*header)(p)
	if h.data == nil {
		return append(b, 0), nil
	}
	size := uintptr(h.len) * n.elem.size
	if uintptr(e.room(b)) < size {
		return b, e.tooLarge()
	}
	b = appendUvarint(b, uint64(h.len)+1)
	return append(b, unsafe.Slice((*byte)(h.data), size)...), nil
}

// encBools copies a block, as a program's own bools are valid.
func encBools(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	return encPlainSlice(e, n, b, p)
}

func encSlice(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	h := *(*header)(p)
	if h.data == nil {
		return append(b, 0), nil
	}
	b = appendUvarint(b, uint64(h.len)+1)
	if h.len == 0 {
		return b, nil
	}
	if n.elem.min > e.room(b)/h.len {
		return b, e.tooLarge()
	}
	if err := e.enter(n, h.data, h.len); err != nil {
		return b, err
	}
	b, err := encElems(e, n.elem, b, h.data, h.len)
	if err != nil {
		return b, err
	}
	e.leave(n, h.data, h.len)
	return b, nil
}

func encArray(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	if n.min > e.room(b) {
		return b, e.tooLarge()
	}
	return encElems(e, n.elem, b, p, n.len)
}

// encElems encodes elements that lie one behind the other. It looks at the limit after each, so that what fields add
// unchecked stays small.
func encElems(e *encoder, elem *node, b []byte, p unsafe.Pointer, count int) ([]byte, error) {
	var err error
	for i := range count {
		if b, err = elem.enc(e, elem, b, unsafe.Add(p, uintptr(i)*elem.size)); err != nil {
			return b, within(err, "[]")
		}
		if len(b) > e.next {
			if err := e.look(b, 0); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

func encPointer(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	q := *(*unsafe.Pointer)(p)
	if q == nil {
		return append(b, 0), nil
	}
	if len(b) >= e.next {
		if err := e.look(b, 1); err != nil {
			return b, err
		}
	}
	if err := e.enter(n, q, 0); err != nil {
		return b, err
	}
	b, err := n.elem.enc(e, n.elem, append(b, 1), q)
	if err != nil {
		return b, err
	}
	e.leave(n, q, 0)
	return b, nil
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendUvarint is binary.AppendUvarint with the frequent case in line.
func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func appendZeros(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	return append(b, make([]byte, n)...)
}
