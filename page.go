package parallel

import (
	"encoding/binary"
	"math"
	"os"
	"sync/atomic"
	"unsafe"

	"example.com/parallel/internal/wire"
)

// The page is a file that a worker maps into its memory and the parent reads and
// writes as a file: whatever a worker does to it, truncating it included, the
// parent meets a short read and no fault, and nothing can change between a check
// and its use. In it stand
//
//	pageRunning    the item that the worker is running: its sequence number, 0 for none
//	pageLength     how many bytes of records stand in the outbox
//	pageTray…      the same for the trays; see there
//	pageTaken      the item after the last whose result the parent has taken from a tray
//	pageBell       how many stops and recalls the parent has written to the pipe
//	from outboxAt  the outbox: records that have not been written to the pipe yet
//	from trayAt    the trays: results of items
//	from inboxAt   two slots for items on their way to the worker
//
// so that when a worker dies at any instruction, the parent knows which item
// did it and has every result that was finished before, and that what is large
// is not copied through a pipe. The trays and the slots are as large as any
// message; a file takes memory only where something was written. Where there is
// no page (no memory to share), everything goes through the pipes, and a worker
// says each item's start there.
const (
	pageRunning  = 0
	pageLength   = 8
	pageTrayOn   = 16 // not 0: the item after those in the tray is running, if it comes before this one
	pageTraySeq  = 24 // the first result's item
	pageTraySize = 32 // each result's size and 1; 0: they vary
	pageTrayDone = 40 // the number of results << 32 | the bytes that they take
	pageTrayAt   = 48 // which of the trays
	pageTaken    = 56
	pageBell     = 64
	pageWords    = 72

	outboxAt   = 4096
	outboxSize = 256 << 10
	pageStride = 1 << (20 + 11*(^uint(0)>>63)) // from one tray or slot to the next; less where addresses are short
	trayAt     = outboxAt + outboxSize
	trays      = 4
	inboxAt    = trayAt + trays*pageStride
	pageSize   = inboxAt + 2*pageStride

	byReference = 4 << 10 // bytes from which on items and results go through the page
	pageKeep    = 1 << 20 // bytes of each tray and slot that an idle worker keeps
)

// pageWord is a word of a mapped page.
func pageWord(page []byte, at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&page[at]))
}

// pageState is the words of a page, as the parent reads them.
type pageState struct{ running, length, trayOn, traySeq, traySize, trayDone, trayAt uint64 }

// readPage reads the words of the page as the parent does. It returns false if it
// cannot.
func readPage(page *os.File) (s pageState, ok bool) {
	var b [pageWords]byte
	if _, err := page.ReadAt(b[:], 0); err != nil {
		return s, false
	}
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	s = pageState{word(pageRunning), word(pageLength), word(pageTrayOn), word(pageTraySeq), word(pageTraySize), word(pageTrayDone), word(pageTrayAt)}
	if s.trayOn != 0 {
		if s.running = s.traySeq + s.trayDone>>32; s.running >= s.trayOn {
			s.running = 0 // the part is over
		}
	}
	return s, true
}

// readOutbox reads what a dead worker left, as records; no result has more than
// limit bytes. What is no record, the reader of records will find out.
func readOutbox(page *os.File, limit int) []byte {
	s, _ := readPage(page)
	records := readUpTo(page, outboxAt, min(s.length, outboxSize))
	count, size, length := s.trayDone>>32, s.traySize, s.trayDone&math.MaxUint32
	if count == 0 || count > math.MaxInt32 || size > math.MaxInt32 || length > uint64(limit+traySize) {
		return records
	}
	results := readUpTo(page, trayAt+int64(s.trayAt%trays)*pageStride, length)
	return wire.AppendResults(records, s.traySeq, int(count), int(size)-1, results)
}

// readUpTo reads n bytes, or fewer if the worker truncated the file.
func readUpTo(page *os.File, at int64, n uint64) []byte {
	if info, err := page.Stat(); err != nil || uint64(max(0, info.Size()-at)) < n {
		return nil
	}
	b := make([]byte, n)
	m, _ := page.ReadAt(b, at)
	return b[:m]
}
