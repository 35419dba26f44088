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

// frame is a complete frame, the first of its stream.
func frame(kind Kind, payload string) []byte {
	f := Finish(append(Begin(nil, kind), payload...))
	new(Sealer).Seal(f)
	return f
}

// stream is frames that follow one another.
func stream(frames ...[]byte) []byte {
	all := slices.Concat(frames...)
	new(Sealer).Seal(all)
	return all
}

func TestFramesRoundTrip(t *testing.T) {
	payloads := []string{"", "a", string(make([]byte, 100)), string(bytes.Repeat([]byte("x"), 5<<20)), "end"}
	var frames [][]byte
	for i, p := range payloads {
		frames = append(frames, frame(Kind(i+1), p))
	}
	stream := stream(frames...)
	for name, from := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)),
		"a byte at a time": &smallReads{stream, 1}, "a header and a byte at a time": &smallReads{stream, HeaderLen + 1},
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
		if errors.Is(err, ErrProtocol) != test.large || !test.large && err != nil {
			t.Errorf("%d bytes, limit %d: %v", test.size, test.max, err)
		}
	}
	r := NewReader(bytes.NewReader(stream(frame(1, "a"), frame(2, "bcd"))), 1)
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
	src := Begin(nil, KindItems)
	binary.LittleEndian.PutUint32(src, math.MaxUint32)
	new(Sealer).Seal(src)
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
	r := NewReader(bytes.NewReader(stream(frame(1, string(make([]byte, 64<<20))), frame(1, "small"))), 64<<20)
	_, _, _ = r.Next()
	if _, payload, err := r.Next(); err != nil || cap(payload) > 2*readStep {
		t.Errorf("a small frame lies in a buffer of %d bytes, %v", cap(payload), err)
	}
}

// smallReads reads n bytes at a time, but for a long run of the same byte.
type smallReads struct {
	src []byte
	n   int
}

func (r *smallReads) Read(b []byte) (int, error) {
	if len(r.src) == 0 {
		return 0, io.EOF
	}
	n := min(r.n, len(b), len(r.src))
	if len(r.src) > 1000 {
		n = min(max(n, len(r.src)-1000), len(b))
	}
	copy(b, r.src[:n])
	r.src = r.src[n:]
	return n, nil
}

// TestWhatIsNoFrame has something stand where the second frame of a stream should, or be
// missing there.
func TestWhatIsNoFrame(t *testing.T) {
	first, second, third := frame(KindHello, "hello"), frame(KindResults, "results"), frame(KindResults, "more")
	whole := stream(first, second, third)
	one, two := whole[:len(first)], whole[len(first):len(first)+len(second)]
	for _, test := range []struct {
		name string
		src  []byte
	}{
		{"text", slices.Concat(one, []byte("GET / HTTP/1.0\r\n\r\n"), two)},
		{"a byte", slices.Concat(one, []byte{1}, two)},
		{"zeros", slices.Concat(one, make([]byte, 500))},
		{"ones", slices.Concat(one, bytes.Repeat([]byte{0xff}, 500))},
		{"the first again", slices.Concat(one, one, two)},
		{"the third", slices.Concat(one, whole[len(first)+len(second):])},
		{"a frame that is not numbered", slices.Concat(one, Finish(Begin(nil, KindResults)))},
		{"a frame of another stream", slices.Concat(one, second)},
		{"all but its first byte", slices.Concat(one, two[1:], make([]byte, 20))},
	} {
		r := NewReader(bytes.NewReader(test.src), 100)
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if kind, payload, err := r.Next(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: kind %d, %q, %v", test.name, kind, payload, err)
		}
	}
}

// TestEveryBitOfAHeaderCounts changes each bit of a header.
func TestEveryBitOfAHeaderCounts(t *testing.T) {
	for bit := range 8 * HeaderLen {
		src := append(frame(KindItems, "payload"), make([]byte, 1000)...)
		src[bit/8] ^= 1 << (bit % 8)
		if kind, payload, err := NewReader(bytes.NewReader(src), math.MaxInt).Next(); !errors.Is(err, ErrProtocol) {
			t.Errorf("bit %d: kind %d, %q, %v", bit, kind, payload, err)
		}
	}
}

