package worker

import (
	"context"
	"time"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// quantumTime is how long the items should take that the executor claims at once: long
// against what surrounds them, about a microsecond, and short enough for items behind them
// that another worker wants.
const quantumTime = 20 * time.Microsecond

// execute is the executor: it runs the items in the order in which they came. It does not
// return. If an item calls runtime.Goexit, or a method of an item's error does, this
// goroutine ends, and another goes on as the executor.
func (w *worker) execute() {
	for {
		c, ctx := w.next()
		guard.Run(func() { w.run(c, ctx) }, func() { go w.execute() })
	}
}

// next waits for items and claims a quantum of them for the Part. The first is the running
// one from then on. It returns their call, and the context for them.
func (w *worker) next() (*call, context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.learnLocked()
	w.claimed = queuedRun{}
	if w.doomed {
		w.results.flush()
		w.die()
	}
	w.awaitDoorbellLocked()
	w.dropRevokedLocked()
	w.flushLocked()
	if w.lookAtMemoryLocked() { // the queue may be empty now
		w.flushLocked()
	}
	for w.queue.empty() {
		w.awaitLocked()
		w.since = time.Now()
		w.lookAtMemoryLocked() // it may have grown while it was idle
		w.dropRevokedLocked()
	}
	return w.claimLocked()
}

// learnLocked measures the items that were claimed last, which have been run, or given back.
func (w *worker) learnLocked() {
	if w.claimed.Count > 0 {
		now := time.Now()
		w.claimed.call.function.Cost.Learn(w.claimed.Count, now.Sub(w.since))
		w.since = now
		w.memory.ran = true
	}
}

// awaitDoorbellLocked waits until the frames for which the parent has rung the doorbell have
// been read. They are in the pipe. The listener may not have read them though it is its
// turn: if this worker has but one processor, items that follow one another keep it from
// running.
func (w *worker) awaitDoorbellLocked() {
	for w.mapping.Doorbell() > w.doorbells {
		w.awaitLocked()
	}
}

// dropRevokedLocked drops the queued items that the parent has revoked, and says so: it may not
// know of all that they had not begun.
func (w *worker) dropRevokedLocked() {
	w.results.flushDropped(w.queue.dropBefore(w.part.revoked.Load()))
}

// flushLocked sends the results that wait if there is nothing left to run, and if the
// items that were sent together have been run: the parent may send more when it has
// their results.
func (w *worker) flushLocked() {
	switch {
	case w.queue.empty():
		w.results.flushIdle()
	case w.batchDone:
		w.results.flush()
	}
}

// claimLocked claims a quantum of the items in the queue, which must not be empty.
func (w *worker) claimLocked() (*call, context.Context) {
	c := w.queue.first()
	w.claimed, w.batchDone = w.queue.pop(w.quantum(c))
	w.setAlarmLocked()
	w.part.load(w.claimed.Run, c, w.maxBytes)
	w.results.begin(&w.claimed.Run, c, w.since)
	return c, c.ctx
}

// quantum is how many items of c to claim. A worker that does not share its memory tells
// the parent of each item before it starts, and one with a limit of memory is measured after
// its first.
func (w *worker) quantum(c *call) int {
	if !w.mapping.Shared() || w.memory.limited() && !w.memory.ran {
		return 1
	}
	return min(c.function.Cost.Items(quantumTime), shm.RingCount)
}

// run runs the items of the Part until one fails or yield is raised. A panic ends here. A
// runtime.Goexit goes on when the item's failure is in the results buffer.
func (w *worker) run(c *call, ctx context.Context) {
	var err error
	defer func() { w.end(c, err) }()
	guard.Catch(func() { err = w.runPart(c, ctx) }, func(v any) { err = w.config.Errors.Recovered(v) })
}

// runPart has the typed loop run the items of the Part. With a limit of memory it looks at the
// clock between two of them, and comes to an end early when the worker is to be measured: what
// the items were thought to take does not count, since an item that leaves much behind may
// follow many that leave nothing.
func (w *worker) runPart(c *call, ctx context.Context) error {
	for {
		if err := c.function.Run(ctx, &w.part); err != nil {
			return err
		}
		if w.part.memory == nil || !w.part.extend() {
			return nil
		}
	}
}

// end takes in that the Part has come to its end, at an item that failed with err if that
// is not nil.
func (w *worker) end(c *call, err error) {
	index := w.part.run.Index + w.part.begun - 1 // of the last one begun
	var failed uint64
	if err != nil {
		failed = w.part.ring.Next()
	}
	w.results.end(failed)
	w.giveBack(c)
	if err != nil {
		w.fail(failed, index, c, err)
	}
}

// giveBack puts the items of the Part that have not been begun back into the queue, or
// drops them if they are not wanted any more.
func (w *worker) giveBack(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claimed.Count = w.part.begun
	if rest := w.part.unload(); rest.Count > 0 {
		w.queue.putBack(queuedRun{rest, c})
	}
	w.dropLocked(c)
}

// fail queues the failure of an item. Encoding the error runs methods of it. Until that is
// over the item counts as running, since the worker may still die of it.
func (w *worker) fail(seq uint64, index int, c *call, err error) {
	frame, lengthAt := beginRecord(wire.RecordFailure, seq)
	defer func() { // even if a method calls Goexit
		w.results.queueFailure(seq, frame, lengthAt)
		if !c.keepGoing {
			w.lowerBound(c, index)
		}
	}()
	w.config.Errors.Append(&frame, err)
}

// lowerBound lets no item of c start after the one with that index, which has failed. The
// parent will ask for that too, but not at once.
func (w *worker) lowerBound(c *call, index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.bound = min(c.bound, int64(index))
	w.dropLocked(c)
}
