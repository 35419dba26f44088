package parallel_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/parallel"
)

// BenchmarkRatio takes turns: a hundred microseconds of the loop, of static chunks
// and of Map, and so on for as long as the benchmark lasts, so that a machine that
// is fast now and slow then is so for all of them. It reports, over all turns, the
// medians of
//
//	x-loop    the time of Map, less 100 ns, over that of the loop
//	x-chunks  the time of Map over that of static chunks
func BenchmarkRatio(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6} {
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		benchmarkRatio(b, "tiny", items, benchTwice)
	}
	for _, n := range []int{1, 10, 100, 1e3, 1e4, 1e5} {
		benchmarkRatio(b, "1us", spinItems(n, time.Microsecond), benchSpin)
	}
	for _, n := range []int{1, 10, 100, 1e3} {
		benchmarkRatio(b, "100us", spinItems(n, 100*time.Microsecond), benchSpin)
	}
}

func benchmarkRatio[R any](b *testing.B, work string, items []int, fn func(context.Context, int) (R, error)) {
	b.Run(fmt.Sprintf("work=%s/n=%d", work, len(items)), func(b *testing.B) {
		var xLoop, xChunks samples
		ours := inMap[int, R]()
		checkMapper(b, ours, items, fn)
		for b.Loop() {
			var took [3]float64 // the first may leave garbage to the next
			for i := range took {
				i = (i + len(xLoop)) % len(took)
				took[i] = turn([...]mapper[int, R]{inLoop[int, R], ours, inChunks[int, R]}[i], items, fn)
			}
			loop, call, chunks := took[0], took[1], took[2]
			xLoop = append(xLoop, max(0, call-100)/loop)
			xChunks = append(xChunks, call/chunks)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(xLoop.median(), "x-loop")
		b.ReportMetric(xChunks.median(), "x-chunks")
	})
}

// BenchmarkProcessRatio does the same with a pool whose workers have been started,
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
				took[i] = turn([...]mapper[T, R]{ours, baseline}[i], items, fn)
			}
			ratios, calls = append(ratios, took[0]/took[1]), append(calls, took[0])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(calls.median()/1e6, "p50-ms")
		b.ReportMetric(ratios.median(), metric)
	})
}

// turn calls m for a while and returns how many nanoseconds a call took.
func turn[T, R any](m mapper[T, R], items []T, fn func(context.Context, T) (R, error)) float64 {
	start, calls := time.Now(), 0
	for step := 1; ; step *= 2 {
		for range step {
			_, _ = m(items, fn)
		}
		calls += step
		if took := time.Since(start); took > 100*time.Microsecond {
			return float64(took) / float64(calls)
		}
	}
}