// TestNumbersGoRound has a stream of more frames than a header has numbers.
func TestNumbersGoRound(t *testing.T) {
	s, r := Sealer{next: 1<<24 - 2}, Reader{number: 1<<24 - 2}
	frames := bytes.Repeat(Finish(Begin(nil, KindRecall)), 4)
	s.Seal(frames)
	r.r, r.max = NewReader(bytes.NewReader(frames), 0).r, 0
	for range 4 {
		if kind, _, err := r.Next(); kind != KindRecall || err != nil {
			t.Fatal(kind, err)
		}
	}
}

// TestPartial has a Reader wait in the middle of a frame.
func TestPartial(t *testing.T) {
	src, dst := io.Pipe()
	r := NewReader(src, 100)
	f := frame(KindItems, "payload")
	next := make(chan error)
	read := func() { _, _, err := r.Next(); next <- err }
	for _, cut := range []int{1, HeaderLen - 1, HeaderLen, HeaderLen + 1, len(f) - 1} {
		r.number = 0
		go read()
		before, waiting := r.Partial()
		if waiting {
			t.Errorf("cut at %d: it waits before the start", cut)
		}
		_, _ = dst.Write(f[:cut])
		for waiting = false; !waiting; _, waiting = r.Partial() {
			runtime.Gosched()
		}
		_, _ = dst.Write(f[cut:])
		if err := <-next; err != nil {
			t.Fatal(err)
		}
		if after, waiting := r.Partial(); waiting || after == before {
			t.Errorf("cut at %d: it waits behind the end, %v, or has received nothing, %d", cut, waiting, after)
		}
	}
}

// message is what all messages are.
type message interface {
	Append([]byte) []byte
	Parse([]byte) error
}

// messages has every message, with all of its fields set and with none.
var messages = []message{
	&Hello{Version, math.MaxInt32, math.MaxInt64}, &Hello{Version: Version},
	&Welcome{Version, 4711, true, math.MaxInt64, []string{"function a", "", "type b"}}, &Welcome{Version: Version, Registered: []string{}},
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
	{Kind: RecordAllowance, Memory: math.MaxInt64},
	{Kind: RecordOutgrown, Memory: 1 << 40, Seq: 7, Last: 300},
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
	case RecordAllowance:
		return AppendAllowance(dst, r.Memory)
	case RecordOutgrown:
		return AppendOutgrown(dst, r.Memory, r.Seq, r.Last)
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
	for _, kind := range []RecordKind{0, RecordOutgrown + 1, 255} {
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

// TestCutInRecords has a stream end at every byte of a frame of records, and at some of what
// is none.
func TestCutInRecords(t *testing.T) {
	var all []byte
	for _, r := range records {
		all = appendRecord(all, r)
	}
	results := frame(KindResults, string(all))
	for n := range len(results) + 1 {
		r := NewReader(bytes.NewReader(results[:n]), len(results))
		_, _, _ = r.Next()
		if !r.CutInRecords() {
			t.Errorf("%d of %d bytes cannot be the start", n, len(results))
		}
	}
	for name, payload := range map[string]string{
		"text":                               "GET / HTTP/1.0",
		"zeros":                              string(make([]byte, 10)),
		"a record of no kind":                string(append(appendRecord(nil, records[0]), 77)),
		"data that is longer than the frame": string([]byte{byte(RecordResult), 1, 0xff, 0xff, 0xff, 0x7f, 1}),
		"results that do not fit":            string([]byte{byte(RecordResults), 1, 3, 3, 2, 0, 0, 0, 1, 1, 1}),
		"a number that is none":              string(append([]byte{byte(RecordResult)}, bytes.Repeat([]byte{0xff}, 20)...)),
		"numbers without end":                string(append([]byte{byte(RecordBusy)}, bytes.Repeat([]byte{0xff}, 60)...)),
	} {
		f := append(Begin(nil, KindResults), payload...)
		binary.LittleEndian.PutUint32(f, 1000)
		new(Sealer).Seal(f)
		r := NewReader(bytes.NewReader(f), 1000)
		if _, _, err := r.Next(); err != io.ErrUnexpectedEOF || r.CutInRecords() {
			t.Errorf("%s: %v, and it may be the start of records", name, err)
		}
	}
	r := NewReader(bytes.NewReader(frame(KindStop, "all of it")[:15]), 1000)
	if _, _, err := r.Next(); err != io.ErrUnexpectedEOF || r.CutInRecords() {
		t.Errorf("%v, and another kind may be the start of records", err)
	}
}
