package shm

// Ring is where the executor puts results of items that follow one another: one behind the
// other, so that the parent finds them there if the worker dies. They are sent from there,
// at any time and from any goroutine, and the executor goes on meanwhile. The memory that
// is being filled is one of several rings, all in the mapping.
//
//	state     which item is running                      how it is left
//	stopped   what SetRunning says                       → started, by Begin, or by Continue behind what is there
//	started   Next, if it comes before the end           → stopped, by Stop; Empty makes room meanwhile
//
// Only the executor calls Begin, Continue, Empty, Stop and Commit, and uses Data. Begin,
// Continue, Empty, Stop, Unsent, Pending and Lend need the mutex of the worker's results
// buffer. Commit, Used, Data, Next and Size need none on the executor's goroutine, and on
// others that mutex. Started needs none.
type Ring struct {
	m    *Mapping
	data []byte // of the one that is being filled

	first     uint64        // the item of the first result
	size      int           // of each result; −1: each behind its length
	end       uint64        // the item after the last that is to be run
	which     int           // which one is being filled
	sent      int           // results that Unsent has returned,
	sentBytes int           // and what they take
	until     [rings]uint64 // the item after the last one whose result the parent is to take from there
}

func (r *Ring) init(m *Mapping) {
	r.m = m
	r.fill(0)
}

// fill makes one of the rings the one that is being filled.
func (r *Ring) fill(which int) {
	r.which, r.data = which, r.m.up[RingsAt+which*stride:][:r.m.room:r.m.room]
}

// free reports whether the parent has taken what it was to take from a ring.
func (r *Ring) free(which int) bool { return r.until[which] <= r.m.taken() }

// other is the ring to be filled next.
func (r *Ring) other() int { return (r.which + 1) % rings }

// Data is the memory that is being filled, of at least RingFull bytes. The next result goes
// to Data()[Used():]. It is another after Begin and Empty.
func (r *Ring) Data() []byte { return r.data }

// Used is how many bytes are in the ring.
func (r *Ring) Used() int { return int(uint32(r.m.done.value.Load())) }

// Commit makes the n bytes behind the others a finished result, and the next item the
// running one.
func (r *Ring) Commit(n int) {
	done := &r.m.done
	v := done.value.Load() + (1<<32 | uint64(n))
	publish(&done.value, v)
	publish(done.shared, v)
}

// Next is the item whose result comes next.
func (r *Ring) Next() uint64 { return r.first + r.count() }

func (r *Ring) count() uint64 { return r.m.done.value.Load() >> 32 & doneCount }

// Holds reports whether the results of items before end, from the first in the ring on, are
// not too many for it.
func (r *Ring) Holds(end uint64) bool { return end-r.first <= RingCount }

// Size is the size of each result, as Begin was told.
func (r *Ring) Size() int { return r.size }

// Started reports whether the ring says which item is running.
func (r *Ring) Started() bool { return r.m.end.get() != 0 }

// Pending is how many bytes are in the ring that Unsent has not returned.
func (r *Ring) Pending() int { return r.Used() - r.sentBytes }

// Begin empties the ring for the results of items from first on, of size bytes each; −1:
// they vary. Those before end, at most RingCount, are about to run, one after the other, first now. All that
// is in the ring must have been sent.
func (r *Ring) Begin(first, end uint64, size int) {
	r.size, r.end = size, end
	r.Empty(first)
}

// Continue says that the items from Next on and before end are about to run, Next now.
// Their results go behind those that are there.
func (r *Ring) Continue(end uint64) {
	r.end = end
	r.start()
}

// Empty empties the ring while items are running that it was told of: what comes next is
// the result of item next. All that is in the ring must have been sent.
func (r *Ring) Empty(next uint64) {
	m := r.m
	if next < r.end { // at every moment the words say what is running
		m.SetRunning(next)
	}
	m.end.set(0)
	m.done.setDone(doneTag)
	if !r.free(r.which) {
		r.fill(r.other()) // that one is: see Lend
	}
	m.which.set(uint64(r.which))
	m.first.set(next)
	m.size.set(uint64(r.size + 1))
	r.first, r.sent, r.sentBytes = next, 0, 0
	r.start()
}

func (r *Ring) start() {
	r.m.end.set(r.end)
	r.m.SetRunning(0)
}

// Stop says that none of the items is running but failed, if that is not 0.
func (r *Ring) Stop(failed uint64) {
	r.m.SetRunning(failed)
	r.m.end.set(0)
}

// Unsent is what is in the ring that it has not returned before: count results, from item
// seq on.
func (r *Ring) Unsent() (seq uint64, count int, data []byte) {
	n, bytes, _ := splitDone(r.m.done.get())
	count, used := int(n)-r.sent, int(bytes)
	seq, data = r.first+uint64(r.sent), r.data[r.sentBytes:used]
	r.sent, r.sentBytes = r.sent+count, used
	return seq, count, data
}

// Lend reports whether the parent may be left to take from the ring the n bytes that
// Unsent has just returned, results of items before until: if they are worth it, and there
// is another ring to be filled meanwhile. at is where they are. The ring is not filled anew
// before the parent says that it has taken them.
func (r *Ring) Lend(n int, until uint64) (at int, ok bool) {
	if !r.m.shared || n < byReference || !r.free(r.other()) {
		return 0, false
	}
	r.until[r.which] = until
	return RingsAt + r.which*stride + r.sentBytes - n, true
}
