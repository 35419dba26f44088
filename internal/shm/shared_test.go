//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package shm

import (
	"bytes"
	"math"
	"testing"

	"example.com/parallel/internal/wire"
)

// shared is a segment and its mapping, both in this process.
func shared(t *testing.T) (*Segment, *Mapping) {
	t.Helper()
	s, err := Create(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	up, down := s.Inherit()
	defer down.Close()
	m, err := Map(up, down)
	if err != nil {
		t.Skip(err) // it lacks the addresses
	}
	t.Cleanup(func() { unmap(m.up); unmap(m.down) })
	return s, m
}

func TestBothSidesSayWhatIsRunning(t *testing.T) {
	s, m := shared(t)
	r := m.Ring()
	for _, step := range []struct {
		name string
		do   func()
		want uint64
	}{
		{"nothing", func() {}, 0},
		{"an item by itself", func() { m.SetRunning(2) }, 2},
		{"two items", func() { r.Begin(3, 5, 2) }, 3},
		{"the first is finished", func() { add(r, "aa") }, 4},
		{"room is made", func() { r.Unsent(); r.Empty(4) }, 4},
		{"both are finished", func() { add(r, "bb") }, 0},
		{"a failure", func() { r.Stop(4) }, 4},
		{"its end", func() { m.SetRunning(0) }, 0},
	} {
		step.do()
		if theirs, ok := s.Running(); theirs != step.want || !ok || m.Running() != step.want {
			t.Errorf("%s: item %d is running, the parent reads %d, %v; want %d", step.name, m.Running(), theirs, ok, step.want)
		}
	}
}

// TestUnsentIsWhatTheWorkerFinished leaves records and results, as a worker does that dies.
func TestUnsentIsWhatTheWorkerFinished(t *testing.T) {
	for size, results := range map[int][2]string{2: {"aa", "bb"}, -1: {"\x01\x00\x00\x00a", "\x02\x00\x00\x00bb"}} {
		s, m := shared(t)
		records := wire.AppendStarted(nil, 1)
		m.SetRecords(copy(m.Records()[wire.HeaderLen:], records), 0)
		if got, ok := s.Unsent(0); !bytes.Equal(got, records) || !ok {
			t.Errorf("size %d: records %q", size, got)
		}
		r := m.Ring()
		r.Begin(2, 5, size)
		add(r, results[0])
		r.Unsent()
		add(r, results[1]) // sent or not: it is still there
		copy(r.Data()[r.Used():], "no result yet")
		want := wire.AppendResults(records, 2, 2, size, []byte(results[0]+results[1]))
		if got, ok := s.Unsent(0); !bytes.Equal(got, want) || !ok {
			t.Errorf("size %d: %q, want %q", size, got, want)
		}
	}
}

func TestItems(t *testing.T) {
	s, m := shared(t)
	for slot := range Slots {
		data := bytes.Repeat([]byte{byte('a' + slot)}, 5000)
		at, ok := s.PutItems(slot, data, goOn)
		if !ok {
			t.Fatal("the segment takes no items")
		}
		got, err := m.Items(at, len(data))
		if err != nil || !bytes.Equal(got, data) || cap(got) != len(got) {
			t.Errorf("slot %d: %d bytes, capacity %d, %v", slot, len(got), cap(got), err)
		}
	}
	for _, test := range []struct{ at, length int }{
		{0, 8}, {slotsAt - 1, 8}, {downSize, 1}, {downSize - 7, 8}, {Size, 1}, {-1, 8},
		{math.MaxInt, math.MaxInt}, {slotsAt, math.MaxInt}, {math.MinInt, 8}, {slotsAt, -1},
	} {
		if _, err := m.Items(test.at, test.length); err == nil {
			t.Errorf("%d bytes of items at %d", test.length, test.at)
		}
	}
}

func TestDoorbell(t *testing.T) {
	s, m := shared(t)
	for n := range uint64(3) {
		if s.RingDoorbell(n); m.Doorbell() != n {
			t.Errorf("%d, want %d", m.Doorbell(), n)
		}
	}
}

// TestLend fills ring after ring and leaves each to the parent, until there is none to be
// filled meanwhile; then the parent takes them.
func TestLend(t *testing.T) {
	s, m := shared(t)
	r := m.Ring()
	result := func(seq uint64) []byte { return bytes.Repeat([]byte{byte(seq)}, byReference) }
	// fill puts in the result of one item, and lends it.
	fill := func(seq uint64) (at int, ok bool) {
		r.Begin(seq, seq+1, byReference)
		add(r, string(result(seq)))
		r.Stop(0)
		_, _, data := r.Unsent()
		return r.Lend(len(data), seq+1)
	}
	taken := func(seq uint64, at int) {
		t.Helper()
		got := make([]byte, byReference)
		if !s.CheckResults(at, len(got), len(got)) {
			t.Errorf("results at %d", at)
		}
		if err := s.ReadResults(got, at); err != nil || !bytes.Equal(got, result(seq)) {
			t.Errorf("item %d: %v, %d", seq, err, got[0])
		}
	}
	var at []int
	seq := uint64(1)
	for ; seq < rings; seq++ {
		a, ok := fill(seq)
		if !ok {
			t.Fatalf("ring %d cannot be lent", seq)
		}
		at = append(at, a)
	}
	if _, ok := fill(seq); ok {
		t.Fatal("no ring is left to be filled")
	}
	for i, a := range at {
		taken(uint64(i+1), a)
	}
	s.Taken(2) // the first ring is free
	seq++
	a, ok := fill(seq)
	if !ok {
		t.Fatal("a ring that the parent has taken is not free")
	}
	taken(seq, a)
	if _, ok := fill(seq + 1); ok {
		t.Error("the second ring has not been taken")
	}
	taken(2, at[1])
}

func TestLendOnlyWhatIsWorthIt(t *testing.T) {
	_, m := shared(t)
	r := m.Ring()
	r.Begin(1, 3, byReference-1)
	r.Commit(byReference - 1)
	_, _, data := r.Unsent()
	if _, ok := r.Lend(len(data), 2); ok {
		t.Error("a small result is lent")
	}
	r.Commit(byReference)
	_, _, data = r.Unsent()
	if at, ok := r.Lend(len(data), 3); !ok || at != RingsAt+byReference-1 {
		t.Errorf("a large one behind it: at %d, %v", at, ok)
	}
}

// TestUnsentIsOfTheRingThatIsFilled has the first ring lent when the worker dies.
func TestUnsentIsOfTheRingThatIsFilled(t *testing.T) {
	s, m := shared(t)
	r := m.Ring()
	r.Begin(1, 2, -1)
	r.Commit(byReference)
	_, _, data := r.Unsent()
	if _, ok := r.Lend(len(data), 2); !ok {
		t.Fatal("it cannot be lent")
	}
	r.Begin(2, 3, -1)
	add(r, "\x02\x00\x00\x00bb")
	want := wire.AppendResults(nil, 2, 1, -1, []byte("\x02\x00\x00\x00bb"))
	if got, ok := s.Unsent(0); !bytes.Equal(got, want) || !ok {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestAStrayWriteIsNotBelieved has something in the worker write over its words. The worker
// goes on, by its own copies of them, and puts them right when it sets them again.
func TestAStrayWriteIsNotBelieved(t *testing.T) {
	s, m := shared(t)
	r := m.Ring()
	r.Begin(1, 4, 2)
	add(r, "aa")
	clear(m.up[:upWordsSize])
	if _, ok := s.Running(); ok {
		t.Error("the parent believes zeros")
	}
	if m.Running() != 2 || r.Used() != 2 || r.Next() != 2 || !r.Started() {
		t.Errorf("the worker reads them: item %d is running, %d bytes, next %d", m.Running(), r.Used(), r.Next())
	}
	add(r, "bb")
	if _, count, data := r.Unsent(); count != 2 || string(data) != "aabb" {
		t.Errorf("%d results, %q", count, data)
	}
	r.Begin(4, 5, 2)
	m.SetRecords(0, 0)
	m.SetPast(4)
	if seq, ok := s.Running(); seq != 4 || !ok {
		t.Errorf("item %d, %v", seq, ok)
	}
}
