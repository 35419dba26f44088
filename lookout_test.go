package parallel

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
)

// TestLookoutAndFakeTime has the first caller who works alone be one for whom time
// stands still: the next one must be seen to all the same.
func TestLookoutAndFakeTime(t *testing.T) {
	checkLeaks(t)
	wait := false
	fn := func(_ context.Context, x int) (int, error) {
		for wait && x == 0 && !alerted() {
			runtime.Gosched()
		}
		return x, nil
	}
	trust(t, fn)
	for lookout.armed.Load() {
		runtime.Gosched()
	}
	synctest.Test(t, func(t *testing.T) {
		if out, err := Map(t.Context(), count(10), fn); err != nil || len(out) != 10 {
			t.Errorf("%v, %v", out, err)
		}
	})
	wait = true
	if out, err := Map(t.Context(), count(10), fn); err != nil || len(out) != 10 {
		t.Errorf("%v, %v", out, err)
	}
}

// TestLookoutForgetsPosts has posts that nobody uses any more go away.
func TestLookoutForgetsPosts(t *testing.T) {
	fn := func(_ context.Context, x int) (int, error) { return x, nil }
	trust(t, fn)
	for range 100 {
		if _, err := Map(t.Context(), count(10), fn); err != nil {
			t.Fatal(err)
		}
		runtime.GC() // a pool drops what was not used since the last but one
		runtime.GC()
	}
	lookout.mu.Lock()
	defer lookout.mu.Unlock()
	someoneWorks()
	if n := len(lookout.posts); n > 50 {
		t.Errorf("%d posts are remembered after 100 were dropped", n)
	}
}
