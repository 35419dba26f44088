package worker

import (
	"context"
	"time"

	"example.com/parallel/internal/wire"
)

// quantumTime is how long the items should take that the executor takes at once: long
// against what surrounds them, about a microsecond, and short enough for items behind them
// that another worker wants.
const quantumTime = 20 * time.Microsecond

// execute is the executor: it runs the items in the order in which they came. It does not
// return, but ends with an item that calls runtime.Goexit.
func (w *worker) execute() {
	for {
		w.run(w.next())
	}
}

// next waits for items and takes a quantum of them into the Part. The first is the running
// one from then on. It returns their call, and the context for them.
func (w *worker) next() (*call, context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.learnLocked()
	w.taken = queuedRun{}
	w.hearLocked()
	w.sendLocked()
	for w.queue.empty() {
		w.awaitLocked()
		w.since = time.Now()
	}
	return w.takeLocked()
}

// learnLocked measures the items that were taken last, which have been run, or given back.
func (w *worker) learnLocked() {
	if w.taken.Count > 0 {
		now := time.Now()
		w.taken.call.function.Cost.Learn(w.taken.Count, now.Sub(w.since))
		w.since = now
	}
}

// hearLocked answers the doorbell: it waits until the frames for which the parent has rung
// have been heard. They are in the pipe. The listener may not have read them though it is
// its turn: if this worker has but one processor, items that follow one another keep it
// from running.
func (w *worker) hearLocked() {
	for w.mapping.Doorbell() > w.heard {
		w.awaitLocked()
	}
}

// sendLocked sends the results that wait if there is nothing left to run, and if the
// items that were sent together have been run: the parent may send more when it has
// their results.
func (w *worker) sendLocked() {
	switch {
	case w.queue.empty():
		w.results.rest()
	case w.batchDone:
		w.results.send()
	}
}

// takeLocked takes a quantum of the items in the queue.
func (w *worker) takeLocked() (*call, context.Context) {
	c := w.queue.first()
	w.taken, w.batchDone = w.queue.take(w.quantum(c))
	w.setAlarmLocked()
	w.part.load(w.taken.Run, c, w.maxBytes)
	w.results.begin(&w.taken.Run, c, w.since)
	return c, c.ctx
}

// quantum is how many items of c to take. A worker that does not share its memory tells
// the parent of each item before it starts.
func (w *worker) quantum(c *call) int {
	if !w.mapping.Shared() {
		return 1
	}
	return c.function.Cost.Items(quantumTime)
}

// run runs the items of the Part until one fails or yield is raised. A panic ends here; a
// runtime.Goexit takes this goroutine with it, and another goes on.
func (w *worker) run(c *call, ctx context.Context) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		w.end(c, w.config.Errors.Recovered(v))
		if v == nil {
			go w.execute()
		}
	}()
	err := c.function.Run(ctx, &w.part)
	returned = true
	w.end(c, err)
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
	w.taken.Count = w.part.begun
	if rest := w.part.unload(); rest.Count > 0 {
		w.queue.putBack(queuedRun{rest, c})
	}
	w.dropLocked(c)
}

// fail says that an item has failed. Encoding the error runs methods of it. Until that is
// over the item counts as running, since the worker may still die of it.
func (w *worker) fail(seq uint64, index int, c *call, err error) {
	frame, lengthAt := beginRecord(wire.RecordFailure, seq)
	w.results.putFailure(w.config.Errors.Append(frame, err), lengthAt)
	if c.keepGoing {
		return
	}
	// The parent will say so too, but until then nothing more may start.
	w.mu.Lock()
	defer w.mu.Unlock()
	c.bound = min(c.bound, int64(index))
	w.dropLocked(c)
}
