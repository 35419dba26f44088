package parallel

import (
	"context"
	"sync/atomic"
	"unsafe"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/stream"
	"example.com/parallel/internal/supervisor"
	"example.com/parallel/internal/worker"
)

// The typed side of calls. A job is the items and results of one call: the packages below
// know items by number, and as bytes. The loops are instantiated in the user's package, so
// that what they call for each item goes through inline.go.

// job is a call that can run on goroutines and, once bind has been called, in worker
// processes.
type job interface {
	supervisor.Job
	bind(in, out *codec.Plan)
}

// plans is how items and results are encoded: nothing on goroutines.
type plans struct{ in, out *codec.Plan }

func (p *plans) bind(in, out *codec.Plan) { p.in, p.out = in, out }

// mapJob is the job of Map and Spawn.
type mapJob[T, R any] struct {
	plans
	items   []T
	results []R
	next    schedule.Next[func(context.Context, T) (R, error)]
}

func newMapJob[T, R any](items []T, results []R, fn func(context.Context, T) (R, error)) *mapJob[T, R] {
	j := &mapJob[T, R]{items: items, results: results}
	j.next.Init(fn, yieldingMap[T, R])
	return j
}

func (j *mapJob[T, R]) Run(ctx context.Context, s schedule.Span, at *int, _ *atomic.Uint32) error {
	return mapItems(ctx, j.items, j.results, j.next.Fn, s, at, &j.next.Call)
}

func (j *mapJob[T, R]) Yield(raised bool) { j.next.Yield(raised) }

// mapItems is the loop of Map; see schedule.Job. What it does for each item beside the call
// is what the plain loop does not: it must stay this little. The running item's index, which
// is needed if fn does not return, is a variable of this function's, since *at would have to
// be found for each item. It has no sign, which would have to be checked. next is a pointer
// to the cell itself, since an offset from it would make the loop longer.
func mapItems[T, R any](ctx context.Context, items []T, out []R, fn func(context.Context, T) (R, error), s schedule.Span, at *int, next *atomic.Pointer[func(context.Context, T) (R, error)]) error {
	running := uint(s.Lo)
	defer func() { *at = int(running) }()
	items, out = items[:s.Hi], out[:s.Hi]
	for i := uint(s.Lo); i < uint(len(items)); i++ {
		running = i
		r, err := fn(ctx, items[i])
		if err != nil {
			return schedule.WithoutYield(err)
		}
		out[i] = r
		fn = *next.Load()
	}
	running = uint(s.Hi)
	return nil
}

// yieldingMap takes the place of fn when mapItems is to yield; see schedule.Next.
func yieldingMap[T, R any](context.Context, T) (R, error) { return *new(R), schedule.ErrYield }

// mapNext is the slot's schedule.Next for calls of Map with such items and results. It stays
// with the slot, so that not every call allocates one.
func mapNext[T, R any](s *schedule.Slot) *schedule.Next[func(context.Context, T) (R, error)] {
	if n, ok := s.Kept().(*schedule.Next[func(context.Context, T) (R, error)]); ok {
		return n
	}
	return newMapNext[T, R](s)
}

func newMapNext[T, R any](s *schedule.Slot) *schedule.Next[func(context.Context, T) (R, error)] {
	n := new(schedule.Next[func(context.Context, T) (R, error)])
	n.Init(nil, yieldingMap[T, R])
	s.Keep(n)
	return n
}

func (j *mapJob[T, R]) Encode(dst []byte, i, limit int, stop supervisor.Stopper) ([]byte, error) {
	return encodeItem(dst, &j.items[i], j.in, limit, stop)
}

func (j *mapJob[T, R]) Decode(src []byte, i int, stop supervisor.Stopper) error {
	return decodeInto(&j.results[i], src, j.out, stop)
}

func (j *mapJob[T, R]) Items(s schedule.Span) []byte { return memory(j.items[s.Lo:s.Hi]) }

