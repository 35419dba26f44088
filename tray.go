package parallel

import (
	"sync/atomic"
)

// tray is where the executor puts the results of a part's items: one after the
// other, in the page, so that the parent finds them there if the worker dies. One
// word says how many there are and so both that a result is finished and that the
// next item is running. The outbox sends what is in the tray, at any time and
// from any goroutine, and the executor goes on meanwhile.
//
// There are some, so that one can be filled while the parent has still to take what
// is in the others.
type tray struct {
	page []byte
	data []byte         // of the one that is being filled
	done *atomic.Uint64 // the word of the page that says how far it is filled

	seq       uint64        // the item of the first result
	size      int           // of each result; −1: each behind its length
	end       uint64        // the item after the last of the part
	which     int           // which one
	sent      int           // results,
	sentBytes int           // and what they take; guarded by the outbox's mutex
	until     [trays]uint64 // the item after the last one that the parent is to take from a tray
}

const (
	traySize = 1 << 20 // bytes in a tray that make it full
	trayRoom = 4 << 10 // bytes that are kept for a result whose size is not known
)

func newTray(page []byte, mapped bool) *tray {
	t := &tray{page: page, done: pageWord(page, pageTrayDone)}
	if mapped {
		t.choose(0)
	}
	return t
}

// choose makes one of the trays the one to be filled.
func (t *tray) choose(which int) {
	t.which = which
	t.data = t.page[trayAt+which*pageStride:][:pageStride:pageStride]
}

// free reports whether the parent has taken what it was to take from a tray.
func (t *tray) free(which int) bool { return t.until[which] <= pageWord(t.page, pageTaken).Load() }

// other is the tray to be filled next.
func (t *tray) other() int { return (t.which + 1) % trays }

// used is how many bytes are in the tray.
func (t *tray) used() int { return int(uint32(t.done.Load())) }

// next is the number of the item whose result comes next.
func (t *tray) next() uint64 { return t.seq + t.done.Load()>>32 }

// commit takes in that a result of n bytes has been put behind the others. Only
// the executor calls it.
func (t *tray) commit(n int) { publish(t.done, t.done.Load()+(1<<32|uint64(n))) }

// reset empties the tray for results of items from seq on. All that is in it has
// been sent. The outbox's mutex is held, and on says whether seq is running.
func (t *tray) reset(seq uint64, size int, on bool) {
	if on { // at every moment the page says what is running
		pageWord(t.page, pageRunning).Store(seq)
	}
	pageWord(t.page, pageTrayOn).Store(0)
	t.done.Store(0)
	if !t.free(t.which) {
		t.choose(t.other()) // that one is: see lend
	}
	pageWord(t.page, pageTrayAt).Store(uint64(t.which))
	pageWord(t.page, pageTraySeq).Store(seq)
	pageWord(t.page, pageTraySize).Store(uint64(size + 1))
	t.seq, t.size, t.sent, t.sentBytes = seq, size, 0, 0
	if on {
		t.start()
	}
}

// start notes that the item whose result comes next is running.
func (t *tray) start() {
	pageWord(t.page, pageTrayOn).Store(t.end)
	pageWord(t.page, pageRunning).Store(0)
}

// stop notes that none is.
func (t *tray) stop() { pageWord(t.page, pageTrayOn).Store(0) }

// unsent is what has not been sent: results from item seq on. The outbox's mutex
// is held.
func (t *tray) unsent() (seq uint64, count int, data []byte) {
	done := t.done.Load()
	count, end := int(done>>32), int(uint32(done))
	seq, data = t.seq+uint64(t.sent), t.data[t.sentBytes:end]
	count -= t.sent
	t.sent, t.sentBytes = t.sent+count, end
	return seq, count, data
}

// lend reports whether the parent may be left to take n bytes of results, up to
// those of item until, from the tray, and where they are: if they are worth it,
// and there is another tray to fill meanwhile. The outbox's mutex is held.
func (t *tray) lend(n int, until uint64) (at int, ok bool) {
	if n < byReference || !t.free(t.other()) {
		return 0, false
	}
	t.until[t.which] = until
	return trayAt + t.which*pageStride + t.sentBytes - n, true
}
