package shm

import (
	"encoding/binary"
	"math"
	"os"

	"example.com/parallel/internal/wire"
)

// Segment is the parent's view of the segment: it reads and writes the file.
//
// One goroutine at a time may use the methods that take results, CheckResults,
// ReadResults and Taken, and one those that send, PutItems and RingDoorbell. Trim must
// not run beside either. The others may be called from any goroutine until Close.
type Segment struct {
	f          *os.File
	slotFilled [Slots]int // how far each slot has been filled since Trim
	ringFilled [rings]int // the same for the rings
}

// Create makes a segment for a worker that is about to be started: memory without a name
// or, on systems that have no such thing, a file that has lost its name. It returns nil
// and no error if there are no segments on this system, or this process may not have a
// file of that size. The caller closes it.
func Create() (*Segment, error) { return create(false) }

// CreateInFile is Create with a file on every system.
func CreateInFile() (*Segment, error) { return create(true) }

// New returns the Segment in f, a file of Size bytes, and takes f over.
func New(f *os.File) *Segment { return &Segment{f: f} }

// File is the file, which a worker is to inherit.
func (s *Segment) File() *os.File { return s.f }

// Close gives back the file. A worker's mapping of it stays.
func (s *Segment) Close() error { return s.f.Close() }

// words are the words of a segment.
type words [wordsSize]byte

func (w *words) at(word int) uint64 { return binary.NativeEndian.Uint64(w[word:]) }

func (w *words) running() uint64 {
	return runningItem(w.at(wordRunning), w.at(wordEnd), w.at(wordFirst), w.at(wordDone))
}

func (s *Segment) words() (w words, ok bool) {
	if _, err := s.f.ReadAt(w[:], 0); err != nil {
		return words{}, false
	}
	return w, true
}

// Running is the item that the worker is running, by its sequence number; 0 if none is.
// ok is false if it cannot be read.
func (s *Segment) Running() (seq uint64, ok bool) {
	w, ok := s.words()
	return w.running(), ok
}

// Unsent is what a dead worker had finished, as records: what is in the results buffer, and
// behind it what is in the ring. Some of it may have been sent before. A ring of more than
// limit bytes and RingFull is passed over: a worker does not fill it so far. Whether these
// are records the caller must find out.
func (s *Segment) Unsent(limit int) []byte {
	w, _ := s.words()
	records := s.readUpTo(recordsAt, min(w.at(wordRecords), RecordsSize))
	count, length, size := w.at(wordDone)>>32, w.at(wordDone)&math.MaxUint32, w.at(wordSize)
	if count == 0 || count > math.MaxInt32 || size > math.MaxInt32 || length > uint64(limit)+RingFull {
		return records
	}
	results := s.readUpTo(int64(RingsAt)+int64(w.at(wordRing)%rings)*stride, length)
	return wire.AppendResults(records, w.at(wordFirst), int(count), int(size)-1, results)
}

// readUpTo reads n bytes, or none if the worker has truncated the file.
func (s *Segment) readUpTo(at int64, n uint64) []byte {
	if info, err := s.f.Stat(); err != nil || uint64(max(0, info.Size()-at)) < n {
		return nil
	}
	b := make([]byte, n)
	m, _ := s.f.ReadAt(b, at)
	return b[:m]
}

// PutItems puts the encoding of items into a slot, whose last items the worker must have
// run, and returns where the worker finds it. ok is false if the segment does not take it.
func (s *Segment) PutItems(slot int, data []byte) (at int, ok bool) {
	at = slotsAt + slot*stride
	if len(data) > stride {
		return 0, false
	}
	if _, err := s.f.WriteAt(data, int64(at)); err != nil {
		return 0, false
	}
	s.slotFilled[slot] = max(s.slotFilled[slot], len(data))
	return at, true
}

// CheckResults reports whether results of so many bytes, at most limit, may be where a
// worker says: within a ring.
func (s *Segment) CheckResults(at, length, limit int) bool {
	if at < RingsAt || at >= slotsAt || length < 0 || length > limit {
		return false
	}
	ring, offset := (at-RingsAt)/stride, (at-RingsAt)%stride
	if length > stride-offset {
		return false
	}
	s.ringFilled[ring] = max(s.ringFilled[ring], offset+length)
	return true
}

// ReadResults fills dst with what is at a place that CheckResults has allowed. What the
// worker does to that place meanwhile may or may not be seen.
func (s *Segment) ReadResults(dst []byte, at int) error {
	_, err := s.f.ReadAt(dst, int64(at))
	return err
}

// Taken tells the worker that the results of the items before seq have been read, so that
// their ring may be filled again.
func (s *Segment) Taken(seq uint64) { s.setWord(wordTaken, seq) }

// RingDoorbell tells the worker that n frames, since its start, are worth an early look
// into the pipe.
func (s *Segment) RingDoorbell(n uint64) { s.setWord(wordDoorbell, n) }

// setWord sets a word. If that fails, the worker goes on without.
func (s *Segment) setWord(word int64, v uint64) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	_, _ = s.f.WriteAt(b[:], word)
}

// Trim gives back the memory of what a call with large items or results has left in the
// segment, but for 1 MiB in each place. The worker must have nothing to do.
func (s *Segment) Trim() {
	for i := range s.slotFilled {
		s.trim(slotsAt+i*stride, &s.slotFilled[i])
	}
	for i := range s.ringFilled {
		s.trim(RingsAt+i*stride, &s.ringFilled[i])
	}
}

func (s *Segment) trim(at int, filled *int) {
	if *filled > keep {
		punchHole(s.f, int64(at+keep), int64(*filled-keep))
		*filled = keep
	}
}
