package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"unsafe"
)

// An opcode says how one field, or a run of plain fields, is encoded. The frequent kinds have their own, which saves
// a call through a function value for each field.
type opcode uint8

const (
	opNode   opcode = iota // call the field's node
	opCopy                 // copy size bytes of plain memory
	opCopy8                // the same for the most frequent size
	opString               // a string
	opSlice                // a slice with plain elements
	opBool                 // a bool
)

// An op is one step of a struct's encoding.
type op struct {
	code opcode
	off  uintptr // of the field in the struct
	size uintptr // of the memory to copy
	node *node
	name string // path from the struct to the field
}

// noEncoder and noDecoder serve values of stateless types: those that consist of plain memory, strings and slices of
// plain memory, whose functions neither change the state nor follow a reference. They are shared, and spare such types
// the time that it takes to get one.
var (
	noEncoder = &encoder{max: math.MaxInt, next: math.MaxInt, limit: math.MaxInt}
	noDecoder = &decoder{}
)

// mostBytes is not less than the wire size of the value at p, which is of a stateless type. noEncoder has no limit, so
// it must serve only values that are within theirs by this measure.
func (n *node) mostBytes(p unsafe.Pointer) int {
	const most = binary.MaxVarintLen64
	switch n.rt.Kind() {
	case reflect.String:
		return plus(most, len(*(*string)(p)))
	case reflect.Slice:
		return plus(most, (*header)(p).len*int(n.elem.size))
	}
	sum := n.min
	for i := range n.ops {
		o := &n.ops[i]
		switch o.code {
		case opString:
			sum = plus(sum, most+len(*(*string)(unsafe.Add(p, o.off))))
		case opSlice:
			sum = plus(sum, most+(*header)(unsafe.Add(p, o.off)).len*int(o.node.elem.size))
		}
	}
	return sum
}

// isStateless reports whether none of a struct's operations calls another node.
func isStateless(ops []op) bool {
	for _, o := range ops {
		if o.code == opNode {
			return false
		}
	}
	return true
}

// addOp appends what encodes the field of node f at offset off. It joins plain fields that lie side by side, and takes
// over the operations of a struct that is a field.
func (n *node) addOp(name string, off uintptr, f *node) {
	switch {
	case f.plain:
		n.addCopy(name, off, f.size)
	case f.fields != nil && f.filler == 0:
		for _, o := range f.ops {
			if o.code == opCopy || o.code == opCopy8 {
				n.addCopy(name+"."+o.name, off+o.off, o.size)
				continue
			}
			o.name = name + "." + o.name
			o.off += off
			n.ops = append(n.ops, o)
		}
	default:
		n.ops = append(n.ops, op{code: codeOf(f), off: off, node: f, name: name})
	}
}

func (n *node) addCopy(name string, off, size uintptr) {
	if size == 0 {
		return
	}
	if last := len(n.ops) - 1; last >= 0 {
		o := &n.ops[last]
		if (o.code == opCopy || o.code == opCopy8) && o.off+o.size == off {
			o.code, o.size = opCopy, o.size+size
			return
		}
	}
	code := opCopy
	if size == 8 {
		code = opCopy8
	}
	n.ops = append(n.ops, op{code: code, off: off, size: size, name: name})
}

func codeOf(f *node) opcode {
	if f.pair != noPair {
		return opNode
	}
	switch f.rt.Kind() {
	case reflect.Bool:
		return opBool
	case reflect.String:
		return opString
	case reflect.Slice:
		if f.elem != nil && f.elem.plain { // nil: the slice is still being compiled, and this struct is in it
			return opSlice
		}
	}
	return opNode
}

func encStruct(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error) {
	for i := range n.ops {
		o := &n.ops[i]
		q := unsafe.Add(p, o.off)
		switch o.code {
		case opCopy8:
			b = append(b, (*[8]byte)(q)[:]...)
		case opCopy:
			if uintptr(e.room(b)) < o.size {
				return b, e.tooLarge()
			}
			b = append(b, unsafe.Slice((*byte)(q), o.size)...)
		case opBool:
			b = appendBool(b, *(*bool)(q))
		case opString:
			s := *(*string)(q)
			if e.room(b) < len(s) {
				return b, e.tooLarge()
			}
			b = append(appendUvarint(b, uint64(len(s))), s...)
		case opSlice:
			var err error
			if b, err = encPlainSlice(e, o.node, b, q); err != nil {
				return b, err
			}
		default:
			var err error
			if b, err = o.node.enc(e, o.node, b, q); err != nil {
				return b, within(err, "."+o.name)
			}
		}
	}
	return appendZeros(b, n.filler), nil
}

func decStruct(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error) {
	for i := range n.ops {
		o := &n.ops[i]
		q := unsafe.Add(p, o.off)
		var err error
		switch o.code {
		case opCopy8:
			if len(s) < 8 {
				return s, within(d.short(s), "."+o.name)
			}
			*(*[8]byte)(q) = [8]byte(s)
			s = s[8:]
		case opCopy:
			if uintptr(len(s)) < o.size {
				return s, within(d.short(s), "."+o.name)
			}
			copy(unsafe.Slice((*byte)(q), o.size), s)
			s = s[o.size:]
		case opString:
			if len(s) > 0 && s[0] < 0x80 && int(s[0]) < len(s) {
				end := 1 + int(s[0])
				*(*string)(q) = string(s[1:end])
				s = s[end:]
				continue
			}
			s, err = decString(d, o.node, s, q)
		case opSlice:
			s, err = decPlainSlice(d, o.node, s, q)
		default:
			s, err = o.node.dec(d, o.node, s, q)
		}
		if err != nil {
			return s, within(err, "."+o.name)
		}
	}
	return d.skipZeros(s, n.filler)
}
