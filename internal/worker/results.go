package worker

import (
	"io"
	"sync"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// resultsBuffer is where a worker puts what it has to say: records, and the results in the
// ring. They are gathered and sent together, since sending costs more than a small item,
// and waking the parent as much as a hundred. The memory is in the mapping: if the worker
// dies, the parent finds there what was not sent.
//
//	state      how it is left
//	gathered   → sent, with all that is gathered: when the items of a frame have been run,
//	             when there is much, after the timer's delay at the latest; in private
//	             memory, which has no timer, before the next item begins
//	sent       → forgotten, when its memory is used again
//
// What is sent goes in the order of the items: a record is added only when the results in
// the ring have been sent, and results are added only when the records have.
//
// It is safe for concurrent use. Its mutex guards the mapping's records and the ring, as
// the ring's comment says.
type resultsBuffer struct {
	to      io.Writer
	sealer  wire.Sealer // of the frames to it
	die     func()
	mapping *shm.Mapping
	ring    *shm.Ring
	records []byte // in the mapping: room for a frame's header, and the records

	mu      sync.Mutex
	n       int         // bytes of records
	frame   []byte      // for frames that are not built in the mapping
	started [16]byte    // for the record that an item starts
	timer   *time.Timer // sends what there is while items take long
	armed   bool
	delay   time.Duration // of the timer; it doubles while a quantum goes on
	count   int           // items since the last busy record
	busy    time.Time     // since when they are counted; zero: nothing is running
	broken  bool          // the parent does not read any more
}

const (
	sendSize    = wire.GatherSize  // bytes that are not worth gathering with more
	resultWait  = time.Millisecond // how long a result or a failure may wait for others
	patientWait = 50 * resultWait  // the same, if it is a result that the parent does not wait for
	recordRoom  = 64               // what a record may take besides its data
	recordsAt   = wire.HeaderLen   // where the records begin in the memory for them
)

func newResultsBuffer(to io.Writer, m *shm.Mapping, die func()) *resultsBuffer {
	return &resultsBuffer{to: to, die: die, mapping: m, ring: m.Ring(), records: m.Records()}
}

// begin readies the ring for the results of items of c, the first of which is running from
// now on. What has waited for as long as it may is sent: the timer comes too late if the
// items keep the one processor busy.
func (b *resultsBuffer) begin(items *wire.Run, c *call, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy.IsZero() {
		b.busy = now
	}
	switch {
	case !b.mapping.Shared():
		b.announceLocked(items.Seq)
	case b.n > 0, now.Sub(b.busy) >= c.wait:
		b.flushLocked()
	}
	b.armLocked(c.wait)
	end := items.Seq + uint64(items.Count)
	if b.fitsBehindLocked(items.Seq, end, c.function.ResultSize) {
		b.ring.Continue(end)
		return
	}
	b.sendRingLocked(nil)
	b.ring.Begin(items.Seq, end, c.function.ResultSize)
}

// fitsBehindLocked reports whether results of items from seq to end, of that size each, can be
// put behind those in the ring, and should be.
func (b *resultsBuffer) fitsBehindLocked(seq, end uint64, size int) bool {
	switch {
	case b.ring.Size() != size || b.ring.Next() != seq:
		return false // the ring holds results of one kind, of items that follow one another
	case b.ring.Used()+shm.RingRoom > shm.RingFull, !b.ring.Holds(end):
		return false
	case b.ring.Used() >= sendSize && b.ring.Pending() == 0:
		return false // all is sent: to begin anew costs nothing, and memory that was used lately is in the cache
	default:
		return true
	}
}

// announceLocked writes that item seq is about to start, together with what there is.
func (b *resultsBuffer) announceLocked(seq uint64) {
	record := wire.AppendStarted(b.started[:0], seq)
	if !b.sendRingLocked(record) {
		b.queueLocked(record, 0)
		b.flushLocked()
	}
}

// end says that none of the quantum's items is running but failed, if that is not 0: until
// its failure is queued, the worker may still die of it.
func (b *resultsBuffer) end(failed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring.Stop(failed)
	b.mapping.SetPast(b.ring.Next()) // but for that one, with its failure
	if b.ring.Pending() >= shm.RingFull/2 {
		b.sendRingLocked(nil)
	}
}

// makeRoom makes room in the ring while an item is running.
func (b *resultsBuffer) makeRoom() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sendRingLocked(nil)
	b.ring.Empty(b.ring.Next())
}

// putLarge sends the result of the running item by itself, and makes the next item the
// running one.
func (b *resultsBuffer) putLarge(data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sendRingLocked(nil)
	seq := b.ring.Next()
	head, lengthAt := beginRecord(wire.RecordResult, seq)
	b.writeLocked(wire.FinishHead(head, lengthAt, len(data)))
	b.writeRestLocked(data) // not copied
	b.count++
	b.ring.Empty(seq + 1)
}

// beginRecord begins a frame of its own for what became of item seq. Its data is to be
// appended.
func beginRecord(kind wire.RecordKind, seq uint64) (frame []byte, lengthAt int) {
	return wire.AppendRecordHeader(wire.Begin(nil, wire.KindResults), kind, seq)
}

