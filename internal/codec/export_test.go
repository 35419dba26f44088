package codec

import (
	"reflect"
	"time"
)

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

// Rebuild gives what a process that has never seen loc makes of it.
func Rebuild(loc *time.Location) (*time.Location, error) {
	def, err := define(loc, readZone)
	if err != nil {
		return nil, err
	}
	return buildZone([]byte(def))
}
