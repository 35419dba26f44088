package worker

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// Workers whose items are not run, where the order in which frames arrive decides.

// newTestWorker returns a worker that is handed frames by the test, and what it says.
func newTestWorker(t *testing.T, shared bool) (*worker, *parent) {
	t.Helper()
	p, l := newParent(t, shared)
	w := newWorker(l, p.config)
	w.prepare()
	w.maxBytes = 1000
	return w, p
}

// give has w do what a frame says.
func give(t *testing.T, w *worker, frame []byte) {
	t.Helper()
	if err := w.handle(wire.Kind(frame[4]), frame[wire.HeaderLen:]); err != nil {
		t.Fatal(err)
	}
}

// giveItems gives items, with numbers a hundred above their indices.
func giveItems(t *testing.T, w *worker, indices ...int) {
	t.Helper()
	for _, i := range indices {
		give(t, w, intsFrame(uint64(100+i), i, uint64(i)))
	}
}

// waiting is the indices of the items that w has not claimed.
func (w *worker) waiting() (indices []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.queue.runs {
		for i := range r.Count {
			indices = append(indices, r.Index+i)
		}
	}
	return indices
}

func checkWaiting(t *testing.T, w *worker, after string, want ...int) {
	t.Helper()
	if got := w.waiting(); !slices.Equal(got, want) {
		t.Errorf("after %s %v are waiting, want %v", after, got, want)
	}
}

func TestWorkerDropsWhatIsNotWanted(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		w, p := newTestWorker(t, shared)
		give(t, w, callFrame(wire.Call{ID: 1}))
		giveItems(t, w, 1, 2, 3)
		give(t, w, stopFrame(1, 2, "known"))
		checkWaiting(t, w, "a stop at 2", 1, 2)
		p.expect("dropped 103")
		giveItems(t, w, 0, 4) // they were on their way
		checkWaiting(t, w, "items behind the stop", 1, 2, 0)
		p.expect("dropped 104")
		give(t, w, stopFrame(1, 5, "known"))
		giveItems(t, w, 3)
		checkWaiting(t, w, "a stop that is later", 1, 2, 0)
		p.expect("dropped 103")
	})
}

func TestWorkerAnswersRecalls(t *testing.T) {
	w, p := newTestWorker(t, false)
	give(t, w, callFrame(wire.Call{ID: 1}))
	for _, test := range []struct {
		items []int
		want  string
	}{{nil, "recalled 0-0"}, {[]int{7}, "recalled 107-107"}, {[]int{1, 2, 3}, "recalled 101-103"}, {nil, "recalled 0-0"}} {
		giveItems(t, w, test.items...)
		give(t, w, recallFrame())
		p.expect(test.want)
		checkWaiting(t, w, "a recall")
	}
}

func TestWorkerTellsCallsApart(t *testing.T) {
	w, _ := newTestWorker(t, false)
	give(t, w, callFrame(wire.Call{ID: 1}))
	first := w.current
	give(t, w, callFrame(wire.Call{ID: 2}))
	second := w.current
	giveItems(t, w, 8, 9)
	give(t, w, stopFrame(7, -1, "known")) // of a call that it never knew
	give(t, w, stopFrame(1, 3, "known"))  // of one that it is not serving
	w.fail(1, 2, first, errKnown)
	checkWaiting(t, w, "news of another call", 8, 9)
	if second.ctx.Err() != nil {
		t.Error("news of one call ended the context of another")
	}
	give(t, w, recallFrame())
	give(t, w, callFrame(wire.Call{ID: 1, Known: true}))
	if w.current != first || first.bound != 2 {
		t.Errorf("a call that goes on is another, or has forgotten its bound: %+v", w.current)
	}
	ctx := first.ctx
	give(t, w, stopFrame(1, -1, "known"))
	if !errors.Is(context.Cause(ctx), errKnown) || len(w.calls) != 1 {
		t.Errorf("after the end of a call, its context says %v, %d calls are known", context.Cause(ctx), len(w.calls))
	}
	if err := w.handle(wire.KindCall, callFrame(wire.Call{ID: 1, Known: true})[wire.HeaderLen:]); err == nil {
		t.Error("a call that has ended goes on")
	}
}

// TestEndOfAPartTouchesItsOwnCallOnly has the parent go on to its next call while the
// executor is still ending the last quantum of the one before, whose bound is lower than
// what the next call's items are numbered.
func TestEndOfAPartTouchesItsOwnCallOnly(t *testing.T) {
	w, p := newTestWorker(t, false)
	give(t, w, callFrame(wire.Call{ID: 1}))
	giveItems(t, w, 5)
	first, _ := w.next()
	p.expect("started 105")
	give(t, w, stopFrame(1, 3, "known"))
	give(t, w, callFrame(wire.Call{ID: 2}))
	giveItems(t, w, 8, 9)
	w.part.Begin(0)
	w.end(first, nil)
	checkWaiting(t, w, "the end of the other call's part", 8, 9)
	w.fail(105, 5, first, errKnown)
	give(t, w, stopFrame(1, -1, "known"))
	checkWaiting(t, w, "a failure and the end of the first call", 8, 9)
	give(t, w, stopFrame(2, 8, "known"))
	checkWaiting(t, w, "a stop of their own call", 8)
}

