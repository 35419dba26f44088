package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"sync"
	"unsafe"
)

// A decoder is the state of one call of Decode.
type decoder struct {
	types *Types
	next  int     // when less of the message is left, look whether to stop
	stop  Stopper // nil: none
	calls int     // of methods of the value's types; not counted without stop
	depth int
	zones zoneTable
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// newDecoder gives a decoder for a message of size bytes.
func newDecoder(t *Types, size int, stop Stopper) *decoder {
	d := decoders.Get().(*decoder)
	d.types, d.next, d.depth = t, 0, 0
	if stop != nil {
		d.next, d.stop, d.calls = size-bytesAnyway, stop, 0
	}
	return d
}

func (d *decoder) release() {
	d.types = nil
	if d.stop != nil {
		d.stop = nil
	}
	d.zones.reset()
	decoders.Put(d)
}

// malformed describes a fault in the message; rest is what was left of it there.
func (d *decoder) malformed(rest []byte, reason string) error {
	return &DecodeError{left: len(rest), Reason: reason}
}

// look looks whether to stop, when less than next is left of the message.
func (d *decoder) look(rest []byte) error {
	if d.stop.Stopped() {
		return ErrStopped
	}
	d.next = len(rest) - lookStep
	return nil
}

// beforeCall looks whether to stop before one more method of the value's types is called, which
// may take any time. There is a Stopper.
func (d *decoder) beforeCall() error {
	if d.calls++; d.calls > callsAnyway && d.stop.Stopped() {
		return ErrStopped
	}
	return nil
}

func (d *decoder) short(rest []byte) error { return d.malformed(rest, "the message ends too early") }

// enter counts one level of nesting, exactly where the encoder does, so that both agree on what is too deep.
func (d *decoder) enter(s []byte) error {
	if d.depth++; d.depth > maxDepth {
		return d.malformed(s, tooDeep)
	}
	return nil
}

// uvarint reads a length or an id.
func (d *decoder) uvarint(s []byte) (uint64, []byte, error) {
	if len(s) > 0 {
		if c := s[0]; c < 0x80 {
			return uint64(c), s[1:], nil
		}
	}
	v, n := binary.Uvarint(s)
	switch {
	case n == 0:
		return 0, s, d.short(s)
	case n < 0:
		return 0, s, d.malformed(s, "a number is too large")
	}
	return v, s[n:], nil
}

// length reads the length of a slice or map whose elements take at least least bytes each, and compares it with
// what is left. Nil has the length -1.
func (d *decoder) length(s []byte, least int) (int, []byte, error) {
	v, rest, err := d.uvarint(s)
	if err != nil || v == 0 {
		return -1, rest, err
	}
	v--
	if v > math.MaxInt || least > 0 && v > uint64(len(rest)/least) {
		return 0, s, d.malformed(s, "a length is larger than the message")
	}
	return int(v), rest, nil
}

// bytes reads a length and as many bytes, which still belong to the message.
func (d *decoder) bytes(s []byte) (content, rest []byte, err error) {
	n, rest, err := d.uvarint(s)
	if err != nil {
		return nil, s, err
	}
	if n > uint64(len(rest)) {
		return nil, s, d.malformed(s, "a length is larger than the message")
	}
	return rest[:n:n], rest[n:], nil
}

// skipZeros reads the zeros that fill up a type with little on the wire.
func (d *decoder) skipZeros(s []byte, n int) ([]byte, error) {
	if n > len(s) {
		return s, d.short(s)
	}
	for _, c := range s[:n] {
		if c != 0 {
			return s, d.malformed(s, "filler that is not zero")
		}
	}
	return s[n:], nil
}

func decPlain(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if uintptr(len(s)) < n.size {
		return s, d.short(s)
	}
	copy(unsafe.Slice((*byte)(p), n.size), s)
	return s[n.size:], nil
}

const notBool = "a bool that is neither 0 nor 1"

func decBool(d *decoder, _ *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if len(s) == 0 {
		return s, d.short(s)
	}
	switch s[0] {
	case 0:
	case 1:
		*(*bool)(p) = true
	default:
		return s, d.malformed(s, notBool)
	}
	return s[1:], nil
}

func decString(d *decoder, _ *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	content, rest, err := d.bytes(s)
	if err != nil {
		return s, err
	}
	*(*string)(p) = string(content)
	return rest, nil
}

func decPlainSlice(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if len(s) > 0 && s[0] == 0 {
		return s[1:], nil
	}
	count, s, err := d.length(s, n.elem.min)
	if err != nil || count < 0 {
		return s, err
	}
	size := uintptr(count) * n.elem.size
	*(*header)(p) = header{copyPlain(s[:size], uintptr(n.elem.rt.Align())), count, count}
	return s[size:], nil
}

// decBools checks the copy rather than the message, so that what was checked is what the value holds.
func decBools(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	count, s, err := d.length(s, 1)
	if err != nil || count < 0 {
		return s, err
	}
	data := copyPlain(s[:count], 1)
	for _, c := range unsafe.Slice((*byte)(data), count) {
		if c > 1 {
			return s, d.malformed(s, notBool)
		}
	}
	*(*header)(p) = header{data, count, count}
	return s[count:], nil
}

func decSlice(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	elem := n.elem
	count, s, err := d.length(s, elem.min)
	if err != nil || count < 0 {
		return s, err
	}
	if count == 0 {
		*(*header)(p) = header{unsafe.Pointer(&emptyMemory), 0, 0}
		return s, nil
	}
	if uintptr(count) > math.MaxInt/max(elem.size, 1) {
		return s, d.malformed(s, "a slice is larger than memory")
	}
	if err := d.enter(s); err != nil {
		return s, err
	}
	data := n.makeElems(count)
	*(*header)(p) = header{data, count, count}
	if s, err = decElems(d, elem, s, data, count); err != nil {
		return s, err
	}
	d.depth--
	return s, nil
}

func decArray(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if n.min > len(s) {
		return s, d.short(s)
	}
	return decElems(d, n.elem, s, p, n.len)
}

func decElems(d *decoder, elem *node, s []byte, p unsafe.Pointer, count int) ([]byte, error) {
	var err error
	for i := range count {
		if s, err = elem.dec(d, elem, s, unsafe.Add(p, uintptr(i)*elem.size)); err != nil {
			return s, within(err, "[]")
		}
		if len(s) < d.next {
			if err := d.look(s); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

func decPointer(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	if len(s) == 0 {
		return s, d.short(s)
	}
	switch s[0] {
	case 0:
		return s[1:], nil
	case 1:
	default:
		return s, d.malformed(s, "a pointer that is neither 0 nor 1")
	}
	s = s[1:]
	if n.elem.min > len(s) {
		return s, d.short(s)
	}
	if len(s) < d.next {
		if err := d.look(s); err != nil {
			return s, err
		}
	}
	if err := d.enter(s); err != nil {
		return s, err
	}
	q := reflect.New(n.elem.rt).UnsafePointer()
	*(*unsafe.Pointer)(p) = q
	s, err := n.elem.dec(d, n.elem, s, q)
	if err != nil {
		return s, err
	}
	d.depth--
	return s, nil
}
