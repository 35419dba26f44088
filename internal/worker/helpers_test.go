package worker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

var errKnown = errors.New("known")

// endings are the ways in which code of the user's ends, other than a return.
var endings = map[string]func(){
	"panic":  func() { panic("oh") },
	"goexit": runtime.Goexit,
	"panic during goexit": func() {
		defer func() { panic("oh") }()
		runtime.Goexit()
	},
}

// methodError is an error whose Error method does not return.
type methodError struct{ end func() }

func (e *methodError) Error() string {
	e.end()
	return ""
}

// panicError is what plainErrors makes of a panic. If its value is an error, its text is
// that of the value, which is asked for it late.
type panicError struct{ value any }

func (e *panicError) Error() string {
	if err, ok := e.value.(error); ok {
		return err.Error()
	}
	return fmt.Sprint("panic: ", e.value)
}

// plainErrors carries an error as its text.
type plainErrors struct{}

func (plainErrors) Recovered(v any) error {
	if v == nil {
		return errors.New("goexit")
	}
	return &panicError{v}
}

func (plainErrors) Append(dst *[]byte, err error) {
	text := ""
	defer func() { *dst = append(*dst, text...) }()
	guard.Catch(func() { text = err.Error() }, func(v any) { text = plainErrors{}.Recovered(v).Error() })
}

func (plainErrors) Parse(src []byte, into *error) (malformed error) {
	switch text := string(src); {
	case endings[text] != nil:
		guard.Catch(endings[text], func(v any) { *into = plainErrors{}.Recovered(v) })
	case text == "known":
		*into = errKnown
	case text == "\xff":
		*into, malformed = wire.ErrMalformed, wire.ErrMalformed
	default:
		*into = errors.New(text)
	}
	return malformed
}

// The functions that test workers know.
const (
	fnDouble = iota // of ints whose encoding is their memory
	fnObey          // of texts: does what they say, or returns them
	fnPage          // of ints, which fill results of shm.RingRoom bytes
	functions
)

// double is the typed loop of a function from int64 to int64.
func double(_ context.Context, p *Part) error {
	plain(p, 8, func(item, result []byte) {
		binary.NativeEndian.PutUint64(result, 2*binary.NativeEndian.Uint64(item))
	})
	return nil
}

// page is the typed loop of a function from int64 to a page of its lowest byte.
func page(_ context.Context, p *Part) error {
	plain(p, shm.RingRoom, func(item, result []byte) {
		copy(result, bytes.Repeat(item[:1], shm.RingRoom))
	})
	return nil
}

// plain is the typed loop of f, from int64 to results of that size.
func plain(p *Part, size int, f func(item, result []byte)) {
	for p.More(p.Begun()) {
		first, n, at := p.Some(size)
		out := unsafe.Slice(at, n*size)
		for i := first; i < first+n && p.More(i); i++ {
			p.Begin(i)
			f(p.Data()[8*i:][:8], out[(i-first)*size:][:size])
			p.Commit(size)
		}
	}
}

// hooks let a test take part in what its worker runs.
type hooks struct {
	running chan string   // told of items that wait
	release chan struct{} // ends an item "gate"
	swell   func(int64)   // has the worker be so large, for an item "swell n"; nil: there is none
}

// obey is the typed loop of a function from text to text.
func (h *hooks) obey(ctx context.Context, p *Part) error {
	for p.More(p.Begun()) {
		item := string(p.Next())
		result := item
		if err := end(item); err != nil {
			return err
		}
		switch {
		case item == "wait":
			h.running <- item
			<-ctx.Done()
			return context.Cause(ctx)
		case item == "gate":
			h.running <- item
			<-h.release
		case item == "shared":
			result = fmt.Sprint(ctx.Value(sharedKey{}))
		case item == "limits":
			_, deadline := ctx.Deadline()
			result = fmt.Sprint(p.Timeout(), p.Limit(), p.ItemSize(), deadline)
		case strings.HasPrefix(item, "swell "):
			var n int64
			if _, err := fmt.Sscanf(item, "swell %d", &n); err != nil {
				return err
			}
			h.swell(n)
			result = "swell"
		case strings.HasPrefix(item, "grow "):
			var n int
			if _, err := fmt.Sscanf(item, "grow %d", &n); err != nil {
				return err
			}
			result = grown(n)
		}
		p.Put(append(p.Buffer(), result...))
	}
	return nil
}

