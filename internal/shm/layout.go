package shm

// Where things lie in the segment, in bytes.
const (
	// recordsAt is where the results buffer begins: records that have not been written to
	// the pipe yet.
	recordsAt = 4096
	// RecordsSize is its size.
	RecordsSize = 256 << 10
	// RingsAt is where the result rings begin: results of items. Tests of what a worker may
	// do wrong name places by it.
	RingsAt = recordsAt + RecordsSize
	// rings is their number. There are some, so that one can be filled while the parent
	// has still to take what is in the others.
	rings = 4
	// RingFull is how many bytes in a ring make it full.
	RingFull = 1 << 20
	// RingRoom is how many bytes are kept for a result whose size is not known.
	RingRoom = 4 << 10
	// Slots is the number of slots, behind the rings: items on their way to the worker.
	Slots = 2
	// Size is the size of a segment's file.
	Size = slotsAt + Slots*stride

	// byReference is the number of bytes from which on items and results go through the
	// segment and not through the pipe.
	byReference = 4 << 10

	stride  = 1 << (20 + 11*(^uint(0)>>63)) // from one ring or slot to the next; less if addresses are short
	slotsAt = RingsAt + rings*stride
	keep    = 1 << 20 // bytes of each ring and slot that an idle worker keeps
)

// Where the words stand, each of 8 bytes in the machine's order.
const (
	wordRunning  = 0  // the item that is running: its sequence number, 0 for none
	wordRecords  = 8  // how many bytes of records are in the results buffer
	wordEnd      = 16 // not 0: instead, the item after those in the ring is running, if it comes before this one
	wordFirst    = 24 // the item of the ring's first result
	wordSize     = 32 // the size of each result, and 1; 0: they vary
	wordDone     = 40 // the number of results << 32 | the bytes that they take
	wordRing     = 48 // which of the rings is being filled
	wordTaken    = 56 // the item after the last whose result the parent has taken from a ring
	wordDoorbell = 64 // how many frames the parent has written to the pipe that the worker should read at once

	// wordsSize is the size of all words.
	wordsSize = 72
)

// Fits reports whether items of so many bytes go through the segment: it is worth it, and
// a slot has room for them.
func Fits(bytes int) bool { return bytes >= byReference && bytes <= stride }

// runningItem is the item that is running, 0 for none, as the words say. One word, done,
// says how many results there are: so a result is finished, and the next item running, at
// the same moment.
func runningItem(running, end, first, done uint64) uint64 {
	if end == 0 {
		return running
	}
	if next := first + done>>32; next < end {
		return next
	}
	return 0 // all of them have results
}
