package parallel

import (
	"errors"
	"fmt"
	"math"
	"time"

	"example.com/parallel/internal/wire"
)

// How a session takes in what its worker says became of the items, and what a dead
// one has left: the code of whoever reads that, see reader.go.

// takeRecords takes in what the worker has to say. With cut, it was found in the
// outbox of a dead worker: the pipe may have brought the start of it, and its
// end may be missing. After a Goexit in code of the user's the reader calls this
// again. The lock is not held while results are decoded and the book is told, since
// both may run such code.
func (s *session) takeRecords(c *wire.Cursor, cut bool) error {
	s.mu.Lock()
	s.taking = true
	s.mu.Unlock()
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
	if err != nil && !cut { // before the worker can be given to another call
		s.h.kill(fmt.Errorf("it broke the protocol: %w", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking = false
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
		if !cut && !s.has(r.Count) {
			return errors.New("results of more items than it has")
		}
		s.outcomes = r
	case wire.RecordTray:
		if cut {
			return nil // what was there is in what the page says, too
		}
		if !s.has(r.Count) {
			return errors.New("results of more items than it has")
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

// has reports whether n items are under way.
func (s *session) has(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n <= s.under
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
	s.emptied()
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
	s.emptied()
	return nil
}

// emptied lets the reader rest if nothing is under way any more. mu is held.
func (s *session) emptied() {
	if len(s.inflight) == 0 {
		s.h.setWanted(false)
	}
}

// running returns the item that the worker is running, as far as it says so, and
// it is one of those under way; 0 is none. mu is held.
func (s *session) running() uint64 {
	seq := s.started
	if s.h.page != nil {
		state, _ := readPage(s.h.page)
		seq = state.running
	}
	if n := len(s.inflight); n > 0 {
		first, last := s.inflight[0], s.inflight[n-1]
		if first.seq <= seq && seq < last.seq+uint64(last.count) {
			return seq
		}
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
