package parallel

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// session is one call's use of one worker. Its sender, a goroutine of the call,
// claims items and sends them in batches; the handle's reader takes in what
// becomes of them. Two batches are under way at most, so that the worker never
// waits for the next while there is one.
type session struct {
	d *dispatch
	h *handle

	mu       sync.Mutex
	changed  sync.Cond // the sender should look again
	inflight []flight  // sent and not settled, in the order in which the worker runs them
	bytes    int       // their encoded size
	started  uint64    // without a page: the item that the worker said it was starting
	recalled int       // recalls that have not been answered
	lost     bool      // the worker has died, and its items are settled
	broken   bool      // the worker cannot be written to

	// The monitor's.
	told    int64     // the bound that the worker was told of
	killAt  time.Time // when to kill a worker that runs an item it should not; zero: never
	seen    uint64    // the item that was running at the last look,
	seenAt  time.Time // and since when, as far as is known
	overMem int       // looks at which seen had outgrown the memory limit

	buf []byte // the sender's, for frames
}

// flight is one item under way.
type flight struct {
	seq   uint64
	index int
	bytes int
}

const (
	batchTime  = time.Millisecond // what a batch should take to run: long against a round trip
	batchBytes = 256 << 10        // what a frame of several items may hold
	batchGrow  = 8                // how much larger than the one before a batch may be
)

func newSession(d *dispatch, h *handle) *session {
	s := &session{d: d, h: h, told: noBound}
	s.changed.L = &s.mu
	return s
}

// run sends items until there are none for this worker, or it had better go, and
// returns when all that it has sent are settled.
func (s *session) run() {
	if !s.h.attach(s) {
		return
	}
	if s.h.write(s.d.announce(s.buf)) == nil {
		s.d.add(s)
		s.d.pokeMonitor() // the call may have been stopped before
		s.send()
		s.drain()
		s.d.remove(s)
	}
	if s.h.detach() {
		_ = s.h.write(s.d.farewell()) // a worker that cannot be told is dying
		s.d.pool.release(s.h)
	}
}

// send is the sender's loop.
func (s *session) send() {
	batch := 1
	for {
		n, idle := s.waitForRoom(batch)
		if n == 0 {
			return
		}
		claimed := s.d.c.claim(n, nil, func() bool { return idle && s.h.alive() && !s.d.pool.wanted() })
		switch {
		case claimed.len() > 0:
			batch = claimed.len()
			s.sendItems(claimed)
		case idle:
			return
		}
	}
}

// waitForRoom waits until a batch can be sent, and returns the size it may have,
// and whether the worker has nothing to do; last is the size of the one before.
// A size of 0 means that the worker must not be sent any more.
func (s *session) waitForRoom(last int) (size int, idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		idle := len(s.inflight) == 0
		if s.lost || s.broken || !s.h.alive() || !idle && s.d.pool.wanted() {
			return 0, idle
		}
		want := s.batchSize(last)
		if max := s.d.pool.config.MaxItems; max > 0 {
			if want = min(want, max-s.h.items); want <= 0 {
				return 0, idle
			}
		}
		if idle {
			if s.d.pool.outgrown(s.h) {
				return 0, idle
			}
			return want, idle
		}
		// One batch more, but no item that another worker could start at once.
		if len(s.inflight) <= want && s.bytes < batchBytes && s.d.c.left() > s.d.c.workers {
			return want, idle
		}
		s.changed.Wait()
	}
}

// batchSize is the number of items that take about batchTime.
func (s *session) batchSize(last int) int {
	cost := s.d.c.itemCost()
	if cost == 0 {
		return 1
	}
	return max(1, min(int(batchTime*costScale/cost), batchGrow*last))
}

// sendItems encodes the claimed items and sends them, in several frames if they
// are large. What a lost worker cannot be sent is given back.
func (s *session) sendItems(claimed span) {
	s.mu.Lock()
	if len(s.inflight) == 0 {
		s.h.stderr.reset()
	}
	s.mu.Unlock()
	frame, flights := wire.Begin(s.buf, wire.KindItems), []flight(nil)
	for i := claimed.lo; i < claimed.hi; i++ {
		if s.d.c.stopped(i) {
			s.d.c.skip(span{i, claimed.hi})
			break
		}
		start := len(frame)
		var at int
		var err error
		frame, at = wire.AppendItemHeader(frame, s.h.lastSeq+1, i)
		frame, err = s.d.work.encode(frame, i, s.d.function.in, s.d.maxBytes)
		if err != nil {
			frame = frame[:start]
			s.d.fail(i, encodeError("item", err))
			continue
		}
		wire.PatchLength(frame, at)
		s.h.lastSeq++
		s.h.items++
		flights = append(flights, flight{s.h.lastSeq, i, len(frame) - start})
		if len(frame) >= batchBytes {
			if !s.launch(frame, flights) {
				s.d.c.giveBack(span{i + 1, claimed.hi})
				return
			}
			frame, flights = wire.Begin(frame, wire.KindItems), nil
		}
	}
	s.buf = frame
	if len(flights) > 0 {
		s.launch(frame, flights)
	}
}

// launch sends a frame with the given items. It returns false if the worker
// cannot be sent any more; the items are then given back, or will be at its
// burial.
func (s *session) launch(frame []byte, flights []flight) bool {
	s.mu.Lock()
	if s.lost {
		s.mu.Unlock()
		for _, f := range flights {
			s.d.c.giveBack(span{f.index, f.index + 1})
		}
		return false
	}
	s.inflight = append(s.inflight, flights...)
	for _, f := range flights {
		s.bytes += f.bytes
		s.d.pool.bytesOut.Add(int64(f.bytes))
	}
	s.mu.Unlock()
	if s.d.c.onStart != nil {
		s.d.c.onStart(s.h.pid)
	}
	if err := s.h.write(wire.Finish(frame)); err != nil {
		s.fail(fmt.Errorf("it stopped reading its requests: %w", err))
		return false
	}
	return true
}

