package parallel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/wire"
)

// How an error crosses the process boundary. An error is a tree: what it is, and what it
// wraps. A node that has an identity on both sides keeps it: a sentinel named by
// RegisterError is the same variable again, an error of a type named by RegisterType is of
// that type again, and so are this package's own. Every other node becomes a RemoteError with
// the text that the error had. errors.Is and errors.As find whatever in the tree has an
// identity.
//
//	fmt.Errorf("reading: %w", &syntaxError{Line: 3, Err: io.ErrUnexpectedEOF})
//
//	unknown  *fmt.wrapError, "reading: line 3: unexpected EOF"
//	  kept   value of *main.syntaxError, "line 3: unexpected EOF"
//	    sentinel  io.ErrUnexpectedEOF
//	    end
//	  end
//
// Every error arrives with its text. A value of a registered type may fail to: its type's own
// methods encode and decode it, and its Error method may depend on more than the value. So
// such a node is kept: the text and what the error wraps are sent beside the value. They
// replace a value that cannot be decoded, and are added to one that has lost them. An error
// of the standard library or of this package is sent without, since it loses nothing.
//
// Methods of the user's may panic or call runtime.Goexit, which ends the goroutine that calls
// them. A tree is encoded and decoded on the caller's goroutine first. If that ends, a
// deferred function does the work again, with a goroutine for each of these methods.

const (
	errNodeNil      = iota
	errNodeSentinel // position in the table
	errNodeValue    // an interface value of a registered type
	errNodeKept     // a sentinel or a value, whether the text is cut, the text, and what is wrapped
	errNodeItem     // *ItemError
	errNodePanic    // *PanicError
	errNodeCrash    // *CrashError
	errNodeNilPanic // *runtime.PanicNilError
	errNodeUnknown  // type, text, and what is wrapped
	errNodeRuntime  // the same, for a runtime.Error
	errNodeEnd      // ends the nodes that are wrapped
)

const (
	errBudget    = 1 << 20 // what an encoded error takes at most, about
	errMaxText   = 256 << 10
	errMaxDepth  = 64
	errMaxFanout = 1024
	errMaxNodes  = 16 << 10
)

// The types and sentinel errors of this package that need no registration.
// ownFingerprint changes with them: see TestOwnFingerprint.
var (
	ownTypes  = []reflect.Type{reflect.TypeFor[*timeoutError](), reflect.TypeFor[*RemoteError]()}
	ownErrors = []error{ErrNotRegistered, ErrNotInitialized, ErrPoolClosed, ErrMemoryLimit, ErrGoexit}
)

const ownFingerprint = "3d3d296e8833ffb6"

func init() { types.Include(ownTypes, ownErrors) }

// appendError appends err's encoding to *dst. It cannot fail: what is too large is cut, and
// says so. If a method of the user's calls runtime.Goexit, that goes on when the encoding has
// been appended.
func appendError(dst *[]byte, err error) {
	encode := func(apart bool) {
		e := errEncoder{Methods: guard.Methods{Apart: apart}, dst: *dst, end: len(*dst) + errBudget}
		e.node(err, 0)
		*dst = e.dst
	}
	guard.Catch(func() { encode(false) }, func(any) { encode(true) })
}

type errEncoder struct {
	guard.Methods
	dst   []byte
	end   int // where dst should stop growing
	nodes int // that have been appended
}

func (e *errEncoder) node(err error, depth int) {
	e.nodes++
	if e.structure(err, depth) {
		return
	}
	id := e.identity(err)
	if id.kind != errNodeNil && settled(err) {
		e.dst = id.append(e.dst)
		return
	}
	e.described(err, e.Text(err), id)
	e.wrapped(e.Unwrap(err), depth)
}

// structure appends an error of this package's or the runtime's that is taken apart. It
// returns false, and appends nothing, if err is none.
func (e *errEncoder) structure(err error, depth int) bool {
	switch err := err.(type) {
	case nil:
		e.kind(errNodeNil)
		return true
	case *runtime.PanicNilError:
		e.kind(errNodeNilPanic)
		return true
	case *ItemError:
		if err != nil && depth < errMaxDepth {
			e.kind(errNodeItem)
			e.dst = wire.AppendInt(e.dst, int64(err.Index))
			e.node(err.Err, depth+1)
			return true
		}
	case *PanicError:
		if err != nil && depth < errMaxDepth {
			e.kind(errNodePanic)
			e.panicValue(err.Value, depth+1)
			e.string(string(err.Stack))
			return true
		}
	case *CrashError:
		if err != nil && depth < errMaxDepth {
			e.crash(err, depth+1)
			return true
		}
	case *remoteTree: // of a worker's worker
		e.remote(errNodeUnknown, err, depth)
		return true
	case *remoteRuntimeError:
		e.remote(errNodeRuntime, &err.remoteTree, depth)
		return true
	}
	return false
}

func (e *errEncoder) kind(k byte) { e.dst = append(e.dst, k) }

