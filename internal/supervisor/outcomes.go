package supervisor

import (
	"errors"
	"fmt"

	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// How a session takes in what its worker says became of the items, and what a dead worker
// has left in the segment. All of it runs on the goroutine that reads what the worker says;
// see reader. The session's mutex is not held while results are decoded and the call is
// told, since both may run code of the user's. That code may call Goexit: then the reader
// comes here again with the same cursor, and goes on from what taking keeps.

// taking is what has been read of a worker and is not taken in yet.
type taking struct {
	decodes  itemStopper
	finished int          // items that ran well and are not entered yet
	ended    int          // items that have ended since it was last told how long they took
	outcomes wire.Record  // what is left of the last record of outcomes; a Count of 0: nothing
	leftover *wire.Cursor // what a dead worker left in the segment; nil: not read yet
	garbled  bool         // that makes no sense
	flights  []flight     // what a dead worker had in flight, and is not settled yet
	guilt    verdict      // who of them is to blame
	missed   bool         // that none is has not been counted yet
}

// handleRecords takes in what the worker has to say. With cut, it was found in the segment
// of a dead worker: the pipe may have brought the start of it. Its error says that it makes
// no sense.
func (s *session) handleRecords(c *wire.Cursor, cut bool) error {
	s.setBusy(true)
	err := s.handleAll(c, cut)
	n := s.taking.finished
	s.taking.finished = 0
	if s.call.Config().Progress != nil {
		s.decoded()
	}
	s.call.finished(n)
	if err != nil && !cut { // before the worker can be given to another call
		s.worker.breach(err)
	}
	s.setBusy(false)
	return err
}

// setBusy says whether what the worker has said is being taken in; the sender leaves
// afterwards.
func (s *session) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.decoding = busy, -1
	if !busy {
		s.changed.Signal()
	}
}

// decoded says that nothing is being decoded: the callback or methods of an error may run.
func (s *session) decoded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decoding = -1
}

