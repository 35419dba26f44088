package parallel

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/wire"
)

// session is one call's use of one worker. Its sender, a goroutine of the call,
// claims items and sends them in batches; the handle's reader takes in what
// becomes of them. Two batches are under way at most, so that the worker never
// waits for the next while there is one.
type session struct {
	d      *dispatch
	h      *handle
	begun  time.Time
	writes sync.WaitGroup // those that must not wait for a worker; see tell

	// The sender's.
	attached bool
	used     bool   // an item has been sent
	buf      []byte // for frames

	// The reader's.
	finished int          // items that ran well and are not entered yet
	outbox   *wire.Cursor // what a dead worker left
	settling atomic.Bool  // code of the user's may be running: the worker is not to blame for silence

	mu        sync.Mutex
	changed   sync.Cond // the sender should look again
	announced bool      // the worker has been told of the call
	inflight  []flight  // sent and not settled, in the order in which the worker runs them
	bytes     int       // their encoded size
	started   uint64    // without a page: the item that the worker said it was starting
	condemned bool      // the item that is running may have to be killed: nothing is sent behind it
	told      bool      // tell has been called
	lost      bool      // the worker has died, and its items are settled
	broken    bool      // the worker cannot be written to

	watch watch // the monitor's; guarded by mu
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
	s := &session{d: d, h: h, begun: time.Now(), watch: watch{bound: noBound, told: noBound}}
	s.changed.L = &s.mu
	return s
}

// run sends items until there are none for this worker, or it had better go, and
// returns when all that it has sent are settled. After a Goexit in code of the
// user's it is called again.
func (s *session) run() {
	if !s.attached && !s.begin() {
		s.d.stillborn(s.h)
		return
	}
	s.send()
	s.drain()
	s.leave()
}

// begin tells the worker of the call. It returns false if the worker is lost.
func (s *session) begin() bool {
	known, ok := s.h.attach(s)
	if !ok {
		return false
	}
	s.attached = true
	s.d.pool.busy.Add(1)
	s.d.add(s)
	s.d.pokeMonitor()
	if err := s.h.write(s.d.announce(s.buf, known)); err != nil {
		s.fail(err)
		return true
	}
	s.mu.Lock()
	s.announced = true
	s.mu.Unlock()
	if s.d.c.bound.Load() != noBound {
		s.d.pokeMonitor() // nobody has told the worker
	}
	return true
}

// leave gives the worker back to the pool. It is told of the end of the call
// when that comes: until then it may have to serve it again.
func (s *session) leave() {
	s.d.remove(s)
	if s.told {
		stop := s.h.guard()
		s.writes.Wait()
		stop()
	}
	s.d.pool.busy.Add(-1)
	if !s.h.detach() || s.broken {
		if !s.used {
			s.d.stillborn(s.h)
		}
		return
	}
	s.d.pool.release(s.h)
}

// send is the sender's loop.
func (s *session) send() {
	batch := 1
	for {
		n, idle := s.waitForRoom(batch)
		if n == 0 {
			return
		}
		claimed := s.d.c.claim(n, func() bool { return idle && s.h.alive() && !s.d.pool.wanted() })
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
	config := &s.d.pool.config
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		idle := len(s.inflight) == 0
		if s.lost || s.broken || !s.h.alive() || idle && s.d.pool.outgrown(s.h) {
			return 0, idle
		}
		if s.used && s.d.pool.wanted() {
			s.recall() // another call should not wait for what has not begun
			return 0, idle
		}
		want := s.batchSize(last)
		if config.MaxItems > 0 {
			if want = min(want, config.MaxItems-s.h.items); want <= 0 {
				return 0, idle
			}
		}
		if idle {
			s.condemned = false
			return want, idle
		}
		// One batch more, but no item that another worker could start at once,
		// and none behind one that may have to be killed. With a limit, what
		// the worker holds is measured between batches.
		if !s.condemned && config.MaxMemoryBytes == 0 &&
			len(s.inflight) <= want && s.bytes < batchBytes && s.d.c.left() > s.d.c.workers {
			return want, idle
		}
		s.changed.Wait()
	}
}

