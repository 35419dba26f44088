//go:build linux

package supervisor

import (
	"testing"
	"time"

	"example.com/parallel/internal/wire"
)

// How a session takes back what its worker has not begun. No process is started: the test is
// the worker.

// newRevokedSession returns a session with items 1 to 4 in flight, whose worker says that it is
// running one of them, 0 for none, and has ended those before.
func newRevokedSession(t *testing.T, running uint64) *silentSession {
	s := newSilentSession(t)
	s.call.monitor.end() // the test looks in its place
	if ring := s.mapping.Ring(); running > 0 {
		ring.Begin(1, 5, 8)
		for range running - 1 {
			ring.Commit(8)
		}
	}
	t.Cleanup(func() {
		s.mapping.Ring().Stop(0)
		s.mapping.SetRunning(0)
		s.worker.segment.Revoke(0) // other tests use it
	})
	return s
}

func TestRevoke(t *testing.T) {
	for _, test := range []struct {
		name     string
		running  uint64
		written  uint64 // the item after the last that was written
		all      bool   // nothing is left that would have to be asked for
		inFlight string // afterwards; the index of the last item is one more than that of the others
	}{
		{"at the first item", 1, 5, true, "1+1"},
		{"at the second", 2, 5, true, "1+1 2+1"},
		{"at the last", 4, 5, true, "1+1 2+1 3+1 4+1"},
		{"between two items", 0, 5, true, "1+1 2+1 3+1 4+1"},
		{"some are on their way", 1, 3, false, "1+1 3+1 4+1"},
		{"all are", 0, 0, false, "1+1 2+1 3+1 4+1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newRevokedSession(t, test.running)
			s.worker.conn.written.Store(test.written)
			before := s.window.items
			if all := s.revokeLocked(); all != test.all {
				t.Errorf("all is said to be revoked: %v", all)
			}
			got := ""
			for i, f := range s.window.flights {
				if f.index = int(f.seq) + 100; i > 0 {
					got += " "
				}
				got += describe(f)
			}
			if got != test.inFlight {
				t.Errorf("in flight: %q, want %q", got, test.inFlight)
			}
			if s.given != before-s.window.items {
				t.Errorf("%d items were given back, and %d are in flight no more", s.given, before-s.window.items)
			}
			if word := s.mapping.Revoked().Load(); word != test.written {
				t.Errorf("the worker is told of the items before %d", word)
			}
			s.revokeLocked()
			if s.given != before-s.window.items {
				t.Error("items are given back twice")
			}
		})
	}
}

// TestRevokedKeepTheirSlot has items given back that lie in a slot: that is not filled anew before
// the worker has dropped them, in this session or later, or said the outcome of an item behind.
func TestRevokedKeepTheirSlot(t *testing.T) {
	for _, test := range []struct {
		name string
		free func(s *silentSession) error
	}{
		{"dropped", func(s *silentSession) error {
			return s.handleDropped(wire.Record{Kind: wire.RecordDropped, Seq: 2, Last: 4})
		}},
		{"after the session", func(s *silentSession) error {
			return s.worker.handleStray(wire.NewCursor(wire.AppendDropped(nil, wire.RecordDropped, 2, 4)))
		}},
		{"an outcome", func(s *silentSession) error {
			s.window.popFirst(1)
			s.window.add(flight{seq: 5, index: 0, count: 1, bytes: 8})
			_, _, _ = s.pop(5, 1)
			return nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newRevokedSession(t, 1)
			s.window.clear()
			s.window.add(flight{seq: 1, index: 0, count: 1, bytes: 8, slot: 1})
			s.window.add(flight{seq: 2, index: 1, count: 3, bytes: 24, slot: 2})
			s.worker.conn.written.Store(5)
			if s.revokeLocked(); s.given != 3 {
				t.Fatalf("%d items were given back", s.given)
			}
			if err := s.handleDropped(wire.Record{Kind: wire.RecordDropped, Seq: 2, Last: 3}); err != nil {
				t.Fatal(err)
			}
			if slot := s.freeSlotLocked(); slot != 0 {
				t.Errorf("slot %d is free while the worker has items in it", slot)
			}
			if err := test.free(s); err != nil {
				t.Fatal(err)
			}
			if s.worker.revoked.holds(2) {
				t.Error("the slot is not free afterwards")
			}
		})
	}
}

// TestRevokeOfNoSense has a word of the worker's overwritten: nothing is given back, since
// nobody knows what is running.
func TestRevokeOfNoSense(t *testing.T) {
	s := newRevokedSession(t, 1)
	up, _ := s.worker.segment.Files()
	var word [8]byte
	if _, err := up.ReadAt(word[:], 40); err != nil {
		t.Fatal(err)
	}
	defer up.WriteAt(word[:], 40) // the word done
	if _, err := up.WriteAt([]byte("nonsense"), 40); err != nil {
		t.Fatal(err)
	}
	if s.revokeLocked(); s.given > 0 {
		t.Errorf("%d items were given back", s.given)
	}
}

