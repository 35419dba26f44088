package parallel

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"unsafe"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/supervisor"
	"example.com/parallel/internal/worker"
)

// inherited is what this process was given as a worker; nil if it is none. It is taken over
// as early as possible, so that a process that another package starts in its initialization
// inherits neither the files nor the mark.
var inherited = proc.Inherit()

// Init makes worker processes possible. It must be the first statement of main,
// and of TestMain in tests that use processes. In a worker process, which is this
// program started again, Init runs what the parent sends and does not return;
// otherwise it returns at once. What the program does before Init, in package
// initialization, every worker does too.
func Init() {
	initialized.Store(true)
	if inherited != nil {
		serveParent(inherited)
	}
}

// serveParent is the life of a worker process.
func serveParent(in *proc.Inherited) {
	link := worker.Link{
		Requests: in.Requests, Results: in.Results, Ready: in.Settle, Die: proc.DieWithGroup, OpenResident: proc.OpenResident,
	}
	if in.Shared != nil {
		if m, err := shm.Map(in.Shared.Up, in.Shared.Down); err == nil { // else there were not the addresses for it
			link.Shared = m
		}
	}
	worker.Serve(link, worker.Config{
		Function: registered, Table: table, Errors: makeErrors,
		Shared: func(ctx context.Context, typ string, data []byte) context.Context {
			var v sharedValue = &sharedBytes{typ: typ, data: data}
			return context.WithValue(ctx, shareKey{}, v)
		},
	})
}

// Register allows fn to run in worker processes. Call it before [Init] in every
// process of the program, best in an init function beside fn. fn must be a
// top-level function, an instance of a generic one, or a function literal that
// captures nothing. It is found by its identity, not by its name. Registering a
// function again does nothing.
//
// Register panics if fn is nil or a method value, or if values of type T or R
// cannot be sent faithfully. The message names the path to what cannot be sent,
// such as main.Job.Parts[].conn. The package comment says what can.
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

// RegisterType names the concrete types that are sent in values of interface type,
// and the error types that errors.As finds after they have crossed the process
// boundary. It registers the dynamic types of values: RegisterType(Circle{}) and
// RegisterType(&Circle{}) are different. Basic types, slices of them, containers
// such as map[string]string, []map[string]any and [][]float64, times, json.Number
// and the common errors of the standard library need no registration. Call it
// before [Init], as [Register]. It panics if a type cannot be sent.
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

// RegisterError names sentinel errors that errors.Is finds after they have crossed
// the process boundary, alone or wrapped in an error that fn returned. Those of
// this package, context, io, io/fs, os and errors need no registration. Call it
// before [Init], as [Register]. It panics if an error is nil or not comparable.
func RegisterError(errs ...error) {
	freezeTable()
	for _, err := range errs {
		if e := types.RegisterError(err); e != nil {
			panic(fmt.Sprintf("parallel: RegisterError(%v): %v", err, e))
		}
	}
}

// RegisterCodec makes values of type T cross the process boundary by two functions,
// wherever they occur in items, results and shared values. It is for types with
// unexported fields that belong to another package, such as messages of protocol
// buffers, and comes before all other ways, even if T could cross without it. An
// error or a panic of marshal or unmarshal is the error of its item. unmarshal may
// keep the bytes that it is given.
//
// The zero value of T crosses as the zero value, without being passed to marshal.
// So does a nil pointer, if T is a pointer type; a codec for *M is not used for an
// M, but one for M is used for what a *M points to.
//
// Call RegisterCodec before [Init], and before anything is registered that reaches
// T. It panics if that comes first, and names it. It also panics if T is an interface
// type or has a codec already, if a function is nil, and after Init.
func RegisterCodec[T any](marshal func(T) ([]byte, error), unmarshal func([]byte) (T, error)) {
	rt := reflect.TypeFor[T]()
	if marshal == nil || unmarshal == nil {
		panic(fmt.Sprintf("parallel: RegisterCodec(%v): a function is nil", rt))
	}
	err := types.RegisterCodec(rt, codec.Codec{
		Marshal: func(p unsafe.Pointer) ([]byte, error) { return marshal(*(*T)(p)) },
		Unmarshal: func(b []byte, p unsafe.Pointer) error {
			v, err := unmarshal(b)
			if err == nil {
				*(*T)(p) = v
			}
			return err
		},
	}, !initialized.Load())
	if err != nil {
		panic(fmt.Sprintf("parallel: RegisterCodec(%v): %v", rt, err))
	}
}

// admission is where a call runs, and has been admitted. The zero value is this process.
type admission struct {
	function *function    // to run in worker processes; nil: on goroutines
	pool     *ProcessPool // whose workers; nil: processes of the call's own
}

// admit admits a call where it is to run, which it must then do: Close of its pool waits for
// it from now on. The error is why nothing is to be started.
func (s *settings) admit(id identity) (admission, error) {
	if !s.inProcesses() {
		return admission{}, nil
	}
	f, err := lookup(id)
	if err != nil {
		return admission{}, err
	}
	if s.pool != nil && s.pool.get().Enter() != nil {
		return admission{}, explain(ErrPoolClosed, "%s", id.caller)
	}
	return admission{f, s.pool}, nil
}

