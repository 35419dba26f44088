package compare

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"example.com/parallel"
	"github.com/alitto/pond/v2"
	"github.com/destel/rill"
	pargo "github.com/exascience/pargo/parallel"
	"github.com/panjf2000/ants/v2"
	lop "github.com/samber/lo/parallel"
	"github.com/sourcegraph/conc/iter"
	"golang.org/x/sync/errgroup"
)

// A mapper maps items with fn as one peer would have it done. It ends at an
// error, or tells of it in the end.
type mapper func(ctx context.Context, items []int, fn itemFunc) ([]int, error)

// A peer is one way to map with at most workers items at once. A pool that the
// peer's users keep is opened here and closed by tb.Cleanup, so that it is not
// part of what is measured.
type peer struct {
	name string
	open func(tb testing.TB, workers int) mapper
}

var peers = []peer{
	{"loop", openLoop},
	{"static", openStatic},
	{"parallel", openParallel},
	{"conc", openConc},
	{"errgroup", openErrgroup},
	{"pond", openPond},
	{"ants", openAnts},
	{"lo", openLo},
	{"rill", openRill},
	{"pargo", openPargo},
}

func openLoop(testing.TB, int) mapper { return loop }

func loop(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
	out := make([]int, len(items))
	if err := loopInto(ctx, out, items, fn); err != nil {
		return nil, err
	}
	return out, nil
}

func loopInto(ctx context.Context, out, items []int, fn itemFunc) error {
	for i, item := range items {
		r, err := fn(ctx, item)
		if err != nil {
			return err
		}
		out[i] = r
	}
	return nil
}

// openStatic is what one writes by hand: as many goroutines as workers, each with
// an equal part of the items.
func openStatic(_ testing.TB, workers int) mapper {
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		n := len(items)
		out := make([]int, n)
		var wg sync.WaitGroup
		var failed firstError
		for w := range workers {
			lo, hi := w*n/workers, (w+1)*n/workers
			if lo == hi {
				continue
			}
			wg.Go(func() { failed.set(loopInto(ctx, out[lo:hi], items[lo:hi], fn)) })
		}
		wg.Wait()
		return out, failed.err
	}
}

func openParallel(_ testing.TB, workers int) mapper {
	var opts []parallel.Option // none is as many goroutines as there are processors
	if workers != runtime.GOMAXPROCS(0) {
		opts = append(opts, parallel.Goroutines(workers))
	}
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		return parallel.Map(ctx, items, fn, opts...)
	}
}

func openConc(_ testing.TB, workers int) mapper {
	m := iter.Mapper[int, int]{MaxGoroutines: workers}
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		return m.MapErr(items, func(item *int) (int, error) { return fn(ctx, *item) })
	}
}

func openErrgroup(_ testing.TB, workers int) mapper {
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		out := make([]int, len(items))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(workers)
		for i, item := range items {
			g.Go(func() (err error) {
				out[i], err = fn(ctx, item)
				return err
			})
		}
		return out, g.Wait()
	}
}

func openPond(tb testing.TB, workers int) mapper {
	pool := pond.NewResultPool[int](workers)
	tb.Cleanup(pool.StopAndWait)
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		g := pool.NewGroupContext(ctx)
		for _, item := range items {
			g.SubmitErr(func() (int, error) { return fn(ctx, item) })
		}
		return g.Wait()
	}
}

func openAnts(tb testing.TB, workers int) mapper {
	pool, err := ants.NewPool(workers)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Release)
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		out := make([]int, len(items))
		var wg sync.WaitGroup
		var failed firstError
		for i, item := range items {
			wg.Add(1)
			err := pool.Submit(func() {
				defer wg.Done()
				r, err := fn(ctx, item)
				failed.set(err)
				out[i] = r
			})
			if err != nil {
				return nil, err
			}
		}
		wg.Wait()
		return out, failed.err
	}
}

// openLo has no use for workers: lo starts a goroutine for each item at once.
func openLo(testing.TB, int) mapper {
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		var failed firstError
		out := lop.Map(items, func(item, _ int) int {
			r, err := fn(ctx, item)
			failed.set(err)
			return r
		})
		return out, failed.err
	}
}

func openRill(_ testing.TB, workers int) mapper {
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		in := rill.FromSlice(items, nil)
		return rill.ToSlice(rill.OrderedMap(in, workers, func(item int) (int, error) { return fn(ctx, item) }))
	}
}

// openPargo asks for pargo's own choice of parts, two for each processor, or for
// one for each worker where there are more workers than that.
func openPargo(_ testing.TB, workers int) mapper {
	parts := max(workers, 2*runtime.GOMAXPROCS(0))
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		out := make([]int, len(items))
		var failed firstError
		pargo.Range(0, len(items), parts, func(lo, hi int) {
			failed.set(loopInto(ctx, out[lo:hi], items[lo:hi], fn))
		})
		return out, failed.err
	}
}

// A firstError keeps one of the errors that several goroutines report, for peers
// that have no way of their own to hand over an error.
type firstError struct {
	once sync.Once
	err  error
}

func (f *firstError) set(err error) {
	if err != nil {
		f.once.Do(func() { f.err = err })
	}
}
