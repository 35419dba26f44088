package shm

import (
	"bytes"
	"syscall"
	"testing"
)

func TestTrim(t *testing.T) {
	s, m := shared(t)
	used := func() int64 {
		t.Helper()
		var stat syscall.Stat_t
		if err := syscall.Fstat(int(s.File().Fd()), &stat); err != nil {
			t.Fatal(err)
		}
		return stat.Blocks * 512
	}
	const large = 3 * keep
	if large > stride {
		t.Skip("slots are small here")
	}
	data := bytes.Repeat([]byte{1}, large)
	at, ok := s.PutItems(1, data)
	if !ok {
		t.Fatal("no room for items")
	}
	r := m.Ring()
	r.Begin(1, 2, -1)
	copy(r.Data(), data)
	r.Commit(large)
	if !s.CheckResults(RingsAt, large, large) {
		t.Fatal("the results are not where they may be")
	}
	before := used()
	s.Trim()
	after := used()
	if before < 2*large || after > before-2*(large-keep) {
		t.Errorf("%d bytes are used, after Trim %d", before, after)
	}
	for _, at := range []int{at, RingsAt} {
		if b := m.b[at : at+keep]; !bytes.Equal(b, data[:keep]) {
			t.Error("what is kept has changed")
		}
		b := bytes.Repeat([]byte{1}, large-keep) // not through the mapping, which would take the memory again
		if _, err := s.File().ReadAt(b, int64(at+keep)); err != nil || !bytes.Equal(b, make([]byte, large-keep)) {
			t.Errorf("what is given back does not read as zero: %v", err)
		}
	}
	if s.Trim(); used() != after {
		t.Errorf("after the second Trim %d bytes are used", used())
	}
	if _, ok := s.PutItems(1, data[:10]); !ok {
		t.Error("no room for items")
	}
	if s.slotFilled[1] > keep || s.ringFilled[0] > keep {
		t.Error("more is said to be filled than there is")
	}
}

// TestParentMeetsNoFault has the worker truncate the file that it has mapped.
func TestParentMeetsNoFault(t *testing.T) {
	s, m := shared(t)
	m.Ring().Begin(1, 2, 8)
	m.Ring().Commit(8)
	if err := s.File().Truncate(0); err != nil {
		t.Fatal(err)
	}
	if seq, ok := s.Running(); seq != 0 || ok {
		t.Errorf("item %d, %v", seq, ok)
	}
	if b := s.Unsent(100); len(b) != 0 {
		t.Errorf("%d bytes are unsent", len(b))
	}
	if err := s.ReadResults(make([]byte, 8), RingsAt); err == nil {
		t.Error("results are read")
	}
	s.Trim()
}
