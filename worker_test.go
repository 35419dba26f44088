package parallel

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"example.com/parallel/internal/wire"
)

// The worker's side by itself, where the order in which frames arrive decides.

// newTestWorker returns a worker whose items are not run, and its results.
func newTestWorker(t *testing.T) (*worker, *wire.Reader) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	wk := newWorker(nil)
	wk.out, wk.maxBytes = newOutbox(w, nil), 1000
	return wk, wire.NewReader(r, maxFrame)
}

// give has w take a frame.
func give(t *testing.T, w *worker, frame []byte) {
	t.Helper()
	kind, payload := wire.Kind(frame[4]), wire.Finish(frame)[5:]
	if err := w.take(kind, payload); err != nil {
		t.Fatal(err)
	}
}

func giveCall(t *testing.T, w *worker, id uint64, known bool) {
	t.Helper()
	f, err := lookup(identify("Map", double))
	if err != nil {
		t.Fatal(err)
	}
	give(t, w, (&wire.Call{ID: id, Known: known, Function: f.id}).Append(wire.Begin(nil, wire.KindCall)))
}

func giveStop(t *testing.T, w *worker, id uint64, index int) {
	t.Helper()
	give(t, w, (&wire.Stop{ID: id, Index: index, Cause: appendError(nil, errKnown)}).Append(wire.Begin(nil, wire.KindStop)))
}

// giveItems gives items, with numbers a hundred above their indices.
func giveItems(t *testing.T, w *worker, indices ...int) {
	t.Helper()
	for _, i := range indices {
		frame, at := wire.AppendRunHeader(wire.Begin(nil, wire.KindItems), uint64(100+i), i, 0)
		wire.PatchCount(frame, at, 1)
		give(t, w, frame)
	}
}

// queue is the indices of the items that w has not started.
func (w *worker) waiting() (indices []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, run := range w.queue {
		for i := range run.Count {
			indices = append(indices, run.Index+i)
		}
	}
	return indices
}

