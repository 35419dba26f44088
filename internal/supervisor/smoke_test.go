package supervisor_test

import (
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

func TestEveryTransport(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		out, err := parallel.Map(t.Context(), testkit.Count(1000), testkit.Double, parallel.On(pool))
		if err != nil || len(out) != 1000 || inner(pool).InFlight() != 0 {
			t.Error(len(out), err)
		}
	})
}
