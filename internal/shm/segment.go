package shm

import (
	"errors"
	"math"
	"os"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// Segment is the parent's view of the segment. Of sealed files it maps what it uses; the
// others it reads and writes.
//
// One goroutine at a time may use the methods that take results, CheckResults,
// ReadResults and Taken, and one those that send, PutItems and RingDoorbell. Trim must
// not run beside either. The others may be called from any goroutine, and so may Close: what
// is called afterwards fails, or does nothing.
type Segment struct {
	up       *os.File // the worker writes it
	down     *os.File // only the parent writes it
	readOnly *os.File // down, as the worker is to have it
	options  *Options // how to map them; nil: they must not be mapped

	mu    sync.RWMutex // held for reading while an area is used, and for writing while one is unmapped
	words area         // the worker's
	told  area         // the parent's words
	slots [Slots]area
	rings [rings]area
}

// Options say how a segment is made. The zero value is what users get.
type Options struct {
	// InFile makes it of files in the directory for temporary files, as on systems that have
	// no memory without a name, or cannot share it.
	InFile bool

	// Fault, if not nil, is asked before each operation ("memfd", "seal", "proc", "file",
	// "map"), from any goroutine. Its error becomes the operation's. It is for tests.
	Fault func(op string) error
}

func (o Options) fault(op string) error {
	if o.Fault == nil {
		return nil
	}
	return o.Fault(op)
}

// Create makes a segment for a worker that is about to be started: memory without a name or,
// where that is not to be had, files that have lost their names. The error says why there is
// none: a worker does without. The caller closes the segment, and the second of what Inherit
// returns as soon as the worker has been started.
func Create(o Options) (*Segment, error) {
	f, err := create(o)
	if err != nil {
		return nil, err
	}
	s := newSegment(f, &o)
	s.mapWords()
	return s, nil
}

// files are the files of a segment.
type files struct {
	up, down, readOnly *os.File
	sealed             bool // none of them can be made shorter
}

func (f *files) close() {
	for _, f := range []*os.File{f.up, f.down, f.readOnly} {
		if f != nil {
			f.Close()
		}
	}
}

func newSegment(f files, o *Options) *Segment {
	if !f.sealed {
		o = nil // who reads the memory of a file that has become too short is ended
	}
	s := &Segment{up: f.up, down: f.down, readOnly: f.readOnly, options: o}
	s.words = area{file: f.up, options: o}
	s.told = area{file: f.down, options: o, writes: true}
	for i := range s.slots {
		s.slots[i] = area{file: f.down, at: slotsAt + i*stride, options: o, writes: true}
	}
	for i := range s.rings {
		s.rings[i] = area{file: f.up, at: RingsAt + i*stride, options: o}
	}
	return s
}

// mapWords maps the words, which are needed from the start on.
func (s *Segment) mapWords() {
	s.words.resize(recordsAt)
	s.told.resize(slotsAt)
}

// Open returns the segment in the files of a worker, which stay its own. It is for tests, in
// which a worker looks at its segment as the parent does.
func Open(up, down *os.File) *Segment { return newSegment(files{up: up, down: down}, nil) }

// Inherit is what the worker is to inherit: the file that it writes, and the one that it can
// only read.
func (s *Segment) Inherit() (up, readOnly *os.File) { return s.up, s.readOnly }

// Files are the two files as this process has them.
func (s *Segment) Files() (up, down *os.File) { return s.up, s.down }

// Close gives back the files but for that of the worker, and what is mapped of them. A worker's
// mappings of them stay.
func (s *Segment) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words.unmap()
	s.told.unmap()
	for i := range s.slots {
		s.slots[i].unmap()
	}
	for i := range s.rings {
		s.rings[i].unmap()
	}
	return errors.Join(s.up.Close(), s.down.Close())
}

// report is what a worker says of itself by its words.
type report struct {
	running uint64 // the item that is running; 0: none
	past    uint64 // the item after the last that has an outcome
	records uint64 // bytes of records in the results buffer
	first   uint64 // the item of the first result in the ring
	count   uint64 // of results there
	bytes   uint64 // that they take
	size    int    // of each; −1: they vary
	ring    int    // which ring
}

// report reads the worker's words. ok is false if they cannot be read, or one is not what a
// worker writes there: something else has written to it.
func (s *Segment) report() (r report, ok bool) {
	var v [upWordsSize / 8]uint64
	if s.load(v[:]) != nil {
		return report{}, false
	}
	for i, word := range v {
		valid := false
		if 8*i == wordDone {
			r.count, r.bytes, valid = splitDone(word)
		} else {
			v[i], valid = verify(word, 8*i)
		}
		if !valid {
			return report{}, false
		}
	}
	var failed uint64
	r.records, failed = splitRecords(v[wordRecords/8])
	r.running = runningItem(v[wordRunning/8], v[wordEnd/8], v[wordFirst/8], r.count, failed)
	r.first, r.past = v[wordFirst/8], v[wordPast/8]
	r.size, r.ring = int(min(v[wordSize/8], math.MaxInt32))-1, int(min(v[wordRing/8], rings))
	return r, true
}

func (s *Segment) load(words []uint64) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.words.load(words)
}

// Running is the item that the worker is running, by its sequence number; 0 if none is.
// ok is false if the worker, or something in it, has destroyed what says so. While the
// worker lives, its words may change between one and the next: a single report proves
// nothing.
func (s *Segment) Running() (seq uint64, ok bool) {
	r, ok := s.report()
	return r.running, ok
}

