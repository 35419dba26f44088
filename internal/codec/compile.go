package codec

import (
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"
)

// memoryPerByte is how many bytes in memory one byte on the wire may stand for. Every node's min is at least its
// size divided by it, so that a short message cannot demand much memory. It is the largest ratio that a basic kind has:
// a slice header takes 24 bytes, and a nil slice one byte.
const memoryPerByte = 24

type (
	// An encodeFunc appends the value of n's type at p to b.
	encodeFunc func(e *encoder, n *node, b []byte, p unsafe.Pointer) ([]byte, error)
	// A decodeFunc sets the zero value of n's type at p from the front of s and gives what is left of s.
	decodeFunc func(d *decoder, n *node, s []byte, p unsafe.Pointer) ([]byte, error)
)

// A node is the compiled form of one type. It is immutable once the compilation that made it has succeeded.
type node struct {
	rt   reflect.Type
	enc  encodeFunc
	dec  decodeFunc
	size uintptr // in memory
	min  int     // the fewest bytes that a value takes on the wire

	// plain says that the encoding is the memory: no pointers, padding or blank fields, and no bools, which have
	// invalid bytes.
	plain bool

	elem *node // of an array, slice, map or pointer
	key  *node // of a map
	len  int   // of an array

	fields []field // of a struct that crosses by its structure, for its shape
	ops    []op    // what to do for such a struct
	filler int     // zeros that follow the fields of a struct, see memoryPerByte

	stateless bool // see mostBytes

	pair     pair     // of a type that does not cross by its structure
	hashable bool     // a map's key cannot hold a value that panics when it is hashed
	methods  bool     // an interface type has methods
	codec    *Codec   // of codecPair
	zero     zeroTest // of a type with a pair

	by fmt.Stringer // the registration that first reached the type, for RegisterCodec; nil: none
}

// A field is one field of a struct that is encoded field by field.
type field struct {
	name     string
	embedded bool
	rt       reflect.Type
	off      uintptr
	node     *node
}

// A compiler compiles one type and whatever it refers to. Nothing that it made is kept when the type itself is refused.
type compiler struct {
	known  map[reflect.Type]*node  // from earlier compilations, read only
	codecs map[reflect.Type]*Codec // registered ones, read only
	fresh  map[reflect.Type]*node  // of this one; a node stands here before it is complete, which ends recursion
	order  []*node                 // the fresh nodes in the order in which they began
	tried  []reflect.Type          // types that were reached, and whose nodes were forgotten
}

var timeType = reflect.TypeFor[time.Time]()

// compile gives the node of rt. A registered codec comes first, then the codec's own way with some types of the
// standard library, then the structure, and at last the type's own pair.
//
// A type that is still being compiled counts as one that can cross. If it turns out to cross by its pair, that was
// right. If it turns out not to cross at all, all that was compiled since it began is forgotten, by the next type
// further out that crosses by its pair, or with the whole compilation.
func (c *compiler) compile(rt reflect.Type) (*node, *refusal) {
	if n := c.known[rt]; n != nil {
		return n, nil
	}
	if n := c.fresh[rt]; n != nil {
		return n, nil
	}
	n := &node{rt: rt, size: rt.Size()}
	c.fresh[rt] = n
	c.order = append(c.order, n)
	since := len(c.order)
	if own := c.codecs[rt]; own != nil {
		n.setPair(codecPair, own)
		return n, nil
	}
	if rt == timeType {
		n.enc, n.dec, n.min = encTime, decTime, minTime
		return n, nil
	}
	if own := builtinCodec(rt); own != nil {
		n.setPair(codecPair, own)
		return n, nil
	}
	// A hidden field is looked for before anything else is compiled, since many types that have a pair have one.
	hidden := n.listFields()
	var refused *refusal
	if hidden < 0 {
		if refused = c.structure(n); refused == nil {
			return n, nil
		}
	}
	own := pairOf(rt)
	switch {
	case own != noPair:
	case hidden >= 0:
		return nil, refuseField(rt.Field(hidden)).within(rt)
	default:
		return nil, refused.within(rt)
	}
	c.forget(since)
	*n = node{rt: rt, size: rt.Size()}
	n.setPair(own, nil)
	return n, nil
}

// forget drops the nodes that began at position since of the order or later: they were made for a structure that cannot
// cross. A node of a pair is kept. It depends on no other, and to find it again can take long.
func (c *compiler) forget(since int) {
	kept := c.order[:since]
	for _, n := range c.order[since:] {
		if n.pair != noPair {
			kept = append(kept, n)
			continue
		}
		delete(c.fresh, n.rt)
		c.tried = append(c.tried, n.rt)
	}
	c.order = kept
}

// setPair makes n's type cross by a pair, or by a codec.
func (n *node) setPair(k pair, own *Codec) {
	n.pair, n.codec, n.zero = k, own, zeroTestOf(n.rt)
	n.enc, n.dec, n.min = encMarshaler, decMarshaler, max(1, fewestBytes(n.size))
}

