package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"example.com/parallel/internal/wire"
)

// fileSegment is a segment of two files, of which that of the worker, which the test sees
// too, has so many bytes. They can be made shorter; mapped says to map them all the same.
func fileSegment(t testing.TB, size int64, mapped bool) (*Segment, *os.File) {
	t.Helper()
	f := files{sealed: mapped}
	for name, f := range map[string]**os.File{"up": &f.up, "down": &f.down} {
		var err error
		if *f, err = os.Create(filepath.Join(t.TempDir(), name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.up.Truncate(size), f.down.Truncate(downSize)); err != nil {
		t.Fatal(err)
	}
	s := newSegment(f, new(Options))
	s.mapWords()
	if (s.words.mem != nil) != mapped {
		t.Fatal("the words are mapped:", !mapped)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.up
}

// ways are whether the parent maps the files, as far as it can here.
func ways() []bool {
	if runtime.GOOS == "linux" {
		return []bool{false, true}
	}
	return []bool{false}
}

func put(t testing.TB, f *os.File, at int64, b []byte) {
	t.Helper()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// putWords sets the words as a worker does: those in words, and the others to zero.
func putWords(t testing.TB, f *os.File, words map[int]uint64) {
	t.Helper()
	var b []byte
	for place := 0; place < upWordsSize; place += 8 {
		word := protect(words[place], place)
		if place == wordDone {
			word = doneTag + words[place]
		}
		b = binary.NativeEndian.AppendUint64(b, word)
	}
	put(t, f, 0, b)
}

func TestCheckResults(t *testing.T) {
	s, _ := fileSegment(t, 0, false)
	const limit = 1 << 16
	for _, test := range []struct {
		name       string
		at, length int
		want       bool
	}{
		{"the start of the first ring", RingsAt, 8, true},
		{"nothing", RingsAt, 0, true},
		{"as much as may be", RingsAt, limit, true},
		{"more", RingsAt, limit + 1, false},
		{"the end of the first ring", RingsAt + stride - 8, 8, true},
		{"across the end", RingsAt + stride - 8, 9, false},
		{"the last ring", RingsAt + (rings-1)*stride + 100, 8, true},
		{"the end of the last ring", upSize - 8, 8, true},
		{"across it", upSize - 8, 9, false},
		{"behind the file", upSize, 8, false},
		{"far behind it", Size, 8, false},
		{"the results buffer", RingsAt - 1, 1, false},
		{"the words", 0, 8, false},
		{"before all", -1, 8, false},
		{"far off", math.MaxInt, 8, false},
		{"of absurd length", RingsAt, math.MaxInt, false},
		{"of negative length", RingsAt, -1, false},
		{"all of it absurd", math.MaxInt, math.MaxInt, false},
		{"far before", math.MinInt, math.MinInt, false},
	} {
		if got := s.CheckResults(test.at, test.length, limit); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestReadResults(t *testing.T) {
	s, f := fileSegment(t, RingsAt+100, false)
	put(t, f, RingsAt+10, []byte("result"))
	b := make([]byte, 6)
	if err := s.ReadResults(b, RingsAt+10); err != nil || string(b) != "result" {
		t.Errorf("%q, %v", b, err)
	}
	if err := s.ReadResults(b, RingsAt+95); err != io.EOF {
		t.Errorf("behind the end of the file: error %v", err)
	}
}

// TestRunningCannotBeRead has a worker truncate the file.
func TestRunningCannotBeRead(t *testing.T) {
	for _, mapped := range ways() {
		s, f := fileSegment(t, upWordsSize, mapped)
		putWords(t, f, map[int]uint64{wordRunning: 5})
		if seq, ok := s.Running(); seq != 5 || !ok {
			t.Errorf("%d, %v", seq, ok)
		}
		for _, size := range []int64{upWordsSize - 1, 8, 0} {
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			if seq, ok := s.Running(); seq != 0 || ok {
				t.Errorf("of %d bytes: %d, %v", size, seq, ok)
			}
		}
		if b, ok := s.Unsent(100); len(b) != 0 || ok {
			t.Errorf("an empty file has %d bytes of records, %v", len(b), ok)
		}
	}
}

// TestAFreshSegmentSaysNothing reads what no worker has written yet.
func TestAFreshSegmentSaysNothing(t *testing.T) {
	for _, mapped := range ways() {
		s, _ := fileSegment(t, upSize, mapped)
		if seq, ok := s.Running(); seq != 0 || ok {
			t.Errorf("item %d is running, %v", seq, ok)
		}
		if b, ok := s.Unsent(100); len(b) != 0 || ok {
			t.Errorf("%d bytes are unsent, %v", len(b), ok)
		}
	}
}

// threeResults leaves two records and three results of 4 bytes in the third ring, and returns
// them as records.
func threeResults(t *testing.T, f *os.File) (want []byte) {
	records := wire.AppendStarted(wire.AppendStarted(nil, 1), 2)
	results := []byte("aaaabbbbcccc")
	putWords(t, f, map[int]uint64{
		wordRecords: uint64(len(records)), wordFirst: 3, wordSize: 5, wordDone: 3<<32 | 12, wordRing: 2, wordRunning: 6,
	})
	put(t, f, recordsAt, records)
	put(t, f, RingsAt+2*stride, results)
	return wire.AppendResults(records, 3, 3, 4, results)
}

// TestUnsentOfATruncatedFile has a worker truncate the file to several sizes.
func TestUnsentOfATruncatedFile(t *testing.T) {
	ringAt := int64(RingsAt) + 2*stride
	for _, test := range []struct {
		name string
		size int64
		ok   bool
	}{
		{"whole", upSize, true},
		{"up to the results", ringAt + 12, true},
		{"within the results", ringAt + 11, false},
		{"before the rings", RingsAt, false},
		{"within the records", recordsAt + 3, false},
		{"behind the words", upWordsSize, false},
		{"within the words", upWordsSize - 1, false},
	} {
		for _, mapped := range ways() {
			s, f := fileSegment(t, upSize, mapped)
			want := threeResults(t, f)
			if err := f.Truncate(test.size); err != nil {
				t.Fatal(err)
			}
			if !test.ok {
				want = nil
			}
			if got, ok := s.Unsent(100); !bytes.Equal(got, want) || ok != test.ok {
				t.Errorf("%s: %q, %v, want %q, %v", test.name, got, ok, want, test.ok)
			}
		}
	}
}

// TestStrayWritesToTheWords has each word, and all of them, written over.
func TestStrayWritesToTheWords(t *testing.T) {
	strays := map[string][]byte{
		"zeros": make([]byte, 8), "ones": bytes.Repeat([]byte{0xff}, 8), "text": []byte("GET / HT"),
		"a number": binary.NativeEndian.AppendUint64(nil, 1<<40), "one": binary.NativeEndian.AppendUint64(nil, 1),
	}
	for name, stray := range strays {
		for place := 0; place <= upWordsSize; place += 8 {
			s, f := fileSegment(t, upSize, place%16 == 0 && len(ways()) > 1)
			want := threeResults(t, f)
			if got, ok := s.Unsent(100); !bytes.Equal(got, want) || !ok {
				t.Fatal("without a stray write there is no report")
			}
			if place == upWordsSize {
				put(t, f, 0, bytes.Repeat(stray, upWordsSize/8))
			} else {
				put(t, f, int64(place), stray)
			}
			if _, ok := s.Running(); ok {
				t.Errorf("%s at %d: it still says what is running", name, place)
			}
			if _, ok := s.Unsent(100); ok {
				t.Errorf("%s at %d: it still says what is unsent", name, place)
			}
		}
	}
}

// TestUnsentOfHostileWords has the words say, in due form, what no worker would.
func TestUnsentOfHostileWords(t *testing.T) {
	const limit = 1000
	for _, test := range []struct {
		name  string
		words map[int]uint64
		size  int // of what is unsent; −1: nothing is believed
	}{
		{"nothing", nil, 0},
		{"bytes of no results", map[int]uint64{wordDone: 100, wordSize: 9}, -1},
		{"as many records as may be", map[int]uint64{wordRecords: RecordsSize}, RecordsSize},
		{"more records", map[int]uint64{wordRecords: RecordsSize + 1}, -1},
		{"many more records", map[int]uint64{wordRecords: 1<<valueBits - 1}, -1},
		{"records that end with a failure", map[int]uint64{wordRecords: records(100, 5)}, 100},
		{"too many results", map[int]uint64{wordDone: doneCount<<32 | math.MaxUint32, wordSize: 9}, -1},
		{"results of absurd size", map[int]uint64{wordDone: 1<<32 | 8, wordSize: 1 << 40}, -1},
		{"results of another size", map[int]uint64{wordDone: 1<<32 | 8, wordSize: 8}, -1},
		{"more bytes than may be", map[int]uint64{wordDone: 1<<32 | (RingFull + limit + 1), wordSize: RingFull + limit + 2}, -1},
		{"as many as may be", map[int]uint64{wordDone: 1<<32 | (RingFull + limit), wordSize: RingFull + limit + 1}, RingFull + limit + 10},
		{"a ring that there is not", map[int]uint64{wordDone: 1<<32 | 8, wordSize: 9, wordRing: rings}, -1},
		{"a ring far off", map[int]uint64{wordDone: 1<<32 | 8, wordSize: 9, wordRing: 1<<valueBits - 1}, -1},
		{"lengths that do not fit", map[int]uint64{wordDone: 1<<32 | 8}, -1},
	} {
		for _, mapped := range ways() {
			s, f := fileSegment(t, upSize, mapped)
			putWords(t, f, test.words)
			if got, ok := s.Unsent(limit); len(got) != max(0, test.size) || ok != (test.size >= 0) {
				t.Errorf("%s: %d bytes, %v", test.name, len(got), ok)
			}
		}
	}
}

// FuzzSegment puts anything in place of the words and of what is behind them, in a file of
// any size: what the parent reads has its bounds.
func FuzzSegment(f *testing.F) {
	word := func(vs ...uint64) (b []byte) {
		for _, v := range vs {
			b = binary.NativeEndian.AppendUint64(b, v)
		}
		return b
	}
	f.Add([]byte(nil), int64(0), 0, 0)
	f.Add(word(1, 2, 3, 4, 5, 6, 7), int64(upSize), RingsAt, 8)
	f.Add(word(0, 20, 9, 3, 9, 2<<32|16, 3), int64(upSize), RingsAt, 8)
	f.Add(word(0, 20, 9, 3, 0, 2<<32|16, 3), int64(RingsAt+3*stride+5), upSize-1, 1)
	f.Add(bytes.Repeat([]byte{0xff}, recordsAt+100), int64(recordsAt+200), math.MaxInt, math.MaxInt)
	f.Fuzz(func(t *testing.T, src []byte, size int64, at, length int) {
		for _, mapped := range ways() {
			fuzzSegment(t, src, max(0, size)%(upSize+1), at, length, mapped)
		}
	})
}

func fuzzSegment(t *testing.T, src []byte, size int64, at, length int, mapped bool) {
	const limit = 1000
	s, file := fileSegment(t, size, mapped)
	put(t, file, 0, src)
	if len(src) >= upWordsSize { // once as they are, which hardly ever passes, and once in due form
		checkBounds(t, s, limit)
		words := make(map[int]uint64)
		for place := 0; place < upWordsSize; place += 8 {
			words[place] = binary.NativeEndian.Uint64(src[place:])
		}
		words[wordDone] &= 1<<53 - 1
		putWords(t, file, words)
	}
	checkBounds(t, s, limit)
	if s.CheckResults(at, length, limit) {
		if at < RingsAt || length < 0 || length > limit || at+length > upSize {
			t.Fatalf("%d bytes at %d are allowed", length, at)
		}
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size := info.Size()
		if mapped { // what is behind the end reads as zero up to the next page
			size = (size + int64(os.Getpagesize()) - 1) &^ (int64(os.Getpagesize()) - 1)
		}
		err = s.ReadResults(make([]byte, length), at)
		if whole := int64(at+length) <= size; length > 0 && whole != (err == nil) {
			t.Errorf("mapped=%v: %d bytes at %d of %d: %v", mapped, length, at, size, err)
		}
	}
	s.Trim()
}

// checkBounds reads all that the words lead to.
func checkBounds(t *testing.T, s *Segment, limit int) {
	t.Helper()
	if b, ok := s.Unsent(limit); len(b) > RecordsSize+RingFull+limit+64 || !ok && len(b) > 0 {
		t.Errorf("%d bytes unsent, %v", len(b), ok)
	}
	if running, ok := s.Running(); !ok && running != 0 {
		t.Errorf("running %d, %v", running, ok)
	}
}

func goOn() bool { return false }

func TestPutItems(t *testing.T) {
	for _, mapped := range ways() {
		s, _ := fileSegment(t, upSize, mapped)
		for round := range 3 {
			for slot := range Slots {
				data := bytes.Repeat([]byte{byte(10*round + slot + 1)}, 5000+5000*round)
				at, ok := s.PutItems(slot, data, goOn)
				if !ok || at < slotsAt || at+len(data) > downSize {
					t.Fatalf("slot %d: at %d, %v", slot, at, ok)
				}
				got := make([]byte, len(data))
				if _, err := s.down.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, data) {
					t.Errorf("slot %d: %v", slot, err)
				}
			}
		}
		if (s.slots[0].mem != nil) != mapped {
			t.Errorf("the slot is mapped: %v", !mapped)
		}
		looks := 0
		if 3*putStep > stride {
			t.Log("slots are too small here to be stopped at")
		} else if _, ok := s.PutItems(0, make([]byte, 3*putStep), func() bool { looks++; return looks == 2 }); ok || looks != 2 || s.slots[0].filled != 2*putStep {
			t.Errorf("told to stop it goes on: %v after %d looks, %d bytes", ok, looks, s.slots[0].filled)
		}
		s.Close()
		if _, ok := s.PutItems(0, make([]byte, 10), goOn); ok {
			t.Error("a closed segment takes items")
		}
		s.Taken(1)
		s.RingDoorbell(1)
		s.Trim()
		if _, ok := s.Running(); ok {
			t.Error("a closed segment says what is running")
		}
		if err := s.ReadResults(make([]byte, 1), RingsAt); err == nil {
			t.Error("a closed segment has results")
		}
		if s.words.mapped != nil || s.told.mapped != nil || s.slots[0].mapped != nil || s.rings[0].mapped != nil {
			t.Error("a closed segment is mapped")
		}
	}
}

// noSegment skips a test on systems without segments.
func noSegment(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("there are no segments on this system")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCreateLeavesNoName(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := Create(Options{InFile: true})
	noSegment(t, err)
	defer s.Close()
	defer s.readOnly.Close()
	if entries, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
	up, down := s.Inherit()
	for f, want := range map[*os.File]int64{up: upSize, down: downSize} {
		if n, err := f.Seek(0, io.SeekEnd); n != want || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

func TestCreateWithoutADirectory(t *testing.T) {
	s, err := Create(Options{InFile: true})
	noSegment(t, err)
	s.readOnly.Close()
	s.Close()
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if s, err := Create(Options{InFile: true}); s != nil || err == nil {
		t.Errorf("%v, %v", s, err)
	}
}

// TestTheWorkerCannotWriteWhatTheParentSays tries it through the descriptor that it is given.
func TestTheWorkerCannotWriteWhatTheParentSays(t *testing.T) {
	for _, inFile := range []bool{false, true} {
		s, err := Create(Options{InFile: inFile})
		noSegment(t, err)
		defer s.Close()
		defer s.readOnly.Close()
		_, down := s.Inherit()
		if _, err := down.WriteAt([]byte("bell"), wordDoorbell); err == nil {
			t.Error("it can be written")
		}
		if err := down.Truncate(0); err == nil {
			t.Error("it can be truncated")
		}
		if b, err := mapFile(down, downSize, true); err == nil {
			unmap(b)
			t.Error("it can be mapped to be written")
		}
		s.RingDoorbell(7)
		b := make([]byte, 8)
		if _, err := down.ReadAt(b, wordDoorbell); err != nil || binary.NativeEndian.Uint64(b) != 7 {
			t.Errorf("it reads %v, %v", b, err)
		}
	}
}
