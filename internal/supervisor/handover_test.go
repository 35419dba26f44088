//go:build linux

package supervisor

import (
	"testing"
	"time"

	"example.com/parallel/internal/wire"
)

// What a session does about a worker that another call waits for, how many items a worker may
// be sent, and one that has become too large. No process is started.

// asked reports whether the worker has been asked to give back items, or they were revoked, since
// the last time.
func (s *silentSession) asked() bool {
	return s.worker.conn.answered() || s.worker.revoked.before.Swap(0) > 0
}

// newLeavingSession returns a session with items in flight that take so long each. It leaves.
func newLeavingSession(t *testing.T, each time.Duration) *silentSession {
	s := newSilentSession(t)
	s.call.monitor.end() // the test looks in its place
	s.call.Cost().Set(each)
	return s
}

func TestHandOver(t *testing.T) {
	const items = wantedItems + 1
	for _, test := range []struct {
		name    string
		each    time.Duration
		at      time.Duration // when the worker is asked to give back what it has not begun
		crowded bool
	}{
		{"what is in flight should take a slice", sliceTime / items, 2 * sliceTime, false},
		{"it should take more", sliceTime/items + time.Microsecond, 0, true},
		{"what it takes is not known", 0, 2 * sliceTime, false},
	} {
		s := newLeavingSession(t, test.each)
		for d := time.Duration(0); d < test.at; d += sliceTime / 4 {
			if left := s.handOverLocked(s.now.Add(d)); left != test.at-d {
				t.Errorf("%s: after %v it is said to take another %v", test.name, d, left)
			}
		}
		if s.asked() {
			t.Errorf("%s: the worker is asked too early", test.name)
		}
		if left := s.handOverLocked(s.now.Add(test.at)); left > 0 || !s.asked() {
			t.Errorf("%s: the worker is not asked in time; it may take another %v", test.name, left)
		}
		s.handOverLocked(s.now.Add(time.Hour))
		if s.asked() {
			t.Errorf("%s: the worker is asked again while the same item runs", test.name)
		}
		s.window.popFirst(1)
		s.handOverLocked(s.now.Add(time.Hour))
		if !s.asked() {
			t.Errorf("%s: the worker is not asked again when the next item runs", test.name)
		}
		if s.call.crowded() != test.crowded {
			t.Errorf("%s: smaller batches are sent from then on: %v", test.name, !test.crowded)
		}
	}
}

// TestMonitorSeesToAHandOver has the items take longer than was thought.
func TestMonitorSeesToAHandOver(t *testing.T) {
	s := newLeavingSession(t, time.Microsecond)
	var again agenda
	s.lookHandOverLocked(s.now, &again)
	if again != 0 || !s.handOver.due.IsZero() {
		t.Errorf("it hands over, though no call waits; it looks again after %v", again)
	}
	s.handOverLocked(s.now)
	s.lookHandOverLocked(s.now.Add(sliceTime), &again)
	if time.Duration(again) != sliceTime || s.asked() {
		t.Errorf("it looks again after %v", again)
	}
	again = 0
	s.lookHandOverLocked(s.now.Add(2*sliceTime), &again)
	if again != 0 || !s.asked() {
		t.Errorf("it does not ask for the items; it looks again after %v", again)
	}
	for range wantedItems {
		s.window.popFirst(1)
	}
	s.lookHandOverLocked(s.now.Add(3*sliceTime), &again)
	if again != 0 || s.asked() {
		t.Error("it asks for what is running")
	}
}

func TestBatchSize(t *testing.T) {
	s := newLeavingSession(t, time.Microsecond)
	s.call.what.Function.ItemSize = -1
	all, slice := int(batchTime/time.Microsecond), int(sliceTime/time.Microsecond)
	for _, test := range []struct {
		name           string
		maxItems, kept int // kept: what the worker was sent and has not given back
		slowStart      bool
		last           int
		wanted         bool
		crowded        bool
		want           int
	}{
		{"a batch", 0, 50, false, 1, false, false, all},
		{"in slow start", 0, 50, true, 10, false, false, 10 * batchGrow},
		{"while other calls want workers", 0, 50, false, 1, true, false, slice},
		{"when others are likely to", 0, 50, false, 1, false, true, slice},
		{"what is left of MaxItems", 60, 50, false, 1, false, false, 10},
		{"nothing is left", 60, 60, false, 1, true, true, 0},
	} {
		s.call.pool.config.MaxItems, s.worker.items, s.call.slowStart = test.maxItems, test.kept, test.slowStart
		s.call.crowdedUntil.Store(0)
		if test.crowded {
			s.call.cutShort()
		}
		if got := s.batchSize(test.last, test.wanted); got != test.want {
			t.Errorf("%s: %d items, want %d", test.name, got, test.want)
		}
	}
}

