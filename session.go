package parallel

import (
	"errors"
	"fmt"
	"math"
	"slices"
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
	attached     bool
	known        bool     // the worker has been told of the call before
	announcement []byte   // tells it; goes before the first items
	used         bool     // an item has been sent
	buf          []byte   // for frames of items
	small        [64]byte // for a frame that says where they are

	// The reader's.
	finished int          // items that ran well and are not entered yet
	outbox   *wire.Cursor // what a dead worker left
	outcomes wire.Record  // what is still to be taken of the last record of results
	settling atomic.Bool  // code of the user's may be running: the worker is not to blame for silence

	mu        sync.Mutex
	changed   sync.Cond // the sender should look again
	announced bool      // the worker has been told of the call
	inflight  []flight  // sent and not settled, in the order in which the worker runs them
	under     int       // how many items that is
	bytes     int       // their encoded size
	slots     [2]int    // how many of them are in each slot of the page
	started   uint64    // without a page: the item that the worker said it was starting
	condemned bool      // the item that is running may have to be killed: nothing is sent behind it
	told      bool      // tell has been called
	lost      bool      // the worker has died, and its items are settled
	broken    bool      // the worker cannot be written to

	watch watch // the monitor's; guarded by mu
}

// flight is items under way that follow one another.
type flight struct {
	seq   uint64 // the first one's, as
	index int
	count int // at least 1
	bytes int
	slot  int // of the page, in which they are, and 1; 0: in none
}

// split takes the first n items off f.
func (f *flight) split(n int) (first flight) {
	first = flight{f.seq, f.index, n, f.bytes / f.count * n, f.slot}
	*f = flight{f.seq + uint64(n), f.index + n, f.count - n, f.bytes - first.bytes, f.slot}
	return first
}

func (f flight) span() span { return span{f.index, f.index + f.count} }

const (
	batchTime  = 2 * time.Millisecond // what a batch should take to run: long against a round trip
	batchBytes = 512 << 10            // what a frame of several items may hold
	batchGrow  = 8                    // how much larger than the one before a batch may be
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
	s.d.nudgeMonitor()
	s.known, s.announcement = known, s.d.announce(nil, known)
	return true
}

// write sends a frame, the first with what is to be said before.
func (s *session) write(frame []byte) error {
	if s.announcement == nil {
		return s.h.write(frame, 0, false)
	}
	later, calls := s.h.takeLater()
	err := s.h.write(slices.Concat(later, s.announcement, frame), calls, false)
	s.announcement = nil
	s.mu.Lock()
	s.announced = true
	s.mu.Unlock()
	if s.d.c.bound.Load() != noBound {
		s.d.pokeMonitor() // nobody has told the worker
	}
	return err
}

