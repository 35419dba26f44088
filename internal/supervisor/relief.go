package supervisor

import (
	"sync/atomic"
	"time"
)

// How a worker that has nothing to do gets items of one that has more than it is at: what was
// sent to a worker may take longer than was thought, with the items that take longest at the end
// maybe. It is what others call work stealing.
//
// For each claim that waits, one session has its worker's items given back (see revoke.go), from
// which the claim takes its share. The monitor goes through the sessions until it has found as
// many, and not through all of them, beginning with the one whose turn was longest ago.

const (
	worthRelief = 100 * time.Microsecond // of items is worth the claim of another worker, which waits as long for its first
	reliefLong  = 100 * time.Microsecond // an item that takes as long may be followed by others that do
	reliefLooks = 10                     // as soon after one another
	reliefPause = time.Millisecond       // from one look to the next afterwards
)

// relief is the monitor's, of workers that have nothing to do.
type relief struct {
	looks  int         // in a row at which there were some
	wanted atomic.Bool // no session has had more than the item that it is at: the next that has is to say so. For all
}

// sent takes in that a session has more than one item in flight.
func (m *monitor) sent() {
	if w := &m.relief.wanted; w.Load() && w.Swap(false) {
		m.wake(false)
	}
}

// relieve has workers give back what they have not begun, while claims wait for that. It returns
// when to try again; zero is not before being woken.
func (m *monitor) relieve(now time.Time) (again time.Time) {
	for {
		starved, candidates := m.call.Starved(), 0
		if starved == 0 {
			break
		}
		m.relief.looks++
		m.relief.wanted.Store(true) // before looking: who has more from then on is seen, or says so
		m.call.relieve(func(s *session) (given, stop bool) {
			candidate, given := s.relieve(m.relief.looks > reliefLooks)
			if given {
				starved--
			}
			if candidate {
				candidates++
			}
			return given, starved == 0
		})
		if candidates == 0 {
			break
		}
		m.relief.wanted.Store(false)
		if m.relief.looks > reliefLooks || starved == 0 {
			return now.Add(reliefPause)
		}
		m.call.pool.clock.Nap(reliefLong)
	}
	m.relief.looks = 0
	return time.Time{}
}

// relieve has what the worker has not begun given back, if it is at an item and should not get to
// that soon. candidate says that it may have something to give back, now or later.
func (s *session) relieve(late bool) (candidate, given bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == lost || s.window.items < 2 {
		return false, false
	}
	running, _ := s.runningLocked()
	long := running != 0 && running == s.watch.long
	s.watch.long = running
	// One that has not begun must keep its items, or they could go to and fro for ever.
	if running == 0 || !long && !late && s.backlogLocked() <= worthRelief {
		return true, false
	}
	s.recallLocked()
	return true, true
}
