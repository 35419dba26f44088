package schedule

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// ledger says of a call's items which can be claimed, which are open and which will not be
// run. It computes and does nothing else: it has no lock, starts nothing and calls nothing.
// Apart from bound, which can be read at any time, and avail, which only grows, the call's
// mutex guards it.
//
// Items are claimed in index order, those that were given back first. No span in returned
// contains the bound, which is a failed item and so has been settled: such a span can be
// started as a whole or not at all.
type ledger struct {
	bound    atomic.Int64 // the last item that may still be started; −1: none, NoBound: all
	workers  int          // among how many the items are shared
	next     int          // the first item that was never claimed
	closed   bool         // there will be no more
	open     int          // items claimed and not settled
	returned []Span       // given back and not claimed again, in index order, none adjacent
	again    int          // items in returned
	skipped  []Span       // will not be run

	// The input of a stream writes this word for each item, without the mutex, and workers
	// write what is around it. So it has a cache line of its own.
	_     [128]byte
	avail atomic.Int64 // items there are so far
	_     [128]byte
}

// items is the number of items there are so far.
func (l *ledger) items() int { return int(l.avail.Load()) }

// stopped reports whether item i may not be started any more.
func (l *ledger) stopped(i int) bool { return int64(i) > l.bound.Load() }

// claimChunk claims at most want items, and no more than what leaves two chunks for every
// worker, or one chunk if two would have fewer than least items, which are not worth a
// claim. Of items that were given back it claims half, since the others wait for them too.
func (l *ledger) claimChunk(want, least int) Span {
	if n := l.firstReturned(); n > 0 {
		return l.claimReturned(min(want, (n+1)/2))
	}
	if l.stopped(l.next) {
		return Span{}
	}
	left := l.items() - l.next
	return l.claimNext(min(want, max(1, left/(2*l.workers), min(least, left/l.workers)), left))
}

// claimShare is claimChunk for a worker that holds held items already, and for whom a claim
// is dear. If half of what is left for each worker has fewer than least items, the worker
// may claim more than that, up to its whole share of all items that are not settled.
//
// Items that were given back may take longer than is known, or there would be no need for
// that. So it shares them with those that wait for them too, and with the worker that had them;
// but a small part of least is not worth a claim.
func (l *ledger) claimShare(want, least, held, waiting int) Span {
	left := l.left()
	share := (left + l.open) / l.workers
	n := min(want, max(1, left/(2*l.workers), min(least, share-held)))
	if r := l.firstReturned(); r > 0 {
		others := waiting + 1
		return l.claimReturned(min(n, r, max(least/leastPart, (r+others)/(others+1))))
	}
	if l.stopped(l.next) {
		return Span{}
	}
	return l.claimNext(min(n, l.items()-l.next))
}

// leastPart is the part of what a claim should have at least, 2 ms of items, that is worth one all
// the same if it was taken from another worker: 30 µs, about what the claim costs.
const leastPart = 64

// firstReturned is how many items there are in the first span of returned that may be
// started; 0 if there is none. Spans before it are skipped.
func (l *ledger) firstReturned() int {
	for len(l.returned) > 0 {
		s := l.returned[0]
		if !l.stopped(s.Lo) {
			return s.Len()
		}
		l.returned = l.returned[1:]
		l.again -= s.Len()
		l.skipped = append(l.skipped, s)
	}
	return 0
}

// claimReturned claims the first n items of the first span of returned.
func (l *ledger) claimReturned(n int) Span {
	first := &l.returned[0]
	s := Span{first.Lo, first.Lo + n}
	if first.Lo = s.Hi; first.Len() == 0 {
		l.returned = l.returned[1:]
	}
	l.again -= n
	l.open += n
	return s
}

// claimNext claims the first n items that were never claimed.
func (l *ledger) claimNext(n int) Span {
	s := Span{l.next, l.next + n}
	l.next = s.Hi
	l.open += n
	return s
}

// left is the number of items that can be claimed.
func (l *ledger) left() int {
	n := 0
	if !l.stopped(l.next) {
		n = l.items() - l.next
	}
	if l.bound.Load() == NoBound {
		return n + l.again
	}
	for _, s := range l.returned {
		if !l.stopped(s.Lo) {
			n += s.Len()
		}
	}
	return n
}

// mayHaveMore reports whether a worker that holds held items should claim more, to run
// after those: not if it has most of its share of all items that are not settled, nor if
// the other workers could start what is left at once.
func (l *ledger) mayHaveMore(held int) bool {
	left := l.left()
	return left > l.workers && held*l.workers < (left+l.open)/4*3
}

// mayGrow reports whether the input may bring items that may be started.
func (l *ledger) mayGrow() bool { return !l.closed && !l.stopped(l.next) }

// drained reports whether every item is settled and none will come.
func (l *ledger) drained() bool { return l.closed && l.open == 0 && l.left() == 0 }

// fresh reports whether all items are there and none was ever claimed.
func (l *ledger) fresh() bool { return l.closed && l.next == 0 }

// giveBack settles the items of s, which were claimed and not started, by making them
// claimable again: as one span with those right before and after it, so that they are
// claimed together.
func (l *ledger) giveBack(s Span) {
	l.open -= s.Len()
	l.again += s.Len()
	i, _ := slices.BinarySearchFunc(l.returned, s.Lo, func(t Span, lo int) int { return cmp.Compare(t.Lo, lo) })
	j := i
	if i > 0 && l.returned[i-1].Hi == s.Lo {
		i--
		s.Lo = l.returned[i].Lo
	}
	if j < len(l.returned) && l.returned[j].Lo == s.Hi {
		s.Hi = l.returned[j].Hi
		j++
	}
	l.returned = slices.Replace(l.returned, i, j, s)
}

// skip settles the items of s, which were claimed and will not be run.
func (l *ledger) skip(s Span) {
	l.open -= s.Len()
	l.skipped = append(l.skipped, s)
}

// finish skips all that is not claimed, once no worker is left.
func (l *ledger) finish() {
	l.skipped = append(l.skipped, l.returned...)
	items := l.items()
	if l.next < items {
		l.skipped = append(l.skipped, Span{l.next, items})
	}
	l.returned, l.again, l.next = nil, 0, items
}

// complete is the number of leading items of which none was skipped.
func (l *ledger) complete() int {
	n := l.items()
	for _, s := range l.skipped {
		n = min(n, s.Lo)
	}
	return n
}
