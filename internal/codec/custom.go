package codec

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// A Codec encodes and decodes the values of one type in place of the ways that the type itself has. A zero value is not
// passed to it: it crosses as a zero value.
type Codec struct {
	// Marshal gives the encoding of the value at p, which it does not change.
	Marshal func(p unsafe.Pointer) ([]byte, error)
	// Unmarshal sets the zero value at p to what Marshal encoded. It may keep b.
	Unmarshal func(b []byte, p unsafe.Pointer) error

	builtin string // names one of this package's own in a shape
}

// RegisterCodec makes values of type rt cross by a codec, wherever they occur. It must come before the first plan or
// registration that reaches the type, which settles how it crosses, and in time, which means before the other process
// was told what there is.
func (t *Types) RegisterCodec(rt reflect.Type, codec Codec, inTime bool) error {
	if rt.Kind() == reflect.Interface {
		return errors.New("an interface type has no values of its own: register a codec for each type that it holds")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.codecs[rt] != nil {
		return errors.New("it has a codec already")
	}
	if by, ok := t.reachedLocked(rt); ok {
		return fmt.Errorf("%s came first, and has settled how such values cross: move RegisterCodec before it "+
			"(variables of a package are initialized before its init functions run)", by)
	}
	if !inTime {
		return errors.New("it is called after Init, when worker processes would not know of it: call it in an init function")
	}
	if t.codecs == nil {
		t.codecs = make(map[reflect.Type]*Codec)
	}
	t.codecs[rt] = &codec
	t.coded = append(t.coded, rt)
	switch rt {
	case reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[float64](), reflect.TypeFor[string]():
		t.basics.Store(true)
	}
	return nil
}

// reachedLocked names the registration that first reached a type.
func (t *Types) reachedLocked(rt reflect.Type) (string, bool) {
	by, ok := t.tried[rt]
	if n := t.nodes[rt]; n != nil {
		by, ok = n.by, true
	}
	switch {
	case !ok:
		return "", false
	case by == nil:
		return "a value that was sent", true
	}
	return by.String(), true
}

// A typeRegistration names a call of RegisterType.
type typeRegistration struct{ rt reflect.Type }

func (r typeRegistration) String() string { return fmt.Sprintf("RegisterType(%v)", r.rt) }
