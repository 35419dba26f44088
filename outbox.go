package parallel

import (
	"os"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// outbox is where a worker puts what it has to say: records, and the results in the
// tray. They are gathered and sent together, since to send costs more than a small
// item, and to wake the parent as much as a hundred: results that nobody waits for
// are sent when the last of a batch has been run. The memory in which all this is
// gathered is in the page, so that the parent finds it there if the worker dies
// first. Where there is no page, every record is written before the next item starts.
type outbox struct {
	to     *os.File
	mapped bool

	mu     sync.Mutex
	page   []byte      // see page.go; plain memory where there is no page to share
	tray   *tray       // in the page
	buf    []byte      // for frames of the tray's results
	n      int         // bytes of records in the page's outbox
	timer  *time.Timer // writes the outbox while an item takes long
	armed  bool
	delay  time.Duration // of the timer; it doubles while a part goes on
	count  int           // items since the last busy record
	busy   time.Time     // since when they are counted; zero: nothing is running
	failed bool          // the pipe is broken: the parent has gone
}

const (
	outboxFull  = 64 << 10         // when the outbox is written without waiting longer
	outboxDelay = time.Millisecond // how long a record may wait for others
	outboxLong  = 50 * outboxDelay // the same, if it is a result that nobody waits for
	frameAt     = outboxAt - 5     // the frame's header stands right before the records
	recordRoom  = 64               // what a record may take besides its data
)

func newOutbox(to, page *os.File) *outbox {
	o := &outbox{to: to}
	if page != nil {
		if m, err := mapPage(page); err == nil {
			o.page, o.mapped = m, true
		}
	}
	if o.page == nil {
		o.page = make([]byte, outboxAt+outboxSize)
	}
	o.tray = newTray(o.page, o.mapped)
	o.timer = time.AfterFunc(time.Hour, o.delayed)
	o.timer.Stop()
	return o
}

// begin notes that item seq is about to run.
func (o *outbox) begin(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy.IsZero() {
		o.busy = time.Now()
	}
	pageWord(o.page, pageRunning).Store(seq)
	if o.mapped {
		return
	}
	o.put(wire.AppendStarted(nil, seq))
	o.flush()
}

// running is the number of the item that is running, where one is.
func (o *outbox) running() uint64 {
	if end := pageWord(o.page, pageTrayOn).Load(); end != 0 {
		next := pageWord(o.page, pageTraySeq).Load() + pageWord(o.page, pageTrayDone).Load()>>32
		return min(next, end)
	}
	return pageWord(o.page, pageRunning).Load()
}

// bell is how many stops and recalls there are to be heard.
func (o *outbox) bell() uint64 { return pageWord(o.page, pageBell).Load() }

// outcome is the buffer in which the record of an item's outcome is built, with
// room in front of it for the header of a frame of its own.
func outcome(buf []byte, kind wire.RecordKind, seq uint64) (frame []byte, lengthAt int) {
	return wire.AppendRecordHeader(wire.Begin(buf, wire.KindResults), kind, seq)
}

// finish takes in an outcome: what the two functions above made, with the data
// appended. Afterwards no item is running.
func (o *outbox) finish(frame []byte, lengthAt int) {
	wire.PatchLength(frame, lengthAt)
	o.mu.Lock()
	defer o.mu.Unlock()
	record := frame[outboxAt-frameAt:]
	o.count++
	if len(record) <= outboxFull {
		o.put(record)
	} else {
		o.flush()
		o.write(wire.Finish(frame))
	}
	if o.mapped {
		pageWord(o.page, pageRunning).Store(0)
	}
	if o.n >= outboxFull {
		o.flush()
	}
	o.arm(outboxDelay)
}

// arm sees to it that what is there does not wait for longer than d. mu is held.
func (o *outbox) arm(d time.Duration) {
	if o.mapped && (!o.armed || o.delay > d) {
		o.armed, o.delay = true, d
		o.timer.Reset(o.delay)
	}
}

// beginPart readies the tray for the results, of the given size, of n items
// from seq on, which are about to run, now. What has waited for as long as wait is
// written: the timer comes too late where the items keep the one processor busy.
func (o *outbox) beginPart(seq uint64, n, size int, now time.Time, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy.IsZero() {
		o.busy = now
	}
	if o.n > 0 || now.Sub(o.busy) >= wait {
		o.flush() // results go in the order of their items
	}
	t := o.tray
	t.end = seq + uint64(n)
	o.arm(wait)
	if t.size != size || t.next() != seq || t.used() >= outboxFull && t.used() == t.sentBytes || t.used()+trayRoom > traySize {
		o.sendTray()
		t.reset(seq, size, true)
	} else {
		t.start()
	}
}

// endPart notes that none of the part's items is running but failed, if that is not 0:
// until it has been said how, by methods of its error, the worker may still die of it.
func (o *outbox) endPart(failed uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pageWord(o.page, pageRunning).Store(failed)
	o.tray.stop()
	if o.tray.used()-o.tray.sentBytes >= traySize/2 {
		o.sendTray()
	}
}

// emptyTray makes room in the tray while an item of the part is running.
func (o *outbox) emptyTray() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sendTray()
	o.tray.reset(o.tray.next(), o.tray.size, true)
}

