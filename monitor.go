package parallel

import (
	"context"
	"errors"
	"time"

	"example.com/parallel/internal/wire"
)

// errNotWanted is why a worker is killed whose item ignores that it was told to
// stop. Nobody sees it: the item was not wanted any more.
var errNotWanted = errors.New("parallel: the item was not wanted any more")

// How often the monitor looks, while there is something to look for.
const (
	lookMemory = 10 * time.Millisecond
	lookHungry = time.Millisecond
	lookMin    = time.Millisecond
	lookMax    = 50 * time.Millisecond
)

// monitor sees to everything in the call that has a clock: items that are told
// to stop and do not, items over their time or memory, and items that wait
// behind a long one while another worker has nothing to do. It sleeps while
// there is none of that.
func (d *dispatch) monitor(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-d.poke:
		case <-timer.C:
		}
		if wait := d.look(time.Now()); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// stopFrame tells a worker that the call goes no further than bound.
func (d *dispatch) stopFrame(bound int64) []byte {
	d.c.mu.Lock()
	cause := d.c.endCause()
	if cause == nil && len(d.c.failures) > 0 {
		cause = d.c.failures[0]
	}
	if cause == nil {
		cause = context.Canceled
	}
	d.c.mu.Unlock()
	m := wire.Stop{ID: d.id, Index: int(bound), Cause: appendError(nil, cause)}
	return wire.Finish(m.Append(wire.Begin(nil, wire.KindStop)))
}

// look looks at every session and returns when to look again; 0 is not before
// being poked.
func (d *dispatch) look(now time.Time) time.Duration {
	var wait time.Duration
	again := func(in time.Duration) {
		in = min(max(in, lookMin), lookMax)
		if wait == 0 || in < wait {
			wait = in
		}
	}
	d.c.mu.Lock()
	hungry := d.c.hungry > 0
	d.c.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	bound := d.c.bound.Load()
	for s := range d.sessions {
		s.mu.Lock()
		if s.told != bound {
			s.told, s.killAt = bound, now.Add(d.pool.config.KillDelay)
			s.tell(d.stopFrame(bound))
		}
		if len(s.inflight) > 0 && !s.lost {
			s.look(now, hungry, again)
		}
		s.mu.Unlock()
	}
	if d.timeout > 0 || d.pool.config.MaxMemoryBytes > 0 {
		again(min(orElse(d.timeout/8, lookMax), lookMemory)) // items come and go without a poke
	}
	return wait
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// look does the monitor's work for one session that has items under way, and
// calls again with the time until the next look that it needs. mu is held.
func (s *session) look(now time.Time, hungry bool, again func(time.Duration)) {
	running := s.running()
	fresh := running != s.seen
	if fresh {
		s.seen, s.seenAt, s.overMem = running, now, 0
	}
	config := &s.d.pool.config
	if !s.killAt.IsZero() && s.d.c.stopped(s.inflight[0].index) {
		if left := s.killAt.Sub(now); left <= 0 {
			s.h.kill(errNotWanted)
		} else {
			again(left)
		}
	}
	if s.d.timeout > 0 && running != 0 {
		if now.Sub(s.seenAt) >= s.d.timeout+config.KillDelay {
			s.h.kill(&timeoutError{s.d.timeout})
		}
	}
	if config.MaxMemoryBytes > 0 && running != 0 {
		s.lookMemory(config.MaxMemoryBytes)
	}
	if hungry && len(s.inflight) > 1 && s.recalled == 0 {
		if !fresh {
			s.recall()
		}
		again(lookHungry)
	}
}

// lookMemory kills a worker whose item has taken it over the limit. Before that
// it sees to it that no other item starts in the worker, since that one would
// be blamed for what it has not done. mu is held.
func (s *session) lookMemory(limit int64) {
	size, err := resident(s.h.pid)
	if err != nil || size < limit {
		s.overMem = 0
		return
	}
	if s.overMem++; s.overMem > 1 {
		s.h.kill(ErrMemoryLimit)
	} else if s.recalled == 0 {
		s.recall()
	}
}

// recall asks the worker to give back what it has not started. mu is held.
func (s *session) recall() {
	s.recalled++
	s.tell(wire.Finish(wire.Begin(nil, wire.KindRecall)))
}

// tell sends a frame without waiting for it: a worker that does not read must
// not hold up the others' clocks. It will be killed, and then the write ends.
func (s *session) tell(frame []byte) {
	s.d.writes.Go(func() { _ = s.h.write(frame) })
}
