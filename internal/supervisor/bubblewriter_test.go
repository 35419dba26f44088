package supervisor_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel"
)

func init() { parallel.Register(chat) }

// chat prints a few lines.
func chat(_ context.Context, n int) (int, error) {
	for range 20 {
		fmt.Println("a line")
		time.Sleep(time.Millisecond) // allowed: so that writes are several
	}
	return n, nil
}

// alone is a writer that notices writes which overlap.
type alone struct {
	writing  atomic.Bool
	overlaps atomic.Int64
}

func (a *alone) Write(b []byte) (int, error) {
	if a.writing.Swap(true) {
		a.overlaps.Add(1)
	}
	for begin := time.Duration(0); begin < 100_000; begin++ { // as long as a write may take
		_ = a.writing.Load()
	}
	a.writing.Store(false)
	return len(b), nil
}

// TestWritesOfABubbleDoNotOverlap has several calls in a bubble print at the same time.
func TestWritesOfABubbleDoNotOverlap(t *testing.T) {
	to := new(alone)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, Stdout: to})
	inABubble(t, func(t *testing.T) {
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() {
				if _, err := parallel.Map(t.Context(), []int{1, 2}, chat, parallel.On(pool)); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	})
	if n := to.overlaps.Load(); n > 0 {
		t.Errorf("%d writes overlap with others", n)
	}
}
