package supervisor

import (
	"time"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// How a sender makes batches of the items that it claims, and sends them.

const (
	batchTime  = 16 * time.Millisecond  // what a batch should take to run: long against what waking the parent costs
	batchLeast = 2 * time.Millisecond   // as long as less is not left
	sliceTime  = time.Millisecond       // what it should take while other calls wait for the worker
	crowdTime  = 100 * time.Millisecond // how long a call that had to give items back for another counts on that
	batchBytes = 512 << 10              // what a frame of several items may hold
	batchGrow  = 8                      // how much larger than the one before a batch may be in slow start
)

// batch is claimed items on their way into frames.
type batch struct {
	claimed schedule.Span // those not looked at yet
	frame   []byte        // of flight
	countAt int           // where its count stands
	memory  []byte        // the data of flight, if that is not in frame: the items themselves
	flight  flight        // encoded and not sent
	current int           // the item whose encoder is running; −1: none
}

// send is the sender's loop.
func (s *session) send() {
	last := 1
	for {
		n, held := s.waitForRoom(last)
		if n == 0 {
			return
		}
		idle := held == 0
		claimed := s.call.Claim(n, s.call.Cost().Items(batchLeast), held,
			func() bool { return idle && s.worker.usable() && s.call.pool.mayRest(s) })
		s.call.pool.stir(s, claimed.Len() > 0).send()
		switch {
		case claimed.Len() > 0:
			last = claimed.Len()
			s.sendItems(claimed)
		case idle:
			return
		}
	}
}

// waitForRoom waits until a batch can be sent, and returns the size that it may have and how
// many items the worker holds. last is the size of the batch before. A size of 0 means that
// the worker must not be sent any more in this session.
func (s *session) waitForRoom(last int) (size, held int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		wanted := s.call.pool.wanted(s.call)
		s.asked = s.asked && wanted // it may have been asked by one that does not wait any more
		size = s.batchSize(last, wanted)
		switch {
		case s.mustLeaveLocked() || size <= 0 || wanted && s.sender.used && s.giveUpLocked():
			return 0, s.window.items
		case s.window.empty():
			s.condemned = false
			return size, 0
		case !wanted && s.roomLocked(size):
			return size, s.window.items
		}
		s.awaitLocked()
	}
}

// mustLeaveLocked reports whether the worker must not be sent any more: it has died or is to
// be replaced.
func (s *session) mustLeaveLocked() bool {
	return s.state != works || !s.worker.usable()
}

// giveUpLocked reports whether to give up a worker that is wanted: it has nothing to do, or
// was asked for.
func (s *session) giveUpLocked() bool { return s.asked || s.window.empty() }

// roomLocked reports whether a batch of size may be sent behind what is in flight: one batch
// more, but none behind an item that may have to be killed. What a worker without a segment
// holds of items that wait would count as the running one's memory.
func (s *session) roomLocked(size int) bool {
	return !s.condemned && (s.call.pool.config.MaxMemoryBytes == 0 || s.worker.segment != nil) &&
		s.window.items <= size && (s.window.bytes < batchBytes || s.freeSlotLocked() > 0) &&
		s.call.MayHaveMore(s.window.items)
}

// batchSize is the number of items that take about batchTime, or sliceTime if other calls
// want the worker or are likely to; 0 if the worker has had all that it may have.
func (s *session) batchSize(last int, wanted bool) int {
	size := s.call.Cost().Items(batchTime)
	if wanted || s.call.crowded() {
		size = s.call.Cost().Items(sliceTime)
	}
	if each := s.call.what.Function.ItemSize; each > 0 {
		size = min(size, max(1, batchBytes/each)) // a frame is a batch
	}
	if s.call.slowStart {
		size = min(size, batchGrow*last)
	}
	if most := s.call.pool.config.MaxItems; most > 0 {
		size = min(size, most-s.worker.items)
	}
	return size
}

