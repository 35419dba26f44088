package shm

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
)

func TestTrim(t *testing.T) {
	s, m := shared(t)
	used := func() int64 {
		t.Helper()
		var stat syscall.Stat_t
		blocks := int64(0)
		for _, f := range []*os.File{s.up, s.down} {
			if err := syscall.Fstat(int(f.Fd()), &stat); err != nil {
				t.Fatal(err)
			}
			blocks += stat.Blocks
		}
		return blocks * 512
	}
	const large = 3 * keep
	if large > stride {
		t.Skip("slots are small here")
	}
	data := bytes.Repeat([]byte{1}, large)
	at, ok := s.PutItems(1, data, goOn)
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
	for _, test := range []struct {
		b  []byte
		f  *os.File
		at int
	}{{m.down, s.down, at}, {m.up, s.up, RingsAt}} {
		if b := test.b[test.at:][:keep]; !bytes.Equal(b, data[:keep]) {
			t.Error("what is kept has changed")
		}
		b := bytes.Repeat([]byte{1}, large-keep) // not through the mapping, which would take the memory again
		if _, err := test.f.ReadAt(b, int64(test.at+keep)); err != nil || !bytes.Equal(b, make([]byte, large-keep)) {
			t.Errorf("what is given back does not read as zero: %v", err)
		}
	}
	if s.Trim(); used() != after {
		t.Errorf("after the second Trim %d bytes are used", used())
	}
	if _, ok := s.PutItems(1, data[:10], goOn); !ok {
		t.Error("no room for items")
	}
	if s.slots[1].filled > keep || s.rings[0].filled > keep {
		t.Error("more is said to be filled than there is")
	}
}

// TestTheWorkerCannotTruncate has the worker try to make the files that it has shorter, and
// longer.
func TestTheWorkerCannotTruncate(t *testing.T) {
	s, m := shared(t)
	m.Ring().Begin(1, 2, 8)
	m.Ring().Commit(8)
	for _, f := range []*os.File{s.up, s.down} {
		for _, size := range []int64{0, 100, 1 << 40} {
			if err := f.Truncate(size); err == nil {
				t.Errorf("it has %d bytes now", size)
			}
		}
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err == nil {
			t.Error("another seal was added")
		}
	}
	if seq, ok := s.Running(); seq != 0 || !ok {
		t.Errorf("item %d, %v", seq, ok)
	}
}

// TestWhatIsNotToBeHad has an operation fail for good.
func TestWhatIsNotToBeHad(t *testing.T) {
	missing := errors.New("not to be had")
	for _, test := range []struct {
		what   string
		sealed bool
		none   bool
	}{{"memfd", false, false}, {"proc", false, false}, {"seal", false, false}, {"", true, false}, {"memfd, file", false, true}} {
		t.Run(test.what, func(t *testing.T) {
			testkit.CheckLeaks(t)
			s, err := Create(Options{Fault: func(op string) error {
				if slices.Contains(strings.Split(test.what, ", "), op) {
					return missing
				}
				return nil
			}})
			if test.none {
				if s != nil || !errors.Is(err, missing) {
					t.Errorf("%v, %v", s, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			up, down := s.Inherit()
			defer down.Close()
			if sealed := up.Truncate(upSize-1) != nil; sealed != test.sealed {
				t.Errorf("sealed: %v", sealed)
			}
			if _, err := down.WriteAt([]byte{1}, 0); err == nil {
				t.Error("the worker can write what the parent says")
			}
		})
	}
}

// TestRoomIsTaken has the files of a segment on a disk: room is taken for what a worker writes
// there, and it writes no further, also when a call with large results is over.
func TestRoomIsTaken(t *testing.T) {
	for _, inFile := range []bool{false, true} {
		s, err := Create(Options{InFile: inFile})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		up, down := s.Inherit()
		m, err := Map(up, down)
		down.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer unmap(m.down)
		defer unmap(m.up)
		room := len(m.Ring().Data())
		if want := map[bool]int{false: stride, true: ringReserve}[inFile]; room != want || room < RingFull {
			t.Errorf("inFile=%v: %d bytes of a ring are used, want %d", inFile, room, want)
		}
		if !s.CheckResults(RingsAt, room, room) {
			t.Error("results may not be in the ring")
		}
		s.Trim()
		var stat syscall.Stat_t
		if err := syscall.Fstat(int(s.up.Fd()), &stat); err != nil {
			t.Fatal(err)
		}
		if taken := stat.Blocks * 512; inFile && taken < RingsAt+rings*ringReserve {
			t.Errorf("room is taken for %d bytes, want %d", taken, RingsAt+rings*ringReserve)
		}
	}
}
