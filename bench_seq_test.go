package parallel_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"example.com/parallel"
)

// BenchmarkMapSeq is BenchmarkMap for sequences; with order=none, results come
// as they finish.
func BenchmarkMapSeq(b *testing.B) {
	const n = 10_000
	kept := parallel.On(warmPool(b))
	for _, work := range []struct {
		name string
		cost time.Duration
	}{{"tiny", 0}, {"1us", time.Microsecond}, {"100us", 100 * time.Microsecond}} {
		items := spinItems(n, work.cost)
		if work.cost > time.Microsecond {
			items = items[:n/100]
		}
		want, _ := inLoop(items, benchSpin)
		for _, w := range []struct {
			place   string
			options []parallel.Option
		}{
			{"loop", nil},
			{"goroutines", []parallel.Option{}},
			{"goroutines/order=none", []parallel.Option{parallel.Unordered()}},
			{"kept", []parallel.Option{kept}},
			{"kept/order=none", []parallel.Option{kept, parallel.Unordered()}},
		} {
			seq := func() iter.Seq2[uint64, error] {
				if w.options == nil {
					return loopSeq(slices.Values(items), benchSpin)
				}
				return parallel.MapSeq(context.Background(), slices.Values(items), benchSpin, w.options...)
			}
			b.Run(fmt.Sprintf("work=%s/place=%s/n=%d", work.name, w.place, len(items)), func(b *testing.B) {
				if got := collect(b, seq()); !sameElements(got, want) {
					b.Fatal("results differ from the loop's")
				}
				b.ReportAllocs()
				for b.Loop() {
					for _, err := range seq() {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(len(items)), "ns/item")
			})
		}
	}
}

func loopSeq[T, R any](items iter.Seq[T], fn func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		ctx := context.Background()
		for item := range items {
			if !yield(fn(ctx, item)) {
				return
			}
		}
	}
}

func collect[R any](b *testing.B, seq iter.Seq2[R, error]) (all []R) {
	b.Helper()
	for r, err := range seq {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// sameElements reports whether a and b are equal but for their order.
func sameElements(a, b []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