// queueFailure queues the failure of item seq: what beginRecord returned, with the encoded
// error appended. From then on no item is running.
func (b *resultsBuffer) queueFailure(seq uint64, frame []byte, lengthAt int) {
	wire.PatchLength(frame, lengthAt)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if record := frame[wire.HeaderLen:]; len(frame)-lengthAt-4 <= wire.GatherSize {
		b.queueLocked(record, seq)
	} else {
		b.flushLocked()
		b.writeLocked(wire.Finish(frame))
	}
	b.mapping.SetPast(seq + 1)
	b.mapping.SetRunning(0)
	b.armLocked(resultWait)
}

// flushDropped tells the parent that items were dropped.
func (b *resultsBuffer) flushDropped(dropped []seqRange) {
	var records []byte
	for _, d := range dropped {
		records = wire.AppendDropped(records, wire.RecordDropped, d.first, d.last)
		if len(records) > sendSize {
			b.flushRecords(records)
			records = records[:0]
		}
	}
	if len(records) > 0 {
		b.flushRecords(records)
	}
}

// flushRecords sends records that are not outcomes, and what there is before them.
func (b *resultsBuffer) flushRecords(records []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queueLocked(records, 0)
	b.flushLocked()
}

// flush sends what there is.
func (b *resultsBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
}

// flushIdle sends what there is, since nothing is left to run.
func (b *resultsBuffer) flushIdle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
	b.busy = time.Time{}
}

// armLocked has what there is sent after d at the latest.
func (b *resultsBuffer) armLocked(d time.Duration) {
	if b.mapping.Shared() && (!b.armed || b.delay > d) {
		b.armed, b.delay = true, d
		b.timer.Reset(d)
	}
}

// onTimer is the timer's. It goes on while items are running: one that takes long may wait
// for what becomes of those before it, and an item behind it, in the same quantum, for what
// becomes of it.
func (b *resultsBuffer) onTimer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	b.flushLocked()
	if b.ring.Started() {
		b.armed = true
		b.delay *= 2
		b.timer.Reset(b.delay)
	}
}

// queueLocked adds a record behind what there is, and only then counts it in. If it is the
// failure of item failed, which is not 0, that is not running any more from then on.
func (b *resultsBuffer) queueLocked(record []byte, failed uint64) {
	b.sendRingLocked(nil)
	if b.n+len(record)+recordRoom > shm.RecordsSize {
		b.flushLocked()
	}
	b.n += copy(b.records[recordsAt+b.n:], record)
	b.mapping.SetRecords(b.n, failed)
}

// flushLocked sends what there is, with the time that its items took. The records leave
// the mapping only when they are in the pipe: if the worker dies in between, the parent
// meets them twice and passes over the second.
func (b *resultsBuffer) flushLocked() {
	b.sendRingLocked(nil)
	if b.count > 0 {
		var buf [recordRoom]byte
		b.n += copy(b.records[recordsAt+b.n:], b.appendBusyLocked(buf[:0], 0))
	}
	if b.n == 0 {
		return
	}
	frame := b.records[:recordsAt+b.n]
	wire.Begin(frame, wire.KindResults)
	b.writeLocked(wire.Finish(frame))
	b.n = 0
	b.mapping.SetRecords(0, 0)
}

// sendRingLocked sends the results in the ring that have not been sent, and a record behind
// them. It reports false, and sends nothing, if there are no such results.
func (b *resultsBuffer) sendRingLocked(record []byte) (sent bool) {
	seq, count, data := b.ring.Unsent()
	if count == 0 {
		return false
	}
	frame := wire.Begin(b.frame, wire.KindResults)
	if at, ok := b.ring.Lend(len(data), seq+uint64(count)); ok {
		frame = wire.AppendRing(frame, seq, count, b.ring.Size(), at, len(data))
	} else {
		frame = wire.AppendResults(frame, seq, count, b.ring.Size(), data)
	}
	b.frame = append(b.appendBusyLocked(frame, count), record...)
	b.writeLocked(wire.Finish(b.frame))
	return true
}

// appendBusyLocked appends how long the items took that have ended since the last such
// record, n of them not counted yet.
func (b *resultsBuffer) appendBusyLocked(dst []byte, n int) []byte {
	now := time.Now()
	dst = wire.AppendBusy(dst, b.count+n, now.Sub(b.busy))
	b.count, b.busy = 0, now
	return dst
}

// writeLocked writes a frame, or the start of one, and waits for the parent to read if the
// pipe is full.
func (b *resultsBuffer) writeLocked(frame []byte) {
	b.sealer.Seal(frame)
	b.writeRestLocked(frame)
}

// writeRestLocked writes the rest of a frame.
func (b *resultsBuffer) writeRestLocked(rest []byte) {
	if _, err := b.to.Write(rest); err != nil && !b.broken {
		b.broken = true
		b.die() // the parent has gone, or wants no more
	}
}

// send writes a frame that is no results.
func (b *resultsBuffer) send(frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writeLocked(frame)
}