func (j *mapJob[T, R]) Results(s schedule.Span) []byte { return memory(j.results[s.Lo:s.Hi]) }

func (j *mapJob[T, R]) AppendItems(dst []byte, s schedule.Span) []byte {
	return append(dst, j.Items(s)...)
}

func (j *mapJob[T, R]) SetResults(s schedule.Span, src []byte) { copy(j.Results(s), src) }

// memory is the memory of values.
func memory[V any](values []V) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(*new(V))))
}

// encodeItem appends the encoding of *v to dst.
func encodeItem[V any](dst []byte, v *V, plan *codec.Plan, limit int, stop supervisor.Stopper) ([]byte, error) {
	b, err := plan.AppendUntil(dst, unsafe.Pointer(v), limit, stop)
	if err == codec.ErrStopped {
		err = supervisor.ErrStopped
	}
	return b, err
}

// decodeInto decodes src into *v, or leaves *v zero.
func decodeInto[V any](v *V, src []byte, plan *codec.Plan, stop supervisor.Stopper) error {
	err := ErrGoexit // unless Decode returns
	defer func() {
		if err != nil {
			*v = *new(V)
		}
	}()
	if err = plan.DecodeUntil(src, unsafe.Pointer(v), stop); err == codec.ErrStopped {
		err = supervisor.ErrStopped
	}
	return err
}

// eachJob is the job of ForEach.
type eachJob[T any] struct {
	plans
	items []T
	next  schedule.Next[func(context.Context, T) error]
}

func newEachJob[T any](items []T, fn func(context.Context, T) error) *eachJob[T] {
	j := &eachJob[T]{items: items}
	j.next.Init(fn, yieldingEach[T])
	return j
}

func (j *eachJob[T]) Run(ctx context.Context, s schedule.Span, at *int, _ *atomic.Uint32) error {
	return eachItem(ctx, j.items, j.next.Fn, s, at, &j.next.Call)
}

func (j *eachJob[T]) Yield(raised bool) { j.next.Yield(raised) }

// eachItem is the loop of ForEach; see mapItems.
func eachItem[T any](ctx context.Context, items []T, fn func(context.Context, T) error, s schedule.Span, at *int, next *atomic.Pointer[func(context.Context, T) error]) error {
	running := uint(s.Lo)
	defer func() { *at = int(running) }()
	items = items[:s.Hi]
	for i := uint(s.Lo); i < uint(len(items)); i++ {
		running = i
		if err := fn(ctx, items[i]); err != nil {
			return schedule.WithoutYield(err)
		}
		fn = *next.Load()
	}
	running = uint(s.Hi)
	return nil
}

// yieldingEach is yieldingMap for ForEach.
func yieldingEach[T any](context.Context, T) error { return schedule.ErrYield }

// eachNext is mapNext for ForEach.
func eachNext[T any](s *schedule.Slot) *schedule.Next[func(context.Context, T) error] {
	if n, ok := s.Kept().(*schedule.Next[func(context.Context, T) error]); ok {
		return n
	}
	return newEachNext[T](s)
}

func newEachNext[T any](s *schedule.Slot) *schedule.Next[func(context.Context, T) error] {
	n := new(schedule.Next[func(context.Context, T) error])
	n.Init(nil, yieldingEach[T])
	s.Keep(n)
	return n
}

func (j *eachJob[T]) Encode(dst []byte, i, limit int, stop supervisor.Stopper) ([]byte, error) {
	return encodeItem(dst, &j.items[i], j.in, limit, stop)
}

func (j *eachJob[T]) Decode(src []byte, _ int, stop supervisor.Stopper) error {
	return decodeInto(new(struct{}), src, j.out, stop)
}

func (j *eachJob[T]) Items(s schedule.Span) []byte { return memory(j.items[s.Lo:s.Hi]) }

func (j *eachJob[T]) Results(schedule.Span) []byte { return nil } // they have no size

