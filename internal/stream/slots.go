package stream

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// segmentSize is how many items a segment has: as many as a word has bits.
const segmentSize = 64

// segment is where segmentSize items lie on their way from the input to the loop. Items and
// results are arrays, so that plain values can be copied many at a time. The package comment
// says whose an item is when.
type segment[T, R any] struct {
	number atomic.Int64                       // its first item is number×segmentSize; −1: it is spare
	errs   atomic.Pointer[[segmentSize]error] // of the items that failed; nil: none has
	taken  uint64                             // items that the loop has taken or has in hand; the loop's
	next   *segment[T, R]                     // in a list of segments that are ready

	// Workers write these for each item, and look at the ones above.
	_      [128]byte
	done   atomic.Uint64 // items that ran or failed
	listed flag          // it is in a list of segments that are ready
	_      [128]byte

	items   [segmentSize]T
	results [segmentSize]R
}

// full is a word that has the bit of every item.
const full = 1<<segmentSize - 1

// bitsFrom is a word with the bits of the n items from item at on; n may be as many as there are.
func bitsFrom(at, n int) uint64 { return (1<<n - 1) << at }

// split is the number of the segment that has item i, and which of its items that is.
func split(i int) (number, k int) { return int(uint(i) / segmentSize), int(uint(i) % segmentSize) }

// fail sets the error of item k. The call's mutex is held, so that no other item fails
// meanwhile.
func (g *segment[T, R]) fail(k int, err error) {
	errs := g.errs.Load()
	if errs == nil {
		errs = new([segmentSize]error)
		g.errs.Store(errs)
	}
	errs[k] = err
}

// slots are the segments that have items. A segment is found in a ring by its number. If the
// place is needed while some of its items have not been taken, which may be with Unordered,
// it moves to a map.
type slots[T, R any] struct {
	ring []atomic.Pointer[segment[T, R]] // a power of two; nil: there is none in that place

	mu    sync.Mutex
	late  map[int]*segment[T, R] // those that had to leave the ring, by number
	spare []*segment[T, R]       // empty, to be used again
}

// init makes a ring in which n items that follow one another have a place.
func (s *slots[T, R]) init(n int) {
	segments := (n+segmentSize-1)/segmentSize + 1 // the first may be the end of one
	s.ring = make([]atomic.Pointer[segment[T, R]], 1<<bits.Len(uint(segments-1)))
	s.late = make(map[int]*segment[T, R])
}

func (s *slots[T, R]) place(number int) *atomic.Pointer[segment[T, R]] {
	return &s.ring[uint(number)&uint(len(s.ring)-1)]
}

// find returns a segment by its number, nil if there is none. It needs no lock for one in its
// place in the ring.
func (s *slots[T, R]) find(number int) *segment[T, R] {
	if g := s.place(number).Load(); g != nil && g.number.Load() == int64(number) {
		return g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late[number]
}

// begin makes a segment for items that are about to be read.
func (s *slots[T, R]) begin(number int) *segment[T, R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.place(number)
	if g := place.Load(); g != nil {
		s.late[int(g.number.Load())] = g // before it leaves the ring, so that it is always found
	}
	var g *segment[T, R]
	if n := len(s.spare); n > 0 {
		g, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		g = new(segment[T, R])
	}
	g.number.Store(int64(number))
	place.Store(g)
	return g
}

// end takes in that all items of g have been taken: it can be used again.
func (s *slots[T, R]) end(g *segment[T, R]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number := int(g.number.Load())
	if place := s.place(number); place.Load() == g {
		place.Store(nil)
	} else {
		delete(s.late, number)
	}
	g.number.Store(-1)
	g.errs.Store(nil)
	g.done.Store(0)
	g.taken = 0
	s.spare = append(s.spare, g)
}

// all returns the segments that have items, by number.
func (s *slots[T, R]) all() []*segment[T, R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.late))
	for i := range s.ring {
		if g := s.ring[i].Load(); g != nil {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *segment[T, R]) int { return cmp.Compare(a.number.Load(), b.number.Load()) })
	return all
}

// ready is a list of segments that have items which are done and not taken. Workers add to
// it, and the loop takes all that it has.
type ready[T, R any] struct{ last atomic.Pointer[segment[T, R]] }

// add adds g, unless it is in the list already; then it reports false. The worker that finished
// the last item of g may come late, when g has been taken and is spare: so being listed says
// no more than that it is worth a look.
func (r *ready[T, R]) add(g *segment[T, R]) bool {
	if !g.listed.raise() {
		return false
	}
	for {
		g.next = r.last.Load()
		if r.last.CompareAndSwap(g.next, g) {
			return true
		}
	}
}

// empty reports whether the list is.
func (r *ready[T, R]) empty() bool { return r.last.Load() == nil }

// takeAll empties the list and returns what was in it, linked in the order in which it came.
func (r *ready[T, R]) takeAll() (first *segment[T, R]) {
	for g := r.last.Swap(nil); g != nil; {
		g.next, first, g = first, g, g.next
	}
	return first
}

// unlist takes the first segment out of what takeAll returned. What becomes done in it from now
// on lists it anew.
func unlist[T, R any](first *segment[T, R]) (rest *segment[T, R]) {
	rest = first.next
	first.next = nil
	first.listed.clear()
	return rest
}
