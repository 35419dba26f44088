package parallel

import (
	"sync/atomic"
)

// tray is where the executor puts the results of a part's items: one after the
// other, in the page, so that the parent finds them there if the worker dies. One
// word says how many there are and so both that a result is finished and that the
// next item is running. The outbox sends what is in the tray, at any time and
// from any goroutine, and the executor goes on meanwhile.
type tray struct {
	page []byte
	data []byte         // the page's tray
	done *atomic.Uint64 // the word of the page that says how far it is filled

	seq       uint64 // the item of the first result
	size      int    // of each result; −1: each behind its length
	sent      int    // results,
	sentBytes int    // and what they take; guarded by the outbox's mutex
}

const trayRoom = 4 << 10 // bytes that are kept for a result whose size is not known

func newTray(page []byte) *tray {
	return &tray{page: page, data: page[trayAt:pageSize:pageSize], done: pageWord(page, pageTrayDone)}
}

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
	pageWord(t.page, pageTraySeq).Store(seq)
	pageWord(t.page, pageTraySize).Store(uint64(size + 1))
	t.seq, t.size, t.sent, t.sentBytes = seq, size, 0, 0
	if on {
		t.start()
	}
}

// start notes that the item whose result comes next is running.
func (t *tray) start() {
	pageWord(t.page, pageTrayOn).Store(1)
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
