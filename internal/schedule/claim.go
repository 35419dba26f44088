package schedule

import (
	"sync"
	"sync/atomic"
)

// Share shares the items among n workers from now on.
func (c *Call) Share(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.workers = max(1, n)
}

// Extend makes n more items of the input available. It takes the lock only if somebody sleeps
// until there are some: see awaitLocked.
func (c *Call) Extend(n int) {
	c.ledger.avail.Add(int64(n))
	if c.claims.n.Load()+c.servers.n.Load() > 0 {
		c.wakeFor(n)
	}
}

func (c *Call) wakeFor(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeForLocked(n)
}

// Extended is the number of items that the input has made available.
func (c *Call) Extended() int { return c.ledger.items() }

// CloseInput says that no more items will come.
func (c *Call) CloseInput() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.closed = true
	c.noteDrainedLocked()
	c.wakeAllLocked()
}

// Claim claims at most want of the items that come next in index order, for a worker that
// holds held items already. It leaves enough for the other workers; but if that would be
// fewer than least items, the worker may have its whole share of what is left. While there
// are no items Claim waits for those that the input may still bring or another worker may
// give back, as long as wait reports true; nil is always. wait is called with the call's
// lock held. An empty span means that there is nothing for this worker.
func (c *Call) Claim(want, least, held int, wait func() bool) (s Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaitLocked(&c.claims, wait, func() bool {
		s = c.ledger.claimShare(want, least, held, c.starved)
		return s.Len() > 0
	})
	return s
}

// AwaitWork waits until there may be an item to claim. It returns false if there will be
// none.
func (c *Call) AwaitWork() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awaitLocked(&c.servers, nil, func() bool { return c.ledger.left() > 0 })
}

// awaitLocked waits among the sleepers until found reports true. It returns false as soon as
// no item can come any more, or wait reports false. What a claim has left of items, which have
// woken it alone, the next sleeper is woken for.
func (c *Call) awaitLocked(among *sleepers, wait, found func() bool) (ok bool) {
	ok = c.awaitOneLocked(among, wait, found)
	if (among == &c.claims || !ok) && c.ledger.left() > 0 {
		c.wakeForLocked(1)
	}
	return ok
}

func (c *Call) awaitOneLocked(among *sleepers, wait, found func() bool) bool {
	for {
		if c.ctx.Err() != nil { // the watcher may not have noticed yet
			c.endLocked(c.endCauseLocked())
		}
		seen := c.ledger.items()
		if found() {
			return true
		}
		mayBeReturned := c.ledger.open > 0
		if c.ledger.bound.Load() < 0 || !mayBeReturned && !c.ledger.mayGrow() || wait != nil && !wait() {
			return false
		}
		if mayBeReturned {
			c.starved++
			c.claimant.Starved()
		}
		among.sleepUnless(func() bool { return c.ledger.items() != seen })
		if mayBeReturned {
			c.starved--
		}
	}
}

// AwaitSettled waits until every item that was claimed is settled.
func (c *Call) AwaitSettled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.ledger.open > 0 {
		c.end.sleep()
	}
}

// Left is the number of items that can be claimed.
func (c *Call) Left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.left()
}

// MayHaveMore reports whether a worker that holds held items should claim more before it
// has run them.
func (c *Call) MayHaveMore(held int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.mayHaveMore(held)
}

// Starved is how many claims wait for items that other workers hold.
func (c *Call) Starved() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starved
}

// Wake has the claims that wait look again, and so ask their wait function.
func (c *Call) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims.wakeAll()
}

// sleepers are goroutines that wait for the same kind of thing. The call's mutex guards them,
// and is released while they sleep; n can be read at any time.
type sleepers struct {
	changed sync.Cond
	n       atomic.Int32 // how many sleep and have not been woken
}

func (s *sleepers) sleep() {
	s.n.Add(1)
	s.changed.Wait()
}

// sleepUnless sleeps, unless awake reports true. It asks that when n has grown: who changes
// without the lock what awake reads, and then looks at n, either is seen or sees it.
func (s *sleepers) sleepUnless(awake func() bool) {
	s.n.Add(1)
	if awake() {
		s.n.Add(-1)
		return
	}
	s.changed.Wait()
}

// wake wakes at most n of them, those first that have slept longest, and returns how many it
// has woken.
func (s *sleepers) wake(n int) int {
	n = min(n, int(s.n.Load()))
	s.n.Add(-int32(n))
	for range n {
		s.changed.Signal()
	}
	return n
}

func (s *sleepers) wakeAll() {
	if s.n.Load() > 0 {
		s.n.Store(0)
		s.changed.Broadcast()
	}
}

// wakeForLocked wakes as many as can claim one each of n items that have become available.
// A claim is at its worker, while AwaitWork must get one first.
func (c *Call) wakeForLocked(n int) {
	n -= c.claims.wake(n)
	c.servers.wake(n)
}

// wakeAllLocked has all that wait look again.
func (c *Call) wakeAllLocked() {
	c.claims.wakeAll()
	c.servers.wakeAll()
	c.end.wakeAll()
}
