package parallel

import (
	"encoding/binary"
	"math"
	"os"
	"sync/atomic"
	"unsafe"

	"example.com/parallel/internal/wire"
)

// The page is a small file that a worker maps into its memory and the parent
// only ever reads, as a file: whatever a worker does to it, truncating it
// included, the parent meets a short read and no fault. In it stand
//
//	pageRunning    the item that the worker is running: its sequence number, 0 for none
//	pageLength     how many bytes of records stand in the outbox
//	pageTray…      the same for the tray; see there
//	from outboxAt  the outbox: records that have not been written to the pipe yet
//	from trayAt    the tray: results of items that are run many at once
//
// so that when a worker dies at any instruction, the parent knows which item
// did it and has every result that was finished before. Where there is no page
// (no memory to share), a worker says each item's start on the pipe instead.
const (
	pageRunning  = 0
	pageLength   = 8
	pageTrayOn   = 16 // not 0: the item after those in the tray is running
	pageTraySeq  = 24 // the first result's item
	pageTraySize = 32 // each result's size and 1; 0: they vary
	pageTrayDone = 40 // the number of results << 32 | the bytes that they take
	pageWords    = 48

	outboxAt   = 4096
	outboxSize = 256 << 10
	trayAt     = outboxAt + outboxSize
	traySize   = 256 << 10
	pageSize   = trayAt + traySize
)

// pageWord is a word of a mapped page.
func pageWord(page []byte, at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&page[at]))
}

// pageState is the words of a page, as the parent reads them.
type pageState struct{ running, length, trayOn, traySeq, traySize, trayDone uint64 }

// readPage reads the words of the page as the parent does. It returns false if it
// cannot.
func readPage(page *os.File) (s pageState, ok bool) {
	var b [pageWords]byte
	if _, err := page.ReadAt(b[:], 0); err != nil {
		return s, false
	}
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	s = pageState{word(pageRunning), word(pageLength), word(pageTrayOn), word(pageTraySeq), word(pageTraySize), word(pageTrayDone)}
	if s.trayOn != 0 {
		s.running = s.traySeq + s.trayDone>>32
	}
	return s, true
}

// readOutbox reads what a dead worker left, as records. What is no record, the
// reader of records will find out.
func readOutbox(page *os.File) []byte {
	s, _ := readPage(page)
	records := readUpTo(page, outboxAt, min(s.length, outboxSize))
	results := readUpTo(page, trayAt, min(s.trayDone&math.MaxUint32, traySize))
	count, size := s.trayDone>>32, s.traySize
	if count == 0 || count > math.MaxInt32 || size > math.MaxInt32 {
		return records
	}
	return wire.AppendResults(records, s.traySeq, int(count), int(size)-1, results)
}

// readUpTo reads n bytes, or fewer if the worker truncated the file.
func readUpTo(page *os.File, at int64, n uint64) []byte {
	b := make([]byte, n)
	m, _ := page.ReadAt(b, at)
	return b[:m]
}
