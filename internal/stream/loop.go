package stream

import "math/bits"

// The loop's side of a stream: the caller's goroutine, which takes the results.

// hand is what the loop has in hand: items that are its own, of one segment.
type hand[T, R any] struct {
	segment *segment[T, R] // nil: none
	items   uint64         // those that are to be taken next
	odd     bool           // some may have an error
	listed  *segment[T, R] // with Unordered, more segments to look at
	rest    []*segment[T, R]
	swept   bool // rest has been set
}

// take waits for the next pair whose turn has come. It returns false when nothing more will
// be ready.
func (s *Stream[T, R]) take() (r R, err error, ok bool) {
	h := &s.hand
	if h.items == 0 && !s.reach() {
		return r, nil, false
	}
	g, k := h.segment, bits.TrailingZeros64(h.items)
	h.items &= h.items - 1
	r, g.results[k] = g.results[k], r
	if h.odd {
		err = s.errorOf(g, k)
	}
	s.window.took()
	return r, err, true
}

// errorOf is the error of item k of g; nil if it has none.
func (s *Stream[T, R]) errorOf(g *segment[T, R], k int) error {
	if g.done.Load()>>k&1 == 0 { // it was read, and the workers have ended
		i := int(g.number.Load())*segmentSize + k
		return s.call.Config().Errors.Item(i, s.call.EndCause(), nil)
	}
	if errs := g.errs.Load(); errs != nil {
		return errs[k]
	}
	return nil
}

// reach waits until there are items to be taken, and takes them in hand. It returns false if
// there are none and none will come.
func (s *Stream[T, R]) reach() bool {
	h := &s.hand
	if h.segment != nil && h.segment.taken == full {
		s.slots.end(h.segment)
		h.segment = nil
	}
	if s.unordered {
		return s.reachAny()
	}
	return s.reachNext()
}

// hold takes items of g in hand.
func (h *hand[T, R]) hold(g *segment[T, R], items uint64) {
	h.segment, h.items = g, items
	h.odd = g.errs.Load() != nil || items&^g.done.Load() != 0
	g.taken |= items
}

// reachNext is reach in order.
func (s *Stream[T, R]) reachNext() bool {
	next := s.window.toTake()
	if s.holdFrom(next) {
		return true
	}
	if !s.window.await(int64(next), func() bool { return s.holdFrom(next) }) {
		return false
	}
	if s.hand.items == 0 { // it is owed, though it is not done
		number, k := split(next)
		s.hand.hold(s.slots.find(number), bitsFrom(k, 1))
	}
	return true
}

// holdFrom takes the items from next on in hand that lie in one segment and are done. It
// reports false if there are none.
func (s *Stream[T, R]) holdFrom(next int) bool {
	number, k := split(next)
	g := s.hand.segment
	if g == nil {
		if g = s.slots.find(number); g == nil {
			return false
		}
	}
	n := bits.TrailingZeros64(^(g.done.Load() >> k))
	if n > 0 {
		s.hand.hold(g, bitsFrom(k, n))
	}
	return n > 0
}

// reachAny is reach with Unordered.
func (s *Stream[T, R]) reachAny() bool {
	for !s.holdReady() {
		if !s.window.await(anyItem, func() bool { return !s.ready.empty() }) {
			return s.holdRest()
		}
	}
	return true
}

// holdReady takes items in hand that are done and lie in one segment. It reports false if
// there are none.
func (s *Stream[T, R]) holdReady() bool {
	h := &s.hand
	for {
		if h.listed == nil {
			if h.listed = s.ready.takeAll(); h.listed == nil {
				return false
			}
		}
		g := h.listed
		h.listed = unlist(g) // before looking: what becomes done later is listed again
		items := g.done.Load() &^ g.taken
		if items != 0 {
			items &= s.window.wanted(int(g.number.Load()))
		}
		if items != 0 {
			h.hold(g, items)
			return true
		}
	}
}

// holdRest takes items in hand that were read and did not run, with KeepGoing. It reports
// false if there are none.
func (s *Stream[T, R]) holdRest() bool {
	h := &s.hand
	owed := s.window.state().owed
	if !h.swept {
		h.swept, h.rest = true, s.slots.all()
	}
	for len(h.rest) > 0 {
		g := h.rest[0]
		h.rest = h.rest[1:]
		n := owed - int(g.number.Load())*segmentSize
		if items := bitsFrom(0, max(0, min(n, segmentSize))) &^ g.taken; items != 0 {
			h.hold(g, items)
			return true
		}
	}
	return false
}
