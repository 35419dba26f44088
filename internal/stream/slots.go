package stream

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"example.com/parallel/internal/schedule"
)

// entry is one item on its way from the input to the loop. The package comment says whose
// it is when.
type entry[T, R any] struct {
	item   T
	result R
	err    error
	done   flag // the item ran or failed
}

// free empties an entry that has been taken, for the next item in its place.
func (e *entry[T, R]) free() {
	e.item, e.result, e.err = *new(T), *new(R), nil
	e.done.clear()
}

// segmentSize is how many entries of a ring are made at a time.
const segmentSize = 64

type segment[T, R any] [segmentSize]entry[T, R]

// ring holds the entries of a window over the input. Its methods need no lock: what they
// are called for says who owns the entry.
type ring[T, R any] struct {
	segments []atomic.Pointer[segment[T, R]] // a power of two; made as they are used
}

// init makes room for n entries at once, n ≥ 1.
func (r *ring[T, R]) init(n int) {
	segments := (n + segmentSize - 1) / segmentSize
	r.segments = make([]atomic.Pointer[segment[T, R]], 1<<bits.Len(uint(segments-1)))
}

// place is where the segment of item i is.
func (r *ring[T, R]) place(i int) *atomic.Pointer[segment[T, R]] {
	return &r.segments[uint(i)/segmentSize&uint(len(r.segments)-1)]
}

// at returns the entry of item i, nil if none has been made in its place.
func (r *ring[T, R]) at(i int) *entry[T, R] {
	if s := r.place(i).Load(); s != nil {
		return &s[uint(i)%segmentSize]
	}
	return nil
}

// add returns the entry of item i, which is new.
func (r *ring[T, R]) add(i int) *entry[T, R] {
	if r.place(i).Load() == nil {
		r.place(i).Store(new(segment[T, R]))
	}
	return r.at(i)
}

// bag holds the entries of items that are taken in any order. It has a lock of its own, and
// calls nothing while it holds it.
type bag[T, R any] struct {
	mu     sync.Mutex
	live   map[int]*entry[T, R]
	ready  []int // done and not taken
	failed schedule.Failure
}

func newBag[T, R any]() *bag[T, R] {
	return &bag[T, R]{live: make(map[int]*entry[T, R]), failed: schedule.Failure{Index: math.MaxInt}}
}

// add makes an entry for item i.
func (b *bag[T, R]) add(i int, item T) {
	e := &entry[T, R]{item: item}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[i] = e
}

// at returns the entry of item i, nil if there is none.
func (b *bag[T, R]) at(i int) *entry[T, R] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live[i]
}

// finish marks entry e of item i as done.
func (b *bag[T, R]) finish(i int, e *entry[T, R]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.done.set()
	b.ready = append(b.ready, i)
}

// fail takes in the failure that ends the loop. The lowest counts: it is the last thing
// that the loop yields, and items behind it are not taken.
func (b *bag[T, R]) fail(f schedule.Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.Index < b.failed.Index {
		b.failed = f
	}
}

// failure is the error that fail has taken in; nil is none.
func (b *bag[T, R]) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed.Err
}

// finishRest lets the items that are not done be taken too, in index order and after those
// that are.
func (b *bag[T, R]) finishRest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range slices.Sorted(maps.Keys(b.live)) {
		if !b.live[i].done.isSet() {
			b.ready = append(b.ready, i)
		}
	}
}

// pop takes the entry out that has been ready the longest; nil is none.
func (b *bag[T, R]) pop() (int, *entry[T, R]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.ready) > 0 {
		i := b.ready[0]
		e := b.live[i]
		b.ready = b.ready[1:]
		delete(b.live, i)
		if i < b.failed.Index {
			return i, e
		}
	}
	return 0, nil
}