// structure compiles n's type by its structure.
func (c *compiler) structure(n *node) (refused *refusal) {
	if n.size == 0 {
		// Known to be plain before its parts are looked at: a slice of it inside of it must not loop over elements.
		n.setPlain()
	}
	rt := n.rt
	switch rt.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		n.setPlain()
	case reflect.Bool:
		n.enc, n.dec, n.min = encBool, decBool, 1
	case reflect.String:
		n.enc, n.dec, n.min = encString, decString, 1
		n.stateless = true
	case reflect.Interface:
		n.enc, n.dec, n.min = encInterface, decInterface, 1
		n.methods = rt.NumMethod() > 0
	case reflect.Pointer:
		n.enc, n.dec, n.min = encPointer, decPointer, 1
		if n.elem, refused = c.compile(rt.Elem()); refused != nil {
			return refused.behind(rt)
		}
	case reflect.Slice:
		return c.slice(n)
	case reflect.Array:
		n.len = rt.Len()
		if n.elem, refused = c.compile(rt.Elem()); refused != nil {
			return refused.at("[]")
		}
		if n.elem.plain || n.size == 0 {
			n.setPlain()
		} else {
			n.enc, n.dec, n.min = encArray, decArray, times(n.len, n.elem.min)
		}
	case reflect.Map:
		n.enc, n.dec, n.min = encMap, decMap, 1
		n.hashable = !holdsInterface(rt.Key())
		if n.key, refused = c.compile(rt.Key()); refused != nil {
			return refused.at("[key]")
		}
		if n.elem, refused = c.compile(rt.Elem()); refused != nil {
			return refused.at("[]")
		}
	case reflect.Struct:
		return c.compileFields(n)
	default:
		return &refusal{reason: cannotCross(rt)}
	}
	return nil
}

func (c *compiler) slice(n *node) (refused *refusal) {
	n.min = 1
	if n.elem, refused = c.compile(n.rt.Elem()); refused != nil {
		return refused.at("[]")
	}
	// An element that is still being compiled has this slice in it, so it is plain only if it is empty.
	switch {
	case n.elem.plain:
		n.enc, n.dec = encPlainSlice, decPlainSlice
		n.stateless = true
	case n.elem.rt.Kind() == reflect.Bool && n.elem.pair == noPair:
		n.enc, n.dec = encBools, decBools
	default:
		n.enc, n.dec = encSlice, decSlice
	}
	return nil
}

func cannotCross(rt reflect.Type) string {
	article := "a"
	if rt.Kind() == reflect.UnsafePointer {
		article = "an"
	}
	return fmt.Sprintf("%s %s cannot cross a process boundary", article, rt.Kind())
}

func (n *node) setPlain() {
	n.enc, n.dec, n.min, n.plain = encPlain, decPlain, saturate(n.size), true
}

// listFields sets the fields of a struct, up to the first that cannot cross since it is unexported, and gives the number
// of that, or -1. A blank field is no part of the value.
func (n *node) listFields() (hidden int) {
	if n.rt.Kind() != reflect.Struct {
		return -1
	}
	known := knownInside(n.rt)
	count := n.rt.NumField()
	for i := range count {
		f := n.rt.Field(i)
		if f.Name == "_" {
			continue
		}
		if !f.IsExported() && !known && !embedsStruct(f) {
			return i
		}
		if n.fields == nil {
			n.fields = make([]field, 0, count)
		}
		n.fields = append(n.fields, field{name: f.Name, embedded: f.Anonymous, rt: f.Type, off: f.Offset})
	}
	return -1
}

// embedsStruct reports whether a field is an embedded struct or pointer to one: its exported fields are promoted, so they
// are part of the value as everyone sees it.
func embedsStruct(f reflect.StructField) bool {
	base := f.Type
	if base.Kind() == reflect.Pointer {
		base = base.Elem()
	}
	return f.Anonymous && base.Kind() == reflect.Struct
}

func refuseField(f reflect.StructField) *refusal {
	r := &refusal{reason: "an unexported field cannot cross a process boundary"}
	if f.Anonymous {
		r.reason = "an embedded field of an unexported type that is not a struct cannot cross a process boundary"
	}
	return r.at("." + f.Name)
}

// compileFields compiles a struct whose fields are listed.
func (c *compiler) compileFields(n *node) (refused *refusal) {
	var covered uintptr // bytes that belong to plain fields
	allPlain := true
	for i := range n.fields {
		f := &n.fields[i]
		if f.node, refused = c.compile(f.rt); refused != nil {
			return refused.at("." + f.name)
		}
		n.addOp(f.name, f.off, f.node)
		n.min = plus(n.min, f.node.min)
		allPlain = allPlain && f.node.plain
		covered += f.node.size
	}
	if n.size == 0 || allPlain && covered == n.size {
		n.setPlain()
		return nil
	}
	n.enc, n.dec, n.stateless = encStruct, decStruct, isStateless(n.ops)
	if need := fewestBytes(n.size); n.min < need {
		n.filler = need - n.min
		n.min = need
	}
	return nil
}

// fewestBytes is the least wire size for a memory size.
func fewestBytes(size uintptr) int {
	return saturate(size/memoryPerByte + min(size%memoryPerByte, 1))
}

// saturate, plus and times keep sizes of absurd array types from overflowing.
func saturate(size uintptr) int { return int(min(size, math.MaxInt)) }

func plus(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func times(a, b int) int {
	if b != 0 && a > math.MaxInt/b {
		return math.MaxInt
	}
	return a * b
}

// holdsInterface reports whether hashing a value of a key type depends on a dynamic type, which may be unhashable.
func holdsInterface(rt reflect.Type) bool {
	switch rt.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array:
		return holdsInterface(rt.Elem())
	case reflect.Struct:
		for i := range rt.NumField() {
			if holdsInterface(rt.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