func (s *session) handleAll(c *wire.Cursor, cut bool) error {
	for s.taking.outcomes.Count > 0 || c.Len() > 0 {
		if s.taking.outcomes.Count > 0 {
			if err := s.settleOutcomes(cut); err != nil {
				return err
			}
			continue
		}
		r, err := wire.ReadRecord(c)
		switch {
		case err != nil:
			return err
		case !cut && c.Len() > shm.RecordsSize:
			return errors.New("more records than belong in a frame")
		}
		if err := s.handleRecord(r, cut); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) handleRecord(r wire.Record, cut bool) error {
	switch r.Kind {
	case wire.RecordResult, wire.RecordFailure:
		r.Count, r.Size = 1, len(r.Data)
		s.taking.outcomes = r
	case wire.RecordResults:
		return s.handleResults(r, cut)
	case wire.RecordRing:
		if cut {
			return nil // what was there is in what the segment says, too
		}
		return s.handleRing(r)
	case wire.RecordStarted:
		return s.handleStarted(r.Seq)
	case wire.RecordDropped, wire.RecordRecalled:
		return s.handleDropped(r)
	case wire.RecordAllowance, wire.RecordOutgrown:
		return s.handleMemory(r)
	case wire.RecordBusy:
		s.call.measured(min(r.Count, s.taking.ended), min(r.Time, s.call.pool.clock.Now().Sub(s.begun)))
		s.taking.ended = 0
	}
	return nil
}

func (s *session) handleResults(r wire.Record, cut bool) error {
	if cut && s.isPast(r.Seq, r.Count) {
		return nil // of a call before, perhaps: what is in the ring stays there until it is filled anew
	}
	if size := s.call.what.Function.ResultSize; r.Size >= 0 && r.Size != size {
		return fmt.Errorf("results of %d bytes, which should have %d", r.Size, size)
	}
	if !cut && !s.has(r.Count) {
		return errors.New("results of more items than it has")
	}
	s.taking.outcomes = r
	return nil
}

// handleStarted takes in which item the worker is about to run: it can only be the first.
func (s *session) handleStarted(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, _, ok := s.window.first(); !ok || seq != first {
		return fmt.Errorf("it starts item %d out of turn", seq)
	}
	s.started = seq
	return nil
}

// isPast reports whether none of the n items from seq on is in flight any more.
func (s *session) isPast(seq uint64, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _, ok := s.window.first()
	if !ok {
		first = s.window.next
	}
	return seq < first && uint64(n) <= first-seq
}

// has reports whether n items are in flight.
func (s *session) has(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n <= s.window.items
}

// handleRing takes in results that are in the segment.
func (s *session) handleRing(r wire.Record) error {
	segment := s.worker.segment
	if !s.has(r.Count) {
		return errors.New("results of more items than it has")
	}
	if segment == nil || !segment.CheckResults(r.At, r.Length, s.call.pool.MaxMessage()+wire.Slack) {
		return errors.New("results where there are none")
	}
	if r.Size > 0 && r.Size == s.call.what.Function.ResultSize && r.Length == r.Count*r.Size {
		if done, err := s.fillFromRing(r); done || err != nil {
			return err
		}
	}
	data, err := s.worker.readRing(r)
	if err != nil {
		return err
	}
	r.Kind, r.Data = wire.RecordResults, data
	return s.handleResults(r, false)
}

// fillFromRing settles the items of r, whose results only have to be copied, by reading them
// to where they belong. It returns false if that is not in one piece.
func (s *session) fillFromRing(r wire.Record) (done bool, err error) {
	for at := r.At; r.Count > 0; {
		f, ok := s.peek(r.Seq, r.Count)
		if !ok {
			return false, fmt.Errorf("an outcome for item %d out of turn", r.Seq)
		}
		memory := s.call.what.Job.Results(f.span())
		if memory == nil {
			return false, nil
		}
		if err := s.worker.readResults(memory, at); err != nil {
			clear(memory)
			return false, err
		}
		s.pop(r.Seq, f.count)
		s.taking.finished += f.count
		s.call.pool.counters.bytesIn.Add(int64(len(memory)))
		at += len(memory)
		r.Seq, r.Count = f.end(), r.Count-f.count
	}
	s.worker.segment.Taken(r.Seq)
	return true, nil
}

// readRing reads the results that r tells of. They are valid until the next call.
func (w *worker) readRing(r wire.Record) ([]byte, error) {
	if have := cap(w.reader.ring); have < r.Length || have > ringKeep && r.Length < have/16 {
		w.reader.ring = make([]byte, max(r.Length, ringKeep))
	}
	data := w.reader.ring[:r.Length]
	if err := w.readResults(data, r.At); err != nil {
		return nil, err
	}
	if !wire.Fits(data, r.Count, r.Size) {
		return nil, errors.New("results of other sizes than it says")
	}
	w.segment.Taken(r.Seq + uint64(r.Count))
	return data, nil
}

// ringKeep is how large a buffer for results a worker keeps.
const ringKeep = 1 << 20

func (w *worker) readResults(dst []byte, at int) error {
	if err := w.segment.ReadResults(dst, at); err != nil {
		return fmt.Errorf("results that cannot be read: %w", err)
	}
	return nil
}

// peek is at most n of the items in flight, if seq is the first of them.
func (s *session) peek(seq uint64, n int) (flight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.peek(seq, n)
}

// pop takes them out of flight; see window.pop.
func (s *session) pop(seq uint64, n int) (f flight, behind int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, behind, ok = s.window.pop(seq, n); ok {
		r := &s.worker.reader
		s.watch.pinged = false
		s.taking.ended += f.count
		s.worker.revoked.passed(f.seq)
		s.decoding, r.settled, r.apart = f.index, f.end()-1, s.taking.outcomes.Apart()
	}
	s.emptiedLocked()
	return f, behind, ok
}

// emptiedLocked lets the reader rest if nothing is in flight any more.
func (s *session) emptiedLocked() {
	if s.window.empty() {
		s.worker.reader.turn.Want(false)
	}
}

// settleOutcomes settles the first items of taking.outcomes: one, or all that follow one
// another if their results only have to be copied.
func (s *session) settleOutcomes(cut bool) error {
	r := &s.taking.outcomes
	most := 1
	if r.Kind == wire.RecordResults && r.Size >= 0 {
		most = r.Count
	}
	f, behind, ok := s.pop(r.Seq, most)
	switch {
	case !ok && cut && behind > 0: // the pipe has brought these
		skipOutcomes(r, min(behind, r.Count))
		return nil
	case !ok:
		seq := r.Seq
		*r = wire.Record{}
		return fmt.Errorf("an outcome for item %d out of turn", seq)
	}
	kind, size := r.Kind, r.Size
	data := skipOutcomes(r, f.count) // from here on it goes on behind them, also after a Goexit
	s.call.pool.counters.bytesIn.Add(int64(len(data)))
	if kind == wire.RecordFailure {
		return s.settleFailure(data, f.index)
	}
	if kind == wire.RecordResults && size >= 0 {
		s.call.what.Job.SetResults(f.span(), data)
		s.taking.finished += f.count
		return nil
	}
	for i := range f.count {
		var result []byte
		result, data = wire.Next(data, size)
		s.settleResult(result, f.index+i)
	}
	return nil
}

// skipOutcomes takes the first n outcomes off r and returns their data.
func skipOutcomes(r *wire.Record, n int) (data []byte) {
	rest := wire.Skip(r.Data, n, r.Size)
	data = r.Data[:len(r.Data)-len(rest)]
	r.Data, r.Seq, r.Count = rest, r.Seq+uint64(n), r.Count-n
	return data
}

// itemStopper is the Stopper of an item that is being encoded, or whose result is being decoded.
type itemStopper struct {
	call *call
	item int
}

func (s *itemStopper) Stopped() bool { return s.call.Stopped(s.item) }

// settleResult settles item i, which ran well: it is counted, and entered with others. A large
// result is dropped if the call has ended meanwhile, as if the item had not run.
func (s *session) settleResult(data []byte, i int) {
	errs := s.call.pool.config.Errors
	err := errs.Goexit() // unless the decoder returns
	defer func() {
		if v := recover(); v != nil {
			err = s.call.Config().Errors.Recovered(v)
		}
		switch err {
		case nil:
		case ErrStopped:
			s.call.Skip(schedule.Span{Lo: i, Hi: i + 1})
		default:
			s.decoded()
			s.call.failed(i, errs.Decode(err))
		}
	}()
	s.taking.decodes = itemStopper{s.call, i}
	if err = s.call.what.Job.Decode(data, i, &s.taking.decodes); err == nil {
		s.taking.finished++
	}
}

// settleFailure settles item i, which has failed with the encoded error. What cannot be
// decoded is the item's error, and a breach of the protocol.
func (s *session) settleFailure(data []byte, i int) (breach error) {
	var failure error
	defer func() { // even if code of the user's calls Goexit
		if breach != nil {
			failure = s.call.pool.config.Errors.Decode(breach)
		}
		s.decoded()
		s.call.failed(i, failure)
	}()
	if len(data) > wire.Slack {
		return errors.New("an error of absurd length")
	}
	return s.call.pool.config.Errors.Parse(data, &failure)
}

// handleDropped gives back items that the worker will not start: because it was asked to
// give them back, or the call goes no further, or it has become too large.
func (s *session) handleDropped(r wire.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if running := s.steadyLocked(); running > 0 && r.Seq <= running && running <= r.Last {
		return errors.New("it dropped the item that it is running")
	}
	asked := r.Kind == wire.RecordRecalled && s.worker.conn.answered() || r.Kind == wire.RecordOutgrown || s.worker.hasRevoked(r)
	dropped, ok := s.window.drop(r.Seq, r.Last, func(f flight) bool { return asked || s.call.Stopped(f.index) })
	if !ok {
		return errors.New("it dropped an item that it was to run")
	}
	s.returnedLocked(dropped)
	if running, _ := s.runningLocked(); r.Kind == wire.RecordRecalled && asked && s.watch.pinged && running == 0 {
		s.worker.killSilent() // it lives, and yet began nothing
	}
	s.watch.pinged = s.watch.pinged && !asked
	return nil
}

// handleMemory takes in what the worker says of its memory. One that says so before it has run
// an item could be replaced for ever.
func (s *session) handleMemory(r wire.Record) error {
	switch {
	case !s.hasRun():
		return errors.New("it measured itself before it had run an item")
	case !s.worker.handleMemory(r):
		return errors.New("it measured itself though there is no limit")
	case r.Kind == wire.RecordOutgrown:
		return s.handleDropped(r)
	default:
		return nil
	}
}

// hasRun reports whether the worker has run an item, in this session or before.
func (s *session) hasRun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.worker.reader.settled > 0
}

