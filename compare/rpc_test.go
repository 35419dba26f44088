package compare

import (
	"context"
	"fmt"
	"net/rpc"
	"sync"
	"sync/atomic"
	"testing"
)

// A service runs one function in a worker process of net/rpc or go-plugin.
type service struct{ fn itemFunc }

// One is the call for a single item.
func (s service) One(item int, result *int) (err error) {
	*result, err = s.fn(context.Background(), item)
	return err
}

// Chunk is the call for several items.
func (s service) Chunk(items []int, results *[]int) (err error) {
	*results, err = loop(context.Background(), items, s.fn)
	return err
}

// A worker is this side of a worker process.
type worker struct {
	client *rpc.Client
	name   string // of the service that it was started for
}

// A caller has w do items; at most size(n, workers) of them are given at a time.
type caller struct {
	size func(n, workers int) int
	call func(w worker, results, items []int) error
}

var callOne = caller{
	size: func(int, int) int { return 1 },
	call: func(w worker, results, items []int) error {
		return w.client.Call(w.name+".One", items[0], &results[0])
	},
}

var callChunk = caller{
	size: chunkSize,
	call: func(w worker, results, items []int) error {
		var got []int
		if err := w.client.Call(w.name+".Chunk", items, &got); err != nil {
			return err
		}
		if len(got) != len(items) {
			return fmt.Errorf("%d results for %d items", len(got), len(items))
		}
		copy(results, got)
		return nil
	},
}

// chunkSize makes four chunks for each worker, as Python's Pool.map does.
func chunkSize(n, workers int) int { return (n + 4*workers - 1) / (4 * workers) }

// overRPC makes a processPeer's open of a function that starts a worker. Each
// worker has one call at a time, so that, as with the other peers, each processor
// has one item at a time.
func overRPC(start func(tb testing.TB, name string) worker, c caller) func(testing.TB, int, cost, int) calls {
	return func(tb testing.TB, workers int, cost cost, n int) calls {
		var ws []worker
		for range workers {
			ws = append(ws, start(tb, cost.service()))
		}
		return calls{run: checked(tb, c.mapper(ws), cost, n)}
	}
}

// mapper lets each of ws claim items until there are none left. The function
// value that it is given is not used: the workers have theirs.
func (c caller) mapper(ws []worker) mapper {
	return func(_ context.Context, items []int, _ itemFunc) ([]int, error) {
		results := make([]int, len(items))
		size := c.size(len(items), len(ws))
		var next atomic.Int64
		var wg sync.WaitGroup
		var failed firstError
		for _, w := range ws {
			wg.Go(func() {
				for {
					lo := int(next.Add(int64(size))) - size
					if lo >= len(items) {
						return
					}
					hi := min(lo+size, len(items))
					failed.set(c.call(w, results[lo:hi], items[lo:hi]))
				}
			})
		}
		wg.Wait()
		return results, failed.err
	}
}
