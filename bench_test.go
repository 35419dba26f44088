package parallel_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/parallel"
)

// The benchmarks compare what Map does with what one would write without it. In
// their names,
//
//	work=   what fn does with an item: tiny (x*2), 1us and 100us of computing,
//	        skewed (most take 10 µs, the last ones 1 ms), blocking (for 1 ms),
//	        payload (64 KiB are copied), 1MiB (so much is)
//	place=  loop        a for loop that calls the same function value
//	        chunks      one goroutine per processor, each with its share of the items
//	        errgroup    a goroutine per item, with SetLimit
//	        goroutines  Map
//	        processes   Map with Processes: their start and end counts
//	        kept        Map with On a pool whose workers have been started
//	        copy        a for loop that copies each item and each result twice
//
// There are as many workers as processors, except where the name says otherwise.
// Every result is checked against the loop's before it is measured how long it
// takes. Ratios, such as x-ideal, are between measurements taken in turns, since
// a machine's speed varies.

func init() {
	parallel.Register(benchTwice)
	parallel.Register(benchSpin)
	parallel.Register(benchSleep)
	parallel.Register(benchCopy)
	parallel.Register(benchEcho)
}

func benchTwice(_ context.Context, x int) (int, error) { return x * 2, nil }

// benchSpin computes for a number of steps, of which stepsPerMicrosecond take a
// microsecond.
func benchSpin(_ context.Context, steps int) (uint64, error) { return spin(steps), nil }

func benchSleep(_ context.Context, d time.Duration) (time.Duration, error) {
	time.Sleep(d) // allowed: it is the work that is measured
	return d, nil
}

func benchCopy(_ context.Context, payload []byte) ([]byte, error) {
	payload = bytes.Clone(payload)
	payload[0]++
	return payload, nil
}