// batchSize is the number of items that take about batchTime.
func (s *session) batchSize(last int) int {
	cost := s.d.c.costNow()
	if cost == 0 {
		return 1
	}
	return max(1, min(int(batchTime*costScale/cost), batchGrow*last))
}

// batch is claimed items on their way into frames.
type batch struct {
	claimed span     // those not looked at yet
	frame   []byte   // of flights
	flights []flight // encoded and not sent
	current int      // the item whose encoder is running; −1: none
}

// sendItems encodes the claimed items and sends them, in several frames if they
// are large. What a lost worker cannot be sent is given back.
func (s *session) sendItems(claimed span) {
	s.mu.Lock()
	if len(s.inflight) == 0 {
		s.h.stderr.reset()
	}
	s.mu.Unlock()
	b := &batch{claimed: claimed, frame: wire.Begin(s.buf, wire.KindItems), current: -1}
	returned := false
	defer func() {
		if !returned {
			s.abandon(b)
		}
	}()
	for b.claimed.len() > 0 {
		if s.d.c.stopped(b.claimed.lo) {
			s.d.c.skip(b.claimed)
			break
		}
		s.encode(b)
		if len(b.frame) >= batchBytes && !s.launch(b) {
			s.d.c.giveBack(b.claimed)
			b.flights = nil
			break
		}
	}
	b.claimed = span{}
	if len(b.flights) > 0 {
		s.launch(b)
	}
	s.buf = b.frame
	returned = true
}

// encode adds the next item to b.
func (s *session) encode(b *batch) {
	i, start := b.claimed.lo, len(b.frame)
	b.claimed.lo++
	b.current = i
	frame, at := wire.AppendItemHeader(b.frame, s.h.lastSeq+1, i)
	frame, err := s.d.work.encode(frame, i, s.d.function.in, s.d.maxBytes)
	b.current = -1
	if err != nil {
		b.frame = frame[:start]
		s.d.fail(i, encodeError("item", err))
		return
	}
	wire.PatchLength(frame, at)
	b.frame = frame
	s.h.lastSeq++
	s.h.items++
	b.flights = append(b.flights, flight{s.h.lastSeq, i, len(frame) - start})
}

// abandon settles a batch in which code of the user's has called Goexit.
func (s *session) abandon(b *batch) {
	defer func() {
		s.giveBack(b.flights)
		s.d.c.giveBack(b.claimed)
	}()
	if b.current >= 0 {
		s.d.fail(b.current, encodeError("item", ErrGoexit))
	}
}

func (s *session) giveBack(flights []flight) {
	for _, f := range flights {
		s.d.c.giveBack(span{f.index, f.index + 1})
	}
}

// launch sends what is in b. It returns false if the worker cannot be sent any
// more at present; the items are then given back, or will be at its burial.
func (s *session) launch(b *batch) bool {
	flights := b.flights
	b.flights = nil
	if !s.enlist(flights) {
		s.giveBack(flights)
		return false
	}
	if s.d.c.onStart != nil {
		s.d.c.onStart(s.h.pid)
	}
	err := s.h.write(wire.Finish(b.frame))
	b.frame = wire.Begin(b.frame, wire.KindItems)
	if err != nil {
		s.fail(err)
		return false
	}
	return true
}

// enlist makes flights under way. It returns false if they must not be sent.
func (s *session) enlist(flights []flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost || s.condemned && len(s.inflight) > 0 {
		return false
	}
	s.used = true
	s.inflight = append(s.inflight, flights...)
	for _, f := range flights {
		s.bytes += f.bytes
		s.d.pool.bytesOut.Add(int64(f.bytes))
	}
	return true
}

