package supervisor

import (
	"context"
	"time"

	"example.com/parallel/internal/clock"
)

// Calls in a testing/synctest bubble. What belongs to a bubble cannot be used from outside of
// it, nor the other way round: the runtime ends the program. A pool may well be used from both,
// and from several bubbles, since it is often a variable of the program. So it has no worker in
// a bubble. A call there gets a pool of its own, with workers of its own, which is closed when
// the call is over.
//
// The time of a bubble stands still while a worker process runs, so all limits of time are by
// the system's clock: see package clock.

// outsideBubble reports whether a call must not have p's own workers, since it is in a bubble.
//
// It is not inlined: what it needs on the stack would be there below the whole call. The stack
// of a new goroutine, such as Spawn's, grows by copying.
//
//go:noinline
func (p *Pool) outsideBubble() bool { return !p.clock.System && clock.Bubbled() }

// runInBubble runs a call in a bubble.
func (p *Pool) runInBubble(d *call) {
	own := newPool(p.config, p.log, p.sinks, p.counters)
	own.clock = clock.Clock{System: true}
	defer own.Close()
	if deadline, ok := d.Context().Deadline(); ok {
		timer := own.clock.AfterFunc(time.Until(deadline), func() { d.End(context.DeadlineExceeded) })
		defer timer.Stop()
	}
	d.pool = own
	defer own.forget(d)
	d.run()
}
