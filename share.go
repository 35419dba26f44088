package parallel

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"example.com/parallel/internal/codec"
)

// Share gives every run of fn in this call the value v, which fn reads with
// [Shared]. In a process it takes the place of a captured variable: v is
// encoded once and sent once to each worker, and decoded there when it is
// first read. Treat v as read-only: on goroutines all runs see the same one.
func Share[S any](v S) Option {
	return option(func(s *settings) { s.shared = &shareBox[S]{value: v} })
}

// Shared returns the value that the call running fn was given with [Share],
// from the context that fn was given. S must be the type that Share had. It
// returns false if there is none, or one of another type.
//
// A context passed on to another call carries the value with it, so a call
// inside fn sees it too, unless it has a Share of its own.
func Shared[S any](ctx context.Context) (S, bool) {
	switch box := ctx.Value(shareKey{}).(type) {
	case *shareBox[S]:
		return box.value, true
	case *sharedBytes:
		return decodeShared[S](box)
	}
	var zero S
	return zero, false
}

type shareKey struct{}

// sharedValue is a shared value in either of its forms.
type sharedValue interface {
	// encode returns the value's type, by name and shape, and its bytes.
	encode(limit int) (typ string, data []byte, err error)
}

// shareBox is the value where Share was called.
type shareBox[S any] struct{ value S }

func (b *shareBox[S]) encode(limit int) (string, []byte, error) {
	typ := reflect.TypeFor[S]()
	plan, err := types.Plan(typ)
	if err != nil {
		return "", nil, fmt.Errorf("parallel: Share: a %v cannot be sent to a worker process: %w", typ, err)
	}
	data, err := plan.Append(nil, unsafe.Pointer(&b.value), limit)
	if err != nil {
		return "", nil, explain(encodeError("shared value", err), "Share")
	}
	return shareType(typ, plan), data, nil
}

// sharedBytes is the value in a worker process. It stays encoded until fn asks
// for it, since only fn knows the type; then it is decoded once.
type sharedBytes struct {
	typ  string
	data []byte

	mu      sync.Mutex
	decoded any // a *S; guarded by mu
}

func (b *sharedBytes) encode(int) (string, []byte, error) { return b.typ, b.data, nil }

func decodeShared[S any](b *sharedBytes) (S, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v, ok := b.decoded.(*S); ok {
		return *v, true
	}
	var v S
	typ := reflect.TypeFor[S]()
	plan, err := types.Plan(typ)
	if err != nil || shareType(typ, plan) != b.typ {
		return v, false
	}
	if err := plan.Decode(b.data, unsafe.Pointer(&v)); err != nil {
		// The parent encoded it by the same plan, so this is a bug or a broken
		// link, and fn must not go on as if nothing had been shared.
		panic(fmt.Sprintf("parallel: Shared: cannot decode a %v: %v", typ, err))
	}
	b.decoded = &v
	return v, true
}

func shareType(typ reflect.Type, plan *codec.Plan) string {
	return typ.PkgPath() + " " + typ.String() + " " + plan.Shape()
}
