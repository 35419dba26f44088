package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
	"time"
)

// frame is a complete frame.
func frame(kind Kind, payload string) []byte {
	return Finish(append(Begin(nil, kind), payload...))
}

func TestFramesRoundTrip(t *testing.T) {
	payloads := []string{"", "a", string(make([]byte, 100)), string(bytes.Repeat([]byte("x"), 5<<20)), "end"}
	var stream []byte
	for i, p := range payloads {
		stream = append(stream, frame(Kind(i+1), p)...)
	}
	for name, from := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)),
		"with the error": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := NewReader(from, 5<<20)
		for i, p := range payloads {
			kind, payload, err := r.Next()
			if kind != Kind(i+1) || string(payload) != p || err != nil {
				t.Fatalf("%s: frame %d: kind %d, %d bytes, %v", name, i, kind, len(payload), err)
			}
		}
		if _, _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: after the end: %v", name, err)
		}
	}
}

func TestFrameLargerThanAllowed(t *testing.T) {
	for _, test := range []struct {
		size, max int
		large     bool
	}{{10, 10, false}, {11, 10, true}, {0, 0, false}, {1, 0, true}, {1 << 20, 1<<20 - 1, true}} {
		_, _, err := NewReader(bytes.NewReader(frame(1, string(make([]byte, test.size)))), test.max).Next()
		if errors.Is(err, ErrTooLarge) != test.large || !test.large && err != nil {
			t.Errorf("%d bytes, limit %d: %v", test.size, test.max, err)
		}
	}
	r := NewReader(bytes.NewReader(append(frame(1, "a"), frame(2, "bcd")...)), 1)
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.SetMax(3)
	if _, payload, err := r.Next(); err != nil || string(payload) != "bcd" {
		t.Errorf("after SetMax: %q, %v", payload, err)
	}
}

func TestFrameTruncatedAtEveryByte(t *testing.T) {
	whole := frame(KindItems, "some payload")
	for n := range len(whole) {
		_, _, err := NewReader(bytes.NewReader(whole[:n]), 100).Next()
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if err != want {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(whole), err, want)
		}
	}
}

