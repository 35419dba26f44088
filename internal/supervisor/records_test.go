//go:build linux

package supervisor

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// Tests of what a session does about records that no worker should write, to the pipe or to
// the segment. No process is started.

// wantedItems is how many items of a distrustfulSession its call wants. Behind them is an
// item that has failed, and one that the call therefore does not want any more.
const wantedItems = 3

// distrustfulSession is a session that has sent all of its call's items but the failed one,
// with sequence numbers from 1 on, and counts what becomes of them. It is the call's
// Claimant and Job.
type distrustfulSession struct {
	*session
	mapping *shm.Mapping // the worker's, for the test to write to
	pieces  bool         // results are decoded, one by one; else they are copied
	results []byte
	ended   int         // items that have ended, well or not
	given   int         // items that were given back
	decoded map[int]int // how often, by item
	failed  map[int]int // how often, by item
}

func newDistrustfulSession(t *testing.T, pieces bool) *distrustfulSession {
	segment, mapping := testSegment()
	h := &distrustfulSession{
		mapping: mapping, pieces: pieces,
		results: make([]byte, 8*(wantedItems+2)), decoded: make(map[int]int), failed: make(map[int]int),
	}
	c := schedule.New(t.Context(), schedule.Config{
		Workers: 1, Total: wantedItems + 2, Errors: countingErrors{ErrorsOfUsers, h}, Progress: func(int, int) { h.ended++ },
	})
	c.Attach(h, new(cost.Estimate))
	if n := c.Claim(wantedItems+2, wantedItems+2, 0, nil).Len(); n != wantedItems+2 {
		t.Fatalf("%d items are claimed", n)
	}
	c.Fail(wantedItems, errors.New("why the last item is not wanted"))
	clear(h.failed)
	h.ended = 0

	p := NewPool(Config{Size: 1, MaxMessageBytes: 1 << 20, Errors: ErrorsOfUsers})
	w := &worker{pool: p, link: &transport.Worker{Process: noProcess{}}, segment: segment, exited: make(chan struct{}), status: reaped}
	close(w.exited)
	w.reader.turn = pipe.NewTurn(false)
	w.conn.recalls.Store(1)
	function := Function{ItemSize: 8, ResultSize: 8, Cost: new(cost.Estimate)}
	h.session = newSession(newCall(p, c, Call{Function: function, Job: h}), w)
	for i := range wantedItems {
		h.window.add(flight{seq: uint64(i + 1), index: i, count: 1, bytes: 8})
	}
	h.window.add(flight{seq: wantedItems + 1, index: wantedItems + 1, count: 1, bytes: 8})
	h.worker.conn.written.Store(wantedItems + 2)
	return h
}

// testSegment is a segment with its mapping, which stays as long as this process.
var testSegment = sync.OnceValues(func() (*shm.Segment, *shm.Mapping) {
	s, err := shm.Create(shm.Options{})
	if err != nil {
		panic(err)
	}
	up, down := s.Inherit()
	m, err := shm.Map(up, down)
	down.Close()
	if err != nil {
		panic(err)
	}
	return s, m
})

type noProcess struct{}

func (noProcess) PID() int                     { return 4711 }
func (noProcess) Kill()                        {}
func (noProcess) Wait() transport.Exit         { return transport.Exit{} }
func (noProcess) Resident() (int64, error)     { return 0, errors.ErrUnsupported }
func (noProcess) Activity() transport.Activity { return transport.Activity{} }

type countingErrors struct {
	schedule.Errors
	h *distrustfulSession
}

func (e countingErrors) Item(i int, err, cause error) error {
	e.h.failed[i]++
	return e.Errors.Item(i, err, cause)
}

func (h *distrustfulSession) Starved()       {}
func (h *distrustfulSession) Bounded()       {}
func (h *distrustfulSession) Returned(n int) { h.given += n }

func (h *distrustfulSession) Run(context.Context, schedule.Span, *int, *atomic.Uint32) error {
	panic("items run in workers")
}

func (h *distrustfulSession) Encode([]byte, int, int, Stopper) ([]byte, error) {
	panic("all items are sent")
}

func (h *distrustfulSession) Items(schedule.Span) []byte { panic("all items are sent") }

func (h *distrustfulSession) Decode(src []byte, i int, _ Stopper) error {
	if len(src) != 8 || src[0] == 0xff {
		return errors.New("that cannot be decoded")
	}
	h.decoded[i]++
	return nil
}

