package shm

import (
	"fmt"
	"math"
	"testing"

	"example.com/parallel/internal/wire"
)

func TestLayout(t *testing.T) {
	type region struct {
		name     string
		at, size int
	}
	regions := []region{
		{"words", 0, wordsSize},
		{"header", recordsAt - wire.HeaderLen, wire.HeaderLen},
		{"records", recordsAt, RecordsSize},
	}
	for i := range rings {
		regions = append(regions, region{fmt.Sprint("ring ", i), RingsAt + i*stride, stride})
	}
	for i := range Slots {
		regions = append(regions, region{fmt.Sprint("slot ", i), slotsAt + i*stride, stride})
	}
	end := 0
	for _, r := range regions {
		if r.at < end {
			t.Errorf("%s begins at %d, before the end of what comes first, %d", r.name, r.at, end)
		}
		if r.name != "header" && r.at%4096 != 0 {
			t.Errorf("%s is not at the start of a page", r.name)
		}
		end = r.at + r.size
	}
	if end != Size {
		t.Errorf("the last region ends at %d of %d", end, int64(Size))
	}
	if stride < RingFull {
		t.Errorf("a ring has %d bytes", stride)
	}
	if keep > stride {
		t.Error("an idle worker keeps more than a ring")
	}
}

func TestWordsDoNotOverlap(t *testing.T) {
	seen := make(map[int]bool)
	for _, word := range []int{wordRunning, wordRecords, wordEnd, wordFirst, wordSize, wordDone, wordRing, wordTaken, wordDoorbell} {
		if word%8 != 0 || word < 0 || word+8 > wordsSize || seen[word] {
			t.Errorf("a word at %d", word)
		}
		seen[word] = true
	}
}

func TestFits(t *testing.T) {
	for _, test := range []struct {
		bytes int
		want  bool
	}{
		{0, false}, {byReference - 1, false}, {byReference, true}, {stride, true}, {math.MaxInt, false}, {-1, false},
	} {
		if got := Fits(test.bytes); got != test.want {
			t.Errorf("%d bytes: %v", test.bytes, got)
		}
	}
}

func TestRunningItem(t *testing.T) {
	for _, test := range []struct {
		name                            string
		running, end, first, done, want uint64
	}{
		{"nothing", 0, 0, 0, 0, 0},
		{"an item by itself", 7, 0, 0, 0, 7},
		{"an item by itself behind results", 7, 0, 3, 4<<32 | 100, 7},
		{"the first of a ring", 0, 5, 3, 0, 3},
		{"the second", 0, 5, 3, 1<<32 | 8, 4},
		{"none any more", 0, 5, 3, 2<<32 | 16, 0},
		{"the ring counts while it begins", 3, 5, 3, 1 << 32, 4},
		{"nonsense: results beyond the end", 9, 5, 3, 8 << 32, 0},
		{"nonsense: an overflow", 0, 5, math.MaxUint64, 3 << 32, 2},
		{"nonsense: all bits", math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint32 - 1},
	} {
		if got := runningItem(test.running, test.end, test.first, test.done); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
