package proc

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

// TestDescriptorsRunOut has this process have only so many descriptors. A start that fails
// leaves nothing.
func TestDescriptorsRunOut(t *testing.T) {
	for spare := 0; ; spare++ {
		failed := false
		t.Run(fmt.Sprint("spare=", spare), func(t *testing.T) {
			testkit.CheckLeaks(t)
			restore := testkit.LimitDescriptors(t, spare)
			w, err := new(Local).Launch(t.Context(), transport.Spec{Env: []string{roleVariable + "=echo", "GORACE=atexit_sleep_ms=0"}})
			restore()
			if failed = err != nil; !failed {
				closeWorker(w)
				w.Process.Wait()
				return
			}
			// EBADF: the child could not give a descriptor the number that it is to have.
			if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.EBADF) || w != nil {
				t.Errorf("%v, %v", w, err)
			}
		})
		if !failed {
			if spare < 10 {
				t.Errorf("with %d descriptors to spare nothing failed", spare)
			}
			return
		}
	}
}