// runningLocked is the item that the worker is running, as far as it says so and the item
// is in flight; 0 is none. ok is false if what says so makes no sense.
func (s *session) runningLocked() (seq uint64, ok bool) {
	seq, ok = s.started, true
	if s.worker.segment != nil {
		seq, ok = s.worker.segment.Running()
	}
	if !s.window.contains(seq) {
		seq = 0
	}
	return seq, ok
}

// steadyLocked is the item that the worker is running, if that is certain and the item is in
// flight; else 0.
func (s *session) steadyLocked() (seq uint64) {
	seq, ok := s.started, true
	if s.worker.segment != nil {
		seq, ok = s.worker.segment.Steady()
	}
	if !ok || !s.window.contains(seq) {
		return 0
	}
	return seq
}

// isRunning reports whether the worker is running an item.
func (s *session) isRunning() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, _ := s.runningLocked()
	return s.state != lost && seq != 0
}

// workerLost settles what was in flight on a worker that has died: results that it had
// finished are taken in, the items that are to blame fail, and the others go to other
// workers. After a Goexit in code of the user's it is called again.
func (s *session) workerLost() {
	s.handleLeftover()
	t := &s.taking
	if flights, guilt, ok := s.lose(); ok {
		t.flights, t.guilt = flights, guilt
		t.missed = guilt == blamesNone && len(flights) > 0
	}
	defer s.ended()
	death, written := s.worker.death(nil), s.worker.conn.lastWritten()
	if t.missed {
		t.missed = false
		if s.call.blame.diedBefore(t.flights[0].index, costly(death.Reason)) {
			t.guilt = blamesFirst
		}
	}
	for len(t.flights) > 0 {
		f := &t.flights[0]
		switch {
		case f.count == 0:
			t.flights = t.flights[1:]
		case t.guilt == blamesFirst:
			t.guilt = blamesNone
			s.call.crashed(f.split(1).index, death)
		case t.guilt == blamesAll && f.seq < written:
			blame := death
			if !death.Own {
				blame = s.garbled(death)
			}
			death.Own = false // the next one is another
			s.call.crashed(f.split(1).index, blame)
		default:
			s.giveBack(f.split(f.count))
		}
	}
}

