package parallel_test

import (
	"context"
	"fmt"
	"testing"
	"time"
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
			var took [3]float64 // whoever comes first may leave garbage to the next
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
