package shm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
)

// largeStride skips a test of rings and slots that are larger than what is kept of them.
func largeStride(t *testing.T) {
	if stride < 8*keep {
		t.Skip("they are small where addresses are short")
	}
}

// TestAFaultIsAnError makes files shorter that are mapped, so that reading and writing what
// was mapped ends the process unless that is caught. The files of a segment are sealed against it.
func TestAFaultIsAnError(t *testing.T) {
	largeStride(t)
	s, up := fileSegment(t, upSize, true)
	putWords(t, up, map[int]uint64{wordRunning: 5})
	data := bytes.Repeat([]byte{7}, 3*putStep)
	put(t, up, RingsAt, data)
	got := make([]byte, len(data))
	if err := s.ReadResults(got, RingsAt); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%v, %d", err, got[0])
	}
	for range 2 {
		if _, ok := s.PutItems(1, data, goOn); !ok {
			t.Fatal("the segment takes no items")
		}
	}
	if len(s.rings[0].mem) < len(data) || len(s.slots[1].mem) < len(data) {
		t.Fatal("they are not mapped")
	}
	middle := int64(RingsAt + len(data)/2)
	if err := errors.Join(up.Truncate(middle), s.down.Truncate(slotsAt+stride+4096)); err != nil {
		t.Fatal(err)
	}
	if seq, ok := s.Running(); seq != 5 || !ok {
		t.Errorf("item %d is running, %v", seq, ok)
	}
	if err := s.ReadResults(got, RingsAt); err != errFault {
		t.Errorf("results are read that are not there: %v", err)
	}
	if err := s.ReadResults(got[:4096], RingsAt); err != nil {
		t.Error(err)
	}
	if _, ok := s.PutItems(1, data, goOn); ok {
		t.Error("a slot takes items that is not there")
	}
	if err := errors.Join(up.Truncate(0), s.down.Truncate(0)); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Running(); ok {
		t.Error("words are read that are not there")
	}
	s.Taken(5)
	s.RingDoorbell(1)
	if s.told.store(wordTaken, 1) == nil {
		t.Error("a word is written that is not there")
	}
	if debug.SetPanicOnFault(false) {
		t.Error("other faults of this goroutine are panics now")
	}
}

// TestTouchCatchesNothingElse has it meet a panic that is no fault.
func TestTouchCatchesNothingElse(t *testing.T) {
	for _, v := range []any{"a panic", errors.New("an error")} {
		func() {
			defer func() {
				if got := recover(); got != v {
					t.Errorf("%v, want %v", got, v)
				}
			}()
			_ = touch(func() { panic(v) })
			t.Error("a panic is lost")
		}()
	}
	defer func() {
		if recover() == nil {
			t.Error("a mistake of this package's is taken for a fault")
		}
	}()
	var none []byte
	_ = touch(func() { none[0] = 1 })
}

