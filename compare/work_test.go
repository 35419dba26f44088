package compare

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/parallel"
)

// An itemFunc is what every peer calls for every item, through a func value, so
// that no peer is given a loop that the compiler can see through.
type itemFunc func(ctx context.Context, item int) (int, error)

func init() {
	parallel.Register(double)
	parallel.Register(spin)
}

// double costs about a nanosecond: what is measured is the peer.
func double(_ context.Context, item int) (int, error) { return 2 * item, nil }

// spin keeps the processor busy for as many turns as item says. It looks at no
// clock, which would cost as much as a short item and be read by all workers at
// once. Each turn needs the result of the one before, so that no turns overlap.
// Inlined where the result is not used, it would be an empty loop.
//
//go:noinline
func spin(_ context.Context, item int) (int, error) {
	x := uint32(1)
	for range item {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	if x == 0 { // never, but the compiler cannot know
		return 0, nil
	}
	return 2 * item, nil
}

// nap waits for as many microseconds as item says.
func nap(_ context.Context, item int) (int, error) {
	time.Sleep(time.Duration(item) * time.Microsecond) // allowed: it is the work
	return 2 * item, nil
}

// turnsPerMicrosecond is how many turns of spin take a microsecond: the best of
// many short tries, since a disturbance can only make a try longer.
var turnsPerMicrosecond = sync.OnceValue(func() float64 {
	const turns = 1 << 17
	best := time.Duration(1<<63 - 1)
	for range 200 {
		start := time.Now()
		spin(context.Background(), turns)
		best = min(best, time.Since(start))
	}
	return turns / (float64(best) / float64(time.Microsecond))
})

// turns is the item for which spin takes d.
func turns(d time.Duration) int {
	return int(turnsPerMicrosecond() * float64(d) / float64(time.Microsecond))
}

// alike is n items of about the same value. Neighbours differ, so that results in
// the wrong order show, by at most a few turns of spin.
func alike(n, value int) []int {
	items := make([]int, n)
	for i := range items {
		items[i] = value + i%4
	}
	return items
}

// heavyLast is n items for spin of which the last tenth, each ten times the
// others, is a bit more than half of the work: the case for which chunks that are
// fixed beforehand are worst.
func heavyLast(n int) []int {
	items := alike(n, turns(10*time.Microsecond))
	copy(items[n-n/10:], alike(n/10, turns(100*time.Microsecond)))
	return items
}

// check compares the results of a map of items, all of which double their item.
func check(tb testing.TB, items, got []int, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	want := make([]int, len(items))
	for i, item := range items {
		want[i] = 2 * item
	}
	if !slices.Equal(got, want) {
		tb.Fatal(firstDifference(got, want))
	}
}

func firstDifference(got, want []int) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("result %d is %d, want %d", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d results, want %d", len(got), len(want))
}
