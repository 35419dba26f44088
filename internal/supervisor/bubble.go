package supervisor

import (
	"context"
	"time"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/schedule"
)

// Calls in a testing/synctest bubble. What belongs to a bubble cannot be used from outside of
// it, nor the other way round: the runtime ends the program. A pool may well be used from both,
// and from several bubbles, since it is often a variable of the program. So it has no worker in
// a bubble. A call there gets a pool of its own, with workers of its own, which is closed when
// the call is over.
//
// The time of a bubble stands still while a worker process runs, so all limits of time are by
// the system's clock: see package clock.

// runInBubble is Run for a call in a bubble.
func (p *Pool) runInBubble(c *schedule.Call, what Call) {
	own := newPool(p.config)
	own.clock, own.log.to, own.counters = clock.Clock{System: true}, p.log.to, p.counters
	defer own.Close()
	if deadline, ok := c.Context().Deadline(); ok {
		timer := own.clock.AfterFunc(time.Until(deadline), func() { c.End(context.DeadlineExceeded) })
		defer timer.Stop()
	}
	own.Run(c, what)
}
