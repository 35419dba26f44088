package worker

import (
	"math"
	"slices"

	"example.com/parallel/internal/wire"
)

// queuedRun is items of a call that follow one another.
type queuedRun struct {
	wire.Run
	call *call
}

// seqRange is the items from one sequence number to another, both included; 0 to 0 is
// none.
type seqRange struct{ first, last uint64 }

// seqs is the sequence numbers of r's items, of which there must be some.
func seqs(r *wire.Run) seqRange { return seqRange{r.Seq, r.Seq + uint64(r.Count) - 1} }

// queue is the items that have arrived and have not been claimed, in the order in which the
// parent has sent them. No run in it is empty. It has no lock: the worker's mutex guards
// it. The zero value is empty.
type queue struct{ runs []queuedRun }

func (q *queue) empty() bool { return len(q.runs) == 0 }

// push puts items behind the others.
func (q *queue) push(r queuedRun) { q.runs = append(q.runs, r) }

// putBack puts items before the others, to which they belong.
func (q *queue) putBack(r queuedRun) { q.runs = slices.Insert(q.runs, 0, r) }

// first is the call of the next items. The queue must not be empty.
func (q *queue) first() *call { return q.runs[0].call }

// pop takes the next items off the queue, which must not be empty: at most n that were
// sent together. last reports whether none of these are left.
func (q *queue) pop(n int) (r queuedRun, last bool) {
	next := &q.runs[0]
	if n >= next.Count { // its data is not looked at: if it was revoked, that may be others' by now
		r, *next = *next, queuedRun{} // its items may be large
		q.runs = q.runs[1:]
		return r, true
	}
	return queuedRun{next.Split(n), next.call}, false
}

// drop takes the items of c after its bound off the queue, and returns which they are.
func (q *queue) drop(c *call) (dropped []seqRange) {
	kept := q.runs[:0]
	for _, r := range q.runs {
		if r.call != c {
			kept = append(kept, r)
			continue
		}
		wanted := r.Split(int(max(0, min(c.bound-int64(r.Index)+1, int64(r.Count)))))
		if wanted.Count > 0 {
			kept = append(kept, queuedRun{wanted, c})
		}
		if r.Count > 0 {
			dropped = append(dropped, seqs(&r.Run))
		}
	}
	clear(q.runs[len(kept):])
	q.runs = kept
	return dropped
}

// dropBefore takes the items before seq off the queue, and returns which they are.
func (q *queue) dropBefore(seq uint64) (dropped []seqRange) {
	for len(q.runs) > 0 && q.runs[0].Seq < seq {
		r, _ := q.pop(int(min(seq-q.runs[0].Seq, math.MaxInt)))
		dropped = append(dropped, seqs(&r.Run))
	}
	return dropped
}

// clear empties the queue, and returns what it held: the parent numbers the items that it
// sends one after the other.
func (q *queue) clear() (held seqRange) {
	if n := len(q.runs); n > 0 {
		held = seqRange{q.runs[0].Seq, seqs(&q.runs[n-1].Run).last}
	}
	q.runs = nil
	return held
}
