package shm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"example.com/parallel/internal/wire"
)

func TestLayout(t *testing.T) {
	up := []region{
		{"words", 0, upWordsSize},
		{"header", recordsAt - wire.HeaderLen, wire.HeaderLen},
		{"records", recordsAt, RecordsSize},
	}
	for i := range rings {
		up = append(up, region{fmt.Sprint("ring ", i), RingsAt + i*stride, stride})
	}
	down := []region{{"words", 0, downWordsSize}}
	for i := range Slots {
		down = append(down, region{fmt.Sprint("slot ", i), slotsAt + i*stride, stride})
	}
	checkRegions(t, up, upSize)
	checkRegions(t, down, downSize)
	if stride < RingFull {
		t.Errorf("a ring has %d bytes", stride)
	}
	if keep > stride {
		t.Error("an idle worker keeps more than a ring")
	}
}

type region struct {
	name     string
	at, size int
}

// checkRegions checks that regions, in their order, fill a file of that size.
func checkRegions(t *testing.T, regions []region, size int) {
	t.Helper()
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
	if end != size {
		t.Errorf("the last region ends at %d of %d", end, size)
	}
}

func TestWordsDoNotOverlap(t *testing.T) {
	for _, test := range []struct {
		words []int
		size  int
	}{
		{[]int{wordRunning, wordRecords, wordEnd, wordFirst, wordSize, wordDone, wordRing, wordPast}, upWordsSize},
		{[]int{wordTaken, wordDoorbell, wordRoom, wordRevoked}, downWordsSize},
	} {
		seen := make(map[int]bool)
		for _, word := range test.words {
			if word%8 != 0 || word < 0 || word+8 > test.size || seen[word] {
				t.Errorf("a word at %d", word)
			}
			seen[word] = true
		}
		if 8*len(test.words) != test.size {
			t.Errorf("%d words in %d bytes", len(test.words), test.size)
		}
	}
}

// TestWordsProveThemselves has a word changed by one bit, moved to another place, and set to
// values that stray writes leave.
func TestWordsProveThemselves(t *testing.T) {
	for _, v := range []uint64{0, 1, 2, 4711, 1<<valueBits - 1} {
		for place := 0; place < upWordsSize; place += 8 {
			word := protect(v, place)
			if got, ok := verify(word, place); got != v || !ok {
				t.Errorf("%d at %d reads as %d, %v", v, place, got, ok)
			}
			for bit := range 64 {
				if _, ok := verify(word^1<<bit, place); ok {
					t.Errorf("%d at %d passes with bit %d changed", v, place, bit)
				}
			}
			if _, ok := verify(word, (place+8)%upWordsSize); ok {
				t.Errorf("%d at %d passes elsewhere", v, place)
			}
		}
	}
	for place := 0; place < upWordsSize; place += 8 {
		for _, stray := range []uint64{0, 1, 1 << 40, 1 << 63, math.MaxUint64, 0x312f50545448202f, 0x0a0a0a0a0a0a0a0a} {
			_, ok := verify(stray, place)
			if place == wordDone {
				_, _, ok = splitDone(stray)
			}
			if ok {
				t.Errorf("%#x at %d passes for a word", stray, place)
			}
		}
	}
}

// TestRandomWords has words of random bits. About one in 65,536 passes; of the word done, one
// in 2,048, but what it says must fit the others.
func TestRandomWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	passed := 0
	for range 1_000_000 {
		if _, ok := verify(r.Uint64(), wordRunning); ok {
			passed++
		}
	}
	if passed > 50 {
		t.Errorf("%d of 1,000,000 pass", passed)
	}
}

func TestRecordsHoldWhatTheyMay(t *testing.T) {
	for _, test := range []struct {
		n      int
		failed uint64
	}{{0, 0}, {RecordsSize, 0}, {0, failedMask}, {RecordsSize, failedMask}, {17, 4711}} {
		v, ok := verify(protect(records(test.n, test.failed), wordRecords), wordRecords)
		if n, failed := splitRecords(v); n != uint64(test.n) || failed != test.failed || !ok {
			t.Errorf("%d bytes, item %d read as %d, %d, %v", test.n, test.failed, n, failed, ok)
		}
	}
}

func TestDoneHoldsWhatARingMay(t *testing.T) {
	for _, test := range []struct{ count, bytes uint64 }{{0, 0}, {1, 8}, {RingCount, RingFull}, {RingCount, stride}, {1, stride}} {
		count, bytes, ok := splitDone(doneTag + (test.count<<32 | test.bytes))
		if count != test.count || bytes != test.bytes || !ok {
			t.Errorf("%d results of %d bytes read as %d of %d, %v", test.count, test.bytes, count, bytes, ok)
		}
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
		name                                     string
		running, end, first, count, want, failed uint64
	}{
		{"nothing", 0, 0, 0, 0, 0, 0},
		{"an item by itself", 7, 0, 0, 0, 7, 0},
		{"an item by itself behind results", 7, 0, 3, 4, 7, 0},
		{"the first of a ring", 0, 5, 3, 0, 3, 0},
		{"the second", 0, 5, 3, 1, 4, 0},
		{"none any more", 0, 5, 3, 2, 0, 0},
		{"the ring counts while it begins", 3, 5, 3, 1, 4, 0},
		{"its failure is there", 7, 0, 3, 4, 0, 7},
		{"a failure of one before", 7, 0, 3, 4, 7, 6},
		{"a failure in a ring that counts", 7, 9, 3, 4, 7, 7},
		{"the low bits of a failure", 1<<40 | 7, 0, 0, 0, 0, 7},
		{"nonsense: results beyond the end", 9, 5, 3, 8, 0, 0},
		{"nonsense: an overflow", 0, 5, math.MaxUint64, 3, 2, 0},
	} {
		if got := runningItem(test.running, test.end, test.first, test.count, test.failed); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
