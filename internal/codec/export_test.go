package codec

import (
	"reflect"
	"slices"
	"unsafe"
)

// BuiltinTypes gives the types that are known from the start.
func BuiltinTypes() (types []reflect.Type) {
	for _, typeOf := range slices.Concat(builtinTypes, rareTypes) {
		types = append(types, typeOf())
	}
	return types
}

// BuiltinLines describes what is known from the start as Describe does what is registered.
func BuiltinLines() (lines []string) {
	t := new(Types)
	t.types, t.sentinels = BuiltinTypes(), builtinErrors()
	return t.Describe()[1:]
}

// BuiltinFingerprint is what Describe says in their place.
const BuiltinFingerprint = builtinFingerprint

// Way says by what a type crosses: "structure", a pair of methods, a codec, "time", or "" if it does not.
func Way(t *Types, rt reflect.Type) string {
	n, err := t.compile(rt, nil)
	switch {
	case err != nil:
		return ""
	case rt == timeType:
		return "time"
	case n.pair == noPair:
		return "structure"
	}
	return n.pair.String()
}

// IsZero tests the value at p by the zero test of its type.
func IsZero(rt reflect.Type, p unsafe.Pointer) bool { return zeroTestOf(rt).holds(p) }

// The codes of zones on the wire, for messages that tests compose.
const (
	ZoneFixed      = zoneFixed
	ZoneNamed      = zoneNamed
	ZoneLocal      = zoneLocal
	FirstKnownZone = firstKnown
)
