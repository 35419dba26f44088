package parallel

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"unsafe"
)

// The page is a small file that a worker maps into its memory and the parent
// only ever reads, as a file: whatever a worker does to it, truncating it
// included, the parent meets a short read and no fault. In it stand
//
//	word 0         the item that the worker is running: its sequence number, 0 for none
//	word 1         how many bytes of records stand in the outbox
//	from outboxAt  the outbox: records that have not been written to the pipe yet
//
// so that when a worker dies at any instruction, the parent knows which item
// did it and has every result that was finished before. Where there is no page
// (no memory to share), a worker says each item's start on the pipe instead.
const (
	pageRunning = 0
	pageLength  = 8
	outboxAt    = 4096
	outboxSize  = 256 << 10
	pageSize    = outboxAt + outboxSize
)

// pageWord is a word of a mapped page.
func pageWord(page []byte, at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&page[at]))
}

// readPageWord reads a word of the page as the parent does. It returns false if
// it cannot.
func readPageWord(page *os.File, at int64) (uint64, bool) {
	var b [8]byte
	if _, err := page.ReadAt(b[:], at); err != nil {
		return 0, false
	}
	return binary.NativeEndian.Uint64(b[:]), true
}

// readOutbox reads what a dead worker left in its outbox.
func readOutbox(page *os.File) []byte {
	length, _ := readPageWord(page, pageLength)
	b := make([]byte, min(length, outboxSize))
	n, _ := page.ReadAt(b, outboxAt) // short if the worker truncated it
	return b[:n]
}