// end ends as an item says that is in endings, or begins with "fail". If it says also how a
// method ends, as in "fail, then goexit", that is a method of the error, or of the value that
// it panics with.
func end(item string) error {
	how, method, _ := strings.Cut(item, ", then ")
	switch f := endings[how]; {
	case method == "" && f != nil:
		f()
	case method == "" && strings.HasPrefix(item, "fail"):
		return errors.New(item)
	case how == "fail":
		return &methodError{endings[method]}
	case how == "panic":
		panic(&methodError{endings[method]})
	case how == "panic during goexit":
		defer func() { panic(&methodError{endings[method]}) }()
		runtime.Goexit()
	}
	return nil
}

// grown is the result of an item that says "grow n".
func grown(n int) string { return strings.Repeat(string(rune('a'+n%26)), n) }

type sharedKey struct{}

func newConfig(h *hooks) Config {
	all := [functions]*Function{
		fnDouble: {Run: double, ResultSize: 8, Cost: new(cost.Estimate)},
		fnObey:   {Run: h.obey, ResultSize: -1, Cost: new(cost.Estimate)},
		fnPage:   {Run: page, ResultSize: shm.RingRoom, Cost: new(cost.Estimate)},
	}
	return Config{
		Function: func(id int) (*Function, error) {
			if id >= len(all) {
				return nil, fmt.Errorf("unknown function %d", id)
			}
			return all[id], nil
		},
		Table:  func() []string { return []string{"double", "obey"} },
		Errors: plainErrors{},
		Shared: func(ctx context.Context, typ string, data []byte) context.Context {
			return context.WithValue(ctx, sharedKey{}, typ+"="+string(data))
		},
	}
}

// requests is the reading end of a pipe. It tells when it is polled, which only the
// executor does.
type requests struct {
	*os.File
	polled chan struct{}
}

func (r requests) Poll(time.Duration) bool {
	select {
	case r.polled <- struct{}{}:
	default:
	}
	return false
}

// newSegment returns a segment and a mapping of it; the test is skipped if this system has
// none.
func newSegment(t *testing.T) (*shm.Segment, *shm.Mapping) {
	t.Helper()
	s, err := shm.Create(shm.Options{})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no segments on this system")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	up, down := s.Inherit()
	defer down.Close()
	m, err := shm.Map(up, down)
	if err != nil {
		t.Skip(err)
	}
	return s, m
}

// parent is the other side of a worker.
type parent struct {
	t        *testing.T
	requests *os.File
	results  *os.File
	frames   *wire.Reader
	sealer   wire.Sealer
	segment  *shm.Segment // nil if the worker's memory is private
	dead     chan struct{}
	config   Config
	hooks    hooks
	polled   chan struct{} // the executor has polled
	said     []string      // by the worker, and not returned by next yet
}

// newParent returns the parent of a worker with that link, which the caller starts with the
// parent's config. Its Die ends the goroutine that calls it.
func newParent(t *testing.T, shared bool) (*parent, Link) {
	t.Helper()
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close(); r.Close() })
		return r, w
	}
	p := &parent{t: t, dead: make(chan struct{}), polled: make(chan struct{}, 1), hooks: hooks{running: make(chan string), release: make(chan struct{})}}
	p.config = newConfig(&p.hooks)
	var l Link
	var in *os.File
	in, p.requests = pipe()
	p.results, l.Results = pipe()
	l.Requests = requests{in, p.polled}
	if shared {
		p.segment, l.Shared = newSegment(t)
	}
	died := sync.OnceFunc(func() { close(p.dead) })
	l.Die = func() {
		died()
		runtime.Goexit()
	}
	if err := p.results.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	p.frames = wire.NewReader(p.results, wire.MaxFrame)
	return p, l
}

// costs makes the items of a function known to take so long.
func (p *parent) costs(id int, d time.Duration) {
	p.t.Helper()
	f, err := p.config.Function(id)
	if err != nil {
		p.t.Fatal(err)
	}
	f.Cost.Set(d)
}

// send sends a frame that was begun.
func (p *parent) send(frame []byte) {
	p.t.Helper()
	frame = slices.Clone(wire.Finish(frame))
	p.sealer.Seal(frame)
	if _, err := p.requests.Write(frame); err != nil {
		p.t.Fatal(err)
	}
}

func helloFrame(m wire.Hello) []byte { return m.Append(wire.Begin(nil, wire.KindHello)) }

// hello is what the parent says first.
var hello = wire.Hello{Version: wire.Version, MaxMessage: 1 << 30}

func callFrame(m wire.Call) []byte { return m.Append(wire.Begin(nil, wire.KindCall)) }

func stopFrame(id uint64, index int, cause string) []byte {
	return (&wire.Stop{ID: id, Index: index, Cause: []byte(cause)}).Append(wire.Begin(nil, wire.KindStop))
}

func recallFrame() []byte { return wire.Begin(nil, wire.KindRecall) }