// TestMapIsNotToBeHad has the system map nothing any more from the nth mapping on, or not the
// nth one. What is not mapped is accessed as a file.
func TestMapIsNotToBeHad(t *testing.T) {
	missing := errors.New("not to be had")
	for _, forGood := range []bool{true, false} {
		refused := true
		for nth := 1; refused; nth++ {
			refused = false
			t.Run(fmt.Sprintf("forGood=%v/nth=%d", forGood, nth), func(t *testing.T) {
				testkit.CheckLeaks(t)
				n := 0
				s, err := Create(Options{Fault: func(op string) error {
					if op != "map" {
						return nil
					}
					if n++; n == nth || forGood && n > nth {
						return missing
					}
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				exercise(t, s)
				refused = n >= nth
			})
		}
	}
}

// exercise uses all of a segment that has no worker.
func exercise(t *testing.T, s *Segment) {
	t.Helper()
	up, down := s.Inherit()
	m, err := Map(up, down)
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	defer unmap(m.up)
	defer unmap(m.down)
	r := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{10, 5000, keep, keep + 1, 5*keep + 3, 100} {
		n := min(n, stride-2000)
		data := make([]byte, n)
		_, _ = r.Read(data)
		for range 2 {
			at, ok := s.PutItems(1, data, goOn)
			if !ok {
				t.Fatal("the segment takes no items")
			}
			if got, err := m.Items(at, n); err != nil || !bytes.Equal(got, data) {
				t.Errorf("items of %d bytes are others: %v", n, err)
			}
			for offset := range 3 {
				at := RingsAt + 2*stride + 1000*offset
				copy(m.up[at:], data)
				got := make([]byte, n)
				if !s.CheckResults(at, n, n) {
					t.Error("results may not be in a ring")
				}
				if err := s.ReadResults(got, at); err != nil || !bytes.Equal(got, data) {
					t.Errorf("results of %d bytes at %d are others: %v", n, at, err)
				}
				data[0]++
			}
		}
		m.SetRunning(uint64(n))
		if seq, ok := s.Running(); seq != uint64(n) || !ok {
			t.Errorf("item %d is running, %v", seq, ok)
		}
		if s.RingDoorbell(uint64(n)); m.Doorbell() != uint64(n) {
			t.Error("the doorbell is not heard")
		}
		if n%2 == 0 {
			s.Trim()
		}
	}
}

// TestOnlyWhatIsUsedIsMapped looks at how much of a slot and a ring is mapped.
func TestOnlyWhatIsUsedIsMapped(t *testing.T) {
	largeStride(t)
	s, m := shared(t)
	mapped := func() (n int) {
		for _, a := range append(s.slots[:], s.rings[:]...) {
			n += len(a.mem)
		}
		return n
	}
	putTwice := func(n int) {
		t.Helper()
		for range 2 { // the first time it is written as a file
			if _, ok := s.PutItems(0, make([]byte, n), goOn); !ok {
				t.Fatal("the segment takes no items")
			}
		}
	}
	if mapped() != 0 {
		t.Errorf("%d bytes are mapped before they are used", mapped())
	}
	if putTwice(byReference); mapped() != keep {
		t.Errorf("%d bytes are mapped, want %d", mapped(), keep)
	}
	copy(m.Ring().Data(), make([]byte, 10))
	if err := s.ReadResults(make([]byte, 10), RingsAt); err != nil || mapped() != 2*keep {
		t.Errorf("%d bytes are mapped, want %d; %v", mapped(), 2*keep, err)
	}
	if putTwice(5 << 20); mapped() != 8<<20+keep {
		t.Errorf("%d bytes are mapped, want %d", mapped(), 8<<20+keep)
	}
	if s.Trim(); mapped() != 2*keep {
		t.Errorf("%d bytes are mapped after Trim, want %d", mapped(), 2*keep)
	}
	if putTwice(mapMost + 1); mapped() != mapMost+keep {
		t.Errorf("%d bytes are mapped, want %d", mapped(), mapMost+keep)
	}
	if err := s.ReadResults(make([]byte, 10), RingsAt+stride-10); err != nil || mapped() != mapMost+keep {
		t.Errorf("%d bytes are mapped, want %d; %v", mapped(), mapMost+keep, err)
	}
}

// TestHolesWhileTheParentReads has a worker give back the memory of what it has said and of its
// results, again and again, while the parent reads them: it reads zeros, or what was there.
func TestHolesWhileTheParentReads(t *testing.T) {
	s, m := shared(t)
	const n = 1 << 20
	m.SetRunning(5)
	copy(m.up[RingsAt:], bytes.Repeat([]byte{7}, n))
	var stop atomic.Bool
	var holes sync.WaitGroup
	holes.Go(func() {
		for i := 0; !stop.Load(); i++ {
			punchHole(s.up, 0, recordsAt)
			punchHole(s.up, RingsAt, n)
			m.SetRunning(5)
			m.up[RingsAt+i%n] = 7
		}
	})
	got, zeros := make([]byte, n), 0
	for i := 0; i < 100 || zeros == 0; i++ { // the other goroutine may have to wait for a processor
		if seq, ok := s.Running(); ok && seq != 5 {
			t.Errorf("item %d is running", seq)
		}
		if err := s.ReadResults(got, RingsAt); err != nil {
			t.Fatal(err)
		}
		zero := bytes.Count(got, []byte{0})
		if zeros += zero; zero+bytes.Count(got, []byte{7}) != n {
			t.Fatal("something else is read")
		}
	}
	stop.Store(true)
	holes.Wait()
}

// TestCloseWhileInUse closes a segment while it is used in all ways that may go on until then:
// what comes later fails, and touches nothing that is not mapped any more.
func TestCloseWhileInUse(t *testing.T) {
	testkit.CheckLeaks(t)
	for range 20 {
		s, err := Create(Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.readOnly.Close()
		data := make([]byte, 100_000)
		var using sync.WaitGroup
		for _, use := range []func() bool{
			func() bool { _, ok := s.PutItems(0, data, goOn); return ok },
			func() bool { return s.ReadResults(make([]byte, 100_000), RingsAt) == nil },
			func() bool { s.RingDoorbell(1); s.Taken(1); _, err := s.down.Stat(); return err == nil },
			func() bool {
				_, _ = s.Running()
				_, _ = s.Past()
				_, _ = s.Unsent(100)
				_, err := s.up.Stat()
				return err == nil
			},
		} {
			begun := make(chan struct{})
			using.Go(func() {
				for n := 0; use(); n++ {
					if n == 10 {
						close(begun)
					}
				}
			})
			<-begun
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		using.Wait()
	}
}

// TestMappingsOfSealedFiles holds what F_SEAL_SHRINK is for: a mapped file keeps its size.
func TestMappingsOfSealedFiles(t *testing.T) {
	s, err := Create(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer s.readOnly.Close()
	for _, f := range []*os.File{s.up, s.down} {
		seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
		if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL; seals != want || err != nil {
			t.Errorf("seals %x, want %x; %v", seals, want, err)
		}
	}
	if s.words.mem == nil || s.told.mem == nil {
		t.Error("the words are not mapped")
	}
	for _, o := range []Options{{InFile: true}, {Fault: func(op string) error {
		if op == "seal" {
			return errors.New("not to be had")
		}
		return nil
	}}} {
		s, err := Create(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if exercise(t, s); s.words.mem != nil || s.told.mem != nil || s.slots[1].mem != nil || s.rings[2].mem != nil {
			t.Error("a file is mapped that the worker can truncate")
		}
	}
}
