package schedule

import (
	"sync"

	"example.com/parallel/internal/guard"
)

// progress calls back for each item that has ended. Its mutex sees to it that the callback
// never runs twice at once, and guards finished.
type progress struct {
	callback func(done, total int) // nil: none
	total    int                   // −1: not known

	mu       sync.Mutex
	finished int // items reported so far
}

// report calls back for each of n more items. If the callback does not return, aborted gets
// what it panicked with, or nil if it called runtime.Goexit. A panic stops here, a Goexit
// goes on.
func (p *progress) report(n int, aborted func(v any)) {
	if p.callback == nil {
		return
	}
	guard.Catch(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for range n {
			p.finished++
			p.callback(p.finished, p.total)
		}
	}, aborted)
}
