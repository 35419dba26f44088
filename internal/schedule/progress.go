package schedule

import (
	"sync"

	"example.com/parallel/internal/guard"
)

// progress calls back for each item that has ended. Its mutex sees to it that the callback
// never runs twice at once, and guards what is below it.
type progress struct {
	callback func(done, total int) // nil: none
	total    int                   // −1: not known

	mu       sync.Mutex
	finished int  // items reported so far
	aborted  bool // the callback did not return, and is not called any more
}

// report calls back for each of n more items. If the callback does not return, aborted is told
// how it ended. A panic stops here, a Goexit goes on.
func (p *progress) report(n int, aborted func(guard.End)) {
	if p.callback == nil {
		return
	}
	guard.Catch(func() { p.call(n) }, func(v any) { aborted(guard.Caught(v)) })
}

func (p *progress) call(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.aborted {
		return
	}
	p.aborted = true // unless the callback returns each time
	for range n {
		p.finished++
		p.callback(p.finished, p.total)
	}
	p.aborted = false
}
