package parallel

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"

	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/wire"
)

// How an error crosses the process boundary. An error is a tree: what it is,
// and what it wraps. Each node that has an identity on both sides keeps it: a
// sentinel named by RegisterError is the same variable again, an error of a
// type named by RegisterType is of that type again, and so are this package's
// own. Every other node becomes a RemoteError with the text that the error had,
// so that the text of an *ItemError is the same in both places. errors.Is and errors.As find
// whatever in the tree has an identity.

const (
	errNodeNil      = iota
	errNodeSentinel // position in the table
	errNodeValue    // an interface value of a registered type
	errNodeItem     // *ItemError
	errNodePanic    // *PanicError
	errNodeCrash    // *CrashError
	errNodeUnknown  // type, message and the nodes it wraps
)

const (
	errBudget    = 1 << 20 // what an encoded error takes at most, about
	errMaxText   = 256 << 10
	errMaxDepth  = 64
	errMaxFanout = 1024
)

// The types and sentinel errors of this package that need no registration.
// ownFingerprint changes with them: see TestOwnFingerprint.
var (
	ownTypes  = []reflect.Type{reflect.TypeFor[*timeoutError](), reflect.TypeFor[*RemoteError]()}
	ownErrors = []error{ErrNotRegistered, ErrNotInitialized, ErrPoolClosed, ErrMemoryLimit, ErrGoexit}
)

const ownFingerprint = "3d3d296e8833ffb6"

func init() { types.Include(ownTypes, ownErrors) }

// appendError appends err's encoding. It cannot fail: what is too large is cut,
// and says so.
func appendError(dst []byte, err error) []byte {
	e := errEncoder{dst: dst, end: len(dst) + errBudget}
	e.node(err, 0)
	return e.dst
}

type errEncoder struct {
	dst []byte
	end int // where dst should stop growing
}

func (e *errEncoder) node(err error, depth int) {
	if err == nil {
		e.kind(errNodeNil)
		return
	}
	if id, ok := types.SentinelID(err); ok {
		e.kind(errNodeSentinel)
		e.dst = binary.AppendUvarint(e.dst, uint64(id))
		return
	}
	switch err := err.(type) {
	case *ItemError:
		if err != nil && depth < errMaxDepth {
			e.kind(errNodeItem)
			e.dst = wire.AppendInt(e.dst, int64(err.Index))
			e.node(err.Err, depth+1)
			return
		}
	case *PanicError:
		if err != nil && depth < errMaxDepth {
			e.kind(errNodePanic)
			e.panicValue(err.Value, depth+1)
			e.text(string(err.Stack))
			return
		}
	case *CrashError:
		if err != nil && depth < errMaxDepth {
			e.crash(err, depth+1)
			return
		}
	}
	if e.value(err) {
		return
	}
	e.unknown(err, depth)
}

func (e *errEncoder) kind(k byte) { e.dst = append(e.dst, k) }

// text appends s, cut to what is allowed.
func (e *errEncoder) text(s string) {
	if room := max(0, min(errMaxText, e.end-len(e.dst))); len(s) > room {
		s = fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(s[:room], ""), len(s)-room)
	}
	e.dst = wire.AppendBytes(e.dst, s)
}

// value appends v as a value of a registered type. It returns false, and
// appends nothing, if v is none.
func (e *errEncoder) value(v any) bool {
	room := e.end - len(e.dst)
	if room <= 0 {
		return false
	}
	data, err := types.AppendAny(nil, v, room)
	if err != nil {
		return false
	}
	e.kind(errNodeValue)
	e.dst = wire.AppendBytes(e.dst, data)
	return true
}

// panicValue appends what was passed to panic.
func (e *errEncoder) panicValue(v any, depth int) {
	if err, ok := v.(error); ok {
		e.node(err, depth)
	} else if !e.value(v) {
		e.kind(errNodeUnknown)
		e.text(fmt.Sprintf("%T", v))
		e.text(fmt.Sprint(v))
		e.dst = binary.AppendUvarint(e.dst, 0)
	}
}

func (e *errEncoder) crash(err *CrashError, depth int) {
	e.kind(errNodeCrash)
	e.dst = wire.AppendInt(e.dst, int64(err.PID))
	e.dst = wire.AppendInt(e.dst, int64(err.ExitCode))
	e.dst = wire.AppendInt(e.dst, proc.SignalNumber(err.Signal))
	e.text(string(err.Stderr))
	e.node(err.Err, depth)
}

