package supervisor

import (
	"slices"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// session is one call's use of one worker. Its sender, a goroutine of the call, claims items
// and sends them in batches. The goroutine that reads what the worker says (see reader)
// takes in what becomes of them. A batch is sent while the one before runs, so that the
// worker does not wait for the next while there is one.
//
// The sender opens the session, sends, drains it, and leaves. Whatever happens to the worker
// meanwhile, each item that was claimed is settled once: by an outcome, by being given back,
// or when the worker is lost.
type session struct {
	call   *call
	worker *worker
	begun  time.Time
	tells  sync.WaitGroup // frames that are written without waiting for them; see tellLocked
	place  link[*session] // in the call's list
	sender sender         // the sending goroutine's
	taking taking         // the reading goroutine's; see outcomes.go

	mu        sync.Mutex
	changed   sync.Cond    // the sender should look again
	window    window       // what is in flight
	state     sessionState // how the worker is
	known     bool         // the worker knows of the call: its opening has been written
	asked     bool         // another call has asked for the worker
	condemned bool         // the item that is running may have to be killed: nothing is sent behind it
	busy      bool         // what the worker has said is being taken in, maybe by code of the user's
	decoding  int          // while busy, the item whose result or error is being decoded, or the first of several; −1: none
	handOver  handOver     // of the worker to another call, which waits for one
	started   uint64       // without a segment: the item that the worker said it was starting
	watch     watch        // the monitor's
}

// sessionState is what a session knows of its worker. It only goes forward.
type sessionState uint8

const (
	works  sessionState = iota
	broken              // it cannot be written to
	lost                // it has died, and its items are being settled
)

// sender is how far the sending goroutine has come. After a Goexit in code of the user's
// another goroutine goes on from here.
type sender struct {
	attached bool
	opening  []byte // opens the call in the worker; goes before the first items. nil: it has been written
	knew     bool   // the worker knew of the call before this session
	used     bool   // an item has been sent
	left     bool   // it has read an answer and left it to the reader
	rest     rest   // while there is no work for the worker
	encodes  itemStopper
	small    [64]byte // buffer for a frame that says where items are
	first    [64]byte // buffer for the opening
}

func newSession(d *call, w *worker) *session {
	s := &session{call: d, worker: w, begun: d.pool.clock.Now(), watch: newWatch()}
	s.changed.L = &s.mu
	s.window.next = w.lastSeq + 1
	return s
}

// run sends items until there are none for this worker, or it had better go, and returns
// when all that it has sent are settled. It reports whether it has sent any. After a Goexit
// in code of the user's it is called again.
func (s *session) run() (used bool) {
	if !s.sender.attached && !s.begin() {
		s.call.pool.release(s.worker, s.call)
		return false
	}
	s.send()
	s.drain()
	s.leave()
	return s.sender.used
}

// begin makes the worker's results this session's. It returns false if the worker is lost.
func (s *session) begin() bool {
	knew, ok := s.worker.attach(s)
	if !ok {
		return false
	}
	s.sender.attached = true
	s.call.pool.counters.busy.Add(1)
	s.call.add(s, knew)
	s.call.monitor.begin()
	s.sender.knew, s.sender.opening = knew, s.call.open(s.sender.first[:0], knew)
	return true
}

// write sends a frame of the items before end: the first with what is to be said before.
func (s *session) write(frame []byte, end uint64) error {
	w := s.worker
	if s.sender.opening == nil {
		return w.conn.writeItems(frame, 0, end)
	}
	queued, doorbells := w.conn.queue.pop(w.first[:0])
	w.first = append(append(queued, s.sender.opening...), frame...)
	err := w.conn.writeItems(w.first, doorbells, end)
	if cap(w.first) > bufferKeep {
		w.first = nil
	}
	s.sender.opening = nil
	s.setKnown()
	if s.call.bounded() {
		s.call.monitor.act() // the worker has not been told
	}
	return err
}

func (s *session) setKnown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = true
}

// leave gives the worker back to the pool. The worker is told of the end of the call when
// that comes: until then it may have to serve it again.
func (s *session) leave() {
	w := s.worker
	knows := s.sender.opening == nil || s.sender.knew // else there was nothing to send behind it
	s.call.remove(s, knows)
	if !knows {
		w.forget(s.call.id)
	}
	s.tells.Wait()
	s.call.pool.counters.busy.Add(-1)
	if cap(w.frame) > bufferKeep {
		w.frame = nil
	}
	if !w.detach() || s.isBroken() {
		w.frame, w.first = nil, nil // calls remember their workers for longer than these live
	} else if w.segment != nil && !w.revoked.holds(0) {
		w.segment.Trim()
	}
	s.call.pool.release(w, s.call)
}

