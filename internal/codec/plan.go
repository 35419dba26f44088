package codec

import (
	"reflect"
	"sync"
	"unsafe"
)

// A Plan encodes and decodes the values of one type. It is made by [Types.Plan] and safe for concurrent use.
type Plan struct {
	types *Types
	root  *node

	shapeOnce sync.Once
	shape     string
}

// Append appends the encoding of the value at v, which must be of the plan's type, to dst. It adds at most limit
// bytes; a value that needs more is a *SizeError, found before the whole is built. After an error the result is dst as
// it was.
func (p *Plan) Append(dst []byte, v unsafe.Pointer, limit int) ([]byte, error) {
	return p.AppendUntil(dst, v, limit, nil)
}

// AppendUntil is Append that ends with [ErrStopped] soon after stop says so, unless the value is small. A nil stop never
// does.
func (p *Plan) AppendUntil(dst []byte, v unsafe.Pointer, limit int, stop Stopper) ([]byte, error) {
	if p.root.plain {
		if uintptr(max(limit, 0)) < p.root.size {
			return dst, &SizeError{limit}
		}
		return append(dst, unsafe.Slice((*byte)(v), p.root.size)...), nil
	}
	if p.root.stateless && p.root.mostBytes(v) <= limit {
		return p.root.enc(noEncoder, p.root, dst, v)
	}
	e := newEncoder(p.types, len(dst), limit, stop)
	b, err := p.root.enc(e, p.root, dst, v)
	if err == nil && len(b) > e.max {
		err = e.tooLarge()
	}
	e.release()
	if err != nil {
		return dst, rooted(err, p.root.rt.String(), 0)
	}
	return b, nil
}

// Decode sets the value at v, which must be of the plan's type and zero, to what src encodes. All of src must belong
// to it, and nothing in the value refers to src afterwards. After an error the value is unspecified, but valid.
func (p *Plan) Decode(src []byte, v unsafe.Pointer) error { return p.DecodeUntil(src, v, nil) }

// DecodeUntil is Decode that ends with [ErrStopped] soon after stop says so, unless the value is small. A nil stop never
// does.
func (p *Plan) DecodeUntil(src []byte, v unsafe.Pointer, stop Stopper) error {
	if p.root.plain && uintptr(len(src)) == p.root.size {
		copy(unsafe.Slice((*byte)(v), p.root.size), src)
		return nil
	}
	d := noDecoder
	if !p.root.stateless {
		d = newDecoder(p.types, len(src), stop)
		defer d.release()
	}
	rest, err := p.root.dec(d, p.root, src, v)
	if err == nil && len(rest) != 0 {
		err = d.malformed(rest, "bytes left over at the end")
	}
	if err != nil {
		return rooted(err, p.root.rt.String(), len(src))
	}
	return nil
}

// Shape describes the wire form: names, kinds and sizes of the type and all it refers to, with the byte order and word
// size. Two processes understand each other's values of the type if their shapes are equal.
func (p *Plan) Shape() string {
	p.shapeOnce.Do(func() { p.shape = shapeOf(p.root) })
	return p.shape
}

// FixedSize gives the size of every encoding if the encoding of a value is exactly its memory, which may then be
// copied in place of calling Append and Decode; else -1. A type with bools, padding or blank fields gives -1.
func (p *Plan) FixedSize() int {
	if p.root.plain {
		return int(p.root.size)
	}
	return -1
}

// Pure reports whether neither Append nor Decode calls a method of a type. It may be false for types of which it is
// true.
func (p *Plan) Pure() bool { return p.root.plain || p.root.stateless }

// newPlan wraps a compiled node.
func newPlan(t *Types, n *node) *Plan { return &Plan{types: t, root: n} }

// AppendAny appends v as an interface value: the id of its dynamic type, which must be registered, and the value. A
// nil v is allowed. limit is as in [Plan.Append].
func (t *Types) AppendAny(dst []byte, v any, limit int) ([]byte, error) {
	e := newEncoder(t, len(dst), limit, nil)
	b, err := e.any(dst, v)
	if err == nil && len(b) > e.max {
		err = e.tooLarge()
	}
	e.release()
	if err != nil {
		return dst, rooted(err, typeName(v), 0)
	}
	return b, nil
}

// DecodeAny gives the value that AppendAny wrote.
func (t *Types) DecodeAny(src []byte) (any, error) {
	d := newDecoder(t, len(src), nil)
	var v any
	rest, err := decInterface(d, anyNode, src, unsafe.Pointer(&v))
	if err == nil && len(rest) != 0 {
		err = d.malformed(rest, "bytes left over at the end")
	}
	d.release()
	if err != nil {
		return nil, rooted(err, "", len(src))
	}
	return v, nil
}

// anyNode stands for the empty interface where no plan is involved.
var anyNode = &node{rt: reflect.TypeFor[any](), enc: encInterface, dec: decInterface, min: 1}

func typeName(v any) string {
	if v == nil {
		return ""
	}
	return reflect.TypeOf(v).String()
}