// run runs a call where it was admitted, and returns when all of its items are settled and, unless the
// pool is the user's, the processes have gone. Its error is one for which nothing was
// started; all others are in the call.
func (in admission) run(c *schedule.Call, s *settings, j job) error {
	if in.function == nil {
		c.RunGoroutines(j)
		return nil
	}
	p := in.pool
	if p == nil {
		p = &ProcessPool{Size: s.processes}
		defer p.Close()
	} else {
		defer p.get().Leave()
	}
	if p.MaxMemoryBytes > 0 {
		if err := proc.CanMeasure(); err != nil {
			return fmt.Errorf("parallel: ProcessPool.MaxMemoryBytes on %s: %w", runtime.GOOS, err)
		}
	}
	f, pool := in.function, p.get()
	j.bind(f.in, f.out)
	call := supervisor.Call{
		Function: supervisor.Function{
			ID: f.id, ItemSize: f.in.FixedSize(), ResultSize: f.out.FixedSize(),
			Pure: f.in.Pure() && f.out.Pure(), Cost: &f.cost,
		},
		Job: j, Timeout: s.timeout, Retries: s.retries, OnStart: s.onStart,
	}
	if v, ok := c.Context().Value(shareKey{}).(sharedValue); ok {
		var err error
		call.ShareType, call.Share, err = v.encode(pool.MaxMessage(), ended{c})
		switch {
		case err == codec.ErrStopped:
			return nil // the call has ended
		case err != nil && s.shared != nil:
			return err // what came along with the context may stay behind
		}
		call.Shared = err == nil
	}
	pool.Run(c, call)
	return nil
}

// Share gives every call of fn the value v, which fn reads with [Shared]. In a
// worker process it takes the place of a captured variable: v is encoded once,
// sent once to each worker, and decoded there when it is first read. Treat v as
// read-only: on goroutines all calls of fn see the same value.
func Share[S any](v S) Option {
	return option(func(s *settings) { s.shared = &shareBox[S]{value: v} })
}

// Shared returns the value that [Share] gave to the call, from the context that fn
// was given. S must be the type that Share had. Shared returns false if there is
// no value, or one of another type.
//
// A context that is passed on to another call carries the value, so a call inside
// fn sees it too, unless it has a Share of its own.
func Shared[S any](ctx context.Context) (S, bool) {
	switch box := ctx.Value(shareKey{}).(type) {
	case *shareBox[S]:
		return box.value, true
	case *sharedBytes:
		if v, ok := box.as(reflect.TypeFor[S]()).(*S); ok {
			return *v, true
		}
	}
	var zero S
	return zero, false
}

type shareKey struct{}

// sharedValue is a shared value in either of its forms.
type sharedValue interface {
	// encode returns the value's type, by name and shape, and its bytes. Its error is
	// codec.ErrStopped if stop has said so meanwhile.
	encode(limit int, stop codec.Stopper) (typ string, data []byte, err error)
}

// ended is a codec.Stopper that says whether a call has ended.
type ended struct{ call *schedule.Call }

func (e ended) Stopped() bool { return e.call.Bound() < 0 }

// shareBox is the value in the process in which Share was called.
type shareBox[S any] struct{ value S }

func (b *shareBox[S]) encode(limit int, stop codec.Stopper) (string, []byte, error) {
	typ := reflect.TypeFor[S]()
	plan, err := types.PlanFor(shareCall{typ}, typ)
	if err != nil {
		return "", nil, fmt.Errorf("parallel: Share: a %v cannot be sent to a worker process: %w", typ, err)
	}
	data, err := b.append(plan, limit, stop)
	switch {
	case err == codec.ErrStopped:
		return "", nil, err
	case err != nil:
		return "", nil, explain(encodeError("shared value", err), "Share")
	}
	return shareType(typ, plan), data, nil
}

// append appends the value's encoding to nothing, with methods of the user's in a goroutine of
// their own: the caller's must not end by a Goexit in one.
func (b *shareBox[S]) append(plan *codec.Plan, limit int, stop codec.Stopper) (data []byte, err error) {
	encode := func() { data, err = plan.AppendUntil(nil, unsafe.Pointer(&b.value), limit, stop) }
	if plan.Pure() {
		encode()
		return data, err
	}
	if end := guard.Apart(encode); !end.Returned() {
		return nil, methodError(end)
	}
	return data, err
}

// A shareCall names a call of Share, as in a message of RegisterCodec.
type shareCall struct{ typ reflect.Type }

func (c shareCall) String() string { return fmt.Sprintf("Share(%v)", c.typ) }

// sharedBytes is the value in a worker process. It stays encoded until fn asks
// for it, since only fn knows the type; then it is decoded once.
type sharedBytes struct {
	typ  string
	data []byte

	mu        sync.Mutex
	decoded   any          // points to the value; nil: it has not been decoded
	decodedAs reflect.Type // its type
}

func (b *sharedBytes) encode(int, codec.Stopper) (string, []byte, error) { return b.typ, b.data, nil }

// as returns a pointer to the value, which is a typ; nil if it is of another type.
func (b *sharedBytes) as(typ reflect.Type) any {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.decodedAs == typ {
		return b.decoded
	}
	plan, err := types.Plan(typ)
	if err != nil || shareType(typ, plan) != b.typ {
		return nil
	}
	v := reflect.New(typ)
	if err := plan.Decode(b.data, v.UnsafePointer()); err != nil {
		// The parent encoded it by the same plan, so this is a bug or a broken
		// link, and fn must not go on as if nothing had been shared.
		panic(fmt.Sprintf("parallel: Shared: cannot decode a %v: %v", typ, err))
	}
	b.decoded, b.decodedAs = v.Interface(), typ
	return b.decoded
}

func shareType(typ reflect.Type, plan *codec.Plan) string {
	return typ.PkgPath() + " " + typ.String() + " " + plan.Shape()
}
