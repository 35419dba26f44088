package supervisor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// describe is flights in short: "1+3" is three items from sequence number 1 on, "1+3@2"
// the same in slot 2. The index of an item is 100 more than its sequence number.
func describe(flights ...flight) string {
	var b strings.Builder
	for i, f := range flights {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d+%d", f.seq, f.count)
		if f.slot > 0 {
			fmt.Fprintf(&b, "@%d", f.slot)
		}
		if f.index != int(f.seq)+100 {
			fmt.Fprintf(&b, " (of index %d)", f.index)
		}
	}
	return b.String()
}

// fly makes a flight of items that have ten bytes each.
func fly(seq uint64, count, slot int) flight {
	return flight{seq: seq, index: int(seq) + 100, count: count, bytes: 10 * count, slot: slot}
}

// check compares what w has with what it should have, and its counts with what it has.
func (w *window) check(t *testing.T, want string) {
	t.Helper()
	if got := describe(w.flights...); got != want {
		t.Errorf("in flight: %q, want %q", got, want)
	}
	var counted window
	for _, f := range w.flights {
		counted.count(f, 1)
		if f.count < 1 {
			t.Errorf("a flight of %d items", f.count)
		}
	}
	if w.items != counted.items || w.bytes != counted.bytes || w.slots != counted.slots {
		t.Errorf("counts %d items, %d bytes, slots %v; has %d, %d, %v",
			w.items, w.bytes, w.slots, counted.items, counted.bytes, counted.slots)
	}
	if w.empty() != (w.items == 0) {
		t.Errorf("empty is %v with %d items", w.empty(), w.items)
	}
}

// newWindow has items 1 to 3 in flight, 4 and 5 in slot 1, and 8 in slot 2. Items 6 and 7
// have been dropped.
func newWindow() *window {
	w := new(window)
	w.add(fly(1, 3, 0))
	w.add(fly(4, 2, 1))
	w.add(fly(8, 1, 2))
	return w
}

func TestWindowPop(t *testing.T) {
	for _, test := range []struct {
		seq    uint64
		n      int
		got    string // what was popped
		behind int    // if nothing was
		left   string
	}{
		{1, 1, "1+1", 0, "2+2 4+2@1 8+1@2"},
		{1, 2, "1+2", 0, "3+1 4+2@1 8+1@2"},
		{1, 3, "1+3", 0, "4+2@1 8+1@2"},
		{1, math.MaxInt, "1+3", 0, "4+2@1 8+1@2"}, // those behind do not follow it in memory
		{0, 1, "", 1, "1+3 4+2@1 8+1@2"},
		{2, 1, "", 0, "1+3 4+2@1 8+1@2"},
		{8, 1, "", 0, "1+3 4+2@1 8+1@2"},
		{math.MaxUint64, 1, "", 0, "1+3 4+2@1 8+1@2"},
	} {
		w := newWindow()
		f, behind, ok := w.pop(test.seq, test.n)
		if ok != (test.got != "") || ok && describe(f) != test.got || behind != test.behind {
			t.Errorf("pop(%d, %d) = %s, %d, %v, want %q, %d", test.seq, test.n, describe(f), behind, ok, test.got, test.behind)
		}
		w.check(t, test.left)
	}
}

func TestWindowPopKnowsWhatIsBehind(t *testing.T) {
	w := new(window)
	if _, behind, ok := w.pop(1, 1); ok || behind != 0 {
		t.Errorf("of nothing: %d, %v", behind, ok)
	}
	w.add(fly(1, 10, 0))
	w.pop(1, 7)
	for seq, want := range map[uint64]int{1: 7, 5: 3, 7: 1, 9: 0} {
		if _, behind, ok := w.pop(seq, 1); ok || behind != want {
			t.Errorf("from %d on, %d have been popped, %v, want %d", seq, behind, ok, want)
		}
	}
	w.check(t, "8+3")

	w = new(window)
	w.add(fly(1<<60, 1, 0))
	if _, behind, ok := w.pop(1, 1); ok || behind != math.MaxInt32 { // no count of items is larger
		t.Errorf("far behind: %d, %v", behind, ok)
	}
}

func TestWindowPeek(t *testing.T) {
	for _, test := range []struct {
		seq uint64
		n   int
		got string
	}{{1, 1, "1+1"}, {1, 3, "1+3"}, {1, 100, "1+3"}, {0, 1, ""}, {2, 1, ""}, {4, 1, ""}} {
		w := newWindow()
		f, ok := w.peek(test.seq, test.n)
		if ok != (test.got != "") || ok && describe(f) != test.got {
			t.Errorf("peek(%d, %d) = %s, %v, want %q", test.seq, test.n, describe(f), ok, test.got)
		}
		w.check(t, "1+3 4+2@1 8+1@2")
	}
	if _, ok := new(window).peek(0, 1); ok {
		t.Error("there is something in an empty window")
	}
}