func (j *eachJob[T]) AppendItems(dst []byte, s schedule.Span) []byte {
	return append(dst, j.Items(s)...)
}

func (j *eachJob[T]) SetResults(schedule.Span, []byte) {}

// seqJob is the job of MapSeq: the stream, and what worker processes need besides.
type seqJob[T, R any] struct {
	plans
	*stream.Stream[T, R]
}

func (j *seqJob[T, R]) Encode(dst []byte, i, limit int, stop supervisor.Stopper) ([]byte, error) {
	b, err := encodeItem(dst, &j.Stream.Items(one(i))[0], j.in, limit, stop)
	if err == nil {
		j.Encoded(len(b) - len(dst))
	}
	return b, err
}

func (j *seqJob[T, R]) Decode(src []byte, i int, stop supervisor.Stopper) error {
	if err := decodeInto(&j.Stream.Results(one(i))[0], src, j.out, stop); err != nil {
		return err
	}
	j.Finish(one(i))
	return nil
}

func one(i int) schedule.Span { return schedule.Span{Lo: i, Hi: i + 1} }

func (j *seqJob[T, R]) Items(schedule.Span) []byte { return nil } // they are not in one piece

func (j *seqJob[T, R]) Results(schedule.Span) []byte { return nil }

func (j *seqJob[T, R]) AppendItems(dst []byte, s schedule.Span) []byte {
	for s.Len() > 0 {
		items := j.Stream.Items(s)
		dst = append(dst, memory(items)...)
		s.Lo += len(items)
	}
	j.Encoded(j.in.FixedSize())
	return dst
}

func (j *seqJob[T, R]) SetResults(s schedule.Span, src []byte) {
	for s.Len() > 0 {
		results := j.Stream.Results(s)
		src = src[copy(memory(results), src):]
		j.Finish(schedule.Span{Lo: s.Lo, Hi: s.Lo + len(results)})
		s.Lo += len(results)
	}
}

// runPart is the loop of a worker process: it runs fn on the items of p; see
// worker.Function.
func runPart[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), p *worker.Part, in, out *codec.Plan) error {
	fn = limited(fn, p.Timeout())
	if p.ItemSize() > 0 && out.FixedSize() > 0 && out.FixedSize() <= shm.RingRoom {
		return runPlain(ctx, fn, p)
	}
	item, r := new(T), new(R) // codecs look at them: on the heap, once for all
	for limit := p.Limit(); more(p, begun(p)); {
		*item = *new(T)
		if err := in.DecodeUntil(p.Next(), unsafe.Pointer(item), p); err != nil {
			return decodeItemError(ctx, err)
		}
		var err error
		if *r, err = fn(ctx, *item); err != nil {
			return err
		}
		b, err := out.AppendUntil(p.Buffer(), unsafe.Pointer(r), limit, p)
		if err != nil {
			return encodeResultError(ctx, err)
		}
		p.Put(b)
	}
	return nil
}

// runPlain is runPart for values whose encoding is their memory.
func runPlain[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), p *worker.Part) error {
	items := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(p.Data()))), p.Count())
	for more(p, begun(p)) {
		first, n, at := p.Some(int(unsafe.Sizeof(*new(R))))
		if err := runSome(ctx, fn, p, first, items[first:first+n], unsafe.Slice((*R)(unsafe.Pointer(at)), n)); err != nil {
			return err
		}
	}
	return nil
}

// runSome is the loop of runPlain: it runs items of p, from the one at first on, for whose results
// there is room.
func runSome[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), p *worker.Part, first int, items []T, out []R) error {
	out = out[:len(items)]
	for i := range items {
		if !more(p, first+i) {
			break
		}
		begin(p, first+i)
		r, err := fn(ctx, items[i])
		if err != nil {
			return err
		}
		out[i] = r
		commit(p, int(unsafe.Sizeof(r)))
	}
	return nil
}
