package schedule

import (
	"container/heap"
	"math"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/cost"
)

// claimCost is how long one turn with the call's mutex keeps others from theirs. On two
// processors BenchmarkExchange says 46 ns. A mutex that goes around among many takes longer:
// six times that is assumed.
const claimCost = 300 * time.Nanosecond

// TestManyRunnersDoNotWaitForClaims simulates runners on as many processors, which claim
// chunks of the real ledger one after the other. Only the time is simulated.
func TestManyRunnersDoNotWaitForClaims(t *testing.T) {
	for _, runners := range []int{2, 8, 16, 32, 64, 128, 256} {
		now := simulate(runners, chunkTimeOf(runners), time.Microsecond, claimCost)
		before := simulate(runners, chunkTime, time.Microsecond, claimCost)
		t.Logf("%d runners: efficiency %.3f, with chunks of %v %.3f", runners, now, chunkTime, before)
		if now < 0.98 {
			t.Errorf("%d runners: efficiency %.3f", runners, now)
		}
		if runners >= 128 && before >= 0.98 {
			t.Errorf("%d runners: with chunks of %v too the efficiency is %.3f: the simulation shows nothing", runners, chunkTime, before)
		}
	}
}

// simulate returns the share of all runners' time in which they run items, in a call in which
// each could run items for 100 ms.
func simulate(runners int, chunk, item, claim time.Duration) float64 {
	var estimate cost.Estimate
	estimate.Set(item)
	n := runners * int(100*time.Millisecond/item)
	l := newLedger(runners, n)
	idle := make(clocks, runners) // when each runner comes to claim
	var free, end time.Duration   // when the mutex is free, and the last item has ended
	for len(idle) > 0 {
		now := max(idle[0], free)
		free = now + claim
		s := l.claimChunk(estimate.Items(chunk), estimate.Items(chunkLeast))
		if s.Len() == 0 {
			heap.Pop(&idle)
			continue
		}
		l.open -= s.Len()
		idle[0] = free + time.Duration(s.Len())*item
		end = max(end, idle[0])
		heap.Fix(&idle, 0)
	}
	return float64(n) * float64(item) / (float64(end) * float64(runners))
}

// clocks is a heap: the first comes first.
type clocks []time.Duration

func (c clocks) Len() int           { return len(c) }
func (c clocks) Less(i, j int) bool { return c[i] < c[j] }
func (c clocks) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *clocks) Push(x any)        { *c = append(*c, x.(time.Duration)) }

func (c *clocks) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}

// BenchmarkExchange has all processors settle and claim, and run nothing in between.
func BenchmarkExchange(b *testing.B) {
	c := New(b.Context(), Config{Workers: 1 << 10, Total: math.MaxInt, Cost: trusted(time.Microsecond), Errors: testErrors{}})
	c.team.chunkTime = chunkTime
	b.RunParallel(func(pb *testing.PB) {
		r := &runner{call: c}
		for pb.Next() {
			r.ran = c.exchange(r, cost.Clock()).Len()
		}
	})
}

// TestChunkTime checks that chunks grow when more runners than chunkRunners run at once.
func TestChunkTime(t *testing.T) {
	for runners, want := range map[int]time.Duration{1: chunkTime, 2: chunkTime, 8: chunkTime, 12: 30 * time.Microsecond, 64: 8 * chunkTime, 128: 16 * chunkTime} {
		if got := chunkTimeOf(runners); got != want {
			t.Errorf("%d runners: chunks of %v, want %v", runners, got, want)
		}
	}
}

// TestWordsOfTheLoopsAreAlone checks that what runners read or write for each item shares no
// cache line with what others write: at least cacheLine bytes lie between.
func TestWordsOfTheLoopsAreAlone(t *testing.T) {
	type next = Next[func()]
	var (
		c  Call
		n  next
		r  runner
		sl Slot
	)
	team := unsafe.Offsetof(c.team)
	for _, word := range []struct {
		name          string
		before, after uintptr // how many bytes lie between it and what others write
	}{
		{"team.yield", unsafe.Offsetof(c.team.yield) - unsafe.Offsetof(c.team.yielder) - unsafe.Sizeof(c.team.yielder),
			unsafe.Offsetof(c.team.idle) - unsafe.Offsetof(c.team.yield) - unsafe.Sizeof(c.team.yield)},
		{"call.team.yield", team + unsafe.Offsetof(c.team.yield), unsafe.Sizeof(c) - team - unsafe.Offsetof(c.team.yield) - unsafe.Sizeof(c.team.yield)},
		{"Next.Call, Fn and yielding", unsafe.Offsetof(n.Call), unsafe.Sizeof(n) - unsafe.Offsetof(n.yielding) - unsafe.Sizeof(n.yielding)},
		{"runner.at", cacheLine, unsafe.Sizeof(r) - unsafe.Offsetof(r.at) - unsafe.Sizeof(r.at)}, // before it is the runner's own
		{"Slot.calls", cacheLine, unsafe.Sizeof(sl) - unsafe.Offsetof(sl.calls) - unsafe.Sizeof(sl.calls)},
	} {
		if word.before < cacheLine || word.after < cacheLine {
			t.Errorf("%s: %d bytes lie before it and %d behind it, want %d", word.name, word.before, word.after, cacheLine)
		}
	}
}
