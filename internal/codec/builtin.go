package codec

import (
	"context"
	"encoding/json"
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
const builtinFingerprint = "eb2aa9fb41ff708d"

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

// rareTypes are known from the start too, but are less frequent in interfaces: other containers of decoded documents,
// matrices, and optional values. A process that sends none of them does nothing for them, and they take no short id from
// types that are registered.
var rareTypes = []func() reflect.Type{
	reflect.TypeFor[map[string]string], reflect.TypeFor[map[string]int], reflect.TypeFor[map[string]int64],
	reflect.TypeFor[map[string]float64], reflect.TypeFor[map[string]bool], reflect.TypeFor[map[string][]string],
	reflect.TypeFor[map[string][]byte], reflect.TypeFor[map[string][]int], reflect.TypeFor[map[string][]any],
	reflect.TypeFor[map[string]struct{}], reflect.TypeFor[map[string]map[string]string], reflect.TypeFor[map[string]map[string]any],
	reflect.TypeFor[map[string]time.Time], reflect.TypeFor[map[string]time.Duration], reflect.TypeFor[map[string]error],
	reflect.TypeFor[map[int]string], reflect.TypeFor[map[int]int], reflect.TypeFor[map[int]bool], reflect.TypeFor[map[int]float64],
	reflect.TypeFor[map[int]any], reflect.TypeFor[map[int][]int], reflect.TypeFor[map[int]struct{}], reflect.TypeFor[map[int64]string],
	reflect.TypeFor[map[int64]int64], reflect.TypeFor[map[any]any],

	reflect.TypeFor[[]map[string]any], reflect.TypeFor[[]map[string]string], reflect.TypeFor[[]map[string]int], reflect.TypeFor[[]map[any]any],
	reflect.TypeFor[[][]byte], reflect.TypeFor[[][]string], reflect.TypeFor[[][]bool], reflect.TypeFor[[][]int], reflect.TypeFor[[][]int32],
	reflect.TypeFor[[][]int64], reflect.TypeFor[[][]float32], reflect.TypeFor[[][]float64], reflect.TypeFor[[][]complex128],
	reflect.TypeFor[[][]any], reflect.TypeFor[[][][]int], reflect.TypeFor[[][][]float64],
	reflect.TypeFor[[]error], reflect.TypeFor[[]time.Time], reflect.TypeFor[[]time.Duration], reflect.TypeFor[[]*int], reflect.TypeFor[[]*string],
	reflect.TypeFor[struct{}], reflect.TypeFor[[]struct{}], reflect.TypeFor[[16]byte], reflect.TypeFor[[20]byte], reflect.TypeFor[[32]byte],

	reflect.TypeFor[*bool], reflect.TypeFor[*string], reflect.TypeFor[*int], reflect.TypeFor[*int32], reflect.TypeFor[*int64],
	reflect.TypeFor[*uint], reflect.TypeFor[*uint32], reflect.TypeFor[*uint64], reflect.TypeFor[*float32], reflect.TypeFor[*float64],
	reflect.TypeFor[*any], reflect.TypeFor[*time.Time], reflect.TypeFor[*time.Duration],

	reflect.TypeFor[time.Month], reflect.TypeFor[time.Weekday], reflect.TypeFor[fs.FileMode],
	reflect.TypeFor[json.Number], reflect.TypeFor[json.RawMessage], reflect.TypeFor[[]json.Number], reflect.TypeFor[[]json.RawMessage],
	reflect.TypeFor[map[string]json.RawMessage], reflect.TypeFor[map[string]json.Number],
}

// rareBase is the id of the first of rareTypes: more than are ever registered.
const rareBase = 1 << 14

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

// builtin makes a registry of what is known from the start, but for rareTypes. Registrations are added to it.
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

// rare makes a registry of rareTypes, whose ids begin at rareBase.
func rare() *registry {
	r := &registry{byType: make(map[reflect.Type]*entry, len(rareTypes))}
	for _, typeOf := range rareTypes {
		r.addType(typeOf())
	}
	for _, en := range r.types {
		en.id += rareBase
	}
	return r
}

// entryOf gives the entry of a type that is in the present registry r, or known from the start, or nil.
func (t *Types) entryOf(rt reflect.Type, r *registry) *entry {
	if en := r.byType[rt]; en != nil {
		return en
	}
	return t.rareOnes().byType[rt]
}

// entryAt gives the entry with an id, or nil.
func (t *Types) entryAt(id uint64) *entry {
	r := t.snapshot()
	if id >= rareBase {
		r, id = t.rareOnes(), id-rareBase
	}
	if id >= uint64(len(r.types)) {
		return nil
	}
	return r.types[id]
}

// rareOnes gives the registry of rareTypes, which is made when it is first needed.
func (t *Types) rareOnes() *registry {
	t.rareOnce.Do(func() { t.rare = rare() })
	return t.rare
}