// TestLengthIsOnlyAClaim has a frame claim 4 GiB and bring 10 bytes.
func TestLengthIsOnlyAClaim(t *testing.T) {
	src := append(binary.LittleEndian.AppendUint32(nil, math.MaxUint32), byte(KindItems))
	src = append(src, "ten bytes."...)
	grown := allocated(func() {
		if _, _, err := NewReader(bytes.NewReader(src), math.MaxInt).Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("error %v", err)
		}
	})
	if grown > 4*readStep {
		t.Errorf("%d bytes were allocated for 10", grown)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestReaderDoesNotHoldLargeMessages(t *testing.T) {
	stream := append(frame(1, string(make([]byte, 64<<20))), frame(1, "small")...)
	r := NewReader(bytes.NewReader(stream), 64<<20)
	_, _, _ = r.Next()
	if _, payload, err := r.Next(); err != nil || cap(payload) > 2*readStep {
		t.Errorf("a small frame lies in a buffer of %d bytes, %v", cap(payload), err)
	}
}

// message is what all messages are.
type message interface {
	Append([]byte) []byte
	Parse([]byte) error
}

// messages has every message, with all of its fields set and with none.
var messages = []message{
	&Hello{Version, math.MaxInt32}, &Hello{Version: Version},
	&Welcome{Version, 4711, true, []string{"function a", "", "type b"}}, &Welcome{Version: Version, Registered: []string{}},
	&Call{9, true, 3, true, true, time.Second, time.Hour, true, "type", []byte("share")}, &Call{Share: []byte{}},
	&Call{ID: math.MaxUint64, Function: math.MaxInt32, Timeout: math.MaxInt64, Share: []byte{}},
	&Stop{3, 7, []byte("cause")}, &Stop{Index: -1, Cause: []byte{}}, &Stop{Index: math.MaxInt, Cause: []byte{}},
}

func TestMessagesRoundTrip(t *testing.T) {
	for _, m := range messages {
		src := m.Append([]byte("before"))[len("before"):]
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
		if err := got.Parse(src); err != nil {
			t.Errorf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, want %+v", got, m)
		}
		for n := range len(src) {
			if err := got.Parse(src[:n]); err == nil {
				t.Errorf("%T cut to %d of %d bytes was taken", m, n, len(src))
			}
		}
		if err := got.Parse(append(slices.Clone(src), 0)); err == nil {
			t.Errorf("%T with a byte too many was taken", m)
		}
	}
}

func TestOtherVersionsAreNotRead(t *testing.T) {
	var h Hello
	if err := h.Parse([]byte{Version + 1, 0xff, 0xff}); err != nil || h.Version != Version+1 {
		t.Errorf("%+v, %v", h, err)
	}
	var w Welcome
	if err := w.Parse([]byte{Version + 1}); err != nil || w.Version != Version+1 {
		t.Errorf("%+v, %v", w, err)
	}
}

// runs are of items of a fixed size, of none, and of varying size.
var runs = []Run{
	{1, 0, 3, 2, []byte("aabbcc")},
	{2, 300, 5, 0, []byte{}},
	{math.MaxUint64, math.MaxInt, 0, -1, []byte{}},
	{7, 8, 3, -1, []byte("\x01\x00\x00\x00a\x00\x00\x00\x00\x03\x00\x00\x00ccc")},
}

func appendRun(dst []byte, r Run) []byte {
	dst, at := AppendRunHeader(dst, r.Seq, r.Index, r.Size)
	PatchCount(dst, at, r.Count)
	return append(dst, r.Data...)
}

func TestRunsRoundTrip(t *testing.T) {
	for _, want := range runs {
		src := appendRun(nil, want)
		var got Run
		if err := got.Parse(src); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		for n := range len(src) {
			if got.Parse(src[:n]) == nil {
				t.Errorf("%+v cut to %d bytes was read", want, n)
			}
		}
		if got.Parse(append(src, 1)) == nil {
			t.Errorf("%+v and a byte more was read", want)
		}
	}
}

func TestRunsAreSplit(t *testing.T) {
	for _, run := range runs {
		for n := range run.Count + 1 {
			rest := run
			first := rest.Split(n)
			if !Fits(first.Data, n, run.Size) || !Fits(rest.Data, run.Count-n, run.Size) || rest.Count != run.Count-n || first.Count != n ||
				rest.Index != run.Index+n || rest.Seq != run.Seq+uint64(n) || string(first.Data)+string(rest.Data) != string(run.Data) {
				t.Errorf("%+v split at %d is %+v and %+v", run, n, first, rest)
			}
		}
	}
	item, rest := Next(runs[3].Data, -1)
	if string(item) != "a" || len(rest) != len(runs[3].Data)-5 {
		t.Errorf("the first item is %q", item)
	}
	if item, _ := Next(runs[0].Data, 2); string(item) != "aa" {
		t.Errorf("the first item is %q", item)
	}
}

// records is one record of each kind.
var records = []Record{
	{Kind: RecordResult, Seq: 1, Data: []byte("result")},
	{Kind: RecordFailure, Seq: math.MaxUint64, Data: []byte{}},
	{Kind: RecordResults, Seq: 7, Count: 2, Size: 3, Data: []byte("aaabbb")},
	{Kind: RecordRing, Seq: 7, Count: 2, Size: 3, At: 1 << 30, Length: 6},
	{Kind: RecordResults, Seq: 1 << 40, Count: 1, Size: -1, Data: []byte{2, 0, 0, 0, 1, 1}},
	{Kind: RecordStarted, Seq: 3},
	{Kind: RecordDropped, Seq: 4, Last: 5},
	{Kind: RecordRecalled, Seq: 300, Last: 1 << 40},
	{Kind: RecordBusy, Count: math.MaxInt32, Time: math.MaxInt64},
}

func appendRecord(dst []byte, r Record) []byte {
	switch r.Kind {
	case RecordResult, RecordFailure:
		dst, at := AppendRecordHeader(dst, r.Kind, r.Seq)
		dst = append(dst, r.Data...)
		PatchLength(dst, at)
		return dst
	case RecordResults:
		return AppendResults(dst, r.Seq, r.Count, r.Size, r.Data)
	case RecordRing:
		return AppendRing(dst, r.Seq, r.Count, r.Size, r.At, r.Length)
	case RecordStarted:
		return AppendStarted(dst, r.Seq)
	case RecordBusy:
		return AppendBusy(dst, r.Count, r.Time)
	default:
		return AppendDropped(dst, r.Kind, r.Seq, r.Last)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	var src []byte
	for _, r := range records {
		start := len(src)
		src = appendRecord(src, r)
		for n := start + 1; n < len(src); n++ {
			if got, err := ReadRecord(NewCursor(src[start:n])); err == nil {
				t.Errorf("%+v cut to %d bytes was read as %+v", r, n-start, got)
			}
		}
	}
	c := NewCursor(src)
	for _, want := range records {
		if got, err := ReadRecord(c); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if err := c.End(); err != nil {
		t.Error(err)
	}
	for _, kind := range []RecordKind{0, RecordBusy + 1, 255} {
		if _, err := ReadRecord(NewCursor([]byte{byte(kind), 1, 1, 1, 1, 1, 1})); err == nil {
			t.Errorf("kind %d was read", kind)
		}
	}
	if took := AppendBusy(nil, 1, -time.Second); took[2] != 0 {
		t.Error("a negative time was written")
	}
}

func TestCursorStaysAtItsFirstError(t *testing.T) {
	src := AppendBytes(AppendInt(nil, -5), "text")
	c := NewCursor(src)
	if v, s := c.Int(), c.CopyBytes(); v != -5 || string(s) != "text" || c.End() != nil {
		t.Fatalf("%d, %q, %v", v, s, c.End())
	}
	c = NewCursor([]byte{0xff, 1, 2, 3})
	if v := c.Uint(100); v != 0 || c.Err() == nil {
		t.Errorf("a number over the limit was read as %d", v)
	}
	if c.Byte() != 0 || c.Uint(9) != 0 || c.Int() != 0 || c.Uint32() != 0 || c.Bytes() != nil || c.String() != "" || c.Len() != 0 {
		t.Error("something was read behind an error")
	}
	if !errors.Is(c.End(), ErrMalformed) {
		t.Errorf("End = %v", c.End())
	}
}
