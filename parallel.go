package parallel

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

// Map calls fn on each of items and returns the results in the order of items,
// as a loop would, but with several calls running at once.
//
// Where a call fails, Map does as a loop that returns at the first error: the
// error is the [*ItemError] of the lowest index that fails, and the results are
// those before it. Calls for later items are not started any more, and the
// context of those that are running ends; calls for earlier items run to their
// end. See the package comment for what holds with [KeepGoing], when ctx ends,
// and when fn panics or its worker process dies.
//
// fn runs on several goroutines at once. Map returns when all of its calls have
// ended. The results are never nil; items is not written to. It panics if ctx,
// fn or an option is nil.
func Map[T, R any](ctx context.Context, items []T, fn func(context.Context, T) (R, error), opts ...Option) ([]R, error) {
	check("Map", ctx, fn == nil)
	out := make([]R, len(items))
	id := identify("Map", fn)
	done := 0
	if f := costOf(id.fn); len(opts) == 0 && f.cheap(len(items)) {
		err := alone(ctx, len(items), f, &done, func(s span, alert *atomic.Uint32) error {
			return mapItems(ctx, items, out, fn, s, &done, alert)
		})
		if err != nil || done == len(items) {
			return out[:done:done], itemError(ctx, done, err)
		}
	}
	return mapTogether(ctx, items, out, done, fn, id, opts)
}

// ForEach calls fn on each of items, as [Map] does, where there is no result
// but the error.
func ForEach[T any](ctx context.Context, items []T, fn func(context.Context, T) error, opts ...Option) error {
	check("ForEach", ctx, fn == nil)
	id := identify("ForEach", fn)
	done := 0
	if f := costOf(id.fn); len(opts) == 0 && f.cheap(len(items)) {
		err := alone(ctx, len(items), f, &done, func(s span, alert *atomic.Uint32) error {
			return eachItem(ctx, items, fn, s, &done, alert)
		})
		if err != nil || done == len(items) {
			return itemError(ctx, done, err)
		}
	}
	s := newSettings("ForEach", opts)
	w := &eachWork[T]{items, limitedEach(fn, s.timeout)}
	_, err := runSlice(ctx, &s, id, w, done, len(items))
	return err
}

// MapSeq calls fn on each item of a sequence, several calls at once, and yields
// the results in the order of the items, or as they finish with [Unordered].
// A failure ends the loop: it yields the results before the failed item, then
// one pair with the [*ItemError]. With [KeepGoing] it yields a pair for every
// item.
//
// MapSeq is lazy. Nothing happens before the result is ranged over, and then
// items is read at most 16 items per worker ahead of what the loop has taken
// (256 per worker while an item takes microseconds). Leaving the loop ends the
// calls that are running. items is ranged over in a goroutine of its own; a
// panic there goes on in the loop. The loop cannot end before items has
// returned from giving its current item, not even when ctx has ended, so a
// sequence that waits should watch a context that ends when the loop is left.
//
// The result can be ranged over as often as items can.
func MapSeq[T, R any](ctx context.Context, items iter.Seq[T], fn func(context.Context, T) (R, error), opts ...Option) iter.Seq2[R, error] {
	check("MapSeq", ctx, fn == nil)
	s := newSettings("MapSeq", opts)
	if items == nil {
		panic("parallel: MapSeq: items is nil")
	}
	id := identify("MapSeq", fn)
	fn = limited(fn, s.timeout)
	return func(yield func(R, error) bool) {
		newStream(ctx, &s, items, fn).loop(&s, id, yield)
	}
}

// mapTogether is Map from item done on, with several calls running at once. It
// is a function of its own so that what it needs is not paid for by calls that
// the caller's goroutine does alone.
func mapTogether[T, R any](ctx context.Context, items []T, out []R, done int, fn func(context.Context, T) (R, error), id identity, opts []Option) ([]R, error) {
	s := newSettings("Map", opts)
	w := &mapWork[T, R]{items, out, limited(fn, s.timeout)}
	n, err := runSlice(ctx, &s, id, w, done, len(items))
	clear(out[n:])
	return out[:n:n], err
}

// check refuses what no function can work with.
func check(name string, ctx context.Context, nilFn bool) {
	if ctx == nil {
		panic("parallel: " + name + ": ctx is nil")
	}
	if nilFn {
		panic("parallel: " + name + ": fn is nil")
	}
}

// identity is what tells a worker process which function to run.
type identity struct {
	caller string         // the function of this package that was called
	fn     unsafe.Pointer // the function value
	typ    reflect.Type   // its type
}

// identify reads the identity of fn. The pointer inside a function value tells
// functions apart where names and code addresses do not: every instance of a
// generic function has the same name, and closures that differ in what they
// captured have the same code.
func identify[F any](caller string, fn F) identity {
	return identity{caller, *(*unsafe.Pointer)(unsafe.Pointer(&fn)), reflect.TypeFor[F]()}
}

// runSlice runs the n items of w, of which done have been run already. It
// returns the number of results there are.
func runSlice(ctx context.Context, s *settings, id identity, w remoteWork, done, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	c := newCall(ctx, s, n)
	c.next = done
	if ctx.Err() != nil {
		c.end(context.Cause(ctx))
		return c.outcome()
	}
	defer c.watch()() // even if fn calls Goexit here
	if err := c.run(s, id, w); err != nil {
		return 0, err
	}
	return c.outcome()
}

