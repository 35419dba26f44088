package compare

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// A rival is one of those that do the same work.
type rival struct {
	name  string
	items int // of a call
	call  func() error
}

// inTurns measures rivals in rounds, for as long as the benchmark lasts. In each
// round every rival has a turn, in an order that differs from round to round, so that
// nobody always comes after the same neighbour. The neighbour's garbage is collected
// before, since that would take a processor from those that use all of them, and not
// from the loop. Since the machine is faster in one round than in another, ratios are
// taken within a round. Over all rounds it reports the medians of
//
//	NAME:ns/item  the time of a call, divided by its number of items
//	NAME:x-loop   that over the first rival's, which is the loop
func inTurns(b *testing.B, rivals []rival) {
	order := rand.New(rand.NewPCG(1, 2)) // the same in each run
	times := make([][]float64, len(rivals))
	ratios := make([][]float64, len(rivals))
	took := make([]float64, len(rivals))
	for b.Loop() {
		for _, i := range order.Perm(len(rivals)) {
			runtime.GC()
			took[i] = turn(b, rivals[i])
		}
		for i, t := range took {
			times[i] = append(times[i], t)
			ratios[i] = append(ratios[i], t/took[0])
		}
	}
	for i, r := range rivals {
		b.ReportMetric(median(times[i]), r.name+":ns/item")
		b.ReportMetric(median(ratios[i]), r.name+":x-loop")
	}
	b.ReportMetric(0, "ns/op") // not shown: it is of a round
}

// turn calls r for at least a millisecond and returns what an item takes, in nanoseconds.
func turn(b *testing.B, r rival) float64 {
	start, calls := time.Now(), 0
	for step := 1; ; step *= 2 {
		for range step {
			if err := r.call(); err != nil {
				b.Fatalf("%s: %v", r.name, err)
			}
		}
		calls += step
		if took := time.Since(start); took > time.Millisecond {
			return float64(took) / float64(calls*r.items)
		}
	}
}

// median sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// TestTurns holds that each rival is called in each round, and that each comes after
// each other one.
func TestTurns(t *testing.T) {
	var order []string
	var rivals []rival
	for i, name := range []string{"a", "b", "c"} {
		rivals = append(rivals, rival{name, 1 + i, func() error {
			order = append(order, name)
			time.Sleep(1100 * time.Microsecond) // allowed: it is the work, and longer than a turn
			return nil
		}})
	}
	result := testing.Benchmark(func(b *testing.B) {
		order = nil
		inTurns(b, rivals)
	})
	if len(order) != 3*result.N || result.N < 50 {
		t.Fatalf("%d calls in %d rounds of 3 rivals", len(order), result.N)
	}
	after := make(map[string]int)
	for i := range len(order) - 1 {
		after[order[i]+order[i+1]]++
	}
	for _, pair := range []string{"ab", "ba", "ac", "ca", "bc", "cb"} {
		if after[pair] == 0 {
			t.Errorf("in %d rounds %s never came after %s", result.N, pair[1:], pair[:1])
		}
	}
	if a := result.Extra["a:x-loop"]; a != 1 {
		t.Errorf("the first rival took %g times as long as itself", a)
	}
}