// nextRecord is the next thing that the worker says besides how busy it is.
func nextRecord(t *testing.T, from *wire.Reader) wire.Record {
	t.Helper()
	kind, payload, err := from.Next()
	if err != nil || kind != wire.KindResults {
		t.Fatalf("a frame of kind %d, %v", kind, err)
	}
	r, err := wire.ReadRecord(wire.NewCursor(payload))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWorkerDropsWhatIsNotWanted(t *testing.T) {
	w, results := newTestWorker(t)
	giveCall(t, w, 1, false)
	giveItems(t, w, 1, 2, 3)
	giveStop(t, w, 1, 2)
	if got := w.waiting(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("after a stop at 2: %v", got)
	}
	if r := nextRecord(t, results); r.Kind != wire.RecordDropped || r.Seq != 103 || r.Last != 103 {
		t.Errorf("it said %+v", r)
	}
	giveItems(t, w, 0, 4) // they were on their way
	if got := w.waiting(); !slices.Equal(got, []int{1, 2, 0}) {
		t.Errorf("what came behind the stop: %v", got)
	}
	if r := nextRecord(t, results); r.Kind != wire.RecordDropped || r.Seq != 104 {
		t.Errorf("it said %+v", r)
	}
	giveStop(t, w, 1, 5)
	giveItems(t, w, 3)
	if got := w.waiting(); slices.Contains(got, 3) {
		t.Errorf("a later stop brought items back: %v", got)
	}
	if r := nextRecord(t, results); r.Seq != 103 {
		t.Errorf("it said %+v", r)
	}
}

func TestWorkerAnswersRecalls(t *testing.T) {
	w, results := newTestWorker(t)
	giveCall(t, w, 1, false)
	for _, test := range []struct {
		items       []int
		first, last uint64
	}{{nil, 0, 0}, {[]int{7}, 107, 107}, {[]int{1, 2, 3}, 101, 103}, {nil, 0, 0}} {
		giveItems(t, w, test.items...)
		give(t, w, wire.Begin(nil, wire.KindRecall))
		r := nextRecord(t, results)
		if r.Kind != wire.RecordRecalled || r.Seq != test.first || r.Last != test.last || len(w.waiting()) != 0 {
			t.Errorf("recall of %v: it said %+v and kept %v", test.items, r, w.waiting())
		}
	}
}

func TestWorkerTellsCallsApart(t *testing.T) {
	w, _ := newTestWorker(t)
	giveCall(t, w, 1, false)
	first := w.call
	giveCall(t, w, 2, false)
	second := w.call
	giveItems(t, w, 8, 9)
	giveStop(t, w, 7, -1) // of a call that it never knew
	giveStop(t, w, 1, 3)  // of one that it is not serving
	w.fail(1, 2, first, errKnown)
	if got := w.waiting(); !slices.Equal(got, []int{8, 9}) {
		t.Errorf("news of one call cost another items: %v are left", got)
	}
	if second.ctx.Err() != nil {
		t.Error("news of one call ended the context of another")
	}
	give(t, w, wire.Begin(nil, wire.KindRecall))
	giveCall(t, w, 1, true)
	if w.call != first || first.bound != 2 {
		t.Errorf("a call that goes on is another, or has forgotten its bound: %+v", w.call)
	}
	ctx := first.ctx
	giveStop(t, w, 1, -1)
	if !errors.Is(context.Cause(ctx), errKnown) || len(w.calls) != 1 {
		t.Errorf("after the end of a call, its context says %v, %d calls are known", context.Cause(ctx), len(w.calls))
	}
	frame := wire.Finish((&wire.Call{ID: 1, Known: true}).Append(wire.Begin(nil, wire.KindCall)))
	if err := w.take(wire.KindCall, frame[5:]); err == nil {
		t.Error("a call that has ended goes on")
	}
}

// TestEndOfAPartTouchesItsOwnCallOnly has the parent go on to its next call while
// the executor is still ending the last part of the one before, whose bound is lower
// than what the next call's items are numbered.
func TestEndOfAPartTouchesItsOwnCallOnly(t *testing.T) {
	w, results := newTestWorker(t)
	giveCall(t, w, 1, false)
	giveItems(t, w, 5)
	items, _ := w.next()
	if r := nextRecord(t, results); r.Kind != wire.RecordStarted || items.Index != 5 {
		t.Fatalf("it started %+v and said %+v", items.Run, r)
	}
	giveStop(t, w, 1, 3)
	giveCall(t, w, 2, false)
	giveItems(t, w, 8, 9)
	p := &part{items: items.Run, begun: items.Count, brake: &w.brake, out: w.out}
	w.endPart(p, items.call, nil)
	if got := w.waiting(); !slices.Equal(got, []int{8, 9}) {
		t.Errorf("of items 8 and 9 of the other call, %v are left", got)
	}
	w.fail(105, 5, items.call, errKnown)
	giveStop(t, w, 1, -1)
	if got := w.waiting(); !slices.Equal(got, []int{8, 9}) {
		t.Errorf("after a failure and the end of the first call, %v are left", got)
	}
	giveStop(t, w, 2, 8)
	if got := w.waiting(); !slices.Equal(got, []int{8}) {
		t.Errorf("after a stop of their own call, %v are left", got)
	}
}

func TestWorkerRefusesWhatItCannotUnderstand(t *testing.T) {
	w, _ := newTestWorker(t)
	for _, test := range []struct {
		kind    wire.Kind
		payload []byte
	}{
		{0, nil}, {99, nil}, {wire.KindHello, nil}, {wire.KindResults, nil}, {wire.KindItems, []byte{1}},
		{wire.KindCall, []byte("nonsense")}, {wire.KindStop, []byte{1}},
		{wire.KindCall, (&wire.Call{Function: 1 << 30}).Append(nil)},
		{wire.KindStop, (&wire.Stop{Cause: []byte{0xff}}).Append(nil)},
	} {
		if err := w.take(test.kind, test.payload); err == nil {
			t.Errorf("a frame of kind %d with %x was taken", test.kind, test.payload)
		}
	}
}

// TestOutboxIsWrittenInTime has a record wait for others that do not come.
func TestOutboxIsWrittenInTime(t *testing.T) {
	w, results := newTestWorker(t)
	w.out.mapped = true // as far as the timer is concerned
	frame, at := outcome(nil, wire.RecordResult, 5)
	w.out.begin(5)
	w.out.finish(frame, at)
	if r := nextRecord(t, results); r.Kind != wire.RecordResult || r.Seq != 5 {
		t.Errorf("it said %+v", r)
	}
}

// TestOutboxNeverOverflows has records of all sizes, up to more than it holds.
func TestOutboxNeverOverflows(t *testing.T) {
	w, results := newTestWorker(t)
	var sizes []int
	for size := 1; size < 4*outboxSize; size = size*3 + 1 {
		sizes = append(sizes, size, outboxFull-size%100, 10, 0)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i, size := range sizes {
			w.out.begin(uint64(i))
			frame, at := outcome(nil, wire.RecordResult, uint64(i))
			w.out.finish(append(frame, make([]byte, size)...), at)
		}
		w.out.rest()
	}()
	seen := 0
	for seen < len(sizes) {
		_, payload, err := results.Next()
		if err != nil {
			t.Fatal(err)
		}
		for c := wire.NewCursor(payload); c.Len() > 0; {
			r, err := wire.ReadRecord(c)
			if err != nil {
				t.Fatal(err)
			}
			if c.Len() > outboxSize {
				t.Errorf("%d bytes behind a record: the parent will not have that", c.Len())
			}
			if r.Kind != wire.RecordResult {
				continue
			}
			if r.Seq != uint64(seen) || len(r.Data) != sizes[seen] {
				t.Fatalf("result %d of %d bytes, want %d of %d", r.Seq, len(r.Data), seen, sizes[seen])
			}
			seen++
		}
	}
	<-done
}

// TestShareIsSentOnceToEachWorker has two calls take turns on a worker.
func TestShareIsSentOnceToEachWorker(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	type call struct {
		share memo
		ran   chan struct{}
	}
	calls := [2]*call{}
	for i := range calls {
		calls[i] = &call{memo{Log: t.TempDir() + "/log"}, make(chan struct{})}
	}
	done := make(chan struct{})
	for i, c := range calls {
		other := calls[1-i]
		go func() {
			defer func() { done <- struct{}{} }()
			n := 0
			endless := func(yield func(int) bool) {
				for i := 0; yield(i); i++ {
					select {
					case <-other.ran:
						if i > 1000 {
							return
						}
					default:
					}
				}
			}
			for _, err := range MapSeq(patient(t), endless, readMemo, On(pool), Share(c.share)) {
				if err != nil {
					t.Error(err)
				}
				if n++; n == 1000 {
					close(c.ran)
				}
			}
		}()
	}
	<-done
	<-done
	for i, c := range calls {
		if log, _ := os.ReadFile(c.share.Log); len(log) != 1 {
			t.Errorf("the value of call %d was decoded %d times in one worker", i, len(log))
		}
	}
}

func init() { Register(readMemo) }

// memo leaves a byte in a file whenever it is decoded.
type memo struct{ Log string }

func (m memo) MarshalBinary() ([]byte, error) { return []byte(m.Log), nil }

func (m *memo) UnmarshalBinary(b []byte) error {
	m.Log = string(b)
	f, err := os.OpenFile(m.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write([]byte{'x'})
	return err
}

func readMemo(ctx context.Context, i int) (int, error) {
	if _, ok := Shared[memo](ctx); !ok {
		return 0, errors.New("nothing is shared")
	}
	return i, nil
}

// TestGoexitInACallbackEndsTheCall has OnProgress call Goexit, as t.FailNow does.
func TestGoexitInACallbackEndsTheCall(t *testing.T) {
	for _, opts := range [][]Option{nil, {KeepGoing()}} {
		everywhere(t, 2, func(t *testing.T, where Option) {
			ended := make(chan any)
			go func() {
				defer func() { ended <- recover() }()
				_, err := Map(t.Context(), count(1000), failAt, append(opts, where, OnProgress(func(done, _ int) {
					if done == 10 {
						goexits(t.Context(), 1)
					}
				}))...)
				t.Errorf("Map returned %v", err)
			}()
			select {
			case v := <-ended:
				if v != ErrGoexit {
					t.Errorf("the call ended with %v", v)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the call hangs")
			}
		})
	}
}

func init() { Register(tryst) }

// meeting is an item that takes the time and then waits for a file. Most do
// neither.
type meeting struct {
	For  time.Duration
	With string
}

func tryst(ctx context.Context, m meeting) (int, error) {
	time.Sleep(m.For) // allowed: longer than the outbox waits, which decides nothing if it works
	for m.With != "" && !exists(m.With) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	return 0, nil
}

// TestItemsOfAPartWaitForEachOther has an item wait for what the parent does when
// it learns of one that is before it in the same part, behind a long one.
func TestItemsOfAPartWaitForEachOther(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	if _, err := Map(patient(t), make([]meeting, 50_000), tryst, On(pool)); err != nil { // so that it is known as cheap
		t.Fatal(err)
	}
	file := t.TempDir() + "/met"
	items := make([]meeting, 100)
	items[3].For = 5 * outboxDelay
	items[6].With = file
	_, err := Map(patient(t), items, tryst, On(pool), OnProgress(func(done, _ int) {
		if done == 6 {
			_ = os.WriteFile(file, nil, 0o600)
		}
	}))
	if err != nil {
		t.Error(err)
	}
}
