package codec

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strconv"
	"time"
)

// The ids of the types that interfaces hold most often. They are the first of builtinTypes, in this order.
const (
	idBool = iota
	idInt
	idInt64
	idFloat64
	idString
)

// builtinFingerprint changes with whatever is known from the start: TestBuiltinFingerprint computes it from the names
// and shapes of all that, for which a process that starts has no time.
const builtinFingerprint = "1e4e6dbf3fd9b2a3"

// builtinTypes are registered from the start: what encoding/gob registers, times, the containers of decoded JSON, and
// the errors of the standard library whose fields are all exported.
var builtinTypes = []func() reflect.Type{
	reflect.TypeFor[bool], reflect.TypeFor[int], reflect.TypeFor[int64], reflect.TypeFor[float64], reflect.TypeFor[string],

	reflect.TypeFor[int8], reflect.TypeFor[int16], reflect.TypeFor[int32],
	reflect.TypeFor[uint], reflect.TypeFor[uint8], reflect.TypeFor[uint16], reflect.TypeFor[uint32],
	reflect.TypeFor[uint64], reflect.TypeFor[uintptr],
	reflect.TypeFor[float32], reflect.TypeFor[complex64], reflect.TypeFor[complex128],

	reflect.TypeFor[[]bool], reflect.TypeFor[[]int], reflect.TypeFor[[]int64], reflect.TypeFor[[]float64],
	reflect.TypeFor[[]string],
	reflect.TypeFor[[]int8], reflect.TypeFor[[]int16], reflect.TypeFor[[]int32],
	reflect.TypeFor[[]uint], reflect.TypeFor[[]byte], reflect.TypeFor[[]uint16], reflect.TypeFor[[]uint32],
	reflect.TypeFor[[]uint64], reflect.TypeFor[[]uintptr],
	reflect.TypeFor[[]float32], reflect.TypeFor[[]complex64], reflect.TypeFor[[]complex128],

	reflect.TypeFor[time.Time], reflect.TypeFor[time.Duration],
	reflect.TypeFor[[]any], reflect.TypeFor[map[string]any],

	reflect.TypeFor[*fs.PathError], reflect.TypeFor[*os.LinkError], reflect.TypeFor[*os.SyscallError],
	reflect.TypeFor[errno], reflect.TypeFor[signal], reflect.TypeFor[*strconv.NumError],
}

// builtinErrors are the sentinels known from the start: those that errors returned by the standard library lead to
// again and again.
func builtinErrors() []error {
	return []error{
		context.Canceled, context.DeadlineExceeded,
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
		fs.ErrInvalid, fs.ErrPermission, fs.ErrExist, fs.ErrNotExist, fs.ErrClosed,
		os.ErrDeadlineExceeded, errors.ErrUnsupported,
	}
}

// builtin makes a registry of what is known from the start. Registrations are added to it.
func builtin() *registry {
	r := &registry{
		byType:    make(map[reflect.Type]*entry, 2*len(builtinTypes)),
		bySent:    make(map[error]int),
		sentTypes: make(map[reflect.Type]struct{}),
	}
	for _, typeOf := range builtinTypes {
		r.addType(typeOf())
	}
	for _, err := range builtinErrors() {
		r.addSentinel(err)
	}
	return r
}