// costly reports whether it took a second or more to find out that a worker did nothing.
func costly(reason error) bool {
	return reason == errSilent || reason == errDeaf || errors.As(reason, new(presumption))
}

// garbled is the death of a worker that has left no evidence of what it ran, as the error of
// an item that it may have run. Why it was killed stands for the item for which it was, which
// was the first.
func (s *session) garbled(death Crash) Crash {
	death.Reason, death.Own = s.worker.brokenBy(), false
	if death.Reason == nil {
		death.Reason = errGarbled
	}
	return death
}

// handleLeftover takes in what the dead worker has left in the segment.
func (s *session) handleLeftover() {
	w := s.worker
	if w.segment == nil || s.taking.garbled {
		return
	}
	if s.taking.leftover == nil {
		unsent, ok := w.segment.Unsent(s.call.pool.MaxMessage())
		s.taking.leftover, s.taking.garbled = wire.NewCursor(unsent), !ok
	}
	if w.brokenBy() == nil && s.handleRecords(s.taking.leftover, true) != nil {
		s.taking.garbled = true
	}
}

// ended has the sender look up, wherever it waits: the worker is lost and all is settled.
func (s *session) ended() {
	s.call.Wake()
	s.wake()
}

// lose empties the session, and says who is to blame for the death. ok is false if it has
// done so before.
func (s *session) lose() (flights []flight, guilt verdict, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == lost {
		return nil, 0, false
	}
	s.state = lost
	r := &s.worker.reader
	e := evidence{broken: s.worker.brokenBy() != nil, garbled: s.taking.garbled, running: s.started, settled: r.settled, apart: true}
	switch {
	case s.worker.segment == nil:
		e.garbled = e.garbled || r.mute || !r.frames.CutInRecords()
	case !e.garbled:
		e.running, ok = s.wasRunningLocked()
		e.past, _ = s.worker.segment.Past()
		e.garbled, e.apart = !ok, r.apart
	}
	e.first, _, _ = s.window.first()
	return s.window.clear(), e.verdict(), true
}
