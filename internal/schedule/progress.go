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
	apart    *backlog              // nil: report calls back; else its goroutine does

	mu       sync.Mutex
	finished int  // items reported so far
	aborted  bool // the callback did not return, and is not called any more
}

// report calls back for each of n more items, or has that done. If the callback does not
// return, aborted is told how it ended. A panic stops here, a Goexit goes on.
func (p *progress) report(n int, aborted func(guard.End)) {
	switch {
	case p.callback == nil:
	case p.apart != nil:
		p.apart.add(n)
	default:
		p.call(n, aborted)
	}
}

func (p *progress) call(n int, aborted func(guard.End)) {
	guard.Catch(func() { p.callEach(n) }, func(v any) { aborted(guard.Caught(v)) })
}

func (p *progress) callEach(n int) {
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

// backlog is items that have ended and are still to be reported, by a goroutine of its own.
type backlog struct {
	mu     sync.Mutex
	more   sync.Cond // n has grown, or all is reported that will be
	n      int
	closed bool
}

// add adds n items.
func (b *backlog) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n += n
	b.more.Signal()
}

// take waits for items and takes them all. It returns 0 if none will come.
func (b *backlog) take() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.n == 0 && !b.closed {
		b.more.Wait()
	}
	n, b.n = b.n, 0
	return n
}

func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.more.Signal()
}

// ReportApart has a goroutine of its own call back from now on, so that the callback may wait
// for the workers, which report. Every item that is settled before stop is called has been
// reported when stop returns.
func (c *Call) ReportApart() (stop func()) {
	p := &c.progress
	if p.callback == nil {
		return func() {}
	}
	b := new(backlog)
	b.more.L = &b.mu
	p.apart = b
	ended := make(chan struct{})
	go func() {
		defer close(ended) // even if the callback calls runtime.Goexit, after which nothing is reported
		for n := b.take(); n > 0; n = b.take() {
			p.call(n, c.abort)
		}
	}()
	return func() {
		b.close()
		<-ended
	}
}
