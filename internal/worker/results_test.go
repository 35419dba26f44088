package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// quantum readies b for n items of f from seq on.
func quantum(b *resultsBuffer, seq uint64, n int, f *Function) {
	c := &call{function: f, wait: patientWait}
	b.begin(&wire.Run{Seq: seq, Count: n}, c, time.Now())
}

// TestResultsAreSentInTime has a failure, and a result, wait for others that do not come.
func TestResultsAreSentInTime(t *testing.T) {
	w, p := newTestWorker(t, true)
	f := &Function{ResultSize: 8}
	quantum(w.results, 5, 1, f)
	w.results.end(5)
	frame, at := beginRecord(wire.RecordFailure, 5)
	w.results.queueFailure(5, append(frame, "known"...), at)
	p.expect("failure 5: known")
	quantum(w.results, 6, 3, f)
	clear(w.part.tail()[:16])
	w.part.Commit(8)
	p.expect("result 6: 0") // while the next item runs
	w.part.Commit(8)
	p.expect("result 7: 0") // the timer goes on
}

// TestTheResultsBufferNeverOverflows has failures of all sizes, up to more than it holds.
func TestTheResultsBufferNeverOverflows(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		w, p := newTestWorker(t, shared)
		var sizes []int
		for size := 1; size < 1<<20; size = size*3 + 1 {
			sizes = append(sizes, size, sendSize-size%100, 10, 0)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i, size := range sizes {
				quantum(w.results, uint64(i+1), 1, &Function{ResultSize: 8})
				w.results.end(uint64(i + 1))
				frame, at := beginRecord(wire.RecordFailure, uint64(i+1))
				w.results.queueFailure(uint64(i+1), append(frame, make([]byte, size)...), at)
			}
			w.results.flushIdle()
		}()
		for i, size := range sizes {
			p.expect(fmt.Sprintf("started %d", i+1), fmt.Sprintf("failure %d: %s", i+1, short(make([]byte, size))))
		}
		await(t, done)
	})
}

func TestManyDroppedItemsAreSaid(t *testing.T) {
	w, p := newTestWorker(t, false)
	dropped := make([]seqRange, 20_000)
	for i := range dropped {
		dropped[i] = seqRange{uint64(i), uint64(i)}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.results.flushDropped(dropped)
	}()
	for i := range dropped {
		p.expect(fmt.Sprintf("dropped %d", i))
	}
	await(t, done)
}

// TestAFullRingIsSent has a quantum with more results than the ring has room for.
func TestAFullRingIsSent(t *testing.T) {
	p := serve(t, true)
	p.costs(fnPage, 1)
	p.send(callFrame(wire.Call{ID: 1, Function: fnPage}))
	items := make([]uint64, 2*shm.RingFull/shm.RingRoom)
	for i := range items {
		items[i] = uint64(i)
	}
	p.send(intsFrame(1, 0, items...))
	for i := range items {
		p.expect(fmt.Sprintf("result %d: %d bytes", i+1, shm.RingRoom))
	}
}

// TestWhatFitsBehind says when the ring is emptied before a quantum.
func TestWhatFitsBehind(t *testing.T) {
	for _, test := range []struct {
		name       string
		used, sent int // bytes of eight each
		seq        uint64
		size       int
		want       bool
		count      int // of items, and 1
	}{
		{"a few behind a few", 80, 0, 11, 8, true, 0},
		{"a few behind a few that are sent", 80, 80, 11, 8, true, 0},
		{"of another size", 80, 0, 11, 16, false, 0},
		{"not in turn", 80, 0, 12, 8, false, 0},
		{"behind many", sendSize, 0, sendSize/8 + 1, 8, true, 0},
		{"behind many that are sent", sendSize, sendSize, sendSize/8 + 1, 8, false, 0},
		{"behind many of which some are sent", sendSize, 80, sendSize/8 + 1, 8, true, 0},
		{"in a full ring", shm.RingFull, 0, shm.RingFull/8 + 1, 8, false, 0},
		{"in a ring with room for one", shm.RingFull - shm.RingRoom, 0, (shm.RingFull-shm.RingRoom)/8 + 1, 8, true, 0},
		{"as many as a ring counts", 80, 0, 11, 8, true, shm.RingCount - 11},
		{"more than a ring counts", 80, 0, 11, 8, false, shm.RingCount - 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, _ := newTestWorker(t, false) // whether the memory is shared does not matter here
			w.results.ring.Begin(1, 1<<30, 8)
			for n := 0; n < test.used; n += 8 {
				if n == test.sent {
					w.results.ring.Unsent()
				}
				w.part.Commit(8)
			}
			if test.sent == test.used {
				w.results.ring.Unsent()
			}
			if got := w.results.fitsBehindLocked(test.seq, test.seq+1+uint64(test.count), test.size); got != test.want {
				t.Errorf("they fit: %v, want %v", got, test.want)
			}
		})
	}
}