//go:noinline
func spin(steps int) uint64 {
	x := uint64(steps)
	for range steps {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// stepsPerMicrosecond is measured once, so that no item needs a clock and all
// places are given the same items. The fastest of many short runs is the one
// that nothing interrupted.
var stepsPerMicrosecond = sync.OnceValue(func() int {
	const steps = 100_000
	fastest := time.Hour
	var spun uint64
	for range 200 {
		start := time.Now()
		spun = spin(steps)
		fastest = min(fastest, time.Since(start))
	}
	runtime.KeepAlive(spun)
	return int(steps * time.Microsecond / fastest)
})

// spinItems are n items of d each.
func spinItems(n int, d time.Duration) []int {
	items := make([]int, n)
	for i := range items {
		items[i] = int(d.Nanoseconds())*stepsPerMicrosecond()/1000 + i%8 // results differ
	}
	return items
}

// mapper runs fn over items in some place.
type mapper[T, R any] func(items []T, fn func(context.Context, T) (R, error)) ([]R, error)

func inLoop[T, R any](items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	return loopIn(context.Background(), items, fn)
}

func loopIn[T, R any](ctx context.Context, items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	out := make([]R, len(items))
	for i, item := range items {
		r, err := fn(ctx, item)
		if err != nil {
			return out[:i], err
		}
		out[i] = r
	}
	return out, nil
}

func inChunks[T, R any](items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	return chunksIn(context.Background(), items, fn)
}

func chunksIn[T, R any](ctx context.Context, items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	workers := min(runtime.GOMAXPROCS(0), len(items))
	out := make([]R, len(items))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w * len(items) / workers; i < (w+1)*len(items)/workers; i++ {
				r, err := fn(ctx, items[i])
				if err != nil {
					errs[w] = err
					return
				}
				out[i] = r
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func inErrgroup[T, R any](limit int) mapper[T, R] {
	return func(items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
		out := make([]R, len(items))
		group, ctx := errgroup.WithContext(context.Background())
		group.SetLimit(limit)
		for i, item := range items {
			group.Go(func() (err error) {
				out[i], err = fn(ctx, item)
				return err
			})
		}
		return out, group.Wait()
	}
}

func inMap[T, R any](options ...parallel.Option) mapper[T, R] {
	return func(items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
		return parallel.Map(context.Background(), items, fn, options...)
	}
}

// benchmark measures one mapper. Its results must be want.
func benchmark[T, R any](b *testing.B, work, place string, m mapper[T, R], items []T, fn func(context.Context, T) (R, error), more ...func(*testing.B)) {
	b.Run(fmt.Sprintf("work=%s/place=%s/n=%d", work, place, len(items)), func(b *testing.B) {
		checkMapper(b, m, items, fn)
		for _, f := range more {
			f(b)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m(items, fn); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(len(items)), "ns/item")
	})
}

func checkMapper[T, R any](b *testing.B, m mapper[T, R], items []T, fn func(context.Context, T) (R, error)) {
	b.Helper()
	want, err := inLoop(items, fn)
	if err != nil {
		b.Fatal(err)
	}
	got, err := m(items, fn)
	if err != nil {
		b.Fatal(err)
	}
	if !reflect.DeepEqual(want, got) {
		b.Fatal("results differ from the loop's")
	}
}

// warmPool returns a pool whose workers, as many as processors, are running.
func warmPool(b *testing.B) *parallel.ProcessPool {
	pool := &parallel.ProcessPool{IdleTimeout: -1}
	b.Cleanup(func() { pool.Close() })
	workers := runtime.GOMAXPROCS(0)
	warm(b, pool, workers)
	return pool
}

// warm starts n workers of pool, by having so many items wait at once.
func warm(b *testing.B, pool *parallel.ProcessPool, n int) {
	b.Helper()
	for pool.Stats().Workers < n {
		naps := slices.Repeat([]time.Duration{20 * time.Millisecond}, n)
		if _, err := parallel.Map(context.Background(), naps, benchSleep, parallel.On(pool)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMap(b *testing.B) {
	workers := runtime.GOMAXPROCS(0)
	pool := warmPool(b)
	processes := parallel.Processes(workers)
	kept := parallel.On(pool)

	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6} {
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		benchmark(b, "tiny", "loop", inLoop, items, benchTwice)
		benchmark(b, "tiny", "chunks", inChunks, items, benchTwice)
		benchmark(b, "tiny", "goroutines", inMap[int, int](), items, benchTwice)
		if n <= 1e5 {
			benchmark(b, "tiny", "errgroup", inErrgroup[int, int](workers), items, benchTwice)
		}
		if n == 1 || n >= 1e4 {
			benchmark(b, "tiny", "processes", inMap[int, int](processes), items, benchTwice)
		}
		benchmark(b, "tiny", "kept", inMap[int, int](kept), items, benchTwice)
	}
	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5} {
		items := spinItems(n, time.Microsecond)
		benchmark(b, "1us", "loop", inLoop, items, benchSpin)
		benchmark(b, "1us", "chunks", inChunks, items, benchSpin)
		benchmark(b, "1us", "goroutines", inMap[int, uint64](), items, benchSpin)
		if n == 1e3 || n == 1e5 {
			benchmark(b, "1us", "errgroup", inErrgroup[int, uint64](workers), items, benchSpin)
			benchmark(b, "1us", "processes", inMap[int, uint64](processes), items, benchSpin)
		}
		benchmark(b, "1us", "kept", inMap[int, uint64](kept), items, benchSpin)
	}
	for _, n := range []int{1, 10, 100, 1e3} {
		items := spinItems(n, 100*time.Microsecond)
		benchmark(b, "100us", "loop", inLoop, items, benchSpin)
		benchmark(b, "100us", "goroutines", inMap[int, uint64](), items, benchSpin)
		if n == 1e3 {
			benchmark(b, "100us", "chunks", inChunks, items, benchSpin)
			benchmark(b, "100us", "errgroup", inErrgroup[int, uint64](workers), items, benchSpin)
			benchmark(b, "100us", "processes", inMap[int, uint64](processes), items, benchSpin)
		}
		benchmark(b, "100us", "kept", inMap[int, uint64](kept), items, benchSpin)
	}
	benchmarkSkewed(b, processes, kept)
	benchmarkBlocking(b, kept)
	benchmarkPayload(b, processes, kept)
}

// benchmarkSkewed has the items that take longest at the end, where a worker
// that is given too many of them holds up the call.
func benchmarkSkewed(b *testing.B, processes, kept parallel.Option) {
	workers := runtime.GOMAXPROCS(0)
	for _, heavy := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		for _, n := range []int{100, 1000} {
			items := spinItems(n, 10*time.Microsecond)
			copy(items[n-4*workers:], spinItems(4*workers, heavy))
			share := makespan(items, workers)
			for _, w := range []struct {
				place string
				run   mapper[int, uint64]
			}{
				{"chunks", inChunks[int, uint64]},
				{"errgroup", inErrgroup[int, uint64](workers)},
				{"goroutines", inMap[int, uint64]()},
				{"processes", inMap[int, uint64](processes)},
				{"kept", inMap[int, uint64](kept)},
			} {
				b.Run(fmt.Sprintf("work=skewed/heavy=%v/place=%s/n=%d", heavy, w.place, n), func(b *testing.B) {
					checkMapper(b, w.run, items, benchSpin)
					var loops, calls samples
					for b.Loop() {
						if calls.add(func() { _, _ = w.run(items, benchSpin) }); len(calls)%4 == 1 {
							b.StopTimer()
							loops.add(func() { _, _ = inLoop(items, benchSpin) })
							b.StartTimer()
						}
					}
					b.ReportMetric(calls.median()/(loops.median()*share), "x-ideal")
				})
			}
		}
	}
}

// makespan is the least time in which workers can do items, as a share of what
// one takes for all: each item, the longest first, goes to the worker that is
// free first. That is the best where small items fill up the end.
func makespan(items []int, workers int) float64 {
	sorted := slices.Clone(items)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	busy := make([]int, workers)
	total := 0
	for _, item := range sorted {
		first := slices.Index(busy, slices.Min(busy))
		busy[first] += item
		total += item
	}
	return float64(slices.Max(busy)) / float64(total)
}

// benchmarkBlocking has items that need no processor. A place is measured
// against the time that its width makes necessary.
func benchmarkBlocking(b *testing.B, kept parallel.Option) {
	const n, width = 200, 100
	type nap = time.Duration
	items := slices.Repeat([]nap{time.Millisecond}, n)
	for _, w := range []struct {
		place string
		width int
		run   mapper[nap, nap]
	}{
		{"loop", 1, inLoop[nap, nap]},
		{"errgroup", width, inErrgroup[nap, nap](width)},
		{"goroutines", width, inMap[nap, nap](parallel.Goroutines(width))},
		{"kept", runtime.GOMAXPROCS(0), inMap[nap, nap](kept)},
	} {
		b.Run(fmt.Sprintf("work=blocking/place=%s/width=%d/n=%d", w.place, w.width, n), func(b *testing.B) {
			checkMapper(b, w.run, items, benchSleep)
			var naps, calls samples
			for b.Loop() {
				calls.add(func() { _, _ = w.run(items, benchSleep) })
				b.StopTimer()
				naps.add(func() { time.Sleep(time.Millisecond) }) // allowed: longer than asked for, which is measured
				b.StartTimer()
			}
			rounds := (n + w.width - 1) / w.width
			b.ReportMetric(calls.median()/(naps.median()*float64(rounds)), "x-ideal")
		})
	}
}

// benchmarkPayload counts the bytes of items and results.
func benchmarkPayload(b *testing.B, processes, kept parallel.Option) {
	for _, p := range []struct {
		work    string
		size, n int
	}{{"payload", 64 << 10, 1}, {"payload", 64 << 10, 10}, {"payload", 64 << 10, 100}, {"payload", 64 << 10, 1000}, {"1MiB", 1 << 20, 100}} {
		work, size, n := p.work, p.size, p.n
		items := make([][]byte, n)
		for i := range items {
			items[i] = bytes.Repeat([]byte{byte(i)}, size)
		}
		count := func(b *testing.B) { b.SetBytes(int64(2 * size * n)) }
		benchmark(b, work, "loop", inLoop, items, benchCopy, count)
		benchmark(b, work, "copy", copyTwice, items, benchCopy, count)
		benchmark(b, work, "goroutines", inMap[[]byte, []byte](), items, benchCopy, count)
		if n >= 100 {
			benchmark(b, work, "processes", inMap[[]byte, []byte](processes), items, benchCopy, count)
		}
		benchmark(b, work, "kept", inMap[[]byte, []byte](kept), items, benchCopy, count)
	}
}

// copyTwice copies each item and each result twice, once of it into fresh
// memory, which no way to another process can do without.
func copyTwice(items [][]byte, fn func(context.Context, []byte) ([]byte, error)) ([][]byte, error) {
	var link []byte
	carry := func(p []byte) []byte {
		link = append(link[:0], p...)
		return bytes.Clone(link)
	}
	out := make([][]byte, len(items))
	for i, item := range items {
		r, err := fn(context.Background(), carry(item))
		if err != nil {
			return nil, err
		}
		out[i] = carry(r)
	}
	return out, nil
}

// samples are durations in nanoseconds.
type samples []float64

func (s *samples) add(f func()) {
	start := time.Now()
	f()
	*s = append(*s, float64(time.Since(start)))
}

func (s samples) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}