// refusal says why a call would not start anything, as far as that is known
// beforehand.
func (s *settings) refusal(id identity) error {
	if !s.inProcesses() {
		return nil
	}
	if _, err := lookup(id); err != nil {
		return err
	}
	if s.pool != nil && s.pool.get().isClosed() {
		return explain(ErrPoolClosed, "%s", id.caller)
	}
	return nil
}

// run runs the call where its settings say, and returns when all is still. Its
// error is one for which nothing was started; the others are in the book.
func (c *call) run(s *settings, id identity, w remoteWork) error {
	if s.inProcesses() {
		return c.runProcesses(s, id, w)
	}
	c.cost = costOf(id.fn)
	c.runGoroutines(w)
	return nil
}

// mapWork is the work of Map.
type mapWork[T, R any] struct {
	items []T
	out   []R
	fn    func(context.Context, T) (R, error)
}

func (w *mapWork[T, R]) run(ctx context.Context, s span, at *int, alert *atomic.Uint32) error {
	return mapItems(ctx, w.items, w.out, w.fn, s, at, alert)
}

// mapItems is the loop of Map; see work.run. What it does for each item beside
// the call is what the plain loop does not: it must stay this little.
func mapItems[T, R any](ctx context.Context, items []T, out []R, fn func(context.Context, T) (R, error), s span, at *int, alert *atomic.Uint32) error {
	items, out = items[:s.hi], out[:s.hi]
	for i := s.lo; i < len(items); i++ {
		*at = i
		r, err := fn(ctx, items[i])
		if err != nil {
			return err
		}
		out[i] = r
		if alert.Load() != 0 {
			*at = i + 1
			return nil
		}
	}
	*at = s.hi
	return nil
}

func (w *mapWork[T, R]) encode(dst []byte, i int, in *codec.Plan, limit int) ([]byte, error) {
	return in.Append(dst, unsafe.Pointer(&w.items[i]), limit)
}

func (w *mapWork[T, R]) decode(src []byte, i int, out *codec.Plan) error {
	return decodeInto(&w.out[i], src, out)
}

func (w *mapWork[T, R]) memory(s span) []byte { return memory(w.items[s.lo:s.hi]) }

func (w *mapWork[T, R]) results(s span) []byte { return memory(w.out[s.lo:s.hi]) }

// memory is the memory of values.
func memory[V any](values []V) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(*new(V))))
}

// eachWork is the work of ForEach.
type eachWork[T any] struct {
	items []T
	fn    func(context.Context, T) error
}

func (w *eachWork[T]) run(ctx context.Context, s span, at *int, alert *atomic.Uint32) error {
	return eachItem(ctx, w.items, w.fn, s, at, alert)
}

// eachItem is the loop of ForEach; see work.run.
func eachItem[T any](ctx context.Context, items []T, fn func(context.Context, T) error, s span, at *int, alert *atomic.Uint32) error {
	items = items[:s.hi]
	for i := s.lo; i < len(items); i++ {
		*at = i
		if err := fn(ctx, items[i]); err != nil {
			return err
		}
		if alert.Load() != 0 {
			*at = i + 1
			return nil
		}
	}
	*at = s.hi
	return nil
}

func (w *eachWork[T]) encode(dst []byte, i int, in *codec.Plan, limit int) ([]byte, error) {
	return in.Append(dst, unsafe.Pointer(&w.items[i]), limit)
}

func (w *eachWork[T]) decode(src []byte, _ int, out *codec.Plan) error {
	return decodeInto(new(struct{}), src, out)
}

func (w *eachWork[T]) memory(s span) []byte { return memory(w.items[s.lo:s.hi]) }

func (w *eachWork[T]) results(span) []byte { return nil } // they have no size

// decodeInto decodes src into *v, or leaves *v zero.
func decodeInto[V any](v *V, src []byte, plan *codec.Plan) error {
	err := ErrGoexit // unless Decode returns
	defer func() {
		if err != nil {
			*v = *new(V)
		}
	}()
	err = plan.Decode(src, unsafe.Pointer(v))
	return err
}

// limited is fn with a limit of d for each call; 0 is none. A call that returns
// later than that has failed, whatever it returns: so the outcome is the same
// where such a call can be killed and where it cannot.
func limited[T, R any](fn func(context.Context, T) (R, error), d time.Duration) func(context.Context, T) (R, error) {
	if d == 0 {
		return fn
	}
	return func(ctx context.Context, item T) (R, error) {
		start := time.Now() // before the context's own clock starts, so that its end is late in any case
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		r, err := fn(ctx, item)
		if time.Since(start) < d {
			return r, err
		}
		return *new(R), overtime(d, err)
	}
}

// limitedEach is limited for a function without a result.
func limitedEach[T any](fn func(context.Context, T) error, d time.Duration) func(context.Context, T) error {
	if d == 0 {
		return fn
	}
	limitedFn := limited(withoutResult(fn), d)
	return func(ctx context.Context, item T) error {
		_, err := limitedFn(ctx, item)
		return err
	}
}

// withoutResult gives fn a result that carries nothing.
func withoutResult[T any](fn func(context.Context, T) error) func(context.Context, T) (struct{}, error) {
	return func(ctx context.Context, item T) (struct{}, error) { return struct{}{}, fn(ctx, item) }
}

// overtime is the error of a call that took longer than limit and ended with
// err, which may be nil.
func overtime(limit time.Duration, err error) error {
	late := &timeoutError{limit}
	switch {
	case err == nil:
		return late
	case errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return addCause(err, late)
	}
}