// leave gives the worker back to the pool. It is told of the end of the call
// when that comes: until then it may have to serve it again.
func (s *session) leave() {
	s.d.remove(s)
	if s.announcement != nil && !s.known { // there was nothing to send behind it
		s.h.forget(s.d.id)
	}
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
	s.h.shrink()
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
			s.under <= want && s.bytes < batchBytes && s.d.c.left() > s.d.c.workers {
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
	size := max(1, int(batchTime*costScale/cost))
	if each := s.d.function.in.FixedSize(); each > 0 {
		size = min(size, max(1, batchBytes/each)) // a frame is a batch
	}
	if s.d.ramp {
		size = min(size, batchGrow*last)
	}
	return size
}

// batch is claimed items on their way into frames.
type batch struct {
	claimed span   // those not looked at yet
	frame   []byte // of flight
	countAt int    // where its count stands
	memory  []byte // the data of flight, where it is not in frame: the items themselves
	flight  flight // encoded and not sent
	current int    // the item whose encoder is running; −1: none
}

// sendItems encodes the claimed items and sends them, in several frames if they
// are large. What a lost worker cannot be sent is given back.
func (s *session) sendItems(claimed span) {
	s.mu.Lock()
	if s.under == 0 {
		s.h.stderr.reset()
	}
	s.mu.Unlock()
	b := &batch{claimed: claimed, frame: s.buf, current: -1}
	returned := false
	defer func() {
		if !returned {
			s.abandon(b)
		}
	}()
	for b.claimed.len() > 0 {
		if s.d.c.stopped(b.claimed.lo) {
			s.d.c.skip(b.claimed)
			b.claimed = span{}
			break
		}
		full := s.encode(b)
		if (full || len(b.frame) >= batchBytes) && !s.launch(b) {
			s.d.c.giveBack(b.claimed)
			b.claimed = span{}
		}
	}
	s.launch(b)
	s.buf = b.frame
	returned = true
}

// encode adds items to b: the next one, or as many as there is room for if they
// only have to be copied. It returns true if nothing can be added behind them.
func (s *session) encode(b *batch) (full bool) {
	size := s.d.function.in.FixedSize()
	if b.flight.count == 0 {
		b.frame, b.countAt = wire.AppendRunHeader(wire.Begin(b.frame, wire.KindItems), s.h.lastSeq+1, b.claimed.lo, size)
		b.flight = flight{seq: s.h.lastSeq + 1, index: b.claimed.lo}
	}
	start := len(b.frame)
	if size > 0 && size <= s.d.maxBytes {
		some := span{b.claimed.lo, min(b.claimed.hi, b.claimed.lo+max(1, batchBytes/size))}
		if items := s.d.work.memory(some); items != nil {
			b.memory = items
			b.claimed.lo = some.hi
			s.enter(b, some.len(), len(items))
			return true
		}
	}
	i := b.claimed.lo
	b.claimed.lo++
	b.current = i
	if size < 0 {
		b.frame = append(b.frame, 0, 0, 0, 0)
	}
	frame, err := s.d.work.encode(b.frame, i, s.d.function.in, s.d.maxBytes)
	b.current = -1
	if err != nil {
		b.frame = frame[:start]
		s.d.fail(i, encodeError("item", err))
		return true
	}
	if size < 0 {
		wire.PatchLength(frame, start)
	}
	b.frame = frame
	s.enter(b, 1, len(frame)-start)
	return false
}

// enter counts n items, of so many bytes together, into b.
func (s *session) enter(b *batch, n, bytes int) {
	s.h.lastSeq += uint64(n)
	s.h.items += n
	b.flight.count += n
	b.flight.bytes += bytes
}

// abandon settles a batch in which code of the user's has called Goexit.
func (s *session) abandon(b *batch) {
	defer func() {
		s.giveBack(b.flight)
		s.d.c.giveBack(b.claimed)
	}()
	if b.current >= 0 {
		s.d.fail(b.current, encodeError("item", ErrGoexit))
	}
}

func (s *session) giveBack(flights ...flight) {
	for _, f := range flights {
		s.d.c.giveBack(f.span())
	}
}

// launch sends what is in b. It returns false if the worker cannot be sent any
// more at present; the items are then given back, or will be at its burial.
func (s *session) launch(b *batch) bool {
	f, memory := b.flight, b.memory
	b.flight, b.memory = flight{}, nil
	if f.count == 0 {
		return true
	}
	if !s.enlist(&f) {
		s.giveBack(f)
		return false
	}
	if s.d.c.onStart != nil {
		s.d.c.onStart(s.h.pid)
	}
	var frame []byte
	if f.slot > 0 {
		run := wire.Run{Seq: f.seq, Index: f.index, Count: f.count, Size: s.d.function.in.FixedSize(), Data: memory}
		if memory == nil {
			run.Data = wire.RunData(b.frame)
		}
		frame = s.h.putInSlot(f.slot-1, run, s.small[:0])
	}
	if frame == nil {
		wire.PatchCount(b.frame, b.countAt, f.count)
		b.frame = append(b.frame, memory...)
		frame = wire.Finish(b.frame)
	}
	if err := s.write(frame); err != nil {
		s.fail(err)
		return false
	}
	return true
}

// enlist makes f under way, in a slot of the page if that is worth it and one is
// free. It returns false if f must not be sent.
func (s *session) enlist(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h.page != nil && f.bytes >= byReference && f.bytes <= pageStride {
		for !s.refuses() && s.slots[0] > 0 && s.slots[1] > 0 {
			s.changed.Wait()
		}
		f.slot = 1 + slices.Index(s.slots[:], 0)
	}
	if s.refuses() {
		return false
	}
	s.used = true
	s.inflight = append(s.inflight, *f)
	s.count(*f, 1)
	s.d.pool.bytesOut.Add(int64(f.bytes))
	return true
}

// refuses reports whether nothing must be sent. mu is held.
func (s *session) refuses() bool { return s.lost || s.condemned && s.under > 0 }

// count counts f in, with sign 1, or out, with sign −1. mu is held.
func (s *session) count(f flight, sign int) {
	s.under += sign * f.count
	s.bytes += sign * f.bytes
	if f.slot > 0 {
		s.slots[f.slot-1] += sign * f.count
	}
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
	for err == nil && (s.outcomes.Count > 0 || c.Len() > 0) {
		if s.outcomes.Count > 0 {
			err = s.takeOutcomes(cut)
			continue
		}
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
		r.Count, r.Size = 1, len(r.Data)
		s.outcomes = r
	case wire.RecordResults:
		if size := s.d.function.out.FixedSize(); r.Size >= 0 && r.Size != size {
			return fmt.Errorf("results of %d bytes, which should have %d", r.Size, size)
		}
		s.outcomes = r
	case wire.RecordTray:
		if cut {
			return nil // what was there is in what the page says, too
		}
		if err := s.h.checkTray(r); err != nil {
			return err
		}
		if r.Size > 0 && r.Size == s.d.function.out.FixedSize() && r.Length == r.Count*r.Size {
			if done, err := s.fillFromTray(r); done || err != nil {
				return err
			}
		}
		data, err := s.h.takeTray(r)
		if err != nil {
			return err
		}
		r.Kind, r.Data = wire.RecordResults, data
		return s.takeRecord(r, cut)
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

// fillFromTray settles the items of r, whose results only have to be copied, by
// reading them to where they belong. It returns false if that is not in one piece.
func (s *session) fillFromTray(r wire.Record) (done bool, err error) {
	for at := r.At; r.Count > 0; {
		f, ok := s.first(r.Seq, r.Count)
		if !ok {
			return false, fmt.Errorf("an outcome for item %d out of turn", r.Seq)
		}
		memory := s.d.work.results(f.span())
		if memory == nil {
			return false, nil
		}
		if err := s.h.readTray(memory, at); err != nil {
			clear(memory)
			return false, err
		}
		s.land(r.Seq, f.count)
		s.finished += f.count
		s.d.pool.bytesIn.Add(int64(len(memory)))
		at += len(memory)
		r.Seq, r.Count = r.Seq+uint64(f.count), r.Count-f.count
	}
	s.h.tookTray(r.Seq)
	return true, nil
}

// first is at most n items of those under way, if seq is the first of them.
func (s *session) first(seq uint64, n int) (f flight, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inflight) == 0 || s.inflight[0].seq != seq {
		return flight{}, false
	}
	f = s.inflight[0]
	f.count = min(n, f.count)
	return f, true
}

// takeOutcomes settles the first items of s.outcomes: one, or all that follow one
// another if their results only have to be copied.
func (s *session) takeOutcomes(cut bool) error {
	r := &s.outcomes
	most := 1
	if r.Kind == wire.RecordResults && r.Size >= 0 {
		most = r.Count
	}
	f, known, ok := s.land(r.Seq, most)
	switch {
	case !ok && cut && known > 0: // the pipe has brought these
		known = min(known, r.Count)
		r.Data = wire.Skip(r.Data, known, r.Size)
		r.Seq, r.Count = r.Seq+uint64(known), r.Count-known
		return nil
	case !ok:
		seq := r.Seq
		if *r = (wire.Record{}); cut {
			return nil
		}
		return fmt.Errorf("an outcome for item %d out of turn", seq)
	}
	if !s.settling.Load() {
		s.settling.Store(true)
	}
	rest := wire.Skip(r.Data, f.count, r.Size)
	data, kind, size := r.Data[:len(r.Data)-len(rest)], r.Kind, r.Size
	r.Data, r.Seq, r.Count = rest, r.Seq+uint64(f.count), r.Count-f.count // from here on after a Goexit
	s.d.pool.bytesIn.Add(int64(len(data)))
	if kind == wire.RecordFailure {
		return s.takeFailure(data, f.index)
	}
	if kind == wire.RecordResults && size >= 0 {
		if memory := s.d.work.results(f.span()); memory != nil || size == 0 {
			copy(memory, data)
			s.finished += f.count
			return nil
		}
	}
	for i := range f.count {
		var result []byte
		result, data = wire.Next(data, size)
		if err := s.takeResult(result, f.index+i); err != nil {
			return err
		}
	}
	return nil
}

// land takes at most n items off those under way, if seq is the first: a worker
// runs its items in order. If it is not, known is how many items from seq on have
// come before.
func (s *session) land(seq uint64, n int) (f flight, known int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inflight) == 0 {
		return flight{}, 0, false
	}
	first := &s.inflight[0]
	if first.seq != seq {
		if seq < first.seq {
			known = int(min(first.seq-seq, math.MaxInt32))
		}
		return flight{}, known, false
	}
	f = first.split(min(n, first.count))
	if first.count == 0 {
		s.inflight = s.inflight[1:]
	}
	s.count(f, -1)
	return f, 0, true
}

// takeResult settles item i, which ran well; it is only counted.
func (s *session) takeResult(data []byte, i int) error {
	err := ErrGoexit // unless the decoder returns
	defer func() {
		if err != nil {
			s.d.fail(i, decodeFailure(err))
		}
	}()
	if err = s.d.work.decode(data, i, s.d.function.out); err == nil {
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
	end := min(r.Last, math.MaxUint64-1) + 1
	var kept []flight
	for _, f := range s.inflight {
		before := f.split(int(min(r.Seq-min(r.Seq, f.seq), uint64(f.count))))
		dropped := f
		if dropped.count > 0 {
			dropped = f.split(int(min(end-min(end, f.seq), uint64(f.count))))
		}
		for _, f := range []flight{before, f} {
			if f.count > 0 {
				kept = append(kept, f)
			}
		}
		if dropped.count == 0 {
			continue
		}
		if !asked && !s.d.c.stopped(dropped.index) {
			return errors.New("it dropped an item that it was to run")
		}
		s.count(dropped, -1)
		s.d.c.giveBack(dropped.span())
	}
	s.inflight = kept
	return nil
}

// running returns the item that the worker is running, as far as it says so, and
// it is one of those under way; 0 is none. mu is held.
func (s *session) running() uint64 {
	seq := s.started
	if s.h.page != nil {
		state, _ := readPage(s.h.page)
		seq = state.running
	}
	if n := len(s.inflight); n > 0 && s.inflight[0].seq <= seq && seq-s.inflight[n-1].seq < uint64(s.inflight[n-1].count) {
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
		s.outbox = wire.NewCursor(readOutbox(s.h.page, s.d.maxBytes))
	}
	if s.outbox != nil {
		_ = s.takeRecords(s.outbox, true)
	}
	crash := s.h.crash()
	s.mu.Lock()
	s.lost = true
	flights := s.inflight
	s.inflight, s.under, s.bytes = nil, 0, 0
	guilty := len(flights) > 0 && s.guilty(flights[0].seq)
	s.mu.Unlock()
	defer s.d.wake()
	if len(flights) == 0 {
		return
	}
	// A worker runs its items in order, so that the one that it was running can
	// only be the first.
	first := flights[0].split(1)
	defer s.giveBack(flights...)
	if guilty || s.d.fruitless(first.index) {
		s.d.crashed(first.index, crash)
	} else {
		s.giveBack(first)
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
	state, ok := readPage(s.h.page)
	return !ok || state.running >= seq
}
