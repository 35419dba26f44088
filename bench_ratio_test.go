package parallel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.com/parallel"
)

// BenchmarkRatio takes turns: a hundred microseconds of the loop, of static chunks
// and of Map or ForEach, and so on for as long as the benchmark lasts, so that a
// machine that is fast now and slow then is so for all of them. All three are
// given the same context, which can end, as a service's does. It reports, over all
// turns, the medians of
//
//	x-loop    the time of Map, less 100 ns, over that of the loop
//	x-chunks  the time of Map over that of static chunks
func BenchmarkRatio(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7} {
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		mapRatio(b, ctx, "tiny", items, benchTwice)
		eachRatio(b, ctx, "each", items, benchPositive)
	}
	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6} {
		mapRatio(b, ctx, "wide", make([]wide, n), benchWiden)
		texts := make([]string, n)
		for i := range texts {
			texts[i] = "tiny"
		}
		mapRatio(b, ctx, "text", texts, benchTail)
	}
	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5} {
		mapRatio(b, ctx, "1us", spinItems(n, time.Microsecond), benchSpin)
	}
	for _, n := range []int{1, 10, 100, 1e3} {
		mapRatio(b, ctx, "100us", spinItems(n, 100*time.Microsecond), benchSpin)
	}
}

// wide is a struct of 64 bytes.
type wide struct{ a, b, c, d, e, f, g, h int64 }

func benchWiden(_ context.Context, x wide) (wide, error) { x.a++; return x, nil }

func benchTail(_ context.Context, s string) (string, error) { return s[1:], nil }

var errNegative = errors.New("negative")

func benchPositive(_ context.Context, x int) error {
	if x < 0 {
		return errNegative
	}
	return nil
}

func mapRatio[T, R any](b *testing.B, ctx context.Context, work string, items []T, fn func(context.Context, T) (R, error)) {
	ratio(b, fmt.Sprintf("work=%s/n=%d", work, len(items)),
		func(b *testing.B) { checkMapper(b, inMap[T, R](), items, fn) },
		func() { _, _ = loopIn(ctx, items, fn) },
		func() { _, _ = parallel.Map(ctx, items, fn) },
		func() { _, _ = chunksIn(ctx, items, fn) })
}

func eachRatio[T any](b *testing.B, ctx context.Context, work string, items []T, fn func(context.Context, T) error) {
	ratio(b, fmt.Sprintf("work=%s/n=%d", work, len(items)),
		func(b *testing.B) {
			if err := parallel.ForEach(ctx, items, fn); err != nil {
				b.Fatal(err)
			}
		},
		func() { _ = eachLoopIn(ctx, items, fn) },
		func() { _ = parallel.ForEach(ctx, items, fn) },
		func() { _ = eachChunksIn(ctx, items, fn) })
}

// ratio reports what call takes over what loop and chunks do. check is called
// before.
func ratio(b *testing.B, name string, check func(*testing.B), loop, call, chunks func()) {
	b.Run(name, func(b *testing.B) {
		check(b)
		var xLoop, xChunks samples
		for b.Loop() {
			var took [3]float64 // the first may leave garbage to the next
			for i := range took {
				i = (i + len(xLoop)) % len(took)
				took[i] = turn([...]func(){loop, call, chunks}[i])
			}
			xLoop = append(xLoop, max(0, took[1]-100)/took[0])
			xChunks = append(xChunks, took[1]/took[2])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(xLoop.median(), "x-loop")
		b.ReportMetric(xChunks.median(), "x-chunks")
	})
}

func eachLoopIn[T any](ctx context.Context, items []T, fn func(context.Context, T) error) error {
	for _, item := range items {
		if err := fn(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

func eachChunksIn[T any](ctx context.Context, items []T, fn func(context.Context, T) error) error {
	workers := min(runtime.GOMAXPROCS(0), len(items))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			errs[w] = eachLoopIn(ctx, items[w*len(items)/workers:(w+1)*len(items)/workers], fn)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// BenchmarkProcessRatio takes turns in the same way with a pool whose workers have been started,
// and reports the medians of
//
//	x-goroutines  the time of Map in the pool over that on goroutines
//	x-copy        the time of Map in the pool over that of copying each item and
//	              each result twice, once of it into fresh memory
func BenchmarkProcessRatio(b *testing.B) {
	kept := parallel.On(warmPool(b))
	tiny := make([]int, 1e6)
	for i := range tiny {
		tiny[i] = i
	}
	againstGoroutines(b, "tiny", tiny, benchTwice, kept)
	for _, n := range []int{1e3, 1e4} {
		againstGoroutines(b, "100us", spinItems(n, 100*time.Microsecond), benchSpin, kept)
	}
	againstGoroutines(b, "1ms", spinItems(1e3, time.Millisecond), benchSpin, kept)
	for _, size := range []int{64 << 10, 1 << 20} {
		items := make([][]byte, 100<<20/size)
		for i := range items {
			items[i] = bytes.Repeat([]byte{byte(i)}, size)
		}
		inTurns(b, fmt.Sprintf("work=echo/size=%d/n=%d", size, len(items)), "x-copy", inMap[[]byte, []byte](kept), copyTwice, items, benchEcho)
	}
}

// benchEcho does nothing, so that what is measured is the way there and back.
func benchEcho(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

func againstGoroutines[R any](b *testing.B, work string, items []int, fn func(context.Context, int) (R, error), kept parallel.Option) {
	inTurns(b, fmt.Sprintf("work=%s/n=%d", work, len(items)), "x-goroutines", inMap[int, R](kept), inMap[int, R](), items, fn)
}

// inTurns reports the median of what ours takes over what the baseline does.
func inTurns[T, R any](b *testing.B, name, metric string, ours, baseline mapper[T, R], items []T, fn func(context.Context, T) (R, error)) {
	b.Run(name, func(b *testing.B) {
		var ratios, calls samples
		checkMapper(b, ours, items, fn)
		for b.Loop() {
			var took [2]float64
			for i := range took {
				i = (i + len(ratios)) % len(took)
				took[i] = turn(func() { _, _ = [...]mapper[T, R]{ours, baseline}[i](items, fn) })
			}
			ratios, calls = append(ratios, took[0]/took[1]), append(calls, took[0])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(calls.median()/1e6, "p50-ms")
		b.ReportMetric(ratios.median(), metric)
	})
}

// turn calls f for a while and returns how many nanoseconds a call took.
func turn(f func()) float64 {
	start, calls := time.Now(), 0
	for step := 1; ; step *= 2 {
		for range step {
			f()
		}
		calls += step
		if took := time.Since(start); took > 100*time.Microsecond {
			return float64(took) / float64(calls)
		}
	}
}