func (h *distrustfulSession) Results(s schedule.Span) []byte {
	if h.pieces {
		return nil
	}
	return h.results[8*s.Lo : 8*s.Hi]
}

func (h *distrustfulSession) AppendItems([]byte, schedule.Span) []byte { panic("all items are sent") }

func (h *distrustfulSession) SetResults(s schedule.Span, src []byte) {
	if copy(h.results[8*s.Lo:8*s.Hi], src) != 8*s.Len() {
		panic("results of another size")
	}
}

// leaveInSegment has the worker leave in the segment that item running is running, and in
// the ring the results, of that size each, of the items from first on and before end. done
// says how many they are and how long; if it is 0, the ring says nothing.
func (h *distrustfulSession) leaveInSegment(results []byte, running, first, end uint64, size, done int) {
	r := h.mapping.Ring()
	r.Begin(first, end, size)
	copy(r.Data(), results)
	if done != 0 {
		r.Commit(done)
	} else {
		r.Stop(0)
	}
	h.mapping.SetRunning(running)
	h.mapping.SetRecords(0, 0)
}

// check checks that every item is settled, and none twice. The session has lost its worker.
func (h *distrustfulSession) check(t *testing.T) {
	settled := make(chan struct{})
	go func() {
		h.call.AwaitSettled()
		close(settled)
	}()
	select {
	case <-settled:
	case <-time.After(10 * time.Second):
		t.Fatal("an item is not settled")
	}
	// An item that is blamed for the worker's death is skipped if it is not wanted; and none
	// is wanted behind the first of those that all are blamed.
	if n := h.ended + h.given; n != wantedItems+1 && n != wantedItems && (h.taking.guilt != blamesAll || n == 0) || !h.window.empty() || h.window.items != 0 {
		t.Errorf("%d items have ended, %d were given back, %d are in flight", h.ended, h.given, h.window.items)
	}
	outcomes := maps.Clone(h.failed)
	for i, n := range h.decoded {
		outcomes[i] += n
	}
	for i, n := range outcomes {
		if n > 1 || i == wantedItems {
			t.Errorf("item %d has %d outcomes: failed %v, decoded %v", i, n, h.failed, h.decoded)
		}
	}
}

// record is the record of an outcome.
func record(kind wire.RecordKind, seq uint64, data []byte) []byte {
	b, at := wire.AppendRecordHeader(nil, kind, seq)
	b = append(b, data...)
	wire.PatchLength(b, at)
	return b
}

// failed is the record of a failure of the first item.
func failed(err error) []byte {
	var data []byte
	ErrorsOfUsers.Append(&data, err)
	return record(wire.RecordFailure, 1, data)
}

// FuzzRecords gives the parent anything in place of what a worker has to say, on the pipe
// and in the segment of a dead one. Every item that was in flight is still settled exactly
// once.
func FuzzRecords(f *testing.F) {
	result := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	var all []byte
	for seq := range uint64(3) {
		all = append(all, record(wire.RecordResult, seq+1, result)...)
	}
	all = wire.AppendBusy(all, 3, time.Second)
	all = wire.AppendDropped(all, wire.RecordDropped, 4, 4)
	ring := append(append([]byte(nil), result...), result...)
	failure, panicked := failed(context.DeadlineExceeded), failed(ErrorsOfUsers.Recovered("of a panic"))
	add := func(src []byte, inSegment bool, running, first, end uint64, size int, done int64) {
		for _, pieces := range []bool{false, true} {
			f.Add(src, !inSegment, inSegment, pieces, running, first, end, size, done)
			f.Add(src, true, true, pieces, running, first, end, size, done)
		}
	}
	add(all, false, 0, 0, 0, 0, 0)
	add(all, true, 4, 0, 0, 0, 0)
	add(failure, true, 1, 0, 0, 0, 0)
	add(panicked, false, 2, 0, 0, 0, 0)
	add(wire.AppendStarted(nil, 1), false, 1, 0, 0, 0, 0)
	add(wire.AppendDropped(nil, wire.RecordRecalled, 2, 3), false, 1, 0, 0, 0, 0)
	add(wire.AppendRing(nil, 1, 1, 8, shm.RingsAt, 8), false, 2, 0, 0, 0, 0)
	add(wire.AppendResults(nil, 1, 2, 8, ring), false, 3, 0, 0, 0, 0)
	add(ring, true, 0, 1, 5, 8, 8)
	add(ring, true, 0, 1, 5, 8, 1<<32|16)
	add([]byte("\x08\x00\x00\x00varying!"), true, 0, 1, 5, -1, 12)
	f.Fuzz(func(t *testing.T, src []byte, inPipe, inSegment, pieces bool, running, first, end uint64, size int, done int64) {
		h := newDistrustfulSession(t, pieces)
		h.leaveInSegment(src, running, first, end, size, int(done))
		if inSegment {
			copy(h.mapping.Records()[wire.HeaderLen:], src)
			h.mapping.SetRecords(len(src), 0)
		}
		if inPipe {
			_ = h.handleRecords(wire.NewCursor(src), false)
		}
		h.workerLost()
		h.check(t)
	})
}

