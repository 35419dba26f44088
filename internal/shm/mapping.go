package shm

import (
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"example.com/parallel/internal/wire"
)

// Mapping is the worker's view of the segment: memory that is shared with the parent, or
// private memory of the same layout if there is no segment.
//
// Running and Doorbell may be called from any goroutine. SetRunning, SetRecords and what
// writes to Records need the mutex of the worker's results buffer.
type Mapping struct {
	b      []byte
	shared bool
	ring   Ring
}

// Map maps the segment in f into this process's memory, where it stays until the process
// ends. f may be closed. It fails with errors.ErrUnsupported on systems without segments,
// and if this process lacks the addresses.
func Map(f *os.File) (*Mapping, error) {
	b, err := mapFile(f)
	if err != nil {
		return nil, err
	}
	m := &Mapping{b: b, shared: true}
	m.ring.init(m)
	return m, nil
}

// Private returns memory for a worker without a segment. It has one ring, of RingFull and
// RingRoom bytes, from which nothing is lent, and no slots.
func Private() *Mapping {
	m := &Mapping{b: make([]byte, RingsAt+RingFull+RingRoom)}
	m.ring.init(m)
	return m
}

// Shared reports whether the parent sees this memory.
func (m *Mapping) Shared() bool { return m.shared }

func (m *Mapping) word(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&m.b[at])) }

// SetRunning says that item seq is running, or none if it is 0. It does not hold while
// items of the ring are running: see Ring.Continue.
func (m *Mapping) SetRunning(seq uint64) { m.word(wordRunning).Store(seq) }

// Running is the item that is running; 0 if none is.
func (m *Mapping) Running() uint64 {
	running, end, first, done := m.word(wordRunning), m.word(wordEnd), m.word(wordFirst), m.word(wordDone)
	for {
		e, f, d, r := end.Load(), first.Load(), done.Load(), running.Load()
		// They belong together unless the ring was emptied meanwhile. Empty sets running,
		// clears end, sets first, sets end and clears running, in this order. So whatever
		// of that came in between, one of these three has changed.
		if end.Load() == e && running.Load() == r && first.Load() == f {
			return runningItem(r, e, f, d)
		}
	}
}

// Doorbell is how many frames the parent has written that the worker should read at once;
// always 0 in private memory.
func (m *Mapping) Doorbell() uint64 { return m.word(wordDoorbell).Load() }

// Records is the memory of the results buffer: room for the header of a frame, and
// RecordsSize bytes behind it, where the records stand.
func (m *Mapping) Records() []byte { return m.b[recordsAt-wire.HeaderLen : RingsAt : RingsAt] }

// SetRecords says that n bytes of records are in the results buffer. What was put there
// is visible to the parent before the number is.
func (m *Mapping) SetRecords(n int) { m.word(wordRecords).Store(uint64(n)) }

// Items is what the parent has put into a slot. It is valid until the slot's items have
// been run and their outcomes sent.
func (m *Mapping) Items(at, length int) ([]byte, error) {
	if !m.shared || at < slotsAt || length < 0 || at > Size-length {
		return nil, errors.New("items where there is no memory")
	}
	return m.b[at:][:length:length], nil
}

// Ring is the result ring.
func (m *Mapping) Ring() *Ring { return &m.ring }