func (e *errEncoder) room() int { return max(0, e.end-len(e.dst)) }

// string appends s, cut to what is allowed.
func (e *errEncoder) string(s string) {
	if room := min(errMaxText, e.room()); len(s) > room {
		s = fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(s[:room], ""), len(s)-room)
	}
	e.dst = wire.AppendBytes(e.dst, s)
}

// errIdentity is what an error, or another value that was passed to panic, is on both sides.
type errIdentity struct {
	kind     byte   // errNodeSentinel, errNodeValue, or errNodeNil if it has none
	sentinel int    // its position
	value    []byte // its encoding
}

func (id *errIdentity) append(dst []byte) []byte {
	dst = append(dst, id.kind)
	if id.kind == errNodeSentinel {
		return binary.AppendUvarint(dst, uint64(id.sentinel))
	}
	return wire.AppendBytes(dst, id.value)
}

func (e *errEncoder) identity(v any) errIdentity {
	if err, ok := v.(error); ok {
		if n, ok := types.SentinelID(err); ok {
			return errIdentity{kind: errNodeSentinel, sentinel: n}
		}
	}
	if e.room() > 0 && types.Knows(v) {
		if data, err := e.encode(v, e.room()); err == nil {
			return errIdentity{kind: errNodeValue, value: data}
		}
	}
	return errIdentity{}
}

// settled reports whether an error that has an identity has the same text on the other side,
// and wraps the same, so that neither need be sent: its type and those of the errors that it
// wraps are the standard library's or this package's.
func settled(err error) bool {
	for range errMaxDepth {
		switch err.(type) {
		case nil, *timeoutError, *RemoteError:
			return true
		}
		v := reflect.ValueOf(err)
		t := v.Type()
		if t.Kind() == reflect.Pointer {
			if v.IsNil() {
				return false // its methods may panic
			}
			t = t.Elem()
		}
		switch t.PkgPath() {
		case "context", "errors", "fmt", "internal/poll", "io/fs", "os", "strconv", "syscall":
			err = errors.Unwrap(err)
		default:
			return false
		}
	}
	return false
}

// maxNodeHead is more than the numbers in a node take.
const maxNodeHead = 32

// described begins a node with a text. If there is room for both, it keeps the identity.
func (e *errEncoder) described(v any, text string, id errIdentity) {
	if id.kind != errNodeNil && len(id.value)+min(len(text), errMaxText) < e.room()-maxNodeHead {
		e.kind(errNodeKept)
		e.dst = id.append(e.dst)
		cut := byte(0)
		if len(text) > errMaxText {
			cut = 1
		}
		e.dst = append(e.dst, cut)
		e.string(text)
		return
	}
	kind := byte(errNodeUnknown)
	if _, ok := v.(runtime.Error); ok {
		kind = errNodeRuntime
	}
	e.kind(kind)
	e.string(fmt.Sprintf("%T", v))
	e.string(text)
}

// wrapped ends a node with those that it wraps.
func (e *errEncoder) wrapped(errs []error, depth int) {
	for i, err := range errs {
		if depth >= errMaxDepth || i >= errMaxFanout || e.nodes >= errMaxNodes || e.room() == 0 {
			break
		}
		if err != nil {
			e.node(err, depth+1)
		}
	}
	e.kind(errNodeEnd)
}

// panicValue appends what was passed to panic.
func (e *errEncoder) panicValue(v any, depth int) {
	if err, ok := v.(error); ok || v == nil {
		e.node(err, depth)
		return
	}
	e.nodes++
	id := e.identity(v)
	if id.kind != errNodeNil && isBasic(reflect.TypeOf(v)) {
		e.dst = id.append(e.dst)
		return
	}
	e.described(v, e.Print(v), id)
	e.kind(errNodeEnd)
}

// isBasic reports whether a type is a predeclared one, whose values lose nothing.
func isBasic(t reflect.Type) bool {
	return t.PkgPath() == "" && (t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String)
}

func (e *errEncoder) crash(err *CrashError, depth int) {
	e.kind(errNodeCrash)
	e.dst = wire.AppendInt(e.dst, int64(err.PID))
	e.dst = wire.AppendInt(e.dst, int64(err.ExitCode))
	e.dst = wire.AppendInt(e.dst, proc.SignalNumber(err.Signal))
	e.string(string(err.Stderr))
	e.node(err.Err, depth)
}

func (e *errEncoder) remote(kind byte, err *remoteTree, depth int) {
	e.kind(kind)
	e.string(err.Type)
	e.string(err.Message)
	e.wrapped(err.wrapped, depth)
}

// decodeError reads what appendError wrote into *into, which is never nil afterwards. src is
// not trusted. If a method of the user's calls runtime.Goexit, that goes on when *into has
// been set.
func decodeError(src []byte, into *error) (malformed error) {
	decode := func(apart bool) {
		d := errDecoder{Methods: guard.Methods{Apart: apart}, Cursor: wire.NewCursor(src)}
		err, ok := d.node(0).(error)
		if malformed = d.End(); malformed == nil && !ok {
			malformed = wire.ErrMalformed
		}
		if *into = err; malformed != nil {
			*into = malformed
		}
	}
	guard.Catch(func() { decode(false) }, func(any) { decode(true) })
	return malformed
}

