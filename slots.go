package parallel

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// slots holds the items of a stream that have been read and not yet taken. In
// order, these are a window over the input, and lie in a ring. With Unordered a
// slow item may stay behind by any distance, and they are in a map.
//
// An entry belongs to one party at a time: to the input until the item counts
// as available, to the worker that has claimed it until done is set, then to the
// loop until the item counts as taken.
type slots[T, R any] struct {
	ring []atomic.Pointer[segment[T, R]] // made as it is used

	mu   *sync.Mutex // the book's
	live map[int]*entry[T, R]
}

// entry is one item on its way.
type entry[T, R any] struct {
	item   T
	result R
	err    error
	done   atomic.Bool
}

// segmentSize is how many entries of the ring are made at a time.
const segmentSize = 64

type segment[T, R any] [segmentSize]entry[T, R]

// init makes room for n entries at once.
func (s *slots[T, R]) init(mu *sync.Mutex, unordered bool, n int) {
	s.mu = mu
	if unordered {
		s.live = make(map[int]*entry[T, R])
	} else {
		s.ring = make([]atomic.Pointer[segment[T, R]], n/segmentSize+2)
	}
}

// at returns the entry of item i, nil if there is none.
func (s *slots[T, R]) at(i int) *entry[T, R] {
	if s.live != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	return s.atLocked(i)
}

// atLocked is at, with the book's mutex held.
func (s *slots[T, R]) atLocked(i int) *entry[T, R] {
	if s.live != nil {
		return s.live[i]
	}
	if seg := s.ring[i/segmentSize%len(s.ring)].Load(); seg != nil {
		return &seg[i%segmentSize]
	}
	return nil
}

// add returns an entry for item i. The book's mutex is held.
func (s *slots[T, R]) add(i int) *entry[T, R] {
	if s.live != nil {
		e := new(entry[T, R])
		s.live[i] = e
		return e
	}
	place := &s.ring[i/segmentSize%len(s.ring)]
	if place.Load() == nil {
		place.Store(new(segment[T, R]))
	}
	return s.atLocked(i)
}

// remove takes the entry of item i out of the map. The book's mutex is held.
func (s *slots[T, R]) remove(i int) *entry[T, R] {
	e := s.live[i]
	delete(s.live, i)
	return e
}

// free empties an entry that has been taken, for the next item in its place.
func (s *slots[T, R]) free(e *entry[T, R]) {
	var zero T
	var none R
	e.item, e.result, e.err = zero, none, nil
	e.done.Store(false)
}

// all yields the items in [lo, hi) that have entries, in order. The book's mutex
// is held.
func (s *slots[T, R]) all(lo, hi int) iter.Seq[int] {
	if s.live != nil {
		return slices.Values(slices.Sorted(maps.Keys(s.live)))
	}
	return func(yield func(int) bool) {
		for i := lo; i < hi && yield(i); i++ {
		}
	}
}
