package worker

import (
	"context"
	"math"
	"slices"
	"time"

	"example.com/parallel/internal/wire"
)

// call is the parent's call that items belong to. The parent may have gone on to its next
// call while the executor is still ending the last quantum of the one before: a stop of one
// call must not touch items of another.
//
// bound, ctx and cancel are guarded by the worker's mutex. The rest does not change.
type call struct {
	id        uint64
	function  *Function
	keepGoing bool
	timeout   time.Duration   // each item's own; 0: none
	wait      time.Duration   // how long a result may wait for others
	base      context.Context // with the call's deadline and shared value
	end       context.CancelFunc

	bound  int64           // no item after it is started; it only falls
	ctx    context.Context // fn's
	cancel context.CancelCauseFunc
}

// noBound is the bound of a call that nothing limits.
const noBound = math.MaxInt64

// newCall returns the call that m announces, of items of f. share gives a context the
// call's shared value.
func newCall(m *wire.Call, f *Function, share func(context.Context, string, []byte) context.Context) *call {
	c := &call{
		id: m.ID, function: f, keepGoing: m.KeepGoing, timeout: m.Timeout, wait: patientWait,
		base: context.Background(), end: func() {}, bound: noBound,
	}
	if m.Eager {
		c.wait = resultWait
	}
	if m.Shared {
		c.base = share(c.base, m.ShareType, slices.Clone(m.Share))
	}
	if m.Deadline > 0 {
		c.base, c.end = context.WithDeadline(c.base, time.Now().Add(m.Deadline))
	}
	c.renewLocked()
	return c
}

// renewLocked gives the call a context for the items to come. The lock is the worker's.
func (c *call) renewLocked() { c.ctx, c.cancel = context.WithCancelCause(c.base) }
