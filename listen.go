package parallel

import (
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// Who listens to the parent, in a worker. The listener, a goroutine, does while items
// run that take long. While there is nothing to run, and for a moment after, the
// executor itself does: an item that comes then need not wait for one goroutine to
// wake another. The parent does the same; see reader.go.
//
// The pipe is lent to the executor from the start, and by the listener when it has heard
// items for which the executor has been waiting. The listener takes it back when it wakes up to that a moment later, unless
// the executor has come to its end and is reading. So whoever reads is the only one
// to change who does, and two never read at once.

// ear is what listening takes. The worker's mutex guards it.
type ear struct {
	pipe   *inlet
	frames *wire.Reader // for whoever reads
	lent   bool         // the executor is to read, not the listener,
	busy   bool         // and is reading
	idle   bool         // the executor waits for the listener to hear something
	back   sync.Cond    // the listener is to read again
	alarm  *time.Timer  // sees to that
	set    bool         // whether it will
}

// lendTime is how long after the start of items nobody may be listening.
const lendTime = time.Millisecond

// listenTime is how long an executor without work waits in a system call of its own
// before it leaves that to the poller.
const listenTime = 200 * time.Microsecond

func newWorker(requests *inlet) *worker {
	w := &worker{calls: make(map[uint64]*workerCall)}
	w.arrived.L = &w.mu
	w.ear.back.L = &w.mu
	w.ear.pipe, w.ear.frames = requests, wire.NewReader(requests, maxFrame)
	w.ear.alarm = time.AfterFunc(time.Hour, w.takeBack)
	w.ear.alarm.Stop()
	w.ear.lent = true // the first items are for the executor, which is as ready as the listener
	return w
}

// listen is the listener. It never returns.
func (w *worker) listen() {
	for {
		w.mu.Lock()
		for w.ear.lent {
			w.ear.back.Wait()
		}
		w.mu.Unlock()
		w.takeFrame()
	}
}

// takeFrame waits for a frame of the parent's and does what it says.
func (w *worker) takeFrame() {
	kind, payload, err := w.ear.frames.Next()
	if err == nil {
		err = w.take(kind, payload)
	}
	if err != nil {
		dieWithGroup() // the parent has gone, or is not one
	}
}

// lend makes the executor listen from now on, if it waits for the listener, who calls
// this. mu is held.
func (w *worker) lend() { w.ear.lent = w.ear.lent || w.ear.idle }

// await is the executor's, who waits until something has been heard. mu is held, but
// not while it waits.
func (w *worker) await() {
	if !w.ear.lent {
		w.ear.idle = true
		w.arrived.Wait()
		w.ear.idle = false
		return
	}
	w.ear.busy = true
	w.mu.Unlock()
	if !w.ear.frames.Buffered() {
		w.ear.pipe.linger(listenTime)
	}
	w.takeFrame()
	w.mu.Lock()
	w.ear.busy = false
}

// watch sees to it that somebody listens soon, since the executor is about to run
// items. mu is held.
func (w *worker) watch() {
	if w.ear.lent && !w.ear.set {
		w.ear.set = true
		w.ear.alarm.Reset(lendTime)
	}
}

// takeBack has the listener listen again, unless the executor does.
func (w *worker) takeBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ear.set = false; w.ear.lent && !w.ear.busy {
		w.ear.lent = false
		w.ear.back.Signal()
	}
}
