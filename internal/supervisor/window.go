package supervisor

import (
	"math"

	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/shm"
)

// flight is items in flight that follow one another: sent to a worker and not settled.
type flight struct {
	seq   uint64 // the first one's sequence number, which counts what the worker was sent,
	index int    // and its number in the call
	count int    // at least 1
	bytes int    // their encoded size
	slot  int    // of the segment, in which they are, and 1; 0: in none
}

func (f flight) span() schedule.Span { return schedule.Span{Lo: f.index, Hi: f.index + f.count} }

// end is the sequence number after the last one's.
func (f flight) end() uint64 { return f.seq + uint64(f.count) }

// split takes the first n items off f. Of its bytes the rest keeps an even share.
func (f *flight) split(n int) (first flight) {
	left := f.bytes / f.count * (f.count - n)
	first = flight{f.seq, f.index, n, f.bytes - left, f.slot}
	*f = flight{f.seq + uint64(n), f.index + n, f.count - n, left, f.slot}
	return first
}

// window is what a worker has in flight, in the order in which it runs it. A worker runs
// its items in order, so that the item that is running, and the next outcome, can only be
// the first. It is not safe for concurrent use: the session's mutex guards it.
type window struct {
	flights []flight
	items   int            // in all of them
	bytes   int            // their encoded size
	slots   [shm.Slots]int // how many of the items are in each slot of the segment
	next    uint64         // the sequence number after the last one that was ever added
}

// add puts f behind what is in flight.
func (w *window) add(f flight) {
	w.flights = append(w.flights, f)
	w.count(f, 1)
	w.next = f.end()
}

// count counts f in, with sign 1, or out, with sign −1.
func (w *window) count(f flight, sign int) {
	w.items += sign * f.count
	w.bytes += sign * f.bytes
	if f.slot > 0 {
		w.slots[f.slot-1] += sign * f.count
	}
}

func (w *window) empty() bool { return len(w.flights) == 0 }

// end is the sequence number after the last item in flight; 0: there is none.
func (w *window) end() uint64 {
	if w.empty() {
		return 0
	}
	return w.flights[len(w.flights)-1].end()
}

// first is the first item in flight.
func (w *window) first() (seq uint64, index int, ok bool) {
	if w.empty() {
		return 0, 0, false
	}
	return w.flights[0].seq, w.flights[0].index, true
}

// peek returns at most n items that follow one another, if seq is the first in flight.
func (w *window) peek(seq uint64, n int) (f flight, ok bool) {
	if w.empty() || w.flights[0].seq != seq {
		return flight{}, false
	}
	f = w.flights[0]
	return f.split(min(n, f.count)), true
}

// pop takes at most n items that follow one another out of flight, if seq is the first. If
// it is not, behind is how many items from seq on are in flight no more.
func (w *window) pop(seq uint64, n int) (f flight, behind int, ok bool) {
	first := w.next
	if !w.empty() {
		first = w.flights[0].seq
	}
	if w.empty() || seq != first {
		if seq < first {
			behind = int(min(first-seq, math.MaxInt32))
		}
		return flight{}, behind, false
	}
	return w.popFirst(n), 0, true
}

// popFirst takes at most n items that follow one another out of flight.
func (w *window) popFirst(n int) (f flight) {
	first := &w.flights[0]
	f = first.split(min(n, first.count))
	if first.count == 0 {
		w.flights = w.flights[1:]
	}
	w.count(f, -1)
	return f
}

// drop takes the items first to last out of flight, as far as they are in flight, and
// returns them. It changes nothing and reports false if may does for one of the flights.
func (w *window) drop(first, last uint64, may func(flight) bool) (dropped []flight, ok bool) {
	end := min(last, math.MaxUint64-1) + 1
	var kept []flight
	for _, f := range w.flights {
		before := f.splitAt(first)
		middle := f.splitAt(end)
		if middle.count > 0 && !may(middle) {
			return nil, false
		}
		kept, dropped = appendFlight(kept, before), appendFlight(dropped, middle)
		kept = appendFlight(kept, f)
	}
	if len(dropped) > 0 {
		w.flights = kept
	}
	for _, f := range dropped {
		w.count(f, -1)
	}
	return dropped, true
}

func appendFlight(flights []flight, f flight) []flight {
	if f.count == 0 {
		return flights
	}
	return append(flights, f)
}

// splitAt takes the items before seq off f.
func (f *flight) splitAt(seq uint64) (before flight) {
	if seq <= f.seq || f.count == 0 {
		return flight{}
	}
	return f.split(int(min(seq-f.seq, uint64(f.count))))
}

// contains reports whether seq is in flight.
func (w *window) contains(seq uint64) bool {
	_, ok := w.indexOf(seq)
	return ok
}

// indexOf is the index of an item in flight.
func (w *window) indexOf(seq uint64) (index int, ok bool) {
	for _, f := range w.flights {
		if f.seq <= seq && seq < f.end() {
			return f.index + int(seq-f.seq), true
		}
	}
	return 0, false
}

// freeSlot is a slot that none of the items is in, and 1; 0: there is none. held reports whether a
// slot has others.
func (w *window) freeSlot(held func(slot int) bool) int {
	for i, n := range w.slots {
		if n == 0 && !held(i+1) {
			return i + 1
		}
	}
	return 0
}

// clear empties the window and returns what was in flight.
func (w *window) clear() []flight {
	flights := w.flights
	*w = window{next: w.next}
	return flights
}
