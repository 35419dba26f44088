package codec

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// The types of the standard library whose own marshalers lose something, or that have none although other types are
// made of them. They are found by name: importing net/url and regexp would cost every process that starts some 50 µs.
// docs/types.md goes through the standard library.

// A hiddenField is an unexported field of a struct.
type hiddenField struct {
	name string
	kind reflect.Kind
}

// userinfoFields are the fields of url.Userinfo. Any values of them make a valid one.
var userinfoFields = [...]hiddenField{{"username", reflect.String}, {"password", reflect.String}, {"passwordSet", reflect.Bool}}

// knownInside reports whether a struct crosses by its structure although its fields are unexported. One whose fields are
// not those that this package knows is refused, as any other.
func knownInside(rt reflect.Type) bool {
	if rt.Name() != "Userinfo" || rt.PkgPath() != "net/url" || rt.NumField() != len(userinfoFields) {
		return false
	}
	for i, known := range userinfoFields {
		if f := rt.Field(i); f.Name != known.name || f.Type.Kind() != known.kind || f.Type.PkgPath() != "" {
			return false
		}
	}
	return true
}

// builtinCodec gives the codec that a type has from the start, or nil.
func builtinCodec(rt reflect.Type) *Codec {
	if rt.Kind() == reflect.Struct && rt.Name() == "Regexp" && rt.PkgPath() == "regexp" &&
		reflect.PointerTo(rt).Implements(reflect.TypeFor[regexpMethods]()) {
		return regexpCodec(rt)
	}
	return nil
}

// A regular expression crosses as its text, with a letter that says how it is compiled. Its own MarshalText drops that,
// so that it may match something else after it has crossed.
const (
	regexpPerl    = 'p' // regexp.Compile
	regexpLongest = 'l' // regexp.Compile and Longest
)

type regexpMethods interface {
	UnmarshalText([]byte) error
	Longest()
	String() string
}

func regexpCodec(rt reflect.Type) *Codec {
	// CompilePOSIX and Longest set this field, and nothing clears it.
	longest, found := rt.FieldByName("longest")
	found = found && longest.Type.Kind() == reflect.Bool
	marshal := func(p unsafe.Pointer) ([]byte, error) {
		re := reflect.NewAt(rt, p).Interface().(regexpMethods)
		text := []byte(re.String())
		if found && !*(*bool)(unsafe.Add(p, longest.Offset)) {
			return append(text, regexpPerl), nil
		}
		for _, mode := range []byte{regexpPerl, regexpLongest} {
			twin := reflect.New(rt).Interface().(regexpMethods)
			if compileRegexp(twin, text, mode) == nil && reflect.DeepEqual(twin, re) {
				return append(text, mode), nil
			}
		}
		return nil, errPOSIX
	}
	unmarshal := func(b []byte, p unsafe.Pointer) error {
		if len(b) == 0 {
			return errors.New("no mode")
		}
		return compileRegexp(reflect.NewAt(rt, p).Interface().(regexpMethods), b[:len(b)-1], b[len(b)-1])
	}
	return &Codec{marshal, unmarshal, "regexp"}
}

func compileRegexp(re regexpMethods, text []byte, mode byte) error {
	if err := re.UnmarshalText(text); err != nil {
		return err
	}
	switch mode {
	case regexpPerl:
	case regexpLongest:
		re.Longest()
	default:
		return fmt.Errorf("unknown mode %q", mode)
	}
	return nil
}

var errPOSIX = errors.New("one that regexp.CompilePOSIX made cannot be made by regexp.Compile: send its text and compile it " +
	"inside the function that runs, or give it a type of its own, with a codec (parallel.RegisterCodec)")
