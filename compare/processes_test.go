package compare

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/parallel"
)

// A cost is what each item takes, and n how many items make up a call: enough for
// some tens of milliseconds, so that a cost per call does not hide the cost per
// item.
type cost struct {
	name string
	item time.Duration // 0: 2*x and nothing else
	n    int
}

var costs = []cost{
	{"0", 0, 1e6},
	{"1us", time.Microsecond, 1e5},
	{"10us", 10 * time.Microsecond, 1e4},
	{"100us", 100 * time.Microsecond, 1e3},
	{"1ms", time.Millisecond, 100},
}

// fewItems is the most items of a call for peers that send them one by one, which
// take tens of microseconds even for items that cost nothing.
const fewItems = 1000

// service is the name by which a worker knows what to do with an item.
func (c cost) service() string {
	if c.item == 0 {
		return "double"
	}
	return "spin"
}

// services are the functions that workers offer, by name.
var services = map[string]itemFunc{"double": double, "spin": spin}

func (c cost) items(n int) []int {
	if c.item == 0 {
		return alike(n, 1)
	}
	return alike(n, turns(c.item))
}

// A processPeer is one way to map items in worker processes. They run before the
// time is taken, except for a peer whose way it is to start them for each call.
type processPeer struct {
	name     string
	oneByOne bool // sends each item by itself

	open func(tb testing.TB, workers int, c cost, n int) calls
}

// calls map n items once. They have done so already, with the right results.
type calls struct {
	run   func() error // nil if this machine cannot do it
	ideal func() error // in equal parts that are there already, if static is not that
}

var processPeers = []processPeer{
	{name: "loop", open: here(openLoop)},
	{name: "static", open: here(openStatic)},
	{name: "goroutines", open: here(openParallel)},
	{name: "parallel-kept", open: here(openKept)},
	{name: "parallel-cold", open: here(openCold)},
	{name: "netrpc", open: overRPC(openNetRPC, callOne), oneByOne: true},
	{name: "netrpc-chunks", open: overRPC(openNetRPC, callChunk)},
	{name: "goplugin", open: overRPC(openPlugin, callOne), oneByOne: true},
	{name: "goplugin-chunks", open: overRPC(openPlugin, callChunk)},
	{name: "python-pool", open: inPython("pool")},
	{name: "python-executor", open: inPython("executor")},
}

func openKept(tb testing.TB, workers int) mapper {
	pool := &parallel.ProcessPool{Size: workers}
	tb.Cleanup(func() {
		if err := pool.Close(); err != nil {
			tb.Error(err)
		}
	})
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		return parallel.Map(ctx, items, fn, parallel.On(pool))
	}
}

// openSpawns calls Spawn for each item, on a kept pool.
func openSpawns(tb testing.TB, workers int) mapper {
	pool := &parallel.ProcessPool{Size: workers}
	tb.Cleanup(func() {
		if err := pool.Close(); err != nil {
			tb.Error(err)
		}
	})
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		tasks := make([]*parallel.Task[int], len(items))
		for i, item := range items {
			tasks[i] = parallel.Spawn(ctx, fn, item, parallel.On(pool))
		}
		out := make([]int, len(items))
		for i, task := range tasks {
			r, err := task.Wait()
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	}
}

func openCold(_ testing.TB, workers int) mapper {
	return func(ctx context.Context, items []int, fn itemFunc) ([]int, error) {
		return parallel.Map(ctx, items, fn, parallel.Processes(workers))
	}
}

// here makes a processPeer's open of a peer whose calls take the function value.
func here(open func(testing.TB, int) mapper) func(testing.TB, int, cost, int) calls {
	return func(tb testing.TB, workers int, c cost, n int) calls {
		return calls{run: checked(tb, open(tb, workers), c, n)}
	}
}

// checked maps n items once, checks the results and returns what does it again.
func checked(tb testing.TB, m mapper, c cost, n int) func() error {
	ctx, items, fn := context.Background(), c.items(n), services[c.service()]
	got, err := m(ctx, items, fn)
	check(tb, items, got, err)
	return func() error {
		_, err := m(ctx, items, fn)
		return err
	}
}

func BenchmarkProcesses(b *testing.B) {
	for _, c := range costs {
		b.Run("cost="+c.name, func(b *testing.B) {
			var rivals []rival
			for _, p := range processPeers {
				n := c.n
				if p.oneByOne {
					n = min(n, fewItems)
				}
				of := p.open(b, processors(), c, n)
				if of.run != nil {
					rivals = append(rivals, rival{p.name, n, of.run})
				}
				if of.ideal != nil {
					rivals = append(rivals, rival{p.name + "-ideal", n, of.ideal})
				}
			}
			inTurns(b, rivals)
		})
	}
}

// BenchmarkSpawns has 16,000 calls made one by one, and then waits for all of them.
func BenchmarkSpawns(b *testing.B) {
	const n = 16_000
	rivals := []rival{
		{"loop", n, here(openLoop)(b, processors(), costs[0], n).run},
		{"parallel", n, here(openSpawns)(b, processors(), costs[0], n).run},
	}
	if apply := inPython("apply")(b, processors(), costs[0], n).run; apply != nil {
		rivals = append(rivals, rival{"python-apply", n, apply})
	}
	b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) { inTurns(b, rivals) })
}

// TestSpawns checks what BenchmarkSpawns measures, on a few items.
func TestSpawns(t *testing.T) {
	run := here(openSpawns)(t, 2, costs[0], 50).run
	if err := run(); err != nil {
		t.Error(err)
	}
	if run = inPython("apply")(t, 2, costs[0], 50).run; run == nil {
		t.Skip("there is no python3 here")
	}
	if err := run(); err != nil {
		t.Error(err)
	}
}

// TestProcesses checks what the benchmarks measure, on a few items.
func TestProcesses(t *testing.T) {
	for _, p := range processPeers {
		for _, c := range costs[:2] { // one for each service
			t.Run(p.name+"/"+c.name, func(t *testing.T) {
				of := p.open(t, 2, c, 50)
				if of.run == nil {
					t.Skip("not on this machine")
				}
				if err := of.run(); err != nil {
					t.Error(err)
				}
				if of.ideal != nil {
					if err := of.ideal(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}