// TestStopMeetsWhatRuns has a stop arrive while items of the call, or of another, run.
func TestStopMeetsWhatRuns(t *testing.T) {
	for _, test := range []struct {
		name    string
		stop    uint64 // the call
		index   int
		done    int // items that have results; the next one runs
		cancels bool
		yields  bool
		left    []int // for later
	}{
		{"before what runs", 1, 11, 2, true, true, nil},
		{"at what runs", 1, 12, 2, false, true, nil},
		{"behind what runs", 1, 13, 2, false, true, []int{13}},
		{"for good", 1, -1, 2, true, true, nil},
		{"when nothing runs", 1, 5, 4, false, true, nil},
		{"of another call", 2, 0, 2, false, false, []int{13}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, p := newTestWorker(t, true)
			p.costs(fnDouble, 1) // so that they are claimed all at once
			give(t, w, callFrame(wire.Call{ID: 2}))
			give(t, w, callFrame(wire.Call{ID: 1}))
			give(t, w, intsFrame(1, 10, 0, 1, 2, 3))
			c, ctx := w.next()
			for i := 0; w.part.More(i); i++ {
				if w.part.Begin(i); i == test.done {
					break
				}
				w.part.Commit(8)
			}
			give(t, w, stopFrame(test.stop, test.index, "known"))
			if err := w.current.ctx.Err(); err != nil {
				t.Errorf("the context for items to come says %v", err)
			}
			if got := ctx.Err() != nil; got != test.cancels {
				t.Errorf("the context says %v", ctx.Err())
			}
			if got := w.part.until.Load() < 0; got != test.yields {
				t.Errorf("the executor is to yield: %v", got)
			}
			w.end(c, nil)
			checkWaiting(t, w, "what runs has ended", test.left...)
		})
	}
}

// TestWorkerRefusesWhatItCannotUnderstand hands it hostile frames, of which it survives all.
func TestWorkerRefusesWhatItCannotUnderstand(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		w, _ := newTestWorker(t, shared)
		items := intsFrame(1, 0, 1)[wire.HeaderLen:]
		if err := w.handle(wire.KindItems, items); err == nil {
			t.Error("items of no call were taken")
		}
		give(t, w, callFrame(wire.Call{ID: 1}))
		slot := func(m wire.Slot) []byte { return m.Append(nil) }
		one := wire.Run{Seq: 1, Count: 1, Size: 8}
		for _, test := range []struct {
			kind    wire.Kind
			payload []byte
		}{
			{0, nil}, {99, nil}, {wire.KindHello, nil}, {wire.KindResults, nil},
			{wire.KindItems, []byte{1}}, {wire.KindItems, items[:len(items)-1]},
			{wire.KindCall, []byte("nonsense")},
			{wire.KindCall, (&wire.Call{Function: 1 << 30}).Append(nil)},
			{wire.KindCall, (&wire.Call{ID: 9, Known: true}).Append(nil)},
			{wire.KindStop, []byte{1}},
			{wire.KindStop, (&wire.Stop{Cause: []byte{0xff}}).Append(nil)},
			{wire.KindSlot, []byte{1}},
			{wire.KindSlot, slot(wire.Slot{Run: one, At: 0, Length: 8})},
			{wire.KindSlot, slot(wire.Slot{Run: one, At: shm.RingsAt, Length: 8})},
			{wire.KindSlot, slot(wire.Slot{Run: one, At: shm.Size, Length: 8})},
			{wire.KindSlot, slot(wire.Slot{Run: one, At: shm.Size - 1, Length: 8})},
			{wire.KindSlot, slot(wire.Slot{Run: one, At: math.MaxInt, Length: math.MaxInt})},
			{wire.KindSlot, slot(wire.Slot{Run: one, At: shm.Size - 100, Length: 7})},
		} {
			if err := w.handle(test.kind, test.payload); err == nil {
				t.Errorf("a frame of kind %d with %x was taken", test.kind, test.payload)
			}
		}
		checkWaiting(t, w, "all that")
	})
}

func TestCausesAreDecodedWhateverTheirCodeDoes(t *testing.T) {
	w, _ := newTestWorker(t, false)
	for src, want := range map[string]string{
		"": "context canceled", "known": "known",
		"panic": "panic: oh", "goexit": "goexit", "panic during goexit": "panic: oh",
	} {
		if cause, err := w.decodeCause([]byte(src)); err != nil || cause.Error() != want {
			t.Errorf("%q became %v, %v", src, cause, err)
		}
	}
}
