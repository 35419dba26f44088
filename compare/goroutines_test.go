package compare

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// A workload is what the peers are given.
type workload struct {
	name    string
	fn      itemFunc
	items   func(n int) []int
	sizes   []int             // the n to measure
	workers func() int        // the most items at once
	skip    map[string]string // peers that are left out, and why
}

// processors is a worker for each processor that Go uses; -cpu sets it.
func processors() int { return runtime.GOMAXPROCS(0) }

// hundred is enough workers for items that wait.
func hundred() int { return 100 }

var workloads = []workload{
	{
		name:    "tiny",
		fn:      double,
		items:   func(n int) []int { return alike(n, 1) },
		sizes:   []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6},
		workers: processors,
	},
	{
		name:    "1us",
		fn:      spin,
		items:   func(n int) []int { return alike(n, turns(time.Microsecond)) },
		sizes:   []int{10, 1e3, 1e5},
		workers: processors,
	},
	{
		name:    "100us",
		fn:      spin,
		items:   func(n int) []int { return alike(n, turns(100*time.Microsecond)) },
		sizes:   []int{10, 1e3},
		workers: processors,
	},
	{
		name:    "skewed",
		fn:      spin,
		items:   heavyLast,
		sizes:   []int{1e3},
		workers: processors,
	},
	{
		name:    "blocking",
		fn:      nap,
		items:   func(n int) []int { return alike(n, 1000) },
		sizes:   []int{200},
		workers: hundred,
		skip:    map[string]string{"lo": "lo/parallel cannot limit how many items run at once"},
	},
}

func BenchmarkGoroutines(b *testing.B) {
	for _, w := range workloads {
		for _, p := range peers {
			for _, n := range w.sizes {
				b.Run(fmt.Sprintf("work=%s/peer=%s/n=%d", w.name, p.name, n), func(b *testing.B) {
					if why := w.skip[p.name]; why != "" {
						b.Skip(why)
					}
					benchmarkMap(b, p, w, n)
				})
			}
		}
	}
}

func benchmarkMap(b *testing.B, p peer, w workload, n int) {
	ctx, items := context.Background(), w.items(n)
	m := p.open(b, w.workers())
	got, err := m(ctx, items, w.fn)
	check(b, items, got, err)
	for b.Loop() {
		m(ctx, items, w.fn)
	}
	reportPerItem(b, n)
}

// TestGoroutines checks what the benchmarks measure, on a few items.
func TestGoroutines(t *testing.T) {
	for _, w := range workloads {
		for _, p := range peers {
			t.Run(w.name+"/"+p.name, func(t *testing.T) {
				m := p.open(t, w.workers())
				for _, n := range []int{1, 2, 50} {
					items := w.items(n)
					got, err := m(t.Context(), items, w.fn)
					check(t, items, got, err)
				}
			})
		}
	}
}
