package proc

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// CanMeasure says why the memory of processes cannot be measured here; nil if it can. The
// error wraps errors.ErrUnsupported.
func CanMeasure() error { return canMeasure() }

var canMeasure = sync.OnceValue(func() error {
	_, err := resident(os.Getpid())
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
})
