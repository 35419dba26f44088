package schedule

import (
	"cmp"
	"slices"

	"example.com/parallel/internal/guard"
)

// Done settles n claimed items that ran well.
func (c *Call) Done(n int) {
	if n == 0 {
		return
	}
	defer c.settle(n)             // even if the callback calls Goexit
	c.progress.report(n, c.abort) // before they are settled, since the call may return then
}

// Fail settles item i, which failed with err. If a method of err's panics or calls
// runtime.Goexit, the failure says that in place of err. A panic stops here, a Goexit goes on
// when the item is settled.
func (c *Call) Fail(i int, err error) {
	cause := c.noticeEnd()
	var failure error
	defer func() {
		defer c.settle(1) // even if the callback calls Goexit
		c.record(Failure{i, failure})
		c.progress.report(1, c.abort)
	}()
	errs := c.config.Errors
	guard.Catch(func() { failure = errs.Item(i, err, cause) }, func(v any) {
		if v != nil {
			cause = nil // Item would ask the value of the panic whether it is the cause
		}
		failure = errs.Item(i, errs.Recovered(v), cause)
	})
}

// record takes in a failure and, unless the call keeps going, lowers the bound to it.
func (c *Call) record(f Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config.Stream != nil {
		c.config.Stream.Failed(f)
	} else {
		c.failures.add(f, c.config.KeepGoing)
	}
	if !c.config.KeepGoing && int64(f.Index) < c.ledger.bound.Load() {
		c.lowerLocked(int64(f.Index))
		c.team.cancelAfterLocked(f)
	}
}

// failures are those of a call, in no order.
type failures []Failure

// add adds f. Unless all are kept, only the lowest stays.
func (all *failures) add(f Failure, keepAll bool) {
	if keepAll || len(*all) == 0 {
		*all = append(*all, f)
	} else if f.Index < (*all)[0].Index {
		(*all)[0] = f
	}
}

// Skip settles the items of s, which were claimed and will not be run because the call has
// ended.
func (c *Call) Skip(s Span) {
	if s.Len() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.skip(s)
	c.settledLocked()
}

// GiveBack settles the items of s, which were claimed and not started, by letting another
// worker claim them.
func (c *Call) GiveBack(s Span) {
	if s.Len() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.giveBack(s)
	c.settledLocked()
	c.wakeForLocked(1) // which wakes the next, if it leaves some
	c.claimant.Returned(s.Len())
}

// settle settles n items that were done or failed.
func (c *Call) settle(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked(n)
}

func (c *Call) settleLocked(n int) {
	c.ledger.open -= n
	c.settledLocked()
}

// settledLocked wakes all goroutines that wait if no item is open any more: they wait for
// items to be given back, or for just that.
func (c *Call) settledLocked() {
	if c.ledger.open == 0 {
		c.noteDrainedLocked()
		c.wakeAllLocked()
	}
}

// noteDrainedLocked lets runners that look for it without the lock know that every item is
// settled.
func (c *Call) noteDrainedLocked() {
	if c.ledger.drained() {
		c.drained.Store(true)
	}
}

// Outcome returns the number of leading items that have results, and the call's error. If the
// callback did not return, that goes on here.
func (c *Call) Outcome() (int, error) {
	o := c.finish()
	o.aborted.Resume()
	if c.config.KeepGoing {
		return o.total, c.joined(o)
	}
	if len(o.failures) > 0 && o.failures[0].Index <= o.complete {
		return o.failures[0].Index, o.failures[0].Err
	}
	if o.all {
		return o.complete, nil
	}
	return o.complete, c.Ended(o.complete)
}

// outcome is what has become of a call's items.
type outcome struct {
	aborted  guard.End
	failures failures
	skipped  []Span
	total    int  // items there were
	complete int  // leading items of which none was skipped
	all      bool // the input came to its end, and none of its items was skipped
}

// finish skips what is left and says what has become of the items.
func (c *Call) finish() outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.ledger
	l.finish()
	complete := l.complete()
	return outcome{
		aborted: c.aborted, failures: c.failures, skipped: l.skipped,
		total: l.items(), complete: complete, all: l.closed && complete == l.items(),
	}
}

// Ended is the error of a call that stopped after n items.
func (c *Call) Ended(n int) error {
	return c.config.Errors.Ended(n, c.config.Total, c.EndCause(), c.ctx.Err())
}

// joined is the error of a call that kept going: every failure, and why the call was ended
// for each item that did not run.
func (c *Call) joined(o outcome) error {
	all, cause := o.failures, c.EndCause()
	for _, s := range o.skipped {
		for i := s.Lo; i < s.Hi; i++ {
			all = append(all, Failure{i, c.config.Errors.Item(i, cause, nil)})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b Failure) int { return cmp.Compare(a.Index, b.Index) })
	return c.config.Errors.Join(all)
}
