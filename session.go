package parallel

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// session is one call's use of one worker. Its sender, a goroutine of the call,
// claims items and sends them in batches; whoever reads what the worker says (see
// reader.go) takes in what becomes of them. A batch is sent while the one before
// runs, so that the worker never waits for the next while there is one.
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
	small        [64]byte // for a frame that says where they are,
	spoken       [64]byte // and for the announcement

	// Whoever reads what the worker says; see reader.go.
	finished int          // items that ran well and are not entered yet
	outbox   *wire.Cursor // what a dead worker left
	outcomes wire.Record  // what is still to be taken of the last record of results

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
	taking    bool      // what the worker has said is being taken in, maybe by code of the user's
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
	batchTime  = 16 * time.Millisecond // what a batch should take to run: long against what waking the parent costs
	batchLeast = 2 * time.Millisecond  // as long as less is not left
	batchBytes = 512 << 10             // what a frame of several items may hold
	batchGrow  = 8                     // how much larger than the one before a batch may be
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
	s.known, s.announcement = known, s.d.announce(s.spoken[:0], known)
	return true
}

// write sends a frame, the first with what is to be said before.
func (s *session) write(frame []byte) error {
	if s.announcement == nil {
		return s.h.write(frame, 0, false)
	}
	later, calls := s.h.takeLater(s.h.first[:0])
	s.h.first = append(append(later, s.announcement...), frame...)
	err := s.h.write(s.h.first, calls, false)
	if s.announcement = nil; cap(s.h.first) > bufferKeep {
		s.h.first = nil
	}
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
	if cap(s.h.buf) > bufferKeep {
		s.h.buf = nil
	}
	if !s.h.detach() || s.broken {
		s.h.buf, s.h.first = nil, nil // calls remember their workers for longer than these live
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
		n, under := s.waitForRoom(batch)
		idle := under == 0
		if n == 0 {
			return
		}
		claimed := s.d.c.claim(n, s.lasting(batchLeast), under, func() bool { return idle && s.h.alive() && !s.d.pool.wanted() })
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
// and how many items the worker has; last is the size of the one before. A size of 0
// means that the worker must not be sent any more.
func (s *session) waitForRoom(last int) (size, under int) {
	config := &s.d.pool.config
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		idle := len(s.inflight) == 0
		if s.lost || s.broken || !s.h.alive() || idle && s.d.pool.outgrown(s.h) {
			return 0, s.under
		}
		if s.used && s.d.pool.wanted() {
			s.recall() // another call should not wait for what has not begun
			return 0, s.under
		}
		want := s.batchSize(last)
		if config.MaxItems > 0 {
			if want = min(want, config.MaxItems-s.h.items); want <= 0 {
				return 0, s.under
			}
		}
		if idle {
			s.condemned = false
			return want, s.under
		}
		// One batch more, but none behind an item that may have to be killed.
		// With a limit, what the worker holds is measured between batches.
		if !s.condemned && config.MaxMemoryBytes == 0 &&
			s.under <= want && (s.bytes < batchBytes || s.freeSlot() > 0) && s.d.c.mayHaveMore(s.under) {
			return want, s.under
		}
		s.await()
	}
}

// lasting is the number of items that take d, one at least.
func (s *session) lasting(d time.Duration) int {
	if cost := s.d.c.costNow(); cost > 0 {
		return max(1, int(d*costScale/cost))
	}
	return 1
}

// batchSize is the number of items that take about batchTime.
func (s *session) batchSize(last int) int {
	size := s.lasting(batchTime)
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
	b := &batch{claimed: claimed, frame: s.h.buf, current: -1}
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
	s.h.buf = b.frame
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
	if !s.d.quiet { // see await
		s.h.rouse()
	}
	return true
}

// enlist makes f under way, in a slot of the page if that is worth it and one is
// free. It returns false if f must not be sent.
func (s *session) enlist(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h.page != nil && f.bytes >= byReference && f.bytes <= pageStride {
		for !s.refuses() && s.freeSlot() == 0 {
			s.await()
		}
		f.slot = s.freeSlot()
	}
	if s.refuses() {
		return false
	}
	s.used = true
	if first := len(s.inflight) == 0; !first || !s.d.quiet {
		s.h.setWanted(true)
		if !first { // a worker that cannot say what it has to say does not read either
			s.h.rouse()
		}
	}
	s.inflight = append(s.inflight, *f)
	s.count(*f, 1)
	s.d.pool.bytesOut.Add(int64(f.bytes))
	return true
}

// freeSlot is a slot of the page that has no items, and 1; 0: there is none. mu is held.
func (s *session) freeSlot() int {
	if s.h.page == nil {
		return 0
	}
	return 1 + slices.Index(s.slots[:], 0)
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

// drain waits until all that was sent is settled, and all that was said taken in: until
// then the worker must not serve another session.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var asked uint64
	for len(s.inflight) > 0 || s.taking {
		if len(s.inflight) == 0 {
			s.changed.Wait()
			continue
		}
		// A part that the worker had taken is given back after its current item
		// at the earliest.
		if first := s.inflight[0].seq; first != asked && s.d.pool.wanted() {
			asked = first
			s.recall()
		}
		s.await()
	}
}

// await waits until something may have changed, while anything is under way. mu is held.
func (s *session) await() {
	if s.d.quiet && s.under == 1 && s.d.c.left() == 0 && s.readInPlace() {
		return
	}
	s.h.setWanted(true)
	s.h.rouse()
	s.changed.Wait()
}
