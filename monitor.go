package parallel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

var (
	// errNotWanted is why a worker is killed whose item ignores that it was
	// told to stop. Nobody sees it: the item was not wanted any more.
	errNotWanted = errors.New("parallel: the item was not wanted any more")

	// errSilent is why a worker is killed that does nothing about what it has
	// been sent. Its items go to another.
	errSilent = errors.New("it has items and begins with none")
)

// How often the monitor looks, while there is something to look for.
const (
	lookMemory  = 10 * time.Millisecond
	lookHungry  = time.Millisecond
	lookMin     = time.Millisecond
	lookMax     = 50 * time.Millisecond
	lookSilent  = time.Second            // for a worker that may have stopped for ever
	worthRecall = 300 * time.Microsecond // of items that another worker could run: some round trips
	graceLooks  = 20                     // for a worker to give back what it has not started, before it is killed
)

// watch is what the monitor knows of a session.
type watch struct {
	bound   int64     // as it was at the last look
	told    int64     // the bound that the worker was told of
	killAt  time.Time // when to kill a worker that runs an item it should not; zero: never
	seen    uint64    // the item that was running at the last look; 0: none,
	seenAt  time.Time // and since when, as far as is known
	overMem int       // looks at which seen, alone, had outgrown the memory limit
	grace   int       // looks at which seen was to be killed and not alone
	hungry  int       // looks in a row at which another worker had nothing to do

	idle   progress      // at the last look,
	idleAt time.Time     // which was then,
	silent time.Duration // and how long nothing has changed, as the sum of short times: this process may have been stopped
}

// progress is what changes as a worker gets on.
type progress struct {
	first uint64 // the next item in turn
	sent  int64  // bytes written to it
}

// monitoring is the life of a call's monitor. Most calls are over before they need
// one.
type monitoring struct {
	mu      sync.Mutex
	running chan struct{} // closed when it has ended; nil: there is none
	stop    chan struct{} // closed to end it
	ended   bool          // the call is over
}

// startMonitor starts the monitor if there is none.
func (d *dispatch) startMonitor() {
	m := &d.monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running != nil || m.ended {
		return
	}
	m.running, m.stop = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(m.running)
		d.watch(m.stop)
	}()
}

// endMonitor ends it for good.
func (d *dispatch) endMonitor() {
	m := &d.monitor
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	if m.running != nil {
		close(m.stop)
		<-m.running
	}
}

// watch is the monitor. It sees to everything in the call that has a clock: items that are told
// to stop and do not, items over their time or memory, workers that have
// stopped, and items that wait behind a long one while another worker has
// nothing to do. Otherwise it sleeps, but for a look each second.
func (d *dispatch) watch(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-d.poke:
		case <-timer.C:
		}
		d.prepareStop()
		if wait := d.look(time.Now()); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// prepareStop makes the frame that tells a worker how far the call goes, if that
// has changed.
func (d *dispatch) prepareStop() {
	bound := d.c.bound.Load()
	if bound == d.bound {
		return
	}
	d.c.mu.Lock()
	cause := d.c.endCause()
	if cause == nil && len(d.c.failures) > 0 {
		cause = d.c.failures[0]
	}
	d.c.mu.Unlock()
	if cause == nil {
		cause = context.Canceled
	}
	m := wire.Stop{ID: d.id, Index: int(bound), Cause: appendError(nil, cause)} // runs methods of the user's
	d.bound, d.stop = bound, wire.Finish(m.Append(wire.Begin(nil, wire.KindStop)))
}

// look looks at every session and returns when to look again; 0 is not before
// being poked.
func (d *dispatch) look(now time.Time) time.Duration {
	var wait time.Duration
	again := func(in time.Duration) {
		if in = max(in, lookMin); wait == 0 || in < wait {
			wait = in
		}
	}
	d.c.mu.Lock()
	hungry := d.c.hungry > 0
	d.c.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sessions {
		again(lookSilent)
		s.mu.Lock()
		s.look(now, hungry, again)
		s.mu.Unlock()
	}
	if d.timeout > 0 { // items come and go without a poke
		again(min(d.timeout/8, lookMax))
	}
	if d.pool.config.MaxMemoryBytes > 0 {
		again(lookMemory)
	}
	return wait
}

// look does the monitor's work for one session, and calls again with the time
// until the next look that it needs. mu is held.
func (s *session) look(now time.Time, hungry bool, again func(time.Duration)) {
	if s.lost {
		return
	}
	s.tellBound(now)
	running := s.running()
	if running != s.watch.seen {
		s.watch.seen, s.watch.seenAt, s.watch.overMem, s.watch.grace = running, now, 0, 0
		if s.condemned {
			s.condemned = false
			s.changed.Signal()
		}
	}
	s.lookSilent(now, running)
	s.lookStopped(now, again)
	if hungry && s.under > 1 {
		s.watch.hungry++
		again(lookHungry)
	} else {
		s.watch.hungry = 0
	}
	if running == 0 {
		return
	}
	s.lookTimeout(now, again)
	s.lookMemory(again)
	if n := s.watch.hungry; n > 1 || n > 0 && s.backlog() > worthRecall {
		s.recall()
	}
}

