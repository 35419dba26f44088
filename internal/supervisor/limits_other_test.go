//go:build !linux

package supervisor_test

import (
	"errors"
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

func TestMemoryLimitElsewhere(t *testing.T) {
	pool := testPool(t, &parallel.ProcessPool{MaxMemoryBytes: 1})
	_, err := parallel.Map(t.Context(), testkit.Count(1), testkit.Double, parallel.On(pool))
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}
