package supervisor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/wire"
)

var (
	// errNotWanted is why a worker is killed whose item ignores that it was told to stop.
	// Users see it in the log only.
	errNotWanted = errors.New("the item was not wanted any more")

	// errSilent is why a worker is killed that does nothing about what it has been sent.
	// Its items go to another.
	errSilent = errors.New("it has items and begins with none")
)

// How often the monitor looks, while there is something to look for.
const (
	lookMemory = 10 * time.Millisecond
	lookMin    = time.Millisecond
	lookMax    = 50 * time.Millisecond
	lookGap    = 10 * time.Microsecond // for each session, from one look to the next: about five times as long as looking takes

	graceLooks = 20 // for a worker to give back what it has not started, before it is killed
)

// monitor sees to everything in a call that has a clock: items that are told to stop and do
// not, items over their time or memory, workers that have stopped, and items that wait behind
// a long one while another worker has nothing to do. It is a goroutine that is started when
// there is something to look for; most calls are over before they need one. It sleeps but
// for a look each lookSilent, unless a look finds that it should look again before.
//
// A look is at every session. What workers without items need is apart from that: see relief.
type monitor struct {
	call  *call
	awake chan struct{} // wakes it; holds one
	asked atomic.Bool   // it is to look, soon
	blind atomic.Bool   // at its last look it saw no session, and no other look is due

	mu      sync.Mutex
	begun   bool          // there has been a session, so there may be something to look at
	due     bool          // it is to run from when there is one
	running chan struct{} // closed when it has ended; nil: there is none
	quit    chan struct{} // closed to end it
	ended   bool          // the call is over

	// Its goroutine's.
	bound    int64          // the call's, at the last look
	stop     []byte         // the frame that tells workers of it
	encoders sync.WaitGroup // of causes
	relief   relief
}

func (m *monitor) init(d *call) {
	m.call, m.awake, m.bound = d, make(chan struct{}, 1), schedule.NoBound
}

// Starved, Bounded and Returned make the monitor a schedule.Claimant, with the
// schedule.Call's mutex held.
func (m *monitor) Starved()     { m.wakeFor(false) }
func (m *monitor) Bounded()     { m.act() }
func (m *monitor) Returned(int) {}

// act has the monitor look at the sessions, soon, or when there is one. A call that waits
// for its first worker has no use for another goroutine.
func (m *monitor) act() { m.wakeFor(true) }

func (m *monitor) wakeFor(look bool) {
	m.mu.Lock()
	m.due = true
	m.startLocked()
	m.mu.Unlock()
	m.wake(look)
}

// begin takes in that a session has begun, which the next look will see.
func (m *monitor) begin() {
	m.mu.Lock()
	if m.begun = true; m.due {
		m.startLocked()
	}
	m.mu.Unlock()
	if m.blind.Load() {
		m.wake(true)
	}
}

// startLocked starts the monitor if there is none.
func (m *monitor) startLocked() {
	if m.running != nil || m.ended || !m.begun {
		return
	}
	m.running, m.quit = make(chan struct{}), make(chan struct{})
	go m.run()
}

// wake wakes it, if there is one, and with look has it look.
func (m *monitor) wake(look bool) {
	if look {
		m.asked.Store(true)
	}
	select {
	case m.awake <- struct{}{}:
	default: // it is about to look
	}
}

// end ends it for good.
func (m *monitor) end() {
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	if m.running != nil {
		close(m.quit)
		<-m.running
		m.encoders.Wait()
	}
}

