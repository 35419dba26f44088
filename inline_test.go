package parallel

import (
	"context"
	"testing"

	"example.com/parallel/internal/testkit"
)

func squared(_ context.Context, x int) (int, error) { return x * x, nil }

// TestAllocationsAreFewAndDoNotGrow counts the allocations of calls of a function that is
// known as cheap.
func TestAllocationsAreFewAndDoNotGrow(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	allocs := func(n int) float64 {
		items := testkit.Count(n)
		return testing.AllocsPerRun(5, func() {
			if _, err := Map(t.Context(), items, squared); err != nil {
				t.Error(err)
			}
		})
	}
	// Calls with thousands of items make it known as cheap: again if the machine was busy.
	testkit.WaitFor(t, "10 tiny items to cost the result and at most 3 allocations", func() bool {
		allocs(10_000)
		return allocs(10) <= 4
	})
	few, many := allocs(100_000), allocs(3_000_000)
	if many > few+100 {
		t.Errorf("%v allocations for 1e5 items, %v for 3e6: they grow", few, many)
	}
}
