package worker

import (
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/wire"
)

// Who reads the requests. The leader of the Turn is the executor, its follower the
// listener.
//
//	nothing to run              the executor, in awaitLocked
//	items run, since at most    neither: the listener would have to be woken, for nothing
//	  relistenTime                if the items are few and short
//	items run for longer        the listener, from when the alarm goes off until it has
//	                              read items for which the executor waits
//
// So the executor reads again after a long item only when the next items have arrived.
// What the parent says while neither reads waits in the pipe, for relistenTime or until
// the executor looks at the doorbell between two quanta.

// input is the requests and who reads them. The worker's mutex guards waiting and alarmed.
type input struct {
	source  Requests
	frames  *wire.Reader // of source; belongs to the goroutine whose turn it is
	turn    *pipe.Turn
	waiting bool        // the executor waits for the listener
	alarm   *time.Timer // has the listener read again
	alarmed bool        // the alarm is set
}

const (
	// relistenTime is how long after the start of items no goroutine may be reading.
	relistenTime = time.Millisecond
	// pollTime is how long an executor without items waits in system calls of its own
	// before it leaves that to the runtime's poller.
	pollTime = 200 * time.Microsecond
)

// init makes the input ready for the greeting. The first items are for the executor, which is
// ready for them as soon as the listener is.
func (in *input) init(source Requests) {
	in.source, in.frames = source, wire.NewReader(source, wire.MaxFrame)
	in.turn = pipe.NewTurn(true)
}

// listen is the listener. It does not return.
func (w *worker) listen() {
	for {
		w.in.turn.Await()
		w.receive()
	}
}

// receive waits for a frame and does what it says. It is the caller's turn, which may be
// over when receive returns: see enqueue.
func (w *worker) receive() {
	kind, payload, err := w.in.frames.Next()
	broken := errors.Is(err, wire.ErrProtocol)
	if err == nil {
		err = w.handle(kind, payload)
		broken = err != nil
	}
	switch {
	case err == nil:
	case broken:
		fmt.Fprintln(os.Stderr, "parallel: worker process: requests:", err)
		w.dieAfterItem()
	default:
		w.die() // the parent has gone, or is not one
	}
}

// dieAfterItem ends this process, in which something else has read or written the requests,
// when the item that is running has come to its end: that is not to blame. It does not
// return.
func (w *worker) dieAfterItem() {
	if w.doom() {
		select {}
	}
	w.die()
}

// doom has the executor end this process before it runs another item. It reports false if it
// is running none.
func (w *worker) doom() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doomed = true
	w.raiseYieldLocked()
	return w.claimed.Count > 0
}

// awaitLocked waits until a frame may have been read, for the executor. The mutex is not
// held while it waits.
func (w *worker) awaitLocked() {
	if !w.in.turn.Lead() {
		w.in.waiting = true
		w.arrived.Wait()
		w.in.waiting = false
		return
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.in.turn.Yield(false)
	}()
	if !w.in.frames.Buffered() {
		w.in.source.Poll(pollTime)
	}
	w.receive()
}

// arrivedLocked says that items have arrived. If the executor waits for them, the listener,
// who has read them, gives it the turn, and must not use what it has read any more.
func (w *worker) arrivedLocked() {
	if w.in.waiting {
		w.in.turn.Rest()
	}
	w.arrived.Signal()
}

// countDoorbellLocked takes in that a frame was read for which the parent has rung the
// doorbell.
func (w *worker) countDoorbellLocked() {
	w.doorbells++
	w.arrived.Signal()
}

// setAlarmLocked has the listener read soon, if no goroutine does, since the executor is
// about to run items.
func (w *worker) setAlarmLocked() {
	if !w.in.alarmed && w.in.turn.Free() {
		w.in.alarmed = true
		w.in.alarm.Reset(relistenTime)
	}
}

// relisten is the alarm's: it has the listener read, unless the executor does.
func (w *worker) relisten() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in.alarmed = false
	w.in.turn.Reclaim()
}
