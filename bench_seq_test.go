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

// BenchmarkMapSeq is BenchmarkMap for sequences, in a context that can end. With
// order=none, results come as they finish. work=tiny ranges over numbers, the others
// over the values of a slice.
func BenchmarkMapSeq(b *testing.B) {
	kept := parallel.On(warmPool(b))
	for _, n := range []int{1e4, 1e6} {
		benchmarkSeq(b, "tiny", upTo(n), benchTwice, kept)
	}
	benchmarkSeq(b, "1us", slices.Values(spinItems(1e4, time.Microsecond)), benchSpin, kept)
	benchmarkSeq(b, "100us", slices.Values(spinItems(100, 100*time.Microsecond)), benchSpin, kept)
}

// benchmarkSeq measures MapSeq over items in all places.
func benchmarkSeq[T any, R int | uint64](b *testing.B, work string, items iter.Seq[T], fn func(context.Context, T) (R, error), kept parallel.Option) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	want := collect(b, loopSeq(ctx, items, fn))
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
		seq := loopSeq(ctx, items, fn)
		if w.options != nil {
			seq = parallel.MapSeq(ctx, items, fn, w.options...)
		}
		b.Run(fmt.Sprintf("work=%s/place=%s/n=%d", work, w.place, len(want)), func(b *testing.B) {
			if got := collect(b, seq); !sameElements(got, want) {
				b.Fatal("results differ from the loop's")
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range seq {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(len(want)), "ns/item")
		})
	}
}

// upTo is the numbers before n.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func loopSeq[T, R any](ctx context.Context, items iter.Seq[T], fn func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
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
func sameElements[V int | uint64](a, b []V) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