// TestABusyRecordCountsFromWhenItemsRun has a worker rest between items.
func TestABusyRecordCountsFromWhenItemsRun(t *testing.T) {
	w, _ := newTestWorker(t, false)
	long := time.Now().Add(-time.Hour)
	c := &call{function: &Function{ResultSize: 8}, wait: patientWait}
	w.results.begin(&wire.Run{Seq: 1, Count: 1}, c, long)
	w.results.end(0)
	if !w.results.busy.Equal(long) {
		t.Errorf("it counts from %v, want %v", w.results.busy, long)
	}
	w.results.flushIdle()
	now := time.Now()
	w.results.begin(&wire.Run{Seq: 2, Count: 1}, c, now)
	if !w.results.busy.Equal(now) {
		t.Errorf("after a rest it counts from %v, want %v", w.results.busy, now)
	}
}

// TestResultsAreSentAtTheEndOfABatch has a result wait for no timer, though more items are
// there.
func TestResultsAreSentAtTheEndOfABatch(t *testing.T) {
	w, p := newTestWorker(t, true)
	w.results.armed = true // it is not: no timer sends anything
	give(t, w, callFrame(wire.Call{ID: 1, Function: fnDouble}))
	give(t, w, intsFrame(1, 0, 1))
	give(t, w, intsFrame(2, 1, 2, 3))
	w.run(w.next())
	w.next()
	p.expect("result 1: 2")
}

func TestResultsWaitAsLongAsTheirCallAllows(t *testing.T) {
	for eager, want := range map[bool]time.Duration{false: patientWait, true: resultWait} {
		if c := newCall(&wire.Call{Eager: eager}, nil, nil); c.wait != want {
			t.Errorf("eager %v: they wait for %v, want %v", eager, c.wait, want)
		}
	}
	w, p := newTestWorker(t, true)
	w.results.armed = true
	f := &Function{ResultSize: 8}
	c := &call{function: f, wait: patientWait}
	start := time.Now()
	w.results.begin(&wire.Run{Seq: 1, Count: 2}, c, start)
	clear(w.part.tail()[:8])
	w.part.Commit(8)
	w.results.end(0)
	w.results.begin(&wire.Run{Seq: 2, Count: 1}, c, start.Add(patientWait-1))
	if n := w.results.ring.Pending(); n != 8 {
		t.Errorf("before the time, %d bytes wait", n)
	}
	w.results.end(0)
	w.results.begin(&wire.Run{Seq: 2, Count: 1}, c, start.Add(patientWait))
	p.expect("result 1: 0")
}

// TestTheParentFindsWhatWasNotSent looks at the segment as the parent of a dead worker does.
func TestTheParentFindsWhatWasNotSent(t *testing.T) {
	w, p := newTestWorker(t, true)
	w.results.armed = true // it is not: no timer sends anything
	f := &Function{ResultSize: 8}
	check := func(running uint64, want ...string) {
		t.Helper()
		if got, ok := p.segment.Running(); got != running || !ok {
			t.Errorf("item %d runs, %v, want %d", got, ok, running)
		}
		var got []string
		unsent, ok := p.segment.Unsent(1000)
		if !ok {
			t.Error("it does not believe what it finds")
		}
		for c := wire.NewCursor(unsent); c.Len() > 0; {
			r, err := wire.ReadRecord(c)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.words(r)...)
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("it finds %q, want %q", got, want)
		}
	}
	check(0)
	quantum(w.results, 1, 3, f)
	check(1)
	clear(w.part.tail()[:16])
	w.part.Commit(8)
	check(2, "result 1: 0")
	w.part.Commit(8)
	w.results.end(3)
	check(3, "result 1: 0", "result 2: 0")
	frame, at := beginRecord(wire.RecordFailure, 3)
	w.results.queueFailure(3, append(frame, "known"...), at)
	check(0, "failure 3: known", "result 1: 0", "result 2: 0") // the results have been sent: the parent knows them by then
	p.expect("result 1: 0", "result 2: 0")
	quantum(w.results, 4, 1, f)
	check(4)
	p.expect("failure 3: known")
}