func (m *monitor) run() {
	defer close(m.running)
	timer := m.call.pool.clock.NewTimer(0)
	defer timer.Stop()
	m.asked.Store(true)
	var look, next time.Time // the next look is due, zero: is not; and no look comes before
	for {
		select {
		case <-m.quit:
			return
		case <-m.awake:
		case <-timer.C:
		}
		now := m.call.pool.clock.Now()
		if m.asked.Swap(false) {
			look = latest(now, next)
		}
		if !look.IsZero() && !now.Before(look) {
			m.prepareStop()
			m.blind.Store(true) // a session that begins meanwhile may be seen, or not
			wait, sessions := m.look(now)
			m.blind.Store(wait == 0)
			next = now.Add(time.Duration(sessions) * lookGap)
			if look = (time.Time{}); wait > 0 {
				look = latest(now.Add(wait), next)
			}
		}
		relieve := m.relieve(now)
		if wait, ok := soonest(m.call.pool.clock.Now(), look, relieve); ok {
			timer.Reset(wait)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// soonest is how long it is until the first of the times that are not zero.
func soonest(now time.Time, times ...time.Time) (d time.Duration, ok bool) {
	for _, t := range times {
		if wait := t.Sub(now); !t.IsZero() && (!ok || wait < d) {
			d, ok = wait, true
		}
	}
	return d, ok
}

// prepareStop makes the frame that tells a worker how far the call goes, if that has changed.
// No lock is held, since methods of the user's errors run.
func (m *monitor) prepareStop() {
	bound := m.call.Bound()
	if bound == m.bound {
		return
	}
	cause := m.call.StopCause()
	if cause == nil {
		cause = context.Canceled
	}
	stop := wire.Stop{ID: m.call.id, Index: int(bound), Cause: m.encode(cause)}
	m.bound, m.stop = bound, wire.Finish(stop.Append(wire.Begin(nil, wire.KindStop)))
}

// encode encodes an error in a goroutine of its own, since methods of the user's error may
// end that, or block: the clocks do not wait for them for long. An empty encoding stands for
// context.Canceled.
func (m *monitor) encode(err error) []byte {
	encoded := make(chan []byte, 1)
	m.encoders.Go(func() {
		var data []byte
		defer func() { encoded <- data }()
		m.call.pool.config.Errors.Append(&data, err)
	})
	late := m.call.pool.clock.NewTimer(lookMax)
	defer late.Stop()
	select {
	case data := <-encoded:
		return data
	case <-late.C:
		return nil
	}
}

// agenda is when to look again; 0 is not before being woken.
type agenda time.Duration

// add has the monitor look in d, or before.
func (a *agenda) add(d time.Duration) {
	if d = max(d, lookMin); *a == 0 || d < time.Duration(*a) {
		*a = agenda(d)
	}
}

// look looks at every session. It returns when to look again, and how many sessions there
// are. If there is none, the next one wakes the monitor.
func (m *monitor) look(now time.Time) (wait time.Duration, sessions int) {
	var again agenda
	m.call.lookAt(func(s *session) {
		sessions++
		again.add(lookSilent)
		s.look(m, now, &again)
	})
	if limit := m.call.what.Timeout; limit > 0 && sessions > 0 { // items come and go without the monitor being woken
		again.add(min(limit/8, lookMax))
	}
	if m.call.pool.config.MaxMemoryBytes > 0 && sessions > 0 {
		again.add(lookMemory)
	}
	return time.Duration(again), sessions
}

// watch is what the monitor knows of a session.
type watch struct {
	bound     int64     // the call's, at the last look
	toldBound int64     // the bound that the worker was told of
	killAt    time.Time // when to kill a worker that runs an item which it should not; zero: never
	seen      uint64    // the item that was running at the last look; 0: none
	seenAt    time.Time // the look at which seen was first running
	overMem   int       // looks at which seen, isolated, had outgrown the memory limit
	grace     int       // looks at which seen was to be killed and not isolated
	long      uint64    // the item that was running when another worker was last without items; 0: none
	decoding  int       // the item whose result or error was being decoded at the last look; −1: none
	decodeAt  time.Time // the look at which decoding was first seen; zero: the Logger has been told
	stopped   bool      // the worker had been stopped in an item at the last look for that
	stoppedAt time.Time // that look

	progress progress  // at the last look
	silence  patience  // with a worker that owes something; see progress
	excused  time.Time // until then a worker with a limit of memory may be collecting garbage
	pinged   bool      // it was asked to give back what it has not begun, because of the silence
	garbled  bool      // at the last look, what the worker says of itself made no sense
}

func newWatch() watch {
	return watch{bound: schedule.NoBound, toldBound: schedule.NoBound, decoding: -1}
}

// progress is what changes as a worker gets on.
type progress struct {
	first    uint64 // the next item in turn; 0: none
	written  uint64 // the item after the last that was written to it
	received uint64 // bytes of frames that did not come whole
}

// look does the monitor's work for one session.
func (s *session) look(m *monitor, now time.Time, again *agenda) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == lost {
		return
	}
	s.tellBoundLocked(m, now)
	running, ok := s.runningLocked()
	s.lookGarbledLocked(ok, again)
	if w := &s.watch; running != w.seen {
		w.seen, w.seenAt, w.overMem, w.grace = running, now, 0, 0
		if s.condemned {
			s.condemned = false
			s.changed.Signal()
		}
	}
	s.lookSilentLocked(now, running)
	s.lookStoppedLocked(now, again)
	s.lookHandOverLocked(now, again)
	s.lookDecodingLocked(now, again)
	if running != 0 {
		s.lookSuspendedLocked(now, running)
		s.lookTimeoutLocked(now, again)
		s.lookMemoryLocked(now, again)
	}
}

// tellBoundLocked tells the worker how far the call goes, if that has changed.
func (s *session) tellBoundLocked(m *monitor, now time.Time) {
	w := &s.watch
	if w.bound != m.bound {
		// An item that was not wanted before has its time already.
		if _, index, ok := s.window.first(); !ok || int64(index) <= w.bound {
			w.killAt = now.Add(s.call.pool.config.KillDelay)
		}
		w.bound = m.bound
	}
	if s.known && w.toldBound != m.bound {
		w.toldBound = m.bound
		if m.bound < 0 {
			s.worker.forget(s.call.id)
		}
		s.tellLocked(m.stop)
	}
}

// lookGarbledLocked kills a worker if what it says of itself makes no sense twice in a row: a
// word may be read while it changes.
func (s *session) lookGarbledLocked(ok bool, again *agenda) {
	if !ok && s.watch.garbled {
		s.worker.breach(errGarbled)
	}
	if s.watch.garbled = !ok; !ok {
		again.add(lookMin)
	}
}

// lookSilentLocked kills a worker that has been sent items and begins with none for too long,
// or that stopped in the middle of a frame: it is stuck, or has lost what it was sent, or
// something in it has written to its pipe. One that does not read is killed by the conn, and
// one that was stopped while it runs an item is waited for.
func (s *session) lookSilentLocked(now time.Time, running uint64) {
	w, worker := &s.watch, s.worker
	first, _, _ := s.window.first()
	p := progress{first: first, written: worker.conn.written.Load()}
	var partial bool
	p.received, partial = worker.reader.frames.Partial()
	idle := first > 0 && first < p.written && running == 0 && !s.busy && !worker.conn.writing.Load()
	if p != w.progress || !idle && !partial {
		w.progress = p
		w.silence.reset()
		w.excused = now.Add(s.collectTimeLocked(idle))
		w.pinged = w.pinged && idle
		return
	}
	if idle && now.Before(w.excused) {
		return
	}
	did := worker.link.Process.Activity()
	if did.Stopped && running != 0 {
		w.silence.reset()
		return
	}
	reading := time.Duration(s.window.bytes) * readPace
	switch {
	case !w.silence.lookFor(maxSilence+reading, now, did, s.call.pool.config.StartTimeout+reading):
		if idle && !w.pinged && (w.silence.silent >= pingSilence+reading || !did.Known && w.silence.all >= pingSilence+reading) {
			w.pinged = true
			s.pingLocked()
		}
	case partial:
		worker.breach(errStalled)
	default:
		worker.killSilent()
	}
}

// collectPace is how fast a worker collects garbage at the least, on a busy machine.
const collectPace = 10 * time.Nanosecond // a byte

// collectTimeLocked is how long the worker may take to collect garbage, which it does between
// two items if there is a limit of memory, and of that only as much as the worker is large.
func (s *session) collectTimeLocked(idle bool) time.Duration {
	if !idle || s.call.pool.config.MaxMemoryBytes == 0 {
		return 0
	}
	size, err := s.worker.link.Process.Resident()
	if err != nil {
		return 0
	}
	return min(time.Duration(size)*collectPace, s.call.pool.config.StartTimeout)
}

// lookStoppedLocked kills a worker that does not come to an end with what is not wanted any
// more. What may be in the way is an item, or the news of a call that has ended.
func (s *session) lookStoppedLocked(now time.Time, again *agenda) {
	w := &s.watch
	if w.killAt.IsZero() {
		return
	}
	if left := w.killAt.Sub(now); left > 0 {
		again.add(left)
		return
	}
	_, index, inFlight := s.window.first()
	inItem := inFlight && s.call.Stopped(index)
	inWrite := w.bound < 0 && s.worker.conn.writing.Load()
	switch {
	case inWrite, inItem && s.isolateLocked():
		s.worker.kill(errNotWanted)
	case inItem:
		again.add(lookMin)
	}
}

// lookHandOverLocked has the worker give back what it has not begun if it keeps another call
// waiting for longer than was thought.
func (s *session) lookHandOverLocked(now time.Time, again *agenda) {
	if s.handOver.due.IsZero() || s.window.items < 2 {
		return
	}
	if left := s.handOverLocked(now); left > 0 {
		again.add(left)
	}
}

// lookDecodingLocked tells the Logger of a result or an error that takes long to be decoded:
// a method of its type must be blocking, for which there is no remedy.
func (s *session) lookDecodingLocked(now time.Time, again *agenda) {
	w, limit := &s.watch, s.call.pool.config.KillDelay
	switch {
	case !s.busy || s.decoding < 0:
		w.decoding = -1
	case s.decoding != w.decoding:
		w.decoding, w.decodeAt = s.decoding, now
		again.add(limit)
	case w.decodeAt.IsZero():
	case now.Sub(w.decodeAt) < limit:
		again.add(limit - now.Sub(w.decodeAt))
	default:
		pid, index, log := s.worker.pid(), s.decoding, s.call.pool.log
		took := now.Sub(w.decodeAt)
		s.tells.Go(func() { // no lock may be held while the Logger runs
			log.warn("parallel: still decoding what an item returned; the call waits", "pid", pid, "item", index, "decoding", took)
		})
		w.decodeAt = time.Time{}
	}
}

// lookSuspendedLocked tells the Logger of a worker that has been stopped in an item, as by
// SIGSTOP, once for each stop. That fails nothing: the worker may be continued.
func (s *session) lookSuspendedLocked(now time.Time, running uint64) {
	w, log := &s.watch, s.call.pool.log
	if log.to == nil || now.Sub(w.stoppedAt) < lookSilent {
		return
	}
	before := w.stopped
	w.stopped, w.stoppedAt = s.worker.link.Process.Activity().Stopped, now
	if w.stopped && !before {
		pid := s.worker.pid()
		index, _ := s.window.indexOf(running)
		s.tells.Go(func() { // no lock may be held while the Logger runs
			log.warn("parallel: worker is stopped; its item waits until it is continued", "pid", pid, "item", index)
		})
	}
}

// lookTimeoutLocked kills a worker whose item ignores its time limit.
func (s *session) lookTimeoutLocked(now time.Time, again *agenda) {
	limit := s.call.what.Timeout
	if limit == 0 || now.Sub(s.watch.seenAt) < limit {
		return
	}
	isolated := s.isolateLocked() // or soon will be
	left := limit + s.call.pool.config.KillDelay - now.Sub(s.watch.seenAt)
	if left <= 0 && isolated {
		s.worker.killItem(s.call.pool.config.Errors.Timeout(limit))
	}
	again.add(min(left, lookMax))
}

// lookMemoryLocked kills a worker whose item has taken it over the memory limit. If an item
// takes it near the limit, and goes on running, nothing is left behind it.
func (s *session) lookMemoryLocked(now time.Time, again *agenda) {
	limit := s.call.pool.config.MaxMemoryBytes
	if limit == 0 {
		return
	}
	size, err := s.worker.link.Process.Resident()
	if err != nil || size < limit {
		s.watch.overMem = 0
		if err == nil && now.After(s.watch.seenAt) && s.worker.over(size) {
			s.condemned = true
			s.recallLocked()
		}
		return
	}
	if !s.isolateLocked() {
		again.add(lookMin)
	} else if s.watch.overMem++; s.watch.overMem > 1 {
		s.worker.killItem(s.call.pool.config.Errors.Memory(size, limit))
	}
}

// isolateLocked prepares to kill the worker for the item that it is running: it is sent no
// more, and asked to give back the items behind it, so that no other item is hurt. It
// reports whether the worker may be killed now: it has no other item, or has not answered
// for some looks.
func (s *session) isolateLocked() bool {
	s.condemned = true
	if s.window.items == 1 {
		return true
	}
	if s.recallLocked(); s.window.items == 1 {
		return true
	}
	s.watch.grace++
	return s.watch.grace > graceLooks
}
