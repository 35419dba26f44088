package shm

import (
	"bytes"
	"testing"

	"example.com/parallel/internal/wire"
)

// add puts a result into the ring, as the executor does.
func add(r *Ring, result string) {
	copy(r.Data()[r.Used():], result)
	r.Commit(len(result))
}

func TestPrivate(t *testing.T) {
	m := Private()
	r := m.Ring()
	if m.Shared() || m.Running() != 0 || m.Doorbell() != 0 || r.Started() || r.Used() != 0 {
		t.Error("private memory does not begin empty")
	}
	if n := len(r.Data()); n < RingFull+RingRoom {
		t.Errorf("its ring has %d bytes", n)
	}
	if _, err := m.Items(slotsAt, 8); err == nil {
		t.Error("it has a slot")
	}
	r.Begin(1, 3, -1)
	copy(r.Data(), bytes.Repeat([]byte{1}, byReference))
	r.Commit(byReference)
	seq, count, data := r.Unsent()
	if seq != 1 || count != 1 || len(data) != byReference {
		t.Errorf("%d results of %d, %d bytes", count, seq, len(data))
	}
	if _, ok := r.Lend(len(data), 2); ok {
		t.Error("it lends")
	}
	r.Empty(2)
	if r.Used() != 0 || r.Next() != 2 {
		t.Errorf("emptied it has %d bytes, next %d", r.Used(), r.Next())
	}
}

func TestRecordsHaveRoomForAHeader(t *testing.T) {
	m := Private()
	b := m.Records()
	if len(b) != wire.HeaderLen+RecordsSize || cap(b) != len(b) {
		t.Fatalf("%d bytes, capacity %d", len(b), cap(b))
	}
	if &b[wire.HeaderLen] != &m.up[recordsAt] {
		t.Error("the records do not stand where the parent reads them")
	}
}

// TestRing does things to the ring and sees what it says after each.
func TestRing(t *testing.T) {
	type said struct {
		running, next uint64
		used, pending int
		started       bool
	}
	m := Private()
	r := m.Ring()
	for _, step := range []struct {
		name string
		do   func()
		want said
	}{
		{"an item by itself", func() { m.SetRunning(2) }, said{running: 2}},
		{"its end", func() { m.SetRunning(0) }, said{}},
		{"three items", func() { r.Begin(3, 6, -1) }, said{running: 3, next: 3, started: true}},
		{"the first result", func() { add(r, "aa") }, said{4, 4, 2, 2, true}},
		{"it is sent", func() { unsent(t, r, 3, 1, "aa") }, said{4, 4, 2, 0, true}},
		{"the second", func() { add(r, "bbb") }, said{5, 5, 5, 3, true}},
		{"the third", func() { add(r, "c") }, said{0, 6, 6, 4, true}},
		{"the end", func() { r.Stop(0) }, said{0, 6, 6, 4, false}},
		{"more behind them", func() { r.Continue(8) }, said{6, 6, 6, 4, true}},
		{"the fourth", func() { add(r, "dd") }, said{7, 7, 8, 6, true}},
		{"all is sent", func() { unsent(t, r, 4, 3, "bbbcdd") }, said{7, 7, 8, 0, true}},
		{"nothing is sent", func() { unsent(t, r, 7, 0, "") }, said{7, 7, 8, 0, true}},
		{"room is made", func() { r.Empty(7) }, said{7, 7, 0, 0, true}},
		{"the fifth is sent by itself", func() { r.Empty(8) }, said{0, 8, 0, 0, true}},
		{"a failure", func() { r.Stop(8) }, said{8, 8, 0, 0, false}},
		{"other items", func() { r.Begin(20, 22, 4) }, said{20, 20, 0, 0, true}},
		{"a result", func() { add(r, "wwww") }, said{21, 21, 4, 4, true}},
		{"it is sent", func() { unsent(t, r, 20, 1, "wwww") }, said{21, 21, 4, 0, true}},
	} {
		step.do()
		got := said{m.Running(), r.Next(), r.Used(), r.Pending(), r.Started()}
		if got != step.want {
			t.Fatalf("%s: %+v, want %+v", step.name, got, step.want)
		}
	}
	if r.Size() != 4 {
		t.Errorf("the size is %d", r.Size())
	}
}

func unsent(t *testing.T, r *Ring, first uint64, n int, want string) {
	t.Helper()
	if seq, count, data := r.Unsent(); seq != first || count != n || string(data) != want {
		t.Errorf("unsent are %d results from %d on, %q", count, seq, data)
	}
}

// TestRunningNeverGoesBack reads the running item while the ring is filled and emptied. It
// is always one, and never an earlier one than before.
func TestRunningNeverGoesBack(t *testing.T) {
	m := Private()
	r := m.Ring()
	const items = 20_000
	r.Begin(1, items+1, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seq := uint64(1); seq < items; seq++ {
			if seq%3 == 0 {
				r.Unsent()
				r.Empty(seq)
			}
			r.Commit(1)
		}
	}()
	for last := uint64(1); last < items; {
		seq := m.Running()
		if seq < last {
			t.Fatalf("item %d is running after item %d", seq, last)
		}
		last = seq
	}
	<-done
}

// TestItemsThatAreOverAreNotRunning reads the running item while rings of one item each are
// begun and ended. Items with even numbers there are not.
func TestItemsThatAreOverAreNotRunning(t *testing.T) {
	m := Private()
	r := m.Ring()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seq := uint64(1); seq < 20_000; seq += 2 {
			r.Begin(seq, seq+1, 1)
			r.Commit(1)
			r.Unsent()
			r.Empty(seq + 1)
			r.Stop(0)
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		if seq := m.Running(); seq%2 == 0 && seq != 0 {
			t.Fatalf("item %d is running", seq)
		}
	}
}
