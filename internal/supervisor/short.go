package supervisor

import (
	"sync/atomic"
	"time"

	"example.com/parallel/internal/cost"
)

// How a short call is served: one whose items together take no longer, by what is known of the
// function, than to wake another worker. It has one worker at first, and its sender reads the
// answer in place of the worker's reader, as for a single item. If the answer does not come in
// time, what was known was wrong: then it gets the workers that it may have, which share what
// the first has not begun (see relief.go).

const (
	// shortTime is the most work of a short call. With two workers it would be done in half the
	// time, and what waking another takes.
	shortTime = 100 * time.Microsecond

	// shortPoll is how long the sender waits for the answer, when it has spun in vain. That is
	// lost if the call turns out to be long.
	shortPoll = 50 * time.Microsecond
)

// short is what a call knows of being a short one.
type short struct {
	is atomic.Bool // until it has called for help
}

// initShort finds out whether the call should be short. None is where workers' items cannot be
// revoked: if what was known is wrong, they would wait behind one another.
func (d *call) initShort() {
	c := d.Config()
	d.short.is.Store(d.pool.revokes.Load() && c.Workers > 1 && c.Total >= 0 && d.what.Function.Cost.Within(c.Total, shortTime))
}

// isShort reports whether the call has one worker, since it should be short.
func (d *call) isShort() bool { return d.short.is.Load() }

// readShort waits for the answer as the leader, whose turn it is until then, and takes it in. If
// it does not come in time, it calls for help.
func (s *session) readShort() {
	r := &s.worker.reader
	begun := cost.Clock()
	if r.frames.Buffered() || r.results.Poll(shortPoll) {
		s.lead()
		return
	}
	r.turn.Yield(false)
	s.learnLate(cost.Clock() - begun)
	s.call.callHelp()
}

// learnLate learns from what the worker has done in so long a time, of which it has not told.
func (s *session) learnLate(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	running, _ := s.runningLocked()
	if first, _, ok := s.window.first(); ok && running != 0 && took >= shortPoll { // else there was no waiting
		s.call.Cost().Learn(int(running-first)+1, took)
	}
	s.watch.long = running
}

// callHelp has the other workers serve the call, too.
func (d *call) callHelp() {
	if !d.short.is.Swap(false) {
		return
	}
	workers := d.Config().Workers
	d.Share(workers)
	for range workers - 1 {
		d.serve()
	}
}
