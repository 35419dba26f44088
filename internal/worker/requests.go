package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/wire"
)

// handle does what a frame of the parent's says. An error says that it cannot be
// understood. The payload is the frame reader's again when handle returns.
func (w *worker) handle(kind wire.Kind, payload []byte) error {
	switch kind {
	case wire.KindCall:
		var m wire.Call
		if err := m.Parse(payload); err != nil {
			return err
		}
		return w.openCall(&m)
	case wire.KindItems:
		var run wire.Run
		if err := run.Parse(slices.Clone(payload)); err != nil {
			return err
		}
		return w.enqueue(run)
	case wire.KindSlot:
		return w.handleSlot(payload)
	case wire.KindStop:
		return w.handleStop(payload)
	case wire.KindRecall:
		w.recall()
		return nil
	default:
		return fmt.Errorf("a frame of unknown kind %d", kind)
	}
}

// handleSlot takes in items that are in the shared segment. They stay there until they
// have been run.
func (w *worker) handleSlot(payload []byte) error {
	var m wire.Slot
	if err := m.Parse(payload); err != nil {
		return err
	}
	data, err := w.mapping.Items(m.At, m.Length)
	if err != nil {
		return err
	}
	if err := m.SetData(data); err != nil {
		return err
	}
	return w.enqueue(m.Run)
}

func (w *worker) handleStop(payload []byte) error {
	var m wire.Stop
	if err := m.Parse(payload); err != nil {
		return err
	}
	cause, err := w.decodeCause(m.Cause)
	if err != nil {
		return err
	}
	w.stop(m.ID, int64(m.Index), cause)
	return nil
}

// decodeCause decodes why a call is stopped; an empty cause is context.Canceled. It does so
// in a goroutine of its own, since code of the user's may end that. malformed says that src
// is no error.
func (w *worker) decodeCause(src []byte) (cause, malformed error) {
	if len(src) == 0 {
		return context.Canceled, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		malformed = w.config.Errors.Parse(src, &cause)
	}()
	<-done
	return cause, malformed
}

// openCall makes m the call that the next items belong to.
func (w *worker) openCall(m *wire.Call) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Known {
		if w.current = w.calls[m.ID]; w.current == nil {
			return fmt.Errorf("unknown call %d", m.ID)
		}
		return nil
	}
	f, err := w.config.Function(m.Function)
	if err != nil {
		return err
	}
	w.current = newCall(m, f, w.config.Shared)
	w.calls[m.ID] = w.current
	return nil
}

// enqueue takes in items. Those that the parent had on their way when it said that they
// are not wanted any more are dropped, and all are given back when this worker has become too
// large.
func (w *worker) enqueue(run wire.Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil {
		return errors.New("items of no call")
	}
	switch {
	case run.Count == 0:
	case w.outgrown > 0:
		items := seqs(&run)
		w.results.flushRecords(wire.AppendOutgrown(nil, w.outgrown, items.first, items.last))
	default:
		w.queue.push(queuedRun{run, w.current})
		w.dropLocked(w.current)
	}
	w.arrivedLocked()
	return nil
}

// recall gives back every item that has not been claimed. What the executor has claimed and
// not begun goes back into the queue, where the next recall finds it.
func (w *worker) recall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.countDoorbellLocked()
	items := w.queue.clear()
	w.raiseYieldLocked()
	w.results.flushRecords(wire.AppendDropped(nil, wire.RecordRecalled, items.first, items.last))
}

// stop goes no further than the item with that index in the call, −1 for not at all, and
// ends the context of an item after it that is running.
func (w *worker) stop(id uint64, index int64, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.countDoorbellLocked()
	c := w.calls[id]
	if c == nil {
		return // that call is over
	}
	c.bound = min(c.bound, index)
	running := w.haltLocked(c)
	if c.bound < 0 || running > c.bound {
		c.cancel(cause)
		c.renewLocked() // for items before the bound that are still to come
	}
	w.dropLocked(c)
	if c.bound < 0 {
		c.end()
		delete(w.calls, c.id)
	}
}

// haltLocked has the executor begin no further item of c, and returns the index of the one
// that it is running, −1 if there is none.
//
// Two words say how far the executor is, and it must not pay for a fence at each item: it
// looks at yield, and it publishes a result, which makes the next item the running one,
// by a store that other processors may see late (see shm.Ring.Commit). So for yieldTime
// after yield was raised it may begin an item, or have begun one that is not seen yet.
// After that what is seen is right: the item is at an end, or it is the last one begun.
func (w *worker) haltLocked(c *call) (running int64) {
	if w.claimed.call != c {
		return -1
	}
	if w.raiseYieldLocked() {
		cost.SpinFor(yieldTime, func() bool { return false })
	}
	return w.runningLocked()
}

// yieldTime is how long after yield was raised the executor may still begin an item.
const yieldTime = 5 * time.Microsecond

// raiseYieldLocked has the executor give back the items that it has claimed and not begun.
// It reports false if there are certainly none: a single item counts as begun.
func (w *worker) raiseYieldLocked() bool {
	if w.claimed.Count < 2 {
		return false
	}
	w.part.raiseYield()
	return true
}

// runningLocked is the index of the item that the executor is running, −1 if none is. A
// failed item is running until its failure is in the results buffer.
func (w *worker) runningLocked() int64 {
	seq := w.mapping.Running()
	if seq < w.claimed.Seq || seq-w.claimed.Seq >= uint64(w.claimed.Count) {
		return -1
	}
	return int64(w.claimed.Index) + int64(seq-w.claimed.Seq)
}

// dropLocked drops the queued items of c after its bound.
func (w *worker) dropLocked(c *call) {
	if c.bound != noBound {
		w.results.flushDropped(w.queue.drop(c))
	}
}