type errDecoder struct {
	guard.Methods
	*wire.Cursor
	nodes int // that have been read
}

// node reads a node: an error, nil, or another value that was passed to panic.
func (d *errDecoder) node(depth int) any { return d.nodeOf(d.Byte(), depth) }

func (d *errDecoder) nodeOf(kind byte, depth int) any {
	if d.nodes++; d.nodes > 2*errMaxNodes || depth > errMaxDepth+1 || d.Err() != nil {
		return d.malformed()
	}
	switch kind {
	case errNodeNil:
		return nil
	case errNodeSentinel, errNodeValue:
		if v, err := d.identity(kind); err == nil {
			return v
		}
	case errNodeKept:
		return d.kept(depth)
	case errNodeItem:
		return &ItemError{Index: int(d.Int()), Err: d.child(depth)}
	case errNodePanic:
		return &PanicError{Value: d.node(depth + 1), Stack: d.CopyBytes()}
	case errNodeCrash:
		return d.crash(depth)
	case errNodeNilPanic:
		return new(runtime.PanicNilError)
	case errNodeUnknown:
		return tree(d.remote(), d.wrapped(depth))
	case errNodeRuntime:
		return &remoteRuntimeError{remoteTree{d.remote(), d.wrapped(depth)}}
	}
	return d.malformed()
}

func (d *errDecoder) malformed() error {
	d.Fail()
	return wire.ErrMalformed
}

// child reads a node that must be an error or nil.
func (d *errDecoder) child(depth int) error {
	v := d.node(depth + 1)
	if err, ok := v.(error); ok || v == nil {
		return err
	}
	return d.malformed()
}

// identity reads a sentinel or a value.
func (d *errDecoder) identity(kind byte) (v any, err error) {
	switch kind {
	case errNodeSentinel:
		if err, ok := types.Sentinel(int(d.Uint(math.MaxInt32))); ok {
			return err, nil
		}
	case errNodeValue:
		return d.decode(d.Bytes())
	}
	return nil, d.malformed()
}

// kept reads a sentinel or a value with its text and what it wraps.
func (d *errDecoder) kept(depth int) any {
	kind, ahead := d.Byte(), *d.Cursor
	v, failed := d.identity(kind)
	if _, bad := failed.(*codec.DecodeError); bad { // not the fault of a method
		return d.malformed()
	}
	cut := d.Byte() != 0
	remote := &RemoteError{Message: d.String()}
	wrapped := d.wrapped(depth)
	switch known, isError := v.(error); {
	case failed != nil:
		remote.Type = types.DynamicType(ahead.Bytes())
	case !isError: // it was passed to panic
		return v
	case len(d.Unwrap(known)) < len(wrapped):
		remote.Type = fmt.Sprintf("%T", v)
		wrapped = append([]error{known}, wrapped...)
	case cut || d.Text(known) == remote.Message:
		return v
	default:
		remote.Type = fmt.Sprintf("%T", v)
		wrapped = []error{known}
	}
	return tree(remote, wrapped)
}

func (d *errDecoder) crash(depth int) *CrashError {
	e := &CrashError{PID: int(d.Int()), ExitCode: int(d.Int()), Signal: proc.Signal(d.Int()), Stderr: d.CopyBytes()}
	e.Err = d.child(depth)
	return e
}

func (d *errDecoder) remote() *RemoteError {
	return &RemoteError{Type: d.String(), Message: d.String()}
}

// wrapped reads the nodes that end another.
func (d *errDecoder) wrapped(depth int) (errs []error) {
	for range errMaxFanout + 1 {
		kind := d.Byte()
		if kind == errNodeEnd || d.Err() != nil {
			return errs
		}
		err, ok := d.nodeOf(kind, depth+1).(error)
		if !ok {
			break
		}
		errs = append(errs, err)
	}
	d.Fail()
	return nil
}

// tree returns remote, with what it wraps.
func tree(remote *RemoteError, wrapped []error) error {
	if len(wrapped) == 0 {
		return remote
	}
	return &remoteTree{remote, wrapped}
}

// encode encodes a value of a registered type.
func (e *errEncoder) encode(v any, limit int) (data []byte, err error) {
	if !e.Apart {
		return types.AppendAny(nil, v, limit)
	}
	return apart(func() ([]byte, error) { return types.AppendAny(nil, v, limit) })
}

// decode decodes a value of a registered type.
func (d *errDecoder) decode(data []byte) (v any, err error) {
	if !d.Apart {
		return types.DecodeAny(data)
	}
	return apart(func() (any, error) { return types.DecodeAny(data) })
}

func apart[V any](f func() (V, error)) (v V, err error) {
	err = errGoexitInMethod
	guard.Apart(func() { v, err = f() })
	return v, err
}