// single sends a result that is too large for the tray.
func (o *outbox) single(data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sendTray()
	frame, at := outcome(nil, wire.RecordResult, o.tray.next())
	frame = append(frame, data...)
	wire.PatchLength(frame, at)
	o.count++
	o.write(wire.Finish(frame))
	o.tray.reset(o.tray.next()+1, o.tray.size, true)
}

// sendTray writes what is in the tray to the pipe. mu is held.
func (o *outbox) sendTray() {
	seq, count, data := o.tray.unsent()
	if count == 0 {
		return
	}
	now := time.Now()
	frame := wire.Begin(o.buf, wire.KindResults)
	if at, ok := o.tray.lend(len(data), seq+uint64(count)); ok {
		frame = wire.AppendTray(frame, seq, count, o.tray.size, at, len(data))
	} else {
		frame = wire.AppendResults(frame, seq, count, o.tray.size, data)
	}
	frame = wire.AppendBusy(frame, o.count+count, now.Sub(o.busy))
	o.count, o.busy = 0, now
	o.buf = frame
	o.write(wire.Finish(frame))
}

// say takes in a record that is not an outcome, and writes it.
func (o *outbox) say(record []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(record)
	o.flush()
}

// send writes what there is.
func (o *outbox) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
}

// rest writes what there is, because nothing is left to run.
func (o *outbox) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	o.busy = time.Time{}
}

func (o *outbox) delayed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = false
	o.flush()
	if pageWord(o.page, pageTrayOn).Load() != 0 {
		// An item that takes long may wait for what becomes of those before
		// it, and an item behind it, in the same part, for what becomes of it.
		o.armed = true
		o.delay *= 2
		o.timer.Reset(o.delay)
	}
}

// put appends a record to the outbox, and only then counts it in. mu is held.
func (o *outbox) put(record []byte) {
	if o.sendTray(); o.n+len(record)+recordRoom > outboxSize {
		o.flush()
	}
	o.n += copy(o.page[outboxAt+o.n:], record)
	pageWord(o.page, pageLength).Store(uint64(o.n))
}

// flush writes the outbox to the pipe, with the time that its items took. The
// records leave the page only when they are in the pipe; should the worker die
// in between, the parent meets them twice and passes over the second. mu is
// held.
func (o *outbox) flush() {
	o.sendTray()
	if o.count > 0 {
		now := time.Now()
		record := wire.AppendBusy(nil, o.count, now.Sub(o.busy))
		o.n += copy(o.page[outboxAt+o.n:], record)
		o.count, o.busy = 0, now
	}
	if o.n == 0 {
		return
	}
	frame := o.page[frameAt : outboxAt+o.n]
	wire.Finish(wire.Begin(frame, wire.KindResults)[:len(frame)])
	o.write(frame)
	o.n = 0
	pageWord(o.page, pageLength).Store(0)
}

// write writes a frame, and waits for the parent to read if the pipe is full. mu is
// held, and often the worker's: nothing is heard meanwhile, so the parent must always
// read while it sends.
func (o *outbox) write(frame []byte) {
	if _, err := o.to.Write(frame); err != nil && !o.failed {
		o.failed = true
		dieWithGroup() // the parent has gone, or wants no more
	}
}