// Steady is Running as two reports in a row say that agree in all they say, so that no word has
// changed in between.
func (s *Segment) Steady() (seq uint64, ok bool) {
	before, _ := s.report()
	for range steadyLooks {
		r, ok := s.report()
		if ok && r == before {
			return r.running, true
		}
		before = r
	}
	return 0, false
}

// steadyLooks is how often Steady looks. A worker whose items are shorter than a look is of no
// interest to it.
const steadyLooks = 3

// Past is the item after the last that has an outcome, as the worker says. ok is as that of
// Running.
func (s *Segment) Past() (next uint64, ok bool) {
	r, ok := s.report()
	return r.past, ok
}

// Unsent is what a dead worker had finished, as records: what is in the results buffer, and
// behind it what is in the ring. Some of it may have been sent before. ok is false if the
// worker, or something in it, has destroyed what says so; or if the ring has more than limit
// bytes and RingFull, up to which a worker does not fill it. Whether these are records the
// caller must find out.
func (s *Segment) Unsent(limit int) (records []byte, ok bool) {
	r, ok := s.report()
	switch {
	case !ok, r.records > RecordsSize, r.ring >= rings:
		return nil, false
	case r.bytes > uint64(limit)+RingFull, r.size >= 0 && r.bytes != r.count*uint64(r.size):
		return nil, false
	}
	if records, ok = readUpTo(s.up, recordsAt, r.records); !ok || r.count == 0 {
		return records, ok
	}
	results, ok := readUpTo(s.up, int64(RingsAt)+int64(r.ring)*stride, r.bytes)
	if !ok || !wire.Fits(results, int(r.count), r.size) {
		return nil, false
	}
	return wire.AppendResults(records, r.first, int(r.count), r.size, results), true
}

// readUpTo reads n bytes. ok is false if there are fewer, since the worker has truncated the
// file.
func readUpTo(f *os.File, at int64, n uint64) (b []byte, ok bool) {
	if info, err := f.Stat(); err != nil || uint64(max(0, info.Size()-at)) < n {
		return nil, false
	}
	b = make([]byte, n)
	_, err := f.ReadAt(b, at)
	return b, err == nil
}

// putStep is how much PutItems copies before it asks whether to go on: a fraction of a
// millisecond.
const putStep = 1 << 20

// PutItems puts the encoding of items into a slot, whose last items the worker must have
// run, and returns where the worker finds it. Now and then it asks whether to stop. ok is
// false if it has stopped, or the segment does not take the items.
func (s *Segment) PutItems(slot int, data []byte, stop func() bool) (at int, ok bool) {
	if len(data) > stride {
		return 0, false
	}
	for n := 0; n < len(data); {
		if n > 0 && stop() {
			return 0, false
		}
		m, err := s.put(slot, data[n:min(len(data), n+putStep)], n)
		if err != nil {
			return 0, false
		}
		n += m
	}
	return slotsAt + slot*stride, true
}

func (s *Segment) put(slot int, data []byte, offset int) (n int, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.slots[slot].writeAt(data, offset)
}

// CheckResults reports whether results of so many bytes, at most limit, may be where a
// worker says: within a ring.
func (s *Segment) CheckResults(at, length, limit int) bool {
	if at < RingsAt || at >= upSize || length < 0 || length > limit {
		return false
	}
	ring, offset := inRing(at)
	if length > stride-offset {
		return false
	}
	r := &s.rings[ring]
	r.filled = max(r.filled, offset+length)
	return true
}

func inRing(at int) (ring, offset int) { return (at - RingsAt) / stride, (at - RingsAt) % stride }

// ReadResults fills dst with what is at a place that CheckResults has allowed. What the
// worker does to that place meanwhile may or may not be seen: dst is what to check.
func (s *Segment) ReadResults(dst []byte, at int) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ring, offset := inRing(at)
	return s.rings[ring].readAt(dst, offset)
}

// Taken tells the worker that the results of the items before seq have been read, so that
// their ring may be filled again.
func (s *Segment) Taken(seq uint64) { s.setWord(wordTaken, seq) }

// RingDoorbell tells the worker that n frames, since its start, are worth an early look
// into the pipe.
func (s *Segment) RingDoorbell(n uint64) { s.setWord(wordDoorbell, n) }

// Revoke tells the worker to begin no item before seq that it has not begun. It returns false,
// and does nothing, if the worker could read the word while it changes.
//
// When PublishTime has passed, what says which item is running is right for the items before
// seq: of those behind that one, none has begun or ever will.
func (s *Segment) Revoke(seq uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.told.mem != nil && s.told.store(wordRevoked, seq) == nil
}

// Revokes reports whether Revoke can do so.
func (s *Segment) Revokes() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.told.mem != nil
}

// PublishTime is how long it takes at most until the parent sees what the worker published
// before it looked at a word of the parent's. The worker publishes what is running, and then
// looks at the word; the parent sets the word, and then looks at what is running. But the
// worker's store may still wait in its processor (see publish) when it looks. That takes a
// fraction of a microsecond, also if the processor is interrupted or taken away, which waits for
// its stores.
const PublishTime = 10 * time.Microsecond

// setWord sets a word. If that fails, the worker goes on without.
func (s *Segment) setWord(word int64, v uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_ = s.told.store(word, v)
}

// Trim gives back the memory of what a call with large items or results has left in the
// segment, but for 1 MiB in each place. The worker must have nothing to do.
func (s *Segment) Trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		s.slots[i].trim(s.options)
	}
	for i := range s.rings {
		s.rings[i].trim(s.options)
	}
}
