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
// What a stray write of this process does to the words there, the parent is to notice. This
// process goes by its own copies of them.
//
// Running and Doorbell may be called from any goroutine. SetRunning, SetRecords and what
// writes to Records need the mutex of the worker's results buffer.
type Mapping struct {
	up     []byte // what this process writes
	down   []byte // what the parent writes; read-only if it is shared
	shared bool
	room   int // bytes of each ring that may be used
	ring   Ring

	running, records, end, first, size, which, past, done word
}

// word is a word that this process writes, and its own copy, which is not protected.
type word struct {
	value  atomic.Uint64
	shared *atomic.Uint64
	place  int
}

func (w *word) init(m *Mapping, place int) { w.shared, w.place = wordAt(m.up, place), place }

func (w *word) set(v uint64) {
	w.value.Store(v)
	w.shared.Store(protect(v, w.place))
}

// setDone is set for the word done, whose value is as it is in the memory.
func (w *word) setDone(v uint64) {
	w.value.Store(v)
	w.shared.Store(v)
}

func (w *word) get() uint64 { return w.value.Load() }

func wordAt(b []byte, place int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&b[place])) }

// Map maps the segment in the two files, which the parent has made, into this process's
// memory, where it stays until the process ends. The files may be closed. It fails with
// errors.ErrUnsupported on systems without segments, and if this process lacks the addresses.
func Map(up, down *os.File) (*Mapping, error) {
	m := &Mapping{shared: true}
	var err error
	if m.up, err = mapFile(up, upSize, true); err != nil {
		return nil, err
	}
	if m.down, err = mapFile(down, downSize, false); err != nil {
		unmap(m.up)
		return nil, err
	}
	if m.room = stride; wordAt(m.down, wordRoom).Load() != 0 {
		m.room = ringReserve
	}
	m.init()
	return m, nil
}

// Private returns memory for a worker without a segment. It has one ring, of RingFull and
// RingRoom bytes, from which nothing is lent, and no slots.
func Private() *Mapping {
	m := &Mapping{up: make([]byte, RingsAt+RingFull+RingRoom), down: make([]byte, downWordsSize), room: RingFull + RingRoom}
	m.init()
	return m
}

// init makes the words say that nothing is running and nothing finished.
func (m *Mapping) init() {
	for place, w := range map[int]*word{
		wordRunning: &m.running, wordRecords: &m.records, wordEnd: &m.end, wordFirst: &m.first,
		wordSize: &m.size, wordRing: &m.which, wordPast: &m.past,
	} {
		w.init(m, place)
		w.set(0)
	}
	m.done.init(m, wordDone)
	m.done.setDone(doneTag)
	m.ring.init(m)
}

// Shared reports whether the parent sees this memory.
func (m *Mapping) Shared() bool { return m.shared }

// SetRunning says that item seq is running, or none if it is 0. It does not hold while
// items of the ring are running: see Ring.Continue.
func (m *Mapping) SetRunning(seq uint64) { m.running.set(seq) }

// SetPast says that the items before next that this process has run have outcomes. It is said
// before these can leave the memory: if the parent never gets them, it knows that they are
// missing.
func (m *Mapping) SetPast(next uint64) { m.past.set(next) }

// Running is the item that is running; 0 if none is.
func (m *Mapping) Running() uint64 {
	for {
		e, f, d, r := m.end.get(), m.first.get(), m.done.get(), m.running.get()
		// They belong together unless the ring was emptied meanwhile. Empty sets running,
		// clears end, sets first, sets end and clears running, in this order. So whatever
		// of that came in between, one of these three has changed.
		if m.end.get() == e && m.running.get() == r && m.first.get() == f {
			count, _, _ := splitDone(d)
			return runningItem(r, e, f, count, 0)
		}
	}
}

// Doorbell is how many frames the parent has written that the worker should read at once;
// always 0 in private memory.
func (m *Mapping) Doorbell() uint64 { return wordAt(m.down, wordDoorbell).Load() }

// Revoked is the word that says which items must not begin any more, those before it, if they
// have not begun: see Segment.Revoke. It is to be looked at after the item that comes next has
// been published as the running one.
func (m *Mapping) Revoked() *atomic.Uint64 { return wordAt(m.down, wordRevoked) }

// taken is the item after the last whose result the parent has taken from a ring.
func (m *Mapping) taken() uint64 { return wordAt(m.down, wordTaken).Load() }

// Records is the memory of the results buffer: room for the header of a frame, and
// RecordsSize bytes behind it, where the records stand.
func (m *Mapping) Records() []byte { return m.up[recordsAt-wire.HeaderLen : RingsAt : RingsAt] }

// SetRecords says that n bytes of records are in the results buffer, and that the last of them
// is the failure of item failed, which is not running any more; 0: it is another record. What
// was put there is visible to the parent before this is.
func (m *Mapping) SetRecords(n int, failed uint64) { m.records.set(records(n, failed)) }

// Items is what the parent has put into a slot. It cannot be written to. It is valid until the slot's items have
// been run and their outcomes sent.
func (m *Mapping) Items(at, length int) ([]byte, error) {
	if !m.shared || at < slotsAt || length < 0 || at > downSize-length {
		return nil, errors.New("items where there is no memory")
	}
	return m.down[at:][:length:length], nil
}

// Ring is the result ring.
func (m *Mapping) Ring() *Ring { return &m.ring }
