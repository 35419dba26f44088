package supervisor

import (
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

// revokeLocked revokes what the worker has not begun, and gives back what is certain not to
// have. It returns false if that may not be all.
func (s *session) revokeLocked() bool {
	w := s.worker
	end := w.conn.written.Load()
	if w.segment == nil || end == 0 || !w.revoke(end) {
		return false
	}
	if running := s.steadyLocked(); running > 0 { // else the worker is between two items, and will say what it drops
		s.revokedBehind = running
		dropped, _ := s.window.drop(running+1, end-1, func(flight) bool { return true })
		s.returnedLocked(dropped)
	}
	return s.window.end() <= end
}

// revoke has the worker begin no item before end that it has not begun, and waits until what
// says which one is running is right. It returns false if it cannot. The mutex of the session is
// held.
func (w *worker) revoke(end uint64) bool {
	if w.revoked.Load() == end {
		return true
	}
	if !w.segment.Revoke(end) {
		return false
	}
	w.revoked.Store(end)
	cost.SpinFor(shm.PublishTime, func() bool { return false })
	return true
}

// hasRevoked reports whether r says that items were dropped which were revoked.
func (w *worker) hasRevoked(r wire.Record) bool {
	return r.Kind == wire.RecordDropped && r.Last < w.revoked.Load()
}

// wasRunningLocked is the item that a dead worker was running, by its own word. The words imply
// the next item as soon as one has ended: one that was revoked, and is not in flight any more,
// had not begun.
func (s *session) wasRunningLocked() (seq uint64, ok bool) {
	seq, ok = s.worker.segment.Running()
	if s.revokedBehind > 0 && seq == s.revokedBehind+1 && !s.window.contains(seq) {
		seq = 0
	}
	return seq, ok
}
