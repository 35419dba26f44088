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

// Rebuild gives what a process that has never seen loc makes of it.
func Rebuild(loc *time.Location) (*time.Location, error) {
	def, err := define(loc, readZone)
	if err != nil {
		return nil, err
	}
	return buildZone([]byte(def))
}
