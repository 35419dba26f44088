package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// Count is [0, n).
func Count(n int) []int {
	items := make([]int, n)
	for i := range items {
		items[i] = i
	}
	return items
}

// Double is a function for items of which nothing more is wanted.
func Double(_ context.Context, x int) (int, error) { return 2 * x, nil }

// PID reports the process that it runs in, for any item.
func PID(context.Context, int) (int, error) { return os.Getpid(), nil }

// Exists reports whether there is a file of that name.
func Exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// Present is Exists as a function for items.
func Present(_ context.Context, name string) (bool, error) { return Exists(name), nil }

// Touch makes an empty file.
func Touch(_ context.Context, name string) error { return os.WriteFile(name, nil, 0o600) }

// WaitFor waits until f reports true.
func WaitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for 20 s: %s", what)
		}
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
}

// Patient is a context that ends when something hangs.
func Patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("the call hangs"))
	t.Cleanup(cancel)
	return ctx
}

// OnlyOn skips t on other systems.
func OnlyOn(t *testing.T, system string) {
	t.Helper()
	if runtime.GOOS != system {
		t.Skipf("needs %s", system)
	}
}

// Step is an item of Gate, which waits for files and makes files.
type Step struct {
	Make string // first make this file,
	Wait string // then wait for this one, or for the context to end if it is empty
	Left string // then, if the context has ended, make this one
	Fail string // and fail with this text
	Deaf bool   // do not listen to the context
}

// Gate does what the step says, and returns Wait.
func Gate(ctx context.Context, s Step) (string, error) {
	if s.Make != "" {
		if err := os.WriteFile(s.Make, nil, 0o600); err != nil {
			return "", err
		}
	}
	for s.Wait == "" || !Exists(s.Wait) {
		if !s.Deaf && ctx.Err() != nil {
			if s.Left != "" {
				_ = os.WriteFile(s.Left, []byte(fmt.Sprint(context.Cause(ctx))), 0o600)
			}
			return "", ctx.Err()
		}
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	if s.Fail != "" {
		return "", errors.New(s.Fail)
	}
	return s.Wait, nil
}
