package parallel

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

// function is one registered function: all that either side of a process
// boundary needs to know of it.
type function struct {
	value any // the function itself, which keeps the pointer it is found by its own
	name  string
	id    int  // its place in the registry
	late  bool // registered after Init, so that no worker process knows it
	in    *codec.Plan
	out   *codec.Plan
	cost  atomic.Int64 // what an item took lately, by a worker's clock, ×costScale; 0: not known

	// invoke runs the function in a worker on an encoded item and appends the
	// encoded result to dst.
	invoke invoker

	// runPart does the same to many items. See part.go.
	runPart partRunner
}

// learn takes in that n items took so long.
func (f *function) learn(n int, took time.Duration) {
	fresh := max(1, int64(took)*costScale/int64(n))
	if known := f.cost.Load(); known > 0 {
		fresh = (known + fresh) / 2
	}
	f.cost.Store(fresh)
}

// invocation is what invoke needs to know of the call.
type invocation struct {
	timeout  time.Duration
	maxBytes int
}

// registry holds the functions, in the order of registration, which is the same
// in every process of a program. Guarded by mu.
var registry struct {
	mu    sync.Mutex
	byPtr map[unsafe.Pointer]*function
	all   []*function
}

// types holds the types that travel in interfaces, and the sentinel errors.
var types codec.Types

// initialized is set by Init.
var initialized atomic.Bool

// Register allows fn to run in worker processes. Call it where every process of
// the program passes before [Init], best in an init function of the file that
// fn is in. fn must be a top-level function, an instance of a generic one, or a
// function literal that captures nothing: it is found by its identity, never by
// its name. Registering a function again does nothing.
//
// Register panics if fn is nil or a method value, or if a T or R cannot cross
// the process boundary faithfully; the message names the path to what cannot,
// such as main.Job.Parts[].conn. See the package comment for what can.
func Register[T, R any](fn func(context.Context, T) (R, error)) {
	if fn == nil {
		panic("parallel: Register: fn is nil")
	}
	register("Register", identify("Register", fn), fn, reflect.TypeFor[T](), reflect.TypeFor[R](),
		func(f *function) { bind(f, fn) })
}

// RegisterEach is [Register] for the functions that [ForEach] takes.
func RegisterEach[T any](fn func(context.Context, T) error) {
	if fn == nil {
		panic("parallel: RegisterEach: fn is nil")
	}
	register("RegisterEach", identify("RegisterEach", fn), fn, reflect.TypeFor[T](), reflect.TypeFor[struct{}](),
		func(f *function) { bind(f, withoutResult(fn)) })
}

// RegisterType names the concrete types that travel in values of interface
// type, and the error types that keep their identity across the process
// boundary, so that errors.As finds them. The dynamic types of values count:
// RegisterType(Circle{}) and RegisterType(&Circle{}) are different. The basic
// types, slices of them and the common errors of the standard library need no
// registration. Call it before [Init], as [Register]. It panics if a type
// cannot cross.
func RegisterType(values ...any) {
	freezeTable()
	for _, v := range values {
		if v == nil {
			panic("parallel: RegisterType: a nil value has no type")
		}
		if err := types.Register(reflect.TypeOf(v)); err != nil {
			panic(fmt.Sprintf("parallel: RegisterType(%T): %v", v, err))
		}
	}
}

// RegisterError names sentinel errors that keep their identity across the
// process boundary, so that errors.Is finds them, alone or wrapped in an error
// that fn returns. Those of this package, context, io, io/fs, os and errors
// need no registration. Call it before [Init], as [Register]. It panics if an
// error is nil or not comparable.
func RegisterError(errs ...error) {
	freezeTable()
	for _, err := range errs {
		if e := types.RegisterError(err); e != nil {
			panic(fmt.Sprintf("parallel: RegisterError(%v): %v", err, e))
		}
	}
}

type invoker func(ctx context.Context, dst, item []byte, c invocation) ([]byte, error)

// bind makes f run fn.
func bind[T, R any](f *function, fn func(context.Context, T) (R, error)) {
	f.invoke = func(ctx context.Context, dst, item []byte, c invocation) ([]byte, error) {
		return invoke(ctx, fn, dst, item, c, f.in, f.out)
	}
	f.runPart = func(ctx context.Context, p *part) error { return runPart(ctx, fn, p, f.in, f.out) }
}