// unknown appends an error without identity, and what it wraps that has one.
func (e *errEncoder) unknown(err error, depth int) {
	e.kind(errNodeUnknown)
	e.text(fmt.Sprintf("%T", err))
	e.text(errorText(err))
	wrapped := unwrap(err)
	if len(wrapped) > errMaxFanout {
		wrapped = wrapped[:errMaxFanout]
	}
	if depth >= errMaxDepth || len(e.dst) >= e.end {
		wrapped = nil
	}
	e.dst = binary.AppendUvarint(e.dst, uint64(len(wrapped)))
	for _, w := range wrapped {
		e.node(w, depth+1)
	}
}

// errorText is err.Error(), whatever that does.
func errorText(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T (its Error method panicked: %v)", err, v)
		}
	}()
	return err.Error()
}

// unwrap returns what err wraps, one or several.
func unwrap(err error) (wrapped []error) {
	defer func() {
		if recover() != nil { // a method of the user's: the text alone must do
			wrapped = nil
		}
	}()
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if w := u.Unwrap(); w != nil {
			return []error{w}
		}
	case interface{ Unwrap() []error }:
		return u.Unwrap()
	}
	return nil
}

// decodeError reads what appendError wrote. src is not trusted.
func decodeError(src []byte) (error, error) {
	c := wire.NewCursor(src)
	v := decodeErrorNode(c, 0)
	if err := c.End(); err != nil {
		return nil, err
	}
	err, ok := v.(error)
	if !ok {
		return nil, wire.ErrMalformed
	}
	return err, nil
}

// decodeErrorNode reads one node: an error, or another value that was passed to
// panic.
func decodeErrorNode(c *wire.Cursor, depth int) any {
	if depth > errMaxDepth+1 || c.Err() != nil {
		return malformedError(c)
	}
	switch c.Byte() {
	case errNodeNil:
		return nil
	case errNodeSentinel:
		if err, ok := types.Sentinel(int(c.Uint(math.MaxInt32))); ok {
			return err
		}
	case errNodeValue:
		if v, err := types.DecodeAny(c.Bytes()); err == nil {
			return v
		}
	case errNodeItem:
		return &ItemError{Index: int(c.Int()), Err: childError(c, depth)}
	case errNodePanic:
		return &PanicError{Value: decodeErrorNode(c, depth+1), Stack: c.CopyBytes()}
	case errNodeCrash:
		return decodeCrash(c, depth)
	case errNodeUnknown:
		return decodeUnknown(c, depth)
	}
	return malformedError(c)
}

// childError reads a node that must be an error or nil.
func childError(c *wire.Cursor, depth int) error {
	v := decodeErrorNode(c, depth+1)
	if v == nil {
		return nil
	}
	if err, ok := v.(error); ok {
		return err
	}
	return malformedError(c)
}

func malformedError(c *wire.Cursor) error {
	c.Fail()
	return wire.ErrMalformed
}

func decodeCrash(c *wire.Cursor, depth int) *CrashError {
	e := &CrashError{PID: int(c.Int()), ExitCode: int(c.Int()), Signal: proc.Signal(c.Int()), Stderr: c.CopyBytes()}
	e.Err = childError(c, depth)
	return e
}

func decodeUnknown(c *wire.Cursor, depth int) error {
	e := &RemoteError{Type: c.String(), Message: c.String()}
	var known []error
	for range c.Uint(errMaxFanout) {
		w := childError(c, depth)
		if _, plain := w.(*RemoteError); w != nil && !plain {
			known = append(known, w)
		}
	}
	if len(known) == 0 {
		return e
	}
	return &remoteTree{e, known}
}

// remoteTree is an error from a worker process that has no identity here but
// wraps errors that have.
type remoteTree struct {
	*RemoteError
	known []error
}

// Error returns the text that the error had in the worker.
func (e *remoteTree) Error() string { return e.Message }

// Unwrap returns the RemoteError and what the error wrapped.
func (e *remoteTree) Unwrap() []error { return append([]error{e.RemoteError}, e.known...) }
