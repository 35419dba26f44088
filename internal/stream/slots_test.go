package stream

import (
	"errors"
	"slices"
	"testing"

	"example.com/parallel/internal/schedule"
)

func TestRingHasRoomForItsWindow(t *testing.T) {
	for _, test := range []struct{ n, segments int }{
		{1, 1}, {segmentSize, 1}, {segmentSize + 1, 2}, {2 * segmentSize, 2}, {5 * segmentSize, 8}, {aheadFast, 4}, {3 * aheadFast, 16},
	} {
		var r ring[int, int]
		r.init(test.n)
		if got := len(r.segments); got != test.segments {
			t.Errorf("a ring for %d items has %d segments, want %d", test.n, got, test.segments)
		}
		seen := make(map[*entry[int, int]]int)
		for i := 1000; i < 1000+test.n; i++ {
			e := r.add(i)
			if before, ok := seen[e]; ok {
				t.Fatalf("in a ring for %d items, %d and %d share an entry", test.n, before, i)
			}
			if seen[e] = i; r.at(i) != e {
				t.Fatalf("in a ring for %d items, the entry of item %d is not found", test.n, i)
			}
		}
	}
}

func TestRingMakesSegmentsAsTheyAreUsed(t *testing.T) {
	var r ring[int, int]
	r.init(4 * segmentSize)
	if r.at(0) != nil || r.at(segmentSize) != nil {
		t.Fatal("a new ring has entries")
	}
	first := r.add(0)
	if r.at(segmentSize-1) == nil || r.at(segmentSize) != nil {
		t.Error("the first item did not make the first segment alone")
	}
	if r.add(len(r.segments)*segmentSize) != first {
		t.Error("a lap later the entry is another one")
	}
}

func TestFreeEmptiesAnEntry(t *testing.T) {
	e := &entry[string, []int]{item: "x", result: []int{1}, err: errors.New("x")}
	e.done.set()
	e.free()
	if e.item != "" || e.result != nil || e.err != nil || e.done.isSet() {
		t.Errorf("the entry still has %q, %v, %v, %v", e.item, e.result, e.err, e.done.isSet())
	}
}

func TestBag(t *testing.T) {
	failure := func(i int) schedule.Failure { return schedule.Failure{Index: i, Err: errors.New("x")} }
	for _, test := range []struct {
		name   string
		finish []int // of items 0 to 5
		fail   []int
		rest   bool
		want   []int
	}{
		{"nothing is done", nil, nil, false, nil},
		{"as they finish", []int{3, 0, 5}, nil, false, []int{3, 0, 5}},
		{"none after a failure", []int{3, 0, 5}, []int{2}, false, []int{0}},
		{"none after the lowest failure", []int{3, 0, 1}, []int{4, 1, 5}, false, []int{0}},
		{"the rest in order, behind what is done", []int{4, 1}, nil, true, []int{4, 1, 0, 2, 3, 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBag[int, int]()
			for i := range 6 {
				b.add(i, 10*i)
			}
			for _, i := range test.finish {
				b.finish(i, b.at(i))
			}
			for _, i := range test.fail {
				b.fail(failure(i))
			}
			if test.rest {
				b.finishRest()
			}
			var got []int
			for i, e := b.pop(); e != nil; i, e = b.pop() {
				if got = append(got, i); e.item != 10*i {
					t.Errorf("the entry of item %d has item %d", i, e.item)
				}
				if e.done.isSet() != slices.Contains(test.finish, i) {
					t.Errorf("item %d is done: %v", i, e.done.isSet())
				}
				if b.at(i) != nil {
					t.Errorf("item %d is still in the bag", i)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("items %v, want %v", got, test.want)
			}
			if (b.failure() != nil) != (test.fail != nil) {
				t.Errorf("the failure is %v", b.failure())
			}
		})
	}
}
