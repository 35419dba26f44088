package parallel

import (
	"cmp"
	"context"
	"slices"
)

// How items are claimed in the book: in index order, those that were given back first,
// and never so many that the other workers have nothing to do.

// claim takes the next items in index order, as takeShare does. While there are none
// it waits for items that the input may still bring, and in a patient call for those
// that another worker may give back, as long as wait, if not nil, reports true. An
// empty span means that there is nothing for this worker.
func (c *call) claim(want, least, under int, wait func() bool) (s span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.await(wait, func() bool {
		s = c.takeShare(want, least, under)
		return s.len() > 0
	})
	return s
}

// awaitWork waits until there may be an item to claim. It returns false if there
// will be none.
func (c *call) awaitWork() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.await(nil, func() bool { return c.leftLocked() > 0 })
}

// await waits until found reports true. It returns false as soon as no item can
// come any more, or wait does not want to. mu is held.
func (c *call) await(wait, found func() bool) bool {
	for {
		if c.ctx.Err() != nil { // the watcher may not have noticed yet
			c.endLocked(context.Cause(c.ctx))
		}
		if found() {
			return true
		}
		fromInput := !c.closed && !c.stopped(c.next)
		fromWorkers := c.patient && c.open > 0
		if c.bound.Load() < 0 || !fromInput && !fromWorkers || wait != nil && !wait() {
			return false
		}
		if fromWorkers {
			c.hungry++
			c.onHungry()
		}
		c.changed.Wait()
		if fromWorkers {
			c.hungry--
		}
	}
}

// awaitSettled waits until every item that was claimed is settled.
func (c *call) awaitSettled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open > 0 {
		c.changed.Wait()
	}
}

// take is claim without the waiting. mu is held.
func (c *call) take(want int) span { return c.takeLeast(want, 1) }

// takeLeast takes at most want items, and what leaves two turns for every worker, or one
// where fewer than least items would be left for a turn: they are not worth it. mu is held.
func (c *call) takeLeast(want, least int) span {
	if n := c.firstReturned(); n > 0 {
		return c.grab(min(want, (n+1)/2))
	}
	if c.stopped(c.next) {
		return span{}
	}
	left := c.avail - c.next
	return c.grab(min(want, max(1, left/(2*c.workers), min(least, left/c.workers)), left))
}

// takeShare is takeLeast for a worker that has under items already, where turns are dear:
// with fewer than least items, it may take its whole share of all that are not settled.
// mu is held.
func (c *call) takeShare(want, least, under int) span {
	left := c.leftLocked()
	share := (left + c.open) / c.workers
	n := min(want, max(1, left/(2*c.workers), min(least, share-under)))
	if r := c.firstReturned(); r > 0 {
		return c.grab(min(n, r))
	}
	if c.stopped(c.next) {
		return span{}
	}
	return c.grab(min(n, c.avail-c.next))
}

// firstReturned is how many items follow one another from the first that was given back
// and may be started. mu is held.
func (c *call) firstReturned() int {
	for len(c.returned) > 0 {
		if s := c.returned[0]; !c.stopped(s.lo) {
			return s.len()
		}
		c.skipped = append(c.skipped, c.returned[0])
		c.returned = c.returned[1:]
	}
	return 0
}

// grab takes n items from where firstReturned looked, else from those that were never
// claimed. mu is held.
func (c *call) grab(n int) (s span) {
	if len(c.returned) > 0 {
		first := &c.returned[0]
		s = span{first.lo, first.lo + n}
		if first.lo = s.hi; first.len() == 0 {
			c.returned = c.returned[1:]
		}
	} else {
		s = span{c.next, c.next + n}
		c.next += n
	}
	c.open += n
	return s
}

// left is the number of items that can be claimed.
func (c *call) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leftLocked()
}

// mayHaveMore reports whether a worker that has under items should be given more, for when
// it will have run them: not if it has most of its share of all that are not settled, nor
// if another could start them at once.
func (c *call) mayHaveMore(under int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.leftLocked()
	return left > c.workers && under*c.workers < (left+c.open)/4*3
}

func (c *call) leftLocked() int {
	n := 0
	if !c.stopped(c.next) {
		n = c.avail - c.next
	}
	for _, s := range c.returned {
		if !c.stopped(s.lo) {
			n += s.len()
		}
	}
	return n
}

// giveBack settles the items of s, which were claimed and never started, by
// letting another worker claim them.
func (c *call) giveBack(s span) {
	if s.len() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(s)
	c.settle(s.len())
	c.changed.Broadcast()
	if c.onReturn != nil {
		c.onReturn(s.len())
	}
}

// insert puts s among the items given back, as one with those right before and after it,
// so that they are claimed together again. mu is held.
func (c *call) insert(s span) {
	i, _ := slices.BinarySearchFunc(c.returned, s.lo, func(t span, lo int) int { return cmp.Compare(t.lo, lo) })
	j := i
	if i > 0 && c.returned[i-1].hi == s.lo {
		i--
		s.lo = c.returned[i].lo
	}
	if j < len(c.returned) && c.returned[j].lo == s.hi {
		s.hi = c.returned[j].hi
		j++
	}
	c.returned = slices.Replace(c.returned, i, j, s)
}