// intsFrame has items for fnDouble.
func intsFrame(seq uint64, index int, items ...uint64) []byte {
	frame, at := wire.AppendRunHeader(wire.Begin(nil, wire.KindItems), seq, index, 8)
	for _, v := range items {
		frame = binary.NativeEndian.AppendUint64(frame, v)
	}
	wire.PatchCount(frame, at, len(items))
	return frame
}

// textsFrame has items for fnObey.
func textsFrame(seq uint64, index int, items ...string) []byte {
	frame, at := wire.AppendRunHeader(wire.Begin(nil, wire.KindItems), seq, index, -1)
	for _, s := range items {
		frame = append(binary.LittleEndian.AppendUint32(frame, uint32(len(s))), s...)
	}
	wire.PatchCount(frame, at, len(items))
	return frame
}

// next is the next thing that the worker says, in words; how busy it is does not count.
func (p *parent) next() string {
	p.t.Helper()
	for len(p.said) == 0 {
		kind, payload, err := p.frames.Next()
		if err != nil || kind != wire.KindResults {
			p.t.Fatalf("a frame of kind %d, %v", kind, err)
		}
		for c := wire.NewCursor(payload); c.Len() > 0; {
			r, err := wire.ReadRecord(c)
			if err != nil {
				p.t.Fatal(err)
			}
			if c.Len() > shm.RecordsSize {
				p.t.Errorf("%d bytes behind a record: the parent will not have that", c.Len())
			}
			p.said = append(p.said, p.words(r)...)
		}
	}
	s := p.said[0]
	p.said = p.said[1:]
	return s
}

// words is what a record says.
func (p *parent) words(r wire.Record) (said []string) {
	switch r.Kind {
	case wire.RecordResult:
		return []string{fmt.Sprintf("result %d: %s", r.Seq, short(r.Data))}
	case wire.RecordRing:
		if p.segment == nil || !p.segment.CheckResults(r.At, r.Length, wire.MaxFrame) {
			p.t.Fatalf("results that cannot be there: %+v", r)
		}
		r.Data = make([]byte, r.Length)
		if err := p.segment.ReadResults(r.Data, r.At); err != nil {
			p.t.Fatal(err)
		}
		p.segment.Taken(r.Seq + uint64(r.Count))
		fallthrough
	case wire.RecordResults:
		if !wire.Fits(r.Data, r.Count, r.Size) {
			p.t.Fatalf("results that do not fit: %+v", r)
		}
		for i := range r.Count {
			var result []byte
			result, r.Data = wire.Next(r.Data, r.Size)
			text := short(result)
			if r.Size == 8 {
				text = fmt.Sprint(binary.NativeEndian.Uint64(result))
			}
			said = append(said, fmt.Sprintf("result %d: %s", r.Seq+uint64(i), text))
		}
		return said
	case wire.RecordFailure:
		return []string{fmt.Sprintf("failure %d: %s", r.Seq, short(r.Data))}
	case wire.RecordStarted:
		return []string{fmt.Sprintf("started %d", r.Seq)}
	case wire.RecordDropped: // in one record or in several, depending on the quanta
		for seq := r.Seq; seq <= r.Last; seq++ {
			said = append(said, fmt.Sprintf("dropped %d", seq))
		}
		return said
	case wire.RecordAllowance:
		return []string{fmt.Sprintf("may have %d", r.Memory)}
	case wire.RecordOutgrown:
		if r.Last == 0 {
			return []string{"outgrown"}
		}
		for seq := r.Seq; seq <= r.Last; seq++ {
			said = append(said, fmt.Sprintf("outgrown %d", seq))
		}
		return said
	case wire.RecordRecalled:
		return []string{fmt.Sprintf("recalled %d-%d", r.Seq, r.Last)}
	}
	return nil // how busy it is
}

// short is b, or how long it is if it is long and repeats one byte.
func short(b []byte) string {
	if len(b) > 100 && bytes.Count(b, b[:1]) == len(b) {
		return fmt.Sprintf("%d bytes", len(b))
	}
	return string(b)
}

// expect checks what the worker says next. That an item starts it says only if its memory
// is private.
func (p *parent) expect(want ...string) {
	p.t.Helper()
	if p.segment != nil {
		want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(s, "started") })
	}
	for _, s := range want {
		if got := p.next(); got != s {
			p.t.Fatalf("the worker said %q, want %q", got, s)
		}
	}
}

// await waits for a channel that something is sent to, or that is closed.
func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing happens")
	}
	return v
}

// everywhere runs test with memory of both kinds.
func everywhere(t *testing.T, test func(t *testing.T, shared bool)) {
	t.Run("private", func(t *testing.T) { test(t, false) })
	t.Run("shared", func(t *testing.T) { test(t, true) })
}
