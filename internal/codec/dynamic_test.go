package codec

import (
	"errors"
	"io"
	"io/fs"
	"reflect"
	"testing"
)

// fussy encodes itself, and cannot decode itself.
type fussy struct{ x int }

func (f fussy) MarshalText() ([]byte, error) { return []byte("x"), nil }

func (f *fussy) UnmarshalText([]byte) error { return errors.New("no") }

func TestDynamicTypes(t *testing.T) {
	var types Types
	if err := types.Register(reflect.TypeFor[fussy]()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		value any
		name  string
		knows bool
	}{
		{nil, "", true},
		{1, "int", true},
		{[]string{"x"}, "[]string", true},
		{fussy{1}, "codec.fussy", true},
		{&fussy{1}, "", false},
		{&fs.PathError{Op: "o", Path: "p", Err: io.EOF}, "*fs.PathError", true},
		{io.EOF, "", true}, // a sentinel has no type
		{errors.New("x"), "", false},
		{[]any{errors.New("x")}, "", true}, // what is in it is not
	} {
		if got := types.Knows(test.value); got != test.knows {
			t.Errorf("%T: known %v", test.value, got)
		}
		data, err := types.AppendAny(nil, test.value, 1000)
		if err != nil && test.name != "" {
			t.Errorf("%T: %v", test.value, err)
		}
		if got := types.DynamicType(data); got != test.name {
			t.Errorf("%T is of type %q, want %q", test.value, got, test.name)
		}
	}
	for _, src := range []string{"", "\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if got := types.DynamicType([]byte(src)); got != "" {
			t.Errorf("%q is of type %q", src, got)
		}
	}
}