// TestPipeBringsTheStartOfWhatIsLeft has a worker die that has sent the first of the results
// in its ring.
func TestPipeBringsTheStartOfWhatIsLeft(t *testing.T) {
	for _, pieces := range []bool{false, true} {
		for sent := range wantedItems + 1 {
			h := newDistrustfulSession(t, pieces)
			results := make([]byte, 8*wantedItems)
			for i := range results {
				results[i] = byte(i)
			}
			h.leaveInSegment(results, 0, 1, wantedItems+1, 8, len(results))
			for range wantedItems - 1 {
				h.mapping.Ring().Commit(0) // so that it says that there are as many
			}
			if sent > 0 {
				first := wire.AppendResults(nil, 1, sent, 8, results[:8*sent])
				if err := h.handleRecords(wire.NewCursor(first), false); err != nil {
					t.Fatal(err)
				}
			}
			h.workerLost()
			h.check(t)
			if h.ended != wantedItems || h.given != 1 || len(h.failed) > 0 {
				t.Errorf("%d of the results sent: %d items have ended, %d were given back, failed: %v", sent, h.ended, h.given, h.failed)
			}
			if !pieces && !bytes.Equal(h.results[:len(results)], results) {
				t.Errorf("the results are %v", h.results)
			}
		}
	}
}

// TestLeftoverOfACallBefore has a worker die that has begun nothing of what it was sent. In its
// ring are results of the call before, of another size, which had all been sent.
func TestLeftoverOfACallBefore(t *testing.T) {
	for _, size := range []int{4, 8, -1} {
		h := newDistrustfulSession(t, false)
		const before = 10
		for i := range h.window.flights {
			h.window.flights[i].seq += before
		}
		h.window.next += before
		h.worker.conn.written.Store(h.window.next)
		results := []byte("\x04\x00\x00\x00aaaa")
		if size > 0 {
			results = make([]byte, size)
		}
		h.leaveInSegment(results, 0, before, before+1, size, len(results))
		h.mapping.Ring().Stop(0)
		h.mapping.SetPast(before + 1)
		h.workerLost()
		h.check(t)
		if h.given != wantedItems+1 || len(h.failed) > 0 {
			t.Errorf("results of %d bytes: %d items were given back, failed: %v", size, h.given, h.failed)
		}
		h.mapping.SetPast(0)
	}
}

// TestOutcomesThatNeverCame has a worker die that says it has run the first item, whose result
// is nowhere.
func TestOutcomesThatNeverCame(t *testing.T) {
	h := newDistrustfulSession(t, false)
	h.leaveInSegment(nil, 0, 2, 2, 8, 0)
	h.mapping.SetPast(2)
	h.workerLost()
	h.check(t)
	if h.given > 0 || len(h.failed) == 0 {
		t.Errorf("%d items were given back, failed: %v", h.given, h.failed)
	}
	h.mapping.SetPast(0)
}

// TestRunningItemIsOneUnderWay has a worker say which item it is running.
func TestRunningItemIsOneUnderWay(t *testing.T) {
	h := newDistrustfulSession(t, false)
	h.window.flights[3].count = 3
	h.mapping.Ring().Stop(0)
	for seq, want := range []uint64{0, 1, 2, 3, 4, 5, 6, 0, 0} {
		h.mapping.SetRunning(uint64(seq))
		if got, ok := h.runningLocked(); got != want || !ok {
			t.Errorf("item %d is running, it says; taken as %d, want %d", seq, got, want)
		}
	}
}