// TestDroppedByItself has the worker say that it has dropped what was revoked, of which the
// parent could not tell that it had not begun; and what was not revoked.
func TestDroppedByItself(t *testing.T) {
	s := newRevokedSession(t, 0)
	s.worker.conn.written.Store(4)
	s.revokeLocked()
	if err := s.handleDropped(wire.Record{Kind: wire.RecordDropped, Seq: 2, Last: 3}); err != nil || s.given != 2 {
		t.Errorf("%d items were given back: %v", s.given, err)
	}
	if err := s.handleDropped(wire.Record{Kind: wire.RecordDropped, Seq: 2, Last: 3}); err != nil || s.given != 2 {
		t.Errorf("once more, %d items were given back: %v", s.given, err)
	}
	s.window.add(flight{seq: 5, index: 0, count: 2, bytes: 16})
	if s.handleDropped(wire.Record{Kind: wire.RecordDropped, Seq: 1, Last: 5}) == nil {
		t.Error("the worker may drop what was not revoked")
	}
	c := wire.NewCursor(wire.AppendDropped(nil, wire.RecordDropped, 1, 3))
	if err := s.worker.handleStray(c); err != nil {
		t.Errorf("after the session: %v", err)
	}
	c = wire.NewCursor(wire.AppendDropped(nil, wire.RecordDropped, 1, 4))
	if s.worker.handleStray(c) == nil {
		t.Error("after the session, it may drop what was not revoked")
	}
}

// TestDeathBehindRevoked has the worker die when it has ended the item that was running when the
// others were revoked. Its words say that the next one is running, which has not begun.
func TestDeathBehindRevoked(t *testing.T) {
	s := newRevokedSession(t, 2)
	s.worker.conn.written.Store(5)
	s.revokeLocked()
	s.mapping.Ring().Commit(8)
	s.window.popFirst(1)
	s.window.popFirst(1)
	s.window.add(flight{seq: 5, index: 0, count: 1, bytes: 8})
	if running, ok := s.mapping.Running(), true; running != 3 || !ok {
		t.Fatalf("item %d is said to be running", running)
	}
	if _, guilt, ok := s.lose(); guilt != blamesNone || !ok {
		t.Errorf("verdict %d, want that none is to blame", guilt)
	}
}

// TestRelief looks at a session while another worker has nothing to do.
func TestRelief(t *testing.T) {
	for _, test := range []struct {
		name      string
		each      time.Duration // what an item takes; 0: not known
		setup     func(s *silentSession)
		late      bool
		candidate bool
		given     int // items
	}{
		{"much to do", time.Millisecond, nil, false, true, 3},
		{"little to do", time.Microsecond, nil, false, true, 0},
		{"that was said to be little", time.Microsecond, nil, true, true, 3},
		{"the item has been running for a while", time.Microsecond, func(s *silentSession) { s.watch.long = 1 }, false, true, 3},
		{"another has been", time.Microsecond, func(s *silentSession) { s.watch.long = 7 }, false, true, 0},
		{"it has not begun", time.Millisecond, func(s *silentSession) { s.mapping.Ring().Stop(0) }, true, true, 0},
		{"one item", time.Millisecond, func(s *silentSession) {
			for s.window.items > 1 {
				s.window.popFirst(1)
			}
		}, true, false, 0},
		{"it is lost", time.Millisecond, func(s *silentSession) { s.state = lost }, true, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newRevokedSession(t, 1)
			s.worker.conn.written.Store(5)
			s.call.Cost().Set(test.each)
			if test.setup != nil {
				test.setup(s)
			}
			candidate, given := s.relieve(test.late)
			if candidate != test.candidate || given != (test.given > 0) || s.given != test.given {
				t.Errorf("candidate %v, given %v, %d items; want %v and %d", candidate, given, s.given, test.candidate, test.given)
			}
		})
	}
}

// TestReliefInTurn has two sessions relieved: the one that was not last comes first.
func TestReliefInTurn(t *testing.T) {
	d := newRevokedSession(t, 0).call
	one, two := newSession(d, &worker{}), newSession(d, &worker{})
	d.sessions.push(&one.place, one)
	d.sessions.push(&two.place, two)
	for i, want := range []*session{one, two, one, one, two} {
		stop := i != 2 // at the third turn, nothing is given
		var met []*session
		d.relieve(func(s *session) (bool, bool) {
			met = append(met, s)
			return stop, stop
		})
		if met[0] != want || len(met) != map[bool]int{true: 1, false: 2}[stop] {
			t.Errorf("turn %d begins with the wrong session, or looks at %d", i, len(met))
		}
	}
}
