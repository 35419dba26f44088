package codec

import (
	"encoding/binary"
	"reflect"
	"strconv"
	"strings"
)

// wireVersion changes whenever the wire form of any type does.
const wireVersion = 3

// shapeOf describes the wire form of a type and of all that it refers to. A named type is described where it first
// occurs and given a number, by which it is referred to afterwards, so that recursive types end.
func shapeOf(n *node) string {
	w := shapeWriter{numbers: make(map[*node]int)}
	w.text(shapeHeader())
	w.node(n)
	return w.out.String()
}

// shapeHeader is what all shapes begin with: what all encodings have in common.
func shapeHeader() string {
	return "v" + strconv.Itoa(wireVersion) + " " + strconv.Itoa(strconv.IntSize) + "-bit " + byteOrder() + " "
}

func byteOrder() string {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return "little-endian"
	}
	return "big-endian"
}

type shapeWriter struct {
	out     strings.Builder
	numbers map[*node]int // of the named types so far
}

func (w *shapeWriter) text(parts ...string) {
	for _, s := range parts {
		w.out.WriteString(s)
	}
}

func (w *shapeWriter) node(n *node) {
	if n.rt.Name() == "" || n.rt.PkgPath() == "" {
		w.body(n)
		return
	}
	number, seen := w.numbers[n]
	if seen {
		w.text("#", strconv.Itoa(number))
		return
	}
	number = len(w.numbers) + 1
	w.numbers[n] = number
	w.text("#", strconv.Itoa(number), "=", strconv.Quote(n.rt.PkgPath()), ".", n.rt.Name(), "(")
	w.body(n)
	w.text(")")
}

func (w *shapeWriter) body(n *node) {
	if n.pair != noPair {
		name := n.pair.String()
		if n.pair == codecPair && n.codec.builtin != "" {
			name = n.codec.builtin
		}
		w.text(name, "/", strconv.Itoa(n.min))
		return
	}
	if n.rt == timeType {
		w.text("time")
		return
	}
	switch n.rt.Kind() {
	case reflect.Pointer:
		w.text("*")
		w.node(n.elem)
	case reflect.Slice:
		w.text("[]")
		w.node(n.elem)
	case reflect.Array:
		w.text("[", strconv.Itoa(n.len), "]")
		w.node(n.elem)
	case reflect.Map:
		w.text("map[")
		w.node(n.key)
		w.text("]")
		w.node(n.elem)
	case reflect.Struct:
		w.fields(n)
	case reflect.Interface:
		w.text(n.rt.String())
	default:
		w.text(n.rt.Kind().String())
	}
}

func (w *shapeWriter) fields(n *node) {
	w.text("struct{")
	for _, f := range n.fields {
		if f.embedded {
			w.text("embedded ")
		}
		w.text(f.name, " ")
		w.node(f.node)
		w.text(";")
	}
	if n.filler > 0 {
		w.text("filler ", strconv.Itoa(n.filler))
	}
	w.text("}")
}