// sendItems encodes the claimed items and sends them, in several frames if they are large.
// What a lost worker cannot be sent is given back.
func (s *session) sendItems(claimed schedule.Span) {
	s.forgetOutput()
	b := &batch{claimed: claimed, frame: s.worker.frame, current: -1}
	guard.Run(func() { s.sendBatch(b) }, func() { s.abandon(b) })
	s.worker.frame = b.frame
}

func (s *session) sendBatch(b *batch) {
	for b.claimed.Len() > 0 {
		if s.call.Stopped(b.claimed.Lo) {
			s.call.Skip(b.claimed)
			b.claimed = schedule.Span{}
			break
		}
		full := s.encode(b)
		if (full || len(b.frame) >= batchBytes) && !s.launch(b) {
			s.call.GiveBack(b.claimed)
			b.claimed = schedule.Span{}
		}
	}
	s.launch(b)
}

// forgetOutput makes what an idle worker has printed no part of a later crash's error.
func (s *session) forgetOutput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.window.empty() {
		s.worker.output.stderr.reset()
	}
}

// encode adds items to b: the next one, or as many as there is room for if they only have to
// be copied. It returns true if nothing can be added behind them.
func (s *session) encode(b *batch) (full bool) {
	size, limit := s.call.what.Function.ItemSize, s.call.pool.MaxMessage()
	if b.flight.count == 0 {
		seq := s.worker.lastSeq + 1
		b.frame, b.countAt = wire.AppendRunHeader(wire.Begin(b.frame, wire.KindItems), seq, b.claimed.Lo, size)
		b.flight = flight{seq: seq, index: b.claimed.Lo}
	}
	if size > 0 && size <= limit {
		some := schedule.Span{Lo: b.claimed.Lo, Hi: min(b.claimed.Hi, b.claimed.Lo+max(1, batchBytes/size))}
		before := len(b.frame)
		if items := s.call.what.Job.Items(some); items != nil {
			b.memory = items
		} else {
			b.frame = s.call.what.Job.AppendItems(b.frame, some)
		}
		b.claimed.Lo = some.Hi
		s.enter(b, some.Len(), len(b.memory)+len(b.frame)-before)
		return true
	}
	return s.encodeOne(b, size, limit)
}

// encodeOne adds the next item to b. It returns true if the item has failed, or is not wanted
// any more, so that what is before it is to be sent.
func (s *session) encodeOne(b *batch, size, limit int) (full bool) {
	start := len(b.frame)
	i := b.claimed.Lo
	b.claimed.Lo++
	b.current = i
	if size < 0 {
		b.frame = append(b.frame, 0, 0, 0, 0)
	}
	frame, err := s.encodeItem(b.frame, i, limit)
	b.current = -1
	if err != nil {
		b.frame = b.frame[:start]
		if err == ErrStopped {
			s.call.Skip(schedule.Span{Lo: i, Hi: i + 1})
			return true
		}
		s.call.failed(i, s.call.pool.config.Errors.Encode(err))
		return true
	}
	if size < 0 {
		wire.PatchLength(frame, start)
	}
	b.frame = frame
	s.enter(b, 1, len(frame)-start)
	return false
}

// encodeItem appends item i to dst. A panic, as of a value that is changed meanwhile, is the
// item's error.
func (s *session) encodeItem(dst []byte, i, limit int) (frame []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = s.call.Config().Errors.Recovered(v)
		}
	}()
	s.sender.encodes = itemStopper{s.call, i}
	return s.call.what.Job.Encode(dst, i, limit, &s.sender.encodes)
}

// enter counts n items, of so many bytes together, into b.
func (s *session) enter(b *batch, n, bytes int) {
	s.worker.lastSeq += uint64(n)
	b.flight.count += n
	b.flight.bytes += bytes
}

// abandon settles a batch in which code of the user's has called Goexit.
func (s *session) abandon(b *batch) {
	defer func() { // also if code of the user's does so again
		s.giveBack(b.flight)
		s.call.GiveBack(b.claimed)
	}()
	if b.current >= 0 {
		errs := s.call.pool.config.Errors
		s.call.failed(b.current, errs.Encode(errs.Goexit()))
	}
}

