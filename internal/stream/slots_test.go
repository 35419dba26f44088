package stream

import (
	"errors"
	"math/bits"
	"slices"
	"testing"
)

func TestRingHasRoomForItsWindow(t *testing.T) {
	for _, test := range []struct{ n, segments int }{
		{1, 2}, {segmentSize, 2}, {segmentSize + 1, 4}, {3 * segmentSize, 4}, {4 * segmentSize, 8}, {aheadFast, 8}, {3 * aheadFast, 16},
	} {
		var s slots[int, int]
		s.init(test.n)
		if got := len(s.ring); got != test.segments {
			t.Errorf("a ring for %d items has %d segments, want %d", test.n, got, test.segments)
		}
		first := 5*segmentSize - 1 // so that the items lie in as many segments as they can
		last := first + test.n - 1
		for number := first / segmentSize; number <= last/segmentSize; number++ {
			s.begin(number)
		}
		if len(s.late) > 0 {
			t.Errorf("a ring for %d items has no place for %d segments", test.n, len(s.late))
		}
	}
}

func TestSplit(t *testing.T) {
	for _, test := range []struct{ i, number, k int }{
		{0, 0, 0}, {segmentSize - 1, 0, segmentSize - 1}, {segmentSize, 1, 0}, {5*segmentSize + 3, 5, 3},
	} {
		if number, k := split(test.i); number != test.number || k != test.k {
			t.Errorf("item %d is item %d of segment %d, want %d of %d", test.i, k, number, test.k, test.number)
		}
	}
}

func TestBitsFrom(t *testing.T) {
	for _, test := range []struct {
		at, n int
		want  uint64
	}{
		{0, 0, 0}, {0, 1, 1}, {3, 2, 3 << 3}, {0, 64, full}, {63, 1, 1 << 63}, {1, 63, full - 1}, {63, 0, 0},
	} {
		if got := bitsFrom(test.at, test.n); got != test.want {
			t.Errorf("the bits of %d items from %d on are %#x, want %#x", test.n, test.at, got, test.want)
		}
	}
}

// FuzzSlots begins segments in order and ends them in any, and compares what is found with a
// map.
func FuzzSlots(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x00\x00\x03\x00\x01\x00\x01"))
	f.Add(slices.Repeat([]byte{0, 0, 2, 1, 0, 4}, 20)) // the first ones stay behind
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s slots[int, string]
		s.init(1) // two places: segments are late soon
		live := make(map[int]*segment[int, string])
		next := 0
		for _, op := range ops {
			if op%2 == 0 || len(live) == 0 {
				if live[next] = s.begin(next); live[next].number.Load() != int64(next) {
					t.Fatalf("segment %d has number %d", next, live[next].number.Load())
				}
				next++
			} else {
				numbers := numbersOf(s.all())
				number := numbers[int(op/2)%len(numbers)]
				s.end(live[number])
				delete(live, number)
			}
			for number := range next + 1 {
				if got := s.find(number); got != live[number] {
					t.Fatalf("found %p as segment %d, want %p", got, number, live[number])
				}
			}
			if all := s.all(); len(all) != len(live) || !slices.IsSorted(numbersOf(all)) {
				t.Fatalf("the segments are %v, want those of %v", numbersOf(all), live)
			}
		}
		if made := len(live) + len(s.spare); made > next {
			t.Fatalf("%d segments were made for %d", made, next)
		}
	})
}

func numbersOf[T, R any](segments []*segment[T, R]) (numbers []int) {
	for _, g := range segments {
		numbers = append(numbers, int(g.number.Load()))
	}
	return numbers
}

func TestSegmentIsUsedAgainEmpty(t *testing.T) {
	var s slots[int, int]
	s.init(1)
	g := s.begin(0)
	g.fail(3, errors.New("x"))
	markDone(&g.done, full)
	g.taken = full
	s.end(g)
	again := s.begin(7)
	if again != g {
		t.Fatal("another segment is made while one is spare")
	}
	if again.errs.Load() != nil || again.done.Load() != 0 || again.taken != 0 {
		t.Errorf("it has %v, %x done, %x taken", again.errs.Load(), again.done.Load(), again.taken)
	}
}

func TestReadyList(t *testing.T) {
	var list ready[int, int]
	segments := make([]segment[int, int], 3)
	for i := range segments {
		segments[i].number.Store(int64(i))
		if !list.add(&segments[i]) {
			t.Fatalf("segment %d is not added", i)
		}
	}
	if list.add(&segments[1]) {
		t.Error("a segment is added twice")
	}
	var got []int
	first := list.takeAll()
	if !list.empty() {
		t.Error("the list has something left")
	}
	for first != nil {
		g := first
		if list.add(g) {
			t.Error("a segment is added that is still to be looked at")
		}
		first = unlist(g)
		got = append(got, int(g.number.Load()))
	}
	if !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("the segments come as %v", got)
	}
	if !list.add(&segments[2]) || list.takeAll() != &segments[2] || list.takeAll() != nil {
		t.Error("a segment that was looked at is not listed anew")
	}
}

// TestHoldTakesWhatIsDoneInOrder looks at how many items are taken in hand at once.
func TestHoldTakesWhatIsDoneInOrder(t *testing.T) {
	for _, test := range []struct {
		done uint64
		next int
		want int
	}{
		{0, 0, 0}, {1, 0, 1}, {0b1011, 0, 2}, {0b1011, 2, 0}, {0b1011, 3, 1}, {full, 0, 64}, {full, 63, 1}, {full - 1, 0, 0}, {full - 1, 1, 63},
	} {
		s := newStream(t.Context(), upTo(0), same)
		markDone(&s.slots.begin(0).done, test.done)
		got := s.holdFrom(test.next)
		if n := bits.OnesCount64(s.hand.items); n != test.want || got != (n > 0) {
			t.Errorf("of %b, %d items are taken from %d on, want %d", test.done, n, test.next, test.want)
		}
		if s.hand.items != bitsFrom(test.next, test.want) {
			t.Errorf("of %b, %b are taken from %d on", test.done, s.hand.items, test.next)
		}
	}
}