// fail kills a worker that cannot be talked to. If it has died by itself, that
// is what its item is told.
func (s *session) fail(reason error) {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	select {
	case <-s.h.exited:
	case <-time.After(linger):
		s.h.kill(reason)
	}
}

// drain waits until all that was sent is settled.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.inflight) > 0 {
		s.changed.Wait()
	}
}

// takeRecords takes in what the worker has to say. With cut, the payload was
// found in the outbox of a dead worker: the pipe may have brought the start of
// it, and its end may be missing. Only the handle's reader calls this. The lock
// is not held while results are decoded and the book is told, since both may
// run code of the user's.
func (s *session) takeRecords(payload []byte, cut bool) error {
	finished := 0
	err := wire.ParseRecords(payload, cut, func(r wire.Record) error {
		switch r.Kind {
		case wire.RecordResult, wire.RecordFailure:
			f, ok := s.land(r.Seq)
			switch {
			case ok:
				return s.takeOutcome(r, f.index, &finished)
			case !cut:
				return fmt.Errorf("an outcome for item %d out of turn", r.Seq)
			}
		case wire.RecordStarted:
			s.mu.Lock()
			s.started = r.Seq
			s.mu.Unlock()
		case wire.RecordDropped, wire.RecordRecalled:
			return s.takeDropped(r)
		case wire.RecordBusy:
			s.d.measured(r.Count, r.Time)
		}
		return nil
	})
	s.d.finished(finished)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Signal()
	return err
}

// land takes the first item out of those under way, if it is seq: a worker runs
// its items in order.
func (s *session) land(seq uint64) (flight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inflight) == 0 || s.inflight[0].seq != seq {
		return flight{}, false
	}
	f := s.inflight[0]
	s.inflight = s.inflight[1:]
	s.bytes -= f.bytes
	return f, true
}

// takeOutcome settles item i, which the worker has run; one that ran well is
// only counted.
func (s *session) takeOutcome(r wire.Record, i int, finished *int) error {
	s.d.pool.bytesIn.Add(int64(len(r.Data)))
	if r.Kind == wire.RecordResult {
		if err := s.d.work.decode(r.Data, i, s.d.function.out); err != nil {
			s.d.fail(i, fmt.Errorf("parallel: cannot decode the result: %w", err))
			return nil
		}
		*finished++
		return nil
	}
	failure, err := decodeError(r.Data)
	if err != nil {
		failure = fmt.Errorf("parallel: cannot decode the error: %w", err)
	}
	s.d.fail(i, failure)
	return err
}

// takeDropped gives back items that the worker will not start: because it was
// asked to give them back, or because the call goes no further.
func (s *session) takeDropped(r wire.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := r.Kind == wire.RecordRecalled && s.recalled > 0
	if asked {
		s.recalled--
	}
	kept := s.inflight[:0]
	for _, f := range s.inflight {
		if f.seq < r.Seq || f.seq > r.Last {
			kept = append(kept, f)
			continue
		}
		if !asked && !s.d.c.stopped(f.index) {
			return errors.New("it dropped an item that it was to run")
		}
		s.bytes -= f.bytes
		s.d.c.giveBack(span{f.index, f.index + 1})
	}
	s.inflight = kept
	return nil
}

// takeStray takes in what a worker says that serves no call: how long it was
// busy, and that there was nothing to give back.
func takeStray(payload []byte) error {
	return wire.ParseRecords(payload, false, func(r wire.Record) error {
		if r.Kind == wire.RecordBusy || r.Kind == wire.RecordRecalled {
			return nil
		}
		return errors.New("an outcome for no call")
	})
}

// running returns the item that the worker is running, as far as it says so; 0
// is none. mu is held.
func (s *session) running() uint64 {
	if s.h.page != nil {
		return readPageWord(s.h.page, pageRunning)
	}
	if len(s.inflight) > 0 && s.inflight[0].seq == s.started {
		return s.started
	}
	return 0
}

// workerLost settles what was under way on a worker that has died: results that
// it had finished are taken, the item that it was running is blamed, and the
// others go to other workers.
func (s *session) workerLost() {
	if s.h.page != nil {
		_ = s.takeRecords(readOutbox(s.h.page), true) // what is malformed there counts as not finished
	}
	crash := s.h.crash()
	s.mu.Lock()
	s.lost = true
	flights := s.inflight
	s.inflight, s.bytes = nil, 0
	running := len(flights) > 0 && s.runningAtDeath(flights)
	s.mu.Unlock()
	// A worker runs its items in order, so that the one that it was running can
	// only be the first.
	if len(flights) > 0 && (running || s.d.fruitless()) {
		s.d.crashed(flights[0].index, crash)
		flights = flights[1:]
	}
	for _, f := range flights {
		s.d.c.giveBack(span{f.index, f.index + 1})
	}
	s.d.wake()
}

// runningAtDeath reports whether the dead worker was running the first of the
// items under way. mu is held.
func (s *session) runningAtDeath(flights []flight) bool {
	if s.h.page != nil {
		return readPageWord(s.h.page, pageRunning) == flights[0].seq
	}
	return s.started == flights[0].seq
}