func (s *session) giveBack(flights ...flight) {
	for _, f := range flights {
		s.call.GiveBack(f.span())
	}
}

// launch sends what is in b. It returns false if the worker cannot be sent any more at
// present; the items are then given back, or will be when the worker is lost.
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
	s.worker.given()
	if tell := s.call.what.OnStart; tell != nil {
		tell(s.worker.pid())
	}
	frame := s.frame(b, f, memory)
	if frame == nil {
		s.withdraw(f)
		return false
	}
	if err := s.write(frame, f.end()); err != nil {
		s.fail(err)
		return false
	}
	if !s.call.callerServes && !s.call.isShort() { // else awaitLocked wakes it, if the sender does not read itself
		s.worker.reader.turn.Wake()
	}
	return true
}

// withdraw takes back what was not written to the worker.
func (s *session) withdraw(f flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped, _ := s.window.drop(f.seq, f.end()-1, func(flight) bool { return true })
	s.returnedLocked(dropped)
}

// returnedLocked gives back items that were in flight and that the worker will not run.
func (s *session) returnedLocked(flights []flight) {
	for _, f := range flights {
		s.worker.items -= f.count
	}
	s.giveBack(flights...)
	s.emptiedLocked()
}

// frame is the frame that carries f, or says where in the segment it is. memory is the
// items, unless they are in b's frame. It is nil if the items are not wanted any more.
func (s *session) frame(b *batch, f flight, memory []byte) []byte {
	if f.slot > 0 {
		run := wire.Run{Seq: f.seq, Index: f.index, Count: f.count, Size: s.call.what.Function.ItemSize}
		data := memory
		if data == nil {
			data = wire.RunData(b.frame)
		}
		unwanted := func() bool { return s.call.Stopped(f.index) }
		switch at, ok := s.worker.segment.PutItems(f.slot-1, data, unwanted); {
		case ok:
			m := wire.Slot{Run: run, At: at, Length: len(data)}
			return wire.Finish(m.Append(wire.Begin(s.sender.small[:0], wire.KindSlot)))
		case unwanted():
			return nil
		}
	}
	wire.PatchCount(b.frame, b.countAt, f.count)
	b.frame = append(b.frame, memory...)
	return wire.Finish(b.frame)
}

// enlist puts f in flight, in a slot of the segment if that is worth it; then it waits for
// one to be free, unless that may be as long as an item takes, since the worker has to drop what
// was revoked. It returns false if f must not be sent.
func (s *session) enlist(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worker.segment != nil && shm.Fits(f.bytes) {
		for !s.refusesLocked() && s.freeSlotLocked() == 0 && !s.worker.revoked.holds(0) {
			s.awaitLocked()
		}
		f.slot = s.freeSlotLocked()
	}
	if s.refusesLocked() {
		return false
	}
	s.sender.used = true
	s.wantAnswersLocked()
	s.window.add(*f)
	if s.window.items > 1 {
		s.call.monitor.sent()
	}
	s.worker.items += f.count
	s.call.pool.counters.bytesOut.Add(int64(f.bytes))
	return true
}

// wantAnswersLocked has the worker's reader wanted, unless the sender may read by itself the
// answer to what it sends first. With other items in flight the reader reads at once: a worker
// that cannot write what it has to say does not read what it is sent either.
func (s *session) wantAnswersLocked() {
	turn := s.worker.reader.turn
	first := s.window.empty()
	if first && (s.call.callerServes || s.call.isShort()) {
		return
	}
	turn.Want(true)
	if !first {
		turn.Wake()
	}
}

// freeSlotLocked is a slot of the segment that has no items, and 1; 0: there is none.
func (s *session) freeSlotLocked() int {
	if s.worker.segment == nil {
		return 0
	}
	return s.window.freeSlot(s.worker.revoked.holds)
}

// refusesLocked reports whether nothing must be sent.
func (s *session) refusesLocked() bool { return s.state == lost || s.condemned && s.window.items > 0 }

// bounded reports whether something limits the call.
func (d *call) bounded() bool { return d.Bound() != schedule.NoBound }
