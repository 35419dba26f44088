package supervisor

import (
	"sync/atomic"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// How the parent takes back items that a worker has and has not begun, without waiting for the
// worker: that is at an item, maybe a long one, and hears nothing before its end.
//
// A word of the segment that only the parent writes says which items must not begin any more
// (see shm.Segment.Revoke). The worker looks at it before each item. When it has been set, the
// parent reads which item is running. Those behind that one have not begun and never will, so
// they are given back at once. Where the parent cannot tell, the worker drops them, and says so,
// before it runs another.
//
// Only what has been written to the worker is revoked. For what is on its way it must be asked.

// revoked is what a worker was told not to begin any more. It outlives the session: what the
// worker says of that may come later.
type revoked struct {
	before atomic.Uint64 // items before this one
	behind atomic.Uint64 // the item behind which others were last revoked; 0: none were

	// held is, of each slot, the item after the last in it that was given back though the worker
	// has not said that it drops it: the worker still looks at their lengths. 0: there is none.
	held [shm.Slots]atomic.Uint64
}

// hold takes in that items are given back that the worker has not dropped.
func (r *revoked) hold(flights []flight) {
	for _, f := range flights {
		if f.slot > 0 {
			r.held[f.slot-1].Store(f.end())
		}
	}
}

// passed takes in that the worker has run or dropped the items before seq.
func (r *revoked) passed(seq uint64) {
	for i := range r.held {
		if held := r.held[i].Load(); held != 0 && held <= seq {
			r.held[i].CompareAndSwap(held, 0)
		}
	}
}

// holds reports whether a slot, or with 0 any, has items that the worker has not dropped.
func (r *revoked) holds(slot int) bool {
	for i := range r.held {
		if (slot == 0 || slot == i+1) && r.held[i].Load() != 0 {
			return true
		}
	}
	return false
}

// revokeLocked revokes what the worker has not begun, and gives back what is certain not to
// have. It returns false if that may not be all.
func (s *session) revokeLocked() bool {
	w := s.worker
	end := w.conn.written.Load()
	if w.segment == nil || end == 0 || !w.revoke(end) {
		return false
	}
	if running := s.steadyLocked(); running > 0 { // else the worker is between two items, and will say what it drops
		w.revoked.behind.Store(running)
		dropped, _ := s.window.drop(running+1, end-1, func(flight) bool { return true })
		w.revoked.hold(dropped)
		s.returnedLocked(dropped)
	}
	return s.window.end() <= end
}

// revoke has the worker begin no item before end that it has not begun, and waits until what
// says which one is running is right. It returns false if it cannot. The mutex of the session is
// held.
func (w *worker) revoke(end uint64) bool {
	if w.revoked.before.Load() == end {
		return true
	}
	if !w.segment.Revoke(end) {
		return false
	}
	w.revoked.before.Store(end)
	cost.SpinFor(shm.PublishTime, func() bool { return false })
	return true
}

// hasRevoked reports whether r says that items were dropped which were revoked.
func (w *worker) hasRevoked(r wire.Record) bool {
	if r.Kind != wire.RecordDropped || r.Last >= w.revoked.before.Load() {
		return false
	}
	w.revoked.passed(r.Last + 1)
	return true
}

// wasRunningLocked is the item that a dead worker was running, by its own word. The words imply
// the next item as soon as one has ended: one that was revoked, and is not in flight any more,
// had not begun.
func (s *session) wasRunningLocked() (seq uint64, ok bool) {
	seq, ok = s.worker.segment.Running()
	if behind := s.worker.revoked.behind.Load(); behind > 0 && seq == behind+1 && !s.window.contains(seq) {
		seq = 0
	}
	return seq, ok
}