func register(caller string, id identity, fn any, in, out reflect.Type, bind func(f *function)) {
	name := functionName(id.fn)
	if isMethodValue(name) {
		panic(fmt.Sprintf("parallel: %s(%s): a method value carries its receiver, which a worker process does not have: "+
			"register a function, and put the receiver into the items or into Share", caller, name))
	}
	f := &function{value: fn, name: name}
	var err error
	if f.in, err = types.Plan(in); err != nil {
		panic(fmt.Sprintf("parallel: %s(%s): its items cannot be sent to a worker process: %v", caller, name, err))
	}
	if f.out, err = types.Plan(out); err != nil {
		panic(fmt.Sprintf("parallel: %s(%s): its results cannot be sent from a worker process: %v", caller, name, err))
	}
	bind(f)
	f.late = initialized.Load()

	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.byPtr == nil {
		registry.byPtr = make(map[unsafe.Pointer]*function)
	}
	if registry.byPtr[id.fn] != nil {
		return
	}
	f.id = len(registry.all)
	registry.byPtr[id.fn] = f
	registry.all = append(registry.all, f)
}

// invoke decodes an item, calls fn with it and encodes the result.
func invoke[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), dst, src []byte, c invocation, in, out *codec.Plan) ([]byte, error) {
	var item T
	if err := in.Decode(src, unsafe.Pointer(&item)); err != nil {
		return dst, decodeItemError(err)
	}
	r, err := limited(fn, c.timeout)(ctx, item)
	if err != nil {
		return dst, err
	}
	dst, err = out.Append(dst, unsafe.Pointer(&r), c.maxBytes)
	if err != nil {
		return dst, encodeError("result", err)
	}
	return dst, nil
}

func decodeItemError(err error) error {
	return fmt.Errorf("parallel: cannot decode the item in the worker process: %w", err)
}

// encodeError is err, from encoding what, in words that say what to do.
func encodeError(what string, err error) error {
	var size *codec.SizeError
	if errors.As(err, &size) {
		return fmt.Errorf("parallel: the encoded %s is larger than MaxMessageBytes (%d bytes)", what, size.Limit)
	}
	return fmt.Errorf("parallel: cannot encode the %s: %w", what, err)
}

// lookup finds the function of a call, or says why it cannot run in a worker
// process and what to do about it.
func lookup(id identity) (*function, error) {
	registry.mu.Lock()
	f := registry.byPtr[id.fn]
	registry.mu.Unlock()
	name := functionName(id.fn)
	if f == nil {
		return nil, explain(ErrNotRegistered, "%s: %s cannot run in a worker process: %s",
			id.caller, name, registrationAdvice(name, id))
	}
	if !initialized.Load() {
		return nil, explain(ErrNotInitialized, "%s: to run %s in worker processes, make parallel.Init() "+
			"the first statement of main (in tests: of TestMain)", id.caller, name)
	}
	if f.late {
		return nil, explain(ErrNotRegistered, "%s: %s was registered after Init, so that worker processes do not know it: "+
			"register it in an init function", id.caller, name)
	}
	return f, nil
}

// registrationAdvice says how to make the function called name run in a worker
// process.
func registrationAdvice(name string, id identity) string {
	register := "Register"
	if id.caller == "ForEach" {
		register = "RegisterEach"
	}
	switch {
	case isMethodValue(name):
		return "it is a method value, whose receiver a worker process does not have: " +
			"use a registered function, and put the receiver into the items or into Share"
	case isLiteral(name):
		return "it is a function literal: if it captures variables, make it a top-level function, pass what it captures " +
			"in the items or with Share, and add parallel." + register + "(…) to an init function"
	default:
		return "add parallel." + register + "(" + shortName(name) + ") to an init function"
	}
}

// functionName is the name of the function whose function value holds ptr.
func functionName(ptr unsafe.Pointer) string {
	if f := runtime.FuncForPC(*(*uintptr)(ptr)); f != nil {
		return f.Name()
	}
	return "a function without a name"
}

func isMethodValue(name string) bool { return strings.HasSuffix(name, "-fm") }

// isLiteral reports whether name is one that the compiler makes for a function
// literal: main.work.func1, main.glob..func2, main.work.func1.2.
func isLiteral(name string) bool {
	last := name[strings.LastIndexByte(name, '/')+1:]
	for _, part := range strings.Split(last, ".")[1:] {
		if rest, ok := strings.CutPrefix(part, "func"); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
			return true
		}
	}
	return false
}

// shortName is name as it is written in the source: without the directories of
// its import path.
func shortName(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	return strings.TrimPrefix(name, "main.")
}

// table returns what two processes must agree on to understand each other: a
// line for this package's own types and errors, and one for each function, type and
// sentinel error that was registered before Init. What is registered later is unknown to workers.
var table = sync.OnceValue(func() []string {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	lines := []string{"parallel " + ownFingerprint}
	for _, f := range registry.all {
		if !f.late {
			lines = append(lines, "function "+f.name+" "+strconv.FormatUint(shapeHash(f.in.Shape(), f.out.Shape()), 16))
		}
	}
	return append(lines, types.Describe()...)
})

// freezeTable keeps what is about to be registered out of the table if Init has
// been called.
func freezeTable() {
	if initialized.Load() {
		table()
	}
}

func shapeHash(shapes ...string) uint64 {
	h := fnv.New64a()
	for _, s := range shapes {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return h.Sum64()
}