// backlog is the time that the items under way should take. mu is held.
func (s *session) backlog() time.Duration {
	return time.Duration(s.under) * s.d.c.costNow() / costScale
}

// tellBound tells the worker how far the call goes, if that has changed. mu is
// held.
func (s *session) tellBound(now time.Time) {
	w, bound := &s.watch, s.d.bound
	if w.bound != bound {
		// An item that was not wanted before has its time already.
		if len(s.inflight) == 0 || int64(s.inflight[0].index) <= w.bound {
			w.killAt = now.Add(s.d.pool.config.KillDelay)
		}
		w.bound = bound
	}
	if s.announced && w.told != bound {
		w.told = bound
		if bound < 0 {
			s.h.forget(s.d.id)
		}
		s.tell(s.d.stop)
	}
}

// lookSilent kills a worker that has been given something and has not moved for
// too long: it has been stopped, or does not read. mu is held.
func (s *session) lookSilent(now time.Time, running uint64) {
	w, limit := &s.watch, s.d.pool.config.StartTimeout
	p := progress{sent: s.h.sent.Load()}
	if len(s.inflight) > 0 {
		p.first = s.inflight[0].seq
	}
	waits := s.h.writing.Load() || p.first > 0 && running == 0 && !s.taking
	if waits && p == w.idle {
		w.silent += min(now.Sub(w.idleAt), 2*lookSilent)
	} else {
		w.silent = 0
	}
	w.idle, w.idleAt = p, now
	if w.silent >= limit {
		s.h.kill(errSilent)
	}
}

// lookStopped kills a worker that does not come to an end with what is not
// wanted any more. mu is held.
func (s *session) lookStopped(now time.Time, again func(time.Duration)) {
	if s.watch.killAt.IsZero() {
		return
	}
	if left := s.watch.killAt.Sub(now); left > 0 {
		again(left)
		return
	}
	// What may be in the way is an item, or the news of a call that has ended.
	inItem := len(s.inflight) > 0 && s.d.c.stopped(s.inflight[0].index)
	inWrite := s.watch.bound < 0 && s.h.writing.Load()
	switch {
	case inWrite, inItem && s.alone():
		s.h.kill(errNotWanted)
	case inItem:
		again(lookMin)
	}
}

// lookTimeout kills a worker whose item ignores its time limit. mu is held.
func (s *session) lookTimeout(now time.Time, again func(time.Duration)) {
	limit := s.d.timeout
	if limit == 0 || now.Sub(s.watch.seenAt) < limit {
		return
	}
	alone := s.alone() // or soon will be
	left := limit + s.d.pool.config.KillDelay - now.Sub(s.watch.seenAt)
	if left <= 0 && alone {
		s.h.kill(&timeoutError{limit})
	}
	again(min(left, lookMax))
}

// lookMemory kills a worker whose item has taken it over the limit. mu is held.
func (s *session) lookMemory(again func(time.Duration)) {
	limit := s.d.pool.config.MaxMemoryBytes
	if limit == 0 {
		return
	}
	size, err := resident(s.h.pid)
	if err != nil || size < limit {
		s.watch.overMem = 0
		return
	}
	if !s.alone() {
		again(lookMin)
	} else if s.watch.overMem++; s.watch.overMem > 1 {
		s.h.kill(fmt.Errorf("%w (%d bytes resident, MaxMemoryBytes is %d)", ErrMemoryLimit, size, limit))
	}
}

// alone reports whether the item that is running is all that the worker has, so
// that no other is hurt if the worker is killed now. Until it is, the worker is
// asked to give the others back and is sent no more. One that does not answer
// has some looks' time. mu is held.
func (s *session) alone() bool {
	s.condemned = true
	if s.under == 1 {
		return true
	}
	s.recall()
	s.watch.grace++
	return s.watch.grace > graceLooks
}

// recall asks the worker to give back what it has not started. mu is held.
func (s *session) recall() {
	if s.h.recalls.Load() > 0 || s.under < 2 {
		return
	}
	s.h.recalls.Add(1)
	s.tell(wire.Finish(wire.Begin(nil, wire.KindRecall)))
}

// tell sends a frame without waiting for it: a worker that does not read must
// not hold up the others' clocks. mu is held.
func (s *session) tell(frame []byte) {
	s.told = true
	s.writes.Go(func() { _ = s.h.write(frame, 1, true) })
}
