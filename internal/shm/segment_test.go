package shm

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"example.com/parallel/internal/wire"
)

// fileSegment is a segment in a file of so many bytes, that the test sees too.
func fileSegment(t testing.TB, size int64) (*Segment, *os.File) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	s := New(f)
	t.Cleanup(func() { s.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return s, s.File()
}

func put(t testing.TB, f *os.File, at int64, b []byte) {
	t.Helper()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func putWord(t testing.TB, f *os.File, word int64, v uint64) {
	t.Helper()
	put(t, f, word, binary.NativeEndian.AppendUint64(nil, v))
}

func TestCheckResults(t *testing.T) {
	s, _ := fileSegment(t, 0)
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
		{"the end of the last ring", slotsAt - 8, 8, true},
		{"across it", slotsAt - 8, 9, false},
		{"a slot", slotsAt, 8, false},
		{"behind the segment", Size, 8, false},
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
	s, f := fileSegment(t, RingsAt+100)
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
	s, f := fileSegment(t, wordsSize)
	putWord(t, f, wordRunning, 5)
	if seq, ok := s.Running(); seq != 5 || !ok {
		t.Errorf("%d, %v", seq, ok)
	}
	for _, size := range []int64{wordsSize - 1, 8, 0} {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if seq, ok := s.Running(); seq != 0 || ok {
			t.Errorf("of %d bytes: %d, %v", size, seq, ok)
		}
	}
	if b := s.Unsent(100); len(b) != 0 {
		t.Errorf("an empty file has %d bytes of records", len(b))
	}
}

// TestUnsentOfATruncatedFile has a worker leave two records and three results, and truncate
// the file to several sizes.
func TestUnsentOfATruncatedFile(t *testing.T) {
	records := wire.AppendStarted(wire.AppendStarted(nil, 1), 2)
	results := []byte("aaaabbbbcccc")
	ringAt := int64(RingsAt) + 2*stride
	none := wire.AppendResults(nil, 3, 3, 4, nil)
	all := wire.AppendResults(nil, 3, 3, 4, results)
	for _, test := range []struct {
		name string
		size int64
		want string
	}{
		{"whole", Size, string(records) + string(all)},
		{"up to the results", ringAt + 12, string(records) + string(all)},
		{"within the results", ringAt + 11, string(records) + string(none)},
		{"before the rings", RingsAt, string(records) + string(none)},
		{"behind the records", recordsAt + int64(len(records)), string(records) + string(none)},
		{"within the records", recordsAt + int64(len(records)) - 1, string(none)},
		{"behind the words", wordsSize, string(none)},
		{"within the words", wordsSize - 1, ""},
	} {
		s, f := fileSegment(t, Size)
		putWord(t, f, wordRecords, uint64(len(records)))
		put(t, f, recordsAt, records)
		putWord(t, f, wordFirst, 3)
		putWord(t, f, wordSize, 5)
		putWord(t, f, wordDone, 3<<32|12)
		putWord(t, f, wordRing, 2)
		put(t, f, ringAt, results)
		if err := f.Truncate(test.size); err != nil {
			t.Fatal(err)
		}
		if got := s.Unsent(100); string(got) != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestUnsentOfHostileWords has the words say what no worker would.
func TestUnsentOfHostileWords(t *testing.T) {
	const limit = 1000
	for _, test := range []struct {
		name         string
		words        map[int64]uint64
		atMost       int
		knownRecords int
	}{
		{"no results", map[int64]uint64{wordDone: 100}, 0, 0},
		{"too many records", map[int64]uint64{wordRecords: math.MaxUint64}, RecordsSize, RecordsSize},
		{"too many results", map[int64]uint64{wordDone: math.MaxUint64, wordRecords: 10}, 10, 10},
		{"results of absurd size", map[int64]uint64{wordDone: 1<<32 | 8, wordSize: 1 << 40}, 0, 0},
		{"more bytes than may be", map[int64]uint64{wordDone: 1<<32 | (RingFull + limit + 1)}, 0, 0},
		{"as many as may be", map[int64]uint64{wordDone: 1<<32 | (RingFull + limit)}, RingFull + limit + 64, 0},
		{"a ring that there is not", map[int64]uint64{wordDone: 1<<32 | 8, wordRing: math.MaxUint64}, 8 + 64, 0},
	} {
		s, f := fileSegment(t, Size)
		for word, v := range test.words {
			putWord(t, f, word, v)
		}
		if got := s.Unsent(limit); len(got) > test.atMost || len(got) < test.knownRecords {
			t.Errorf("%s: %d bytes", test.name, len(got))
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
	f.Add(word(1, 2, 3, 4, 5, 6, 7, 8, 9), int64(Size), RingsAt, 8)
	f.Add(word(0, 20, 9, 3, 9, 2<<32|16, 3), int64(Size), RingsAt, 8)
	f.Add(word(0, 20, 9, 3, 0, 2<<32|16, 3), int64(RingsAt+3*stride+5), slotsAt-1, 1)
	f.Add(bytes.Repeat([]byte{0xff}, recordsAt+100), int64(recordsAt+200), math.MaxInt, math.MaxInt)
	f.Fuzz(func(t *testing.T, src []byte, size int64, at, length int) {
		const limit = 1000
		s, file := fileSegment(t, max(0, size)%(Size+1))
		put(t, file, 0, src)
		if n := len(s.Unsent(limit)); n > RecordsSize+RingFull+limit+64 {
			t.Errorf("%d bytes unsent", n)
		}
		var words [wordsSize]byte
		_, err := file.ReadAt(words[:], 0)
		running, ok := s.Running()
		if ok != (err == nil) || !ok && running != 0 {
			t.Errorf("running %d, %v; the words read with %v", running, ok, err)
		}
		if s.CheckResults(at, length, limit) {
			if at < RingsAt || length < 0 || length > limit || at+length > slotsAt {
				t.Fatalf("%d bytes at %d are allowed", length, at)
			}
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			err = s.ReadResults(make([]byte, length), at)
			if whole := int64(at+length) <= info.Size(); length > 0 && whole != (err == nil) {
				t.Errorf("%d bytes at %d of %d: %v", length, at, info.Size(), err)
			}
		}
		s.Trim()
	})
}

func TestPutItems(t *testing.T) {
	s, f := fileSegment(t, Size)
	for slot := range Slots {
		data := bytes.Repeat([]byte{byte(slot + 1)}, 5000)
		at, ok := s.PutItems(slot, data)
		if !ok || at < slotsAt || at+len(data) > Size {
			t.Fatalf("slot %d: at %d, %v", slot, at, ok)
		}
		got := make([]byte, len(data))
		if _, err := f.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("slot %d: %v", slot, err)
		}
	}
	f.Close()
	if _, ok := s.PutItems(0, make([]byte, 10)); ok {
		t.Error("a closed segment takes items")
	}
	s.Taken(1)
	s.RingDoorbell(1)
	s.Trim()
}

func TestCreateLeavesNoName(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := CreateInFile()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Skip("there are no segments on this system")
	}
	defer s.Close()
	if entries, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if n, err := s.File().Seek(0, io.SeekEnd); n != Size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestCreateWithoutADirectory(t *testing.T) {
	if s, err := CreateInFile(); err != nil || s == nil {
		t.Skip("there are no segments on this system: ", err)
	} else {
		s.Close()
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if s, err := CreateInFile(); s != nil || err == nil {
		t.Errorf("%v, %v", s, err)
	}
}
