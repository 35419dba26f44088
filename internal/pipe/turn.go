package pipe

import "sync"

// Turn says which of two goroutines reads a pipe. The follower is a goroutine that does
// nothing but read and take in what it has read. The leader is a goroutine that has work
// of its own and waits for what the pipe brings: reading in the follower's place, it saves
// waking two goroutines one after the other, which takes longer than all else in a short
// exchange.
//
//	state    who reads          how it is left
//	rests    no goroutine       → follows, when the follower is wanted, something is pending for it, or after End
//	                            → leads, by Lead, if none of these holds
//	follows  the follower       → rests, in Await when it is not wanted, or early by Rest
//	leads    the leader         → rests, by Yield
//
// Follower and leader never read at once, and what belongs to the reader (the frames it
// has buffered) passes from one to the other with the Turn's mutex.
//
// Both sides of a worker have one. In the parent the follower is the worker's reader
// goroutine, wanted while anything is under way that no caller waits for by itself, and the
// leader is the caller of a short call. In the worker the follower is the listener, wanted
// while items run, and the leader is the executor that has none.
//
// The zero value is not ready: use NewTurn. A Turn is safe for concurrent use by one
// follower, one leader and any number of others that call Want, Wake, Reclaim and End.
type Turn struct {
	mu      sync.Mutex
	change  sync.Cond // the follower should look again
	state   turnState
	wanted  bool // the follower is to read
	pending bool // the leader has left something to the follower
	ended   bool // the follower reads whatever else holds
}

type turnState uint8

const (
	rests turnState = iota
	follows
	leads
)

// NewTurn returns a Turn whose follower reads. With resting, it rests and is not wanted:
// the leader may read at once.
func NewTurn(resting bool) *Turn {
	t := &Turn{state: follows}
	if resting {
		t.state = rests
	}
	t.change.L = &t.mu
	return t
}

// Await is the follower's: it rests until it is to read. It reports whether the leader has
// left something to it, which comes before anything that it reads.
func (t *Turn) Await() (pending bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == follows {
		t.state = rests
	}
	for t.state == leads || !t.wanted && !t.pending && !t.ended {
		t.change.Wait()
	}
	t.state = follows
	pending, t.pending = t.pending, false
	return pending
}

// Rest is the follower's too: it says that the follower will read no more before Await
// lets it, and is not wanted, so that the leader may read from now on.
func (t *Turn) Rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == follows { // and only then is the caller the follower
		t.state, t.wanted = rests, false
	}
}

// Want says whether the follower is to read. It wakes no goroutine: Wake must follow a
// Want(true), at the latest when the leader cannot read any more. The two are apart so
// that what is to be done first is not done beside a goroutine that was just woken.
func (t *Turn) Want(wanted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = wanted
}

// Wake has the follower look whether it is wanted.
func (t *Turn) Wake() { t.change.Signal() }

// End makes the follower read from now on, whether it is wanted or not, as soon as no
// leader does: there is nothing to wait for any more, only what is left to be read.
func (t *Turn) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.change.Signal()
}

// Lead makes the caller the leader, who reads from now on until Yield. It reports false,
// and changes nothing, unless the follower rests and has no reason to read.
func (t *Turn) Lead() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.freeLocked() {
		return false
	}
	t.state = leads
	return true
}

// Free reports whether Lead would succeed.
func (t *Turn) Free() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.freeLocked()
}

func (t *Turn) freeLocked() bool { return t.state == rests && !t.wanted && !t.pending && !t.ended }

// Yield ends what Lead began. With pending, the leader leaves something to the follower.
func (t *Turn) Yield(pending bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = rests
	t.pending = pending // Lead has found nothing pending
	if t.wanted || t.pending || t.ended {
		t.change.Signal()
	}
}

// Reclaim makes the follower wanted, unless a leader is reading.
func (t *Turn) Reclaim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != leads {
		t.wanted = true
		t.change.Signal()
	}
}
