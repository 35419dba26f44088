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
	// A context that can end, as a service has.
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, w := range workloads {
		for _, n := range w.sizes {
			b.Run(fmt.Sprintf("work=%s/n=%d", w.name, n), func(b *testing.B) {
				items := w.items(n)
				var rivals []rival
				for _, p := range peers {
					if w.skip[p.name] != "" {
						continue
					}
					m := p.open(b, w.workers())
					got, err := m(ctx, items, w.fn)
					check(b, items, got, err)
					rivals = append(rivals, rival{p.name, n, func() error {
						_, err := m(ctx, items, w.fn)
						return err
					}})
				}
				inTurns(b, rivals)
			})
		}
	}
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
