package shm

// Where things lie in the file that the worker writes, in bytes.
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
	// RingCount is how many results in a ring make it full.
	RingCount = 1 << 20
	// RingRoom is how many bytes are kept for a result whose size is not known.
	RingRoom = 4 << 10

	// ringReserve is how much of a ring is used in a file on a disk.
	ringReserve = min(RingFull+RingRoom, stride)

	upSize = RingsAt + rings*stride
)

// Where things lie in the file that the parent writes.
const (
	slotsAt = 4096
	// Slots is the number of slots: items on their way to the worker.
	Slots = 2

	downSize = slotsAt + Slots*stride
)

const (
	// Size is the size of both files. They take memory only where something was written.
	Size = upSize + downSize

	// byReference is the number of bytes from which on items and results go through the
	// segment and not through the pipe.
	byReference = 4 << 10

	stride = 1 << (20 + 11*(^uint(0)>>63)) // from one ring or slot to the next; less if addresses are short
	keep   = ringReserve                   // bytes of each ring and slot that an idle worker keeps
)

// Where the worker's words stand, each of 8 bytes in the machine's order.
const (
	wordRunning = 0  // the item that is running: its sequence number, 0 for none
	wordRecords = 8  // how many bytes of records are in the results buffer, and which item failed last: see records
	wordEnd     = 16 // not 0: instead, the item after those in the ring is running, if it comes before this one
	wordFirst   = 24 // the item of the ring's first result
	wordSize    = 32 // the size of each result, and 1; 0: they vary
	wordDone    = 40 // how many results there are, and the bytes that they take: see doneTag
	wordRing    = 48 // which of the rings is being filled
	wordPast    = 56 // the item after the last that has an outcome, whether that was sent or not

	upWordsSize = 64
)

// Where the parent's words stand. The worker cannot write them, so they need no check.
const (
	wordTaken    = 0  // the item after the last whose result the parent has taken from a ring
	wordDoorbell = 8  // how many frames the parent has written to the pipe that the worker should read at once
	wordRoom     = 16 // how many bytes of each ring have room on a disk; 0: all of them need none
	wordRevoked  = 24 // no item before this one may begin any more; 0: all may

	downWordsSize = 32
)

// Fits reports whether items of so many bytes go through the segment: it is worth it, and
// a slot has room for them.
func Fits(bytes int) bool { return bytes >= byReference && bytes <= stride }

// A word of the worker's proves itself: what a stray write leaves there, zeros included,
// hardly ever passes for one. It is a value of 48 bits below a check of 16, which also
// knows the place; but the word done, which changes with each item, has a constant tag.
const (
	valueBits = 48

	doneTag   = 0x5a3 << 53 // above 21 bits that count the results, and 32 that count bytes
	doneCount = 1<<21 - 1
)

// protect is v, as the word at a place.
func protect(v uint64, place int) uint64 {
	v &= 1<<valueBits - 1
	return v | checkOf(v, place)<<valueBits
}

// checkOf is a check of 16 bits: a product's high bits depend on all bits of its factors.
func checkOf(v uint64, place int) uint64 {
	h := (v ^ uint64(place+1)<<valueBits) * 0x9e3779b97f4a7c15
	return (h ^ h>>29) * 0xbf58476d1ce4e5b9 >> valueBits
}

// verify is the value in a word at a place. ok is false if it is none.
func verify(word uint64, place int) (v uint64, ok bool) {
	v = word & (1<<valueBits - 1)
	return v, word == protect(v, place)
}

// splitDone is what the word done says. ok is false if it is none.
func splitDone(word uint64) (count, bytes uint64, ok bool) {
	return word >> 32 & doneCount, word & (1<<32 - 1), word&^(1<<53-1) == doneTag
}

// records is the value of the word of that name: n bytes of records, the last of which is the
// failure of item failed; 0: it is another.
func records(n int, failed uint64) uint64 { return failed&failedMask<<recordsBits | uint64(n) }

// splitRecords is what records made. Of failed there are the low bits.
func splitRecords(v uint64) (n, failed uint64) {
	return v & (1<<recordsBits - 1), v >> recordsBits
}

const (
	recordsBits = 20 // RecordsSize needs 19
	failedMask  = 1<<(valueBits-recordsBits) - 1
)

// runningItem is the item that is running, 0 for none, as the words say. One word, done,
// says how many results there are: so a result is finished, and the next item running, at
// the same moment. So it is with a failure and the word records.
func runningItem(running, end, first, count, failed uint64) uint64 {
	if end == 0 {
		if failed != 0 && running&failedMask == failed {
			return 0
		}
		return running
	}
	if next := first + count; next < end {
		return next
	}
	return 0 // all of them have results
}