func TestWindowDrop(t *testing.T) {
	for _, test := range []struct {
		first, last uint64
		dropped     string
		left        string
	}{
		{0, 0, "", "1+3 4+2@1 8+1@2"},
		{1, 1, "1+1", "2+2 4+2@1 8+1@2"},
		{2, 2, "2+1", "1+1 3+1 4+2@1 8+1@2"}, // out of the middle
		{3, 3, "3+1", "1+2 4+2@1 8+1@2"},
		{1, 3, "1+3", "4+2@1 8+1@2"},
		{3, 4, "3+1 4+1@1", "1+2 5+1@1 8+1@2"},
		{2, 8, "2+2 4+2@1 8+1@2", "1+1"}, // over what is not there
		{6, 7, "", "1+3 4+2@1 8+1@2"},
		{5, 7, "5+1@1", "1+3 4+1@1 8+1@2"},
		{8, 100, "8+1@2", "1+3 4+2@1"},
		{9, math.MaxUint64, "", "1+3 4+2@1 8+1@2"},
		{0, math.MaxUint64, "1+3 4+2@1 8+1@2", ""},
		{4, math.MaxUint64, "4+2@1 8+1@2", "1+3"},
		{5, 4, "", "1+3 4+2@1 8+1@2"},
		{math.MaxUint64, 0, "", "1+3 4+2@1 8+1@2"},
	} {
		w := newWindow()
		if dropped, ok := w.drop(test.first, test.last, none); ok != (test.dropped == "") || len(dropped) > 0 {
			t.Errorf("drop of %d to %d where none may be: %v, %v", test.first, test.last, dropped, ok)
		}
		w.check(t, "1+3 4+2@1 8+1@2")
		dropped, ok := w.drop(test.first, test.last, all)
		if got := describe(dropped...); !ok || got != test.dropped {
			t.Errorf("drop of %d to %d: %q, %v, want %q", test.first, test.last, got, ok, test.dropped)
		}
		w.check(t, test.left)
	}
}

// all and none say which flights may be dropped.
func all(flight) bool  { return true }
func none(flight) bool { return false }

func TestWindowFirstAndContains(t *testing.T) {
	w := new(window)
	if _, _, ok := w.first(); ok || w.contains(0) || w.contains(1) {
		t.Error("there is something in an empty window")
	}
	w = newWindow()
	w.pop(1, 1)
	if seq, index, ok := w.first(); seq != 2 || index != 102 || !ok {
		t.Errorf("the first is %d, of index %d, %v", seq, index, ok)
	}
	for seq, want := range map[uint64]bool{0: false, 1: false, 2: true, 5: true, 8: true, 9: false, math.MaxUint64: false} {
		if w.contains(seq) != want {
			t.Errorf("contains(%d) is %v", seq, !want)
		}
		if index, ok := w.indexOf(seq); ok != want || ok && index != int(seq)+100 {
			t.Errorf("item %d has index %d, %v", seq, index, ok)
		}
	}
}

func TestWindowFreeSlot(t *testing.T) {
	w := new(window)
	check := func(want int) {
		t.Helper()
		if got := w.freeSlot(func(int) bool { return false }); got != want {
			t.Errorf("slot %d is free, want %d", got, want)
		}
	}
	check(1)
	w.add(fly(1, 2, 1))
	check(2)
	w.add(fly(3, 2, 2))
	check(0)
	w.pop(1, 1)
	check(0)
	w.pop(2, 1)
	check(1)
	w.add(fly(5, 3, 1))
	w.drop(3, 4, all)
	check(2)
	w.drop(5, 6, all)
	check(2)
	w.clear()
	check(1)
}

func TestWindowClear(t *testing.T) {
	w := newWindow()
	if got, want := describe(w.clear()...), "1+3 4+2@1 8+1@2"; got != want {
		t.Errorf("it had %q, want %q", got, want)
	}
	w.check(t, "")
	if got := w.clear(); len(got) != 0 {
		t.Errorf("once more it had %q", describe(got...))
	}
}

// TestWindowLosesNoBytes has bytes that the items of a flight do not share evenly.
func TestWindowLosesNoBytes(t *testing.T) {
	for _, take := range [][]int{{3}, {1, 2}, {2, 1}, {1, 1, 1}} {
		w := new(window)
		w.add(flight{seq: 1, index: 101, count: 3, bytes: 11})
		seq, sum := uint64(1), 0
		for _, n := range take {
			f, _, ok := w.pop(seq, n)
			if !ok || f.bytes < 3*n || f.bytes > 11 {
				t.Errorf("%v: %d items of %d bytes, %v", take, f.count, f.bytes, ok)
			}
			seq, sum = seq+uint64(n), sum+f.bytes
			w.check(t, describe(w.flights...))
		}
		if w.bytes != 0 || sum != 11 {
			t.Errorf("%v: %d bytes came out and %d are left", take, sum, w.bytes)
		}
	}
}

// TestWindowAgainstAList does things at random to a window and to a list of items.
func TestWindowAgainstAList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var w window
	var list []uint64
	next := uint64(1)
	for range 5000 {
		op := r.IntN(5)
		if len(list) > 40 {
			op = 2
		}
		switch op {
		case 0, 1:
			f := flight{seq: next, index: int(next) + 100, count: 1 + r.IntN(5), bytes: r.IntN(50), slot: r.IntN(3)}
			w.add(f)
			for range f.count {
				list = append(list, next)
				next++
			}
		case 2, 3:
			if len(list) == 0 {
				continue
			}
			f, _, ok := w.pop(list[0], 1+r.IntN(4))
			if !ok || f.seq != list[0] || f.seq+uint64(f.count-1) != list[f.count-1] {
				t.Fatalf("popped %s, %v, of %v", describe(f), ok, list)
			}
			list = list[f.count:]
		case 4:
			first, last := next-uint64(r.IntN(8)), next-uint64(r.IntN(8))
			w.drop(first, last, all)
			list = slices.DeleteFunc(list, func(seq uint64) bool { return first <= seq && seq <= last })
		}
		if w.items != len(list) {
			t.Fatalf("%d items in flight, want %d", w.items, len(list))
		}
		if w.check(t, describe(w.flights...)); t.Failed() {
			return
		}
	}
}