// fail gives up a worker that cannot be written to, and waits until it has died.
func (s *session) fail(err error) {
	s.mu.Lock()
	s.state = max(s.state, broken)
	s.mu.Unlock()
	s.worker.giveUpWriting(err)
}

// isBroken reports whether the worker cannot be written to.
func (s *session) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state >= broken
}

// drain waits until all that was sent is settled, and all that was said taken in: until then
// the worker must not serve another session.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.window.empty() || s.busy {
		if s.window.empty() {
			s.changed.Wait()
			continue
		}
		if s.asked && s.window.items > 1 && s.call.pool.wanted(s.call) {
			s.handOverLocked(time.Now())
		}
		s.awaitLocked()
	}
}

// handOver is how far a session is on the way to give its worker to another call. Until it is
// over, it sends nothing more.
type handOver struct {
	due   time.Time // what is in flight should have come to its end; zero: no other call waits
	asked uint64    // the first item in flight when the worker was last asked to give back the others
}

// handOverLocked lets the worker end what is in flight if that should take no longer than a
// slice: to send items and to recall them at once would cost both calls more than it saves
// the other. What should take longer, or has, for which the other call should not wait, the
// worker is asked to give back: again with each item that begins, since what the worker has
// claimed is given back when the running item ends at the earliest.
func (s *session) handOverLocked(now time.Time) (left time.Duration) {
	h := &s.handOver
	if h.due.IsZero() {
		h.due = now
		if s.backlogLocked() > sliceTime {
			s.call.cutShort()
		} else {
			h.due = now.Add(2 * sliceTime)
			s.call.monitor.act() // estimates may be wrong
		}
	}
	first, _, _ := s.window.first()
	if left = h.due.Sub(now); left <= 0 && h.asked != first {
		h.asked = first
		s.recallLocked()
	}
	return left
}

// awaitLocked waits until something may have changed, while anything is in flight. The caller
// looks, and waits again.
func (s *session) awaitLocked() {
	turn := s.worker.reader.turn
	if s.mayLeadLocked() && turn.Lead() {
		s.sender.left = false
		soon, short := s.backlogLocked() < pollTime, s.window.items > 1
		s.mu.Unlock()
		defer s.mu.Lock()
		if short {
			s.readShort()
		} else {
			s.readInPlace(soon)
		}
		return
	}
	if s.call.isShort() && !s.sender.left { // nobody else would notice that it is not
		s.call.callHelp()
		return
	}
	s.sender.left = false
	turn.Want(true)
	turn.Wake()
	s.changed.Wait()
}

// mayLeadLocked reports whether the sender may read the answer in place of the worker's reader:
// nothing else that it would hear of concerns it meanwhile.
func (s *session) mayLeadLocked() bool {
	return s.call.Left() == 0 && (s.call.isShort() || s.call.callerServes && s.window.items == 1)
}

// wake has the sender look again.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Signal()
}

// ask has the session give its worker up, if others still wait for it then.
func (s *session) ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asked {
		s.asked = true
		s.changed.Signal()
	}
}

// backlogLocked is the time that the items in flight should take; 0 if that is not known.
func (s *session) backlogLocked() time.Duration { return s.call.Cost().Of(s.window.items) }

// recallLocked has what the worker has not started given back, if there may be such: at once,
// or else it asks the worker for it.
func (s *session) recallLocked() {
	if s.window.items > 1 && !s.revokeLocked() {
		s.pingLocked()
	}
}

// pingLocked asks the worker to give back what it has not started, which may be nothing.
func (s *session) pingLocked() {
	if !s.worker.conn.recalling() {
		return
	}
	s.tellLocked(wire.Finish(wire.Begin(nil, wire.KindRecall)))
}

// tellLocked sends a copy of a frame without waiting for it: a worker that does not read must
// not hold up the clocks of others.
func (s *session) tellLocked(frame []byte) {
	w := s.worker
	frame = slices.Clone(frame)
	s.tells.Go(func() {
		if err := w.conn.write(frame, 1, w.segment); err != nil {
			s.fail(err)
		}
	})
}