// fail gives up a worker that cannot be written to. If it has died by itself,
// that is what its item is told.
func (s *session) fail(err error) {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	select {
	case <-s.h.exited:
	case <-time.After(linger):
		s.h.kill(fmt.Errorf("%w: %w", errDeaf, err))
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

// takeRecords takes in what the worker has to say. With cut, it was found in the
// outbox of a dead worker: the pipe may have brought the start of it, and its
// end may be missing. Only the handle's reader calls this, again after a Goexit
// in code of the user's. The lock is not held while results are decoded and the
// book is told, since both may run such code.
func (s *session) takeRecords(c *wire.Cursor, cut bool) error {
	var err error
	for err == nil && c.Len() > 0 {
		var r wire.Record
		switch r, err = wire.ReadRecord(c); {
		case err != nil && cut:
			err = nil // what is malformed there counts as not finished
		case err != nil:
		case c.Len() > outboxSize:
			err = errors.New("more records than belong in a frame")
		default:
			err = s.takeRecord(r, cut)
		}
	}
	n := s.finished
	s.finished = 0
	s.d.finished(n)
	s.settling.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Signal()
	return err
}

func (s *session) takeRecord(r wire.Record, cut bool) error {
	switch r.Kind {
	case wire.RecordResult, wire.RecordFailure:
		f, ok := s.land(r.Seq)
		switch {
		case ok:
			if !s.settling.Load() {
				s.settling.Store(true)
			}
			return s.takeOutcome(r, f.index)
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
		s.d.measured(r.Count, min(r.Time, time.Since(s.begun)))
	}
	return nil
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
func (s *session) takeOutcome(r wire.Record, i int) error {
	s.d.pool.bytesIn.Add(int64(len(r.Data)))
	if r.Kind == wire.RecordFailure {
		return s.takeFailure(r.Data, i)
	}
	err := ErrGoexit // unless the decoder returns
	defer func() {
		if err != nil {
			s.d.fail(i, decodeFailure(err))
		}
	}()
	if err = s.d.work.decode(r.Data, i, s.d.function.out); err == nil {
		s.finished++
	}
	return nil
}

// takeFailure settles item i, which has failed with the encoded error.
func (s *session) takeFailure(data []byte, i int) error {
	failure := decodeFailure(ErrGoexit) // unless the decoder returns
	defer func() { s.d.fail(i, failure) }()
	err := errors.New("an error of absurd length")
	if len(data) <= frameSlack {
		var e error
		if e, err = decodeError(data); err == nil {
			failure = e
			return nil
		}
	}
	failure = decodeFailure(err)
	return err
}

func decodeFailure(err error) error {
	return fmt.Errorf("parallel: cannot decode the result: %w", err)
}

// takeDropped gives back items that the worker will not start: because it was
// asked to give them back, or because the call goes no further.
func (s *session) takeDropped(r wire.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := r.Kind == wire.RecordRecalled && s.h.answered()
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

// running returns the item that the worker is running, as far as it says so, and
// it is one of those under way; 0 is none. mu is held.
func (s *session) running() uint64 {
	seq := s.started
	if s.h.page != nil {
		seq, _ = readPageWord(s.h.page, pageRunning)
	}
	if n := len(s.inflight); n > 0 && s.inflight[0].seq <= seq && seq <= s.inflight[n-1].seq {
		return seq
	}
	return 0
}

// workerLost settles what was under way on a worker that has died: results that
// it had finished are taken, the item that it was running is blamed, and the
// others go to other workers. After a Goexit in code of the user's it is called
// again.
func (s *session) workerLost() {
	if s.h.page != nil && s.outbox == nil {
		s.outbox = wire.NewCursor(readOutbox(s.h.page))
	}
	if s.outbox != nil {
		_ = s.takeRecords(s.outbox, true)
	}
	crash := s.h.crash()
	s.mu.Lock()
	s.lost = true
	flights := s.inflight
	s.inflight, s.bytes = nil, 0
	guilty := len(flights) > 0 && s.guilty(flights[0].seq)
	s.mu.Unlock()
	defer s.d.wake()
	if len(flights) == 0 {
		return
	}
	// A worker runs its items in order, so that the one that it was running can
	// only be the first.
	first, others := flights[0], flights[1:]
	defer s.giveBack(others)
	if guilty || s.d.fruitless(first.index) {
		s.d.crashed(first.index, crash)
	} else {
		s.giveBack(flights[:1])
	}
}

// guilty reports whether the dead worker was running item seq, the first of
// those under way. So it is if the page does not say otherwise: it says 0
// between two items, or the item before if that took the worker with it after
// its outcome had been sent. mu is held.
func (s *session) guilty(seq uint64) bool {
	if s.h.page == nil {
		return s.started == seq
	}
	running, ok := readPageWord(s.h.page, pageRunning)
	return !ok || running >= seq
}
