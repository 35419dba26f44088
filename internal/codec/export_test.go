package codec

import "reflect"

// BuiltinTypes gives the types that are known from the start.
func BuiltinTypes() (types []reflect.Type) {
	for _, typeOf := range builtinTypes {
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

// The codes of zones on the wire, for messages that tests compose.
const (
	ZoneFixed      = zoneFixed
	ZoneNamed      = zoneNamed
	ZoneLocal      = zoneLocal
	FirstKnownZone = firstKnown
)