// TestGivenBackItemsDoNotCount has a worker give back items, for all reasons.
func TestGivenBackItemsDoNotCount(t *testing.T) {
	for name, record := range map[string][]byte{
		"recalled": wire.AppendDropped(nil, wire.RecordRecalled, 2, 4),
		"dropped":  wire.AppendDropped(nil, wire.RecordDropped, 4, 4),
		"outgrown": wire.AppendOutgrown(nil, 1, 2, 4),
	} {
		s := newLeavingSession(t, time.Microsecond)
		s.worker.items = 100
		s.worker.reader.settled = 1
		s.worker.conn.recalls.Store(1)
		s.call.pool.config.MaxMemoryBytes = 1
		before := s.window.items
		if err := s.handleRecords(wire.NewCursor(record), false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if given := before - s.window.items; given == 0 || s.worker.items != 100-given {
			t.Errorf("%s: %d items were given back, and %d of 100 count", name, given, s.worker.items)
		}
	}
	s := newLeavingSession(t, time.Microsecond)
	s.worker.items = 100
	s.withdraw(flight{seq: 3, index: 2, count: 1})
	if s.worker.items != 99 {
		t.Errorf("of 100 items, one of which was not sent, %d count", s.worker.items)
	}
}

func TestMemoryRecords(t *testing.T) {
	allowance, outgrownAll := wire.AppendAllowance(nil, 1000), wire.AppendOutgrown(nil, 2000, 2, 4)
	for _, test := range []struct {
		name   string
		limit  int64
		ran    uint64 // the last item that has run
		record []byte
		breach bool
		status status
	}{
		{"a worker says what it may have", 9000, 1, allowance, false, serving},
		{"before it has run an item", 9000, 0, allowance, true, ending},
		{"without a limit", 0, 1, allowance, true, ending},
		{"a worker has become too large", 9000, 1, outgrownAll, false, outgrown},
		{"before it has run an item", 9000, 0, outgrownAll, true, ending},
		{"without a limit", 0, 1, outgrownAll, true, ending},
		{"it has nothing to give back", 9000, 1, wire.AppendOutgrown(nil, 2000, 0, 0), false, outgrown},
	} {
		s := newLeavingSession(t, time.Microsecond)
		s.worker.session = s.session
		s.call.pool.config.MaxMemoryBytes = test.limit
		s.worker.reader.settled = test.ran
		err := s.handleRecords(wire.NewCursor(test.record), false)
		if (err != nil) != test.breach || s.worker.status != test.status {
			t.Errorf("%s: error %v, status %d", test.name, err, s.worker.status)
		}
		if s.worker.usable() != (test.status == serving) {
			t.Errorf("%s: usable %v", test.name, s.worker.usable())
		}
		if over := s.worker.over(1001); over != (test.status == serving) || s.worker.over(1000) {
			t.Errorf("%s: a byte more than it may have is too much: %v", test.name, over)
		}
		if reason := s.call.pool.retireReason(s.worker); (reason == "MaxMemoryBytes") != (test.status == outgrown) {
			t.Errorf("%s: it is retired because of %q", test.name, reason)
		}
	}
}

// TestIdleWorkerHasOutgrown has a worker say that when it serves no call.
func TestIdleWorkerHasOutgrown(t *testing.T) {
	s := newLeavingSession(t, time.Microsecond)
	s.call.pool.config.MaxMemoryBytes = 9000
	for _, record := range [][]byte{wire.AppendAllowance(nil, 1000), wire.AppendOutgrown(nil, 2000, 0, 0)} {
		if err := s.worker.handleStray(wire.NewCursor(record)); err != nil {
			t.Error(err)
		}
	}
	if s.killed() != errRetired {
		t.Errorf("it is killed because %v", s.killed())
	}
	s = newLeavingSession(t, time.Microsecond)
	if err := s.worker.handleStray(wire.NewCursor(wire.AppendOutgrown(nil, 2000, 0, 0))); err == nil {
		t.Error("a worker without a limit may outgrow it")
	}
}
