package worker

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// Part is the items of one quantum: what the executor has claimed at once, and runs one
// after the other without a lock, a clock or a system call in between. It belongs to the
// executor's goroutine, and to the typed loop until that returns.
//
// A typed loop begins the next item, of which Begun says which it is, if it may begin by More:
// by Begin or Next. It ends it with its result: by storing it where Some has said and Commit if
// the encoding of a result is its memory, of at most shm.RingRoom bytes, or else by Buffer and
// Put. More, Begin and Commit are small enough to be inlined.
type Part struct {
	run     wire.Run        // the items
	rest    []byte          // those that Next has not begun
	begun   int             // how many have been
	until   atomic.Int64    // how many may be before the typed loop returns; others set it to −1
	revoked *atomic.Uint64  // the parent's: no item before that one may begin
	memory  *memory         // nil: there is no limit of it
	ctx     context.Context // the items'
	timeout time.Duration
	limit   int

	ring    *shm.Ring
	results *resultsBuffer
	header  int    // bytes before each result: for its length, if results vary in size
	most    int    // bytes of a result that may be gathered with others
	large   []byte // for results that the ring has no room for
}

// init makes a Part whose results go into the ring of m.
func (p *Part) init(m *shm.Mapping, results *resultsBuffer) {
	p.ring, p.results, p.most, p.revoked = m.Ring(), results, math.MaxInt, m.Revoked()
	if !m.Shared() {
		p.most = sendSize // they are copied once more on their way
	}
}

// load makes the Part hold items of c. The worker's lock is held.
func (p *Part) load(items wire.Run, c *call, limit int) {
	p.run, p.rest, p.begun = items, items.Data, 0
	if p.memory != nil {
		p.until.Store(1)
	} else {
		p.until.Store(int64(items.Count))
	}
	p.ctx, p.timeout, p.limit = c.ctx, c.timeout, limit
	p.header = 0
	if c.function.ResultSize < 0 {
		p.header = 4
	}
}

// unload takes off the Part the items that have not been begun.
func (p *Part) unload() (rest wire.Run) {
	if p.begun < p.run.Count { // else their memory may hold others by now
		rest = wire.Run{Seq: p.run.Seq + uint64(p.begun), Index: p.run.Index + p.begun,
			Count: p.run.Count - p.begun, Size: p.run.Size, Data: p.rest}
		if size := p.run.Size; size >= 0 {
			rest.Data = p.run.Data[p.begun*size:]
		}
	}
	p.run, p.rest = wire.Run{}, nil
	p.until.Store(0)
	return rest
}

// raiseYield has what has not been begun go back into the queue. Any goroutine may call it.
func (p *Part) raiseYield() { p.until.Store(-1) }

// More reports whether to begin item i, by its position in the Part, which is the next.
func (p *Part) More(i int) bool {
	return int64(i) < p.until.Load() && p.run.Seq+uint64(i) >= p.revoked.Load()
}

// extend lets the typed loop, which was to return after the item that has ended, begin one
// more. It reports false if it should not, since there is none, or none is to be begun, or the
// worker is to be measured before.
func (p *Part) extend() bool {
	until := p.until.Load()
	if p.begun == p.run.Count || until != int64(p.begun) || p.memory.due() {
		return false
	}
	return p.until.CompareAndSwap(until, until+1) // else others want what has not been begun
}

// Count is how many items there are.
func (p *Part) Count() int { return p.run.Count }

// Begun is how many items have been begun, and so the position of the next.
func (p *Part) Begun() int { return p.begun }

// Begin begins item i, which is the next.
func (p *Part) Begin(i int) { p.begun = i + 1 }

// Next begins the next item and returns its encoding. A loop uses either Begin or Next.
func (p *Part) Next() []byte {
	p.begun++
	var item []byte
	item, p.rest = wire.Next(p.rest, p.run.Size)
	return item
}

// Data is the encoded items, one after the other, for items of fixed size.
func (p *Part) Data() []byte { return p.run.Data }

// ItemSize is the size of each encoded item; −1 means that they vary.
func (p *Part) ItemSize() int { return p.run.Size }

// Stopped reports whether the context of the items has ended, so that what takes long and is not
// fn had better stop.
func (p *Part) Stopped() bool { return p.ctx.Err() != nil }

// Timeout is each item's own limit of time; 0 means none.
func (p *Part) Timeout() time.Duration { return p.timeout }

// Limit is how many bytes an encoded result may have.
func (p *Part) Limit() int { return p.limit }

// Some returns for how many of the next items, of which the first is at that position, there is
// room for results of size bytes each, and where it is. It sends what is in the ring if there is
// no room for one. There must be a next item.
func (p *Part) Some(size int) (first, n int, at *byte) {
	n = p.run.Count - p.begun
	used := p.ring.Used()
	if used+size > shm.RingFull {
		p.results.makeRoom()
		used = 0
	}
	if size > 0 {
		n = min(n, (shm.RingFull-used)/size)
	}
	return p.begun, n, &p.ring.Data()[used]
}

// Commit makes the n bytes behind the results in the ring a finished result, and the next item
// the running one.
func (p *Part) Commit(n int) { p.ring.Commit(n) }

// Buffer returns what the encoding of a result is to be appended to, for Put.
func (p *Part) Buffer() []byte {
	if p.ring.Used()+shm.RingRoom > shm.RingFull {
		p.results.makeRoom()
	}
	b := p.tail()
	if cap(p.large) > cap(b) {
		b = p.large
	}
	return b[:p.header]
}

// Put makes b, which is what Buffer returned with a result appended to it, a finished
// result, and the next item the running one. It does not matter where append has put it.
func (p *Part) Put(b []byte) {
	p.put(b)
	if p.memory != nil {
		p.extend()
	}
}

func (p *Part) put(b []byte) {
	tail := p.tail()
	if len(b) > min(len(tail), p.most) {
		p.results.putLarge(b[p.header:])
		if p.most < math.MaxInt && cap(b) > cap(tail) {
			p.large = b
		}
		return
	}
	copy(tail, b) // most often it is there already
	if p.header > 0 {
		wire.PatchLength(tail[:len(b)], 0)
	}
	p.ring.Commit(len(b))
}

// tail is the memory behind the results in the ring.
func (p *Part) tail() []byte { return p.ring.Data()[p.ring.Used():] }
