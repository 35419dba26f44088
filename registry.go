package parallel

import (
	"context"
	"fmt"
	"hash/fnv"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/worker"
)

// What Register keeps: how a call finds its function, and how a worker process runs it.

// function is one registered function: all that either side of a process boundary needs to
// know of it.
type function struct {
	caller string // Register or RegisterEach
	value  any    // the function itself, which keeps the pointer that it is found by its own
	name   string
	id     int  // its place in the registry
	late   bool // registered after Init, so that no worker process knows it
	in     *codec.Plan
	out    *codec.Plan
	cost   cost.Estimate // of an item, by a worker's clock

	runs worker.Function // in a worker process
}

// String names the registration, as in a message of RegisterCodec.
func (f *function) String() string { return f.caller + "(" + f.name + ")" }

// registry holds the functions.
var registry functions

// functions are registered functions, in the order of registration, which is the same in
// every process of a program.
type functions struct {
	mu    sync.Mutex
	byPtr map[unsafe.Pointer]*function
	all   []*function
}

// add registers f as the function with the function value ptr, unless there is one.
func (r *functions) add(ptr unsafe.Pointer, f *function) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byPtr == nil {
		r.byPtr = make(map[unsafe.Pointer]*function)
	}
	if r.byPtr[ptr] != nil {
		return
	}
	f.id = len(r.all)
	r.byPtr[ptr] = f
	r.all = append(r.all, f)
}

// find returns the function with the function value ptr; nil if there is none.
func (r *functions) find(ptr unsafe.Pointer) *function {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byPtr[ptr]
}

// at returns the function with number n; nil if there is none.
func (r *functions) at(n int) *function {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= len(r.all) {
		return nil
	}
	return r.all[n]
}

// lines describes the functions that worker processes know, a line each.
func (r *functions) lines() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.all {
		if !f.late {
			lines = append(lines, "function "+f.name+" "+strconv.FormatUint(shapeHash(f.in.Shape(), f.out.Shape()), 16))
		}
	}
	return lines
}

// types holds the types that travel in interfaces, and the sentinel errors.
var types codec.Types

// initialized is set by Init.
var initialized atomic.Bool

// bind makes f run fn.
func bind[T, R any](f *function, fn func(context.Context, T) (R, error)) {
	f.runs = worker.Function{
		Run:        func(ctx context.Context, p *worker.Part) error { return runPart(ctx, fn, p, f.in, f.out) },
		ResultSize: f.out.FixedSize(),
		Cost:       &f.cost,
	}
}

func register(caller string, id identity, fn any, in, out reflect.Type, bind func(f *function)) {
	name := functionName(id.fn)
	if isMethodValue(name) {
		panic(fmt.Sprintf("parallel: %s(%s): a method value carries its receiver, which a worker process does not have: "+
			"register a function, and put the receiver into the items or into Share", caller, name))
	}
	f := &function{caller: caller, value: fn, name: name}
	var err error
	if f.in, err = types.PlanFor(f, in); err != nil {
		panic(fmt.Sprintf("parallel: %s(%s): its items cannot be sent to a worker process: %v", caller, name, err))
	}
	if f.out, err = types.PlanFor(f, out); err != nil {
		panic(fmt.Sprintf("parallel: %s(%s): its results cannot be sent from a worker process: %v", caller, name, err))
	}
	bind(f)
	f.late = initialized.Load()
	registry.add(id.fn, f)
}

// lookup finds the function of a call, or says why it cannot run in a worker
// process and what to do about it.
func lookup(id identity) (*function, error) {
	f := registry.find(id.fn)
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
	lines := append([]string{"parallel " + ownFingerprint}, registry.lines()...)
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

// registered returns what runs the function with number n.
func registered(n int) (*worker.Function, error) {
	f := registry.at(n)
	if f == nil {
		return nil, fmt.Errorf("unknown function %d", n)
	}
	return &f.runs, nil
}
