package supervisor

import (
	"time"

	"example.com/parallel/internal/transport"
)

const (
	// lookSilent is how often the parent looks at a worker that should be doing something.
	lookSilent = 250 * time.Millisecond

	// pingSilence is how long a worker may do nothing before it is asked to give back what it
	// has not begun. One that answers that has run nothing, and is replaced; one that has lost
	// a frame notices that now.
	pingSilence = 2 * lookSilent

	// readPace is how fast a worker takes in a large item at the least, and copies it, before it
	// can begin: a worker may be silent for as long, besides.
	readPace = 4 * time.Nanosecond // a byte

	// maxSilence is how long a worker may do nothing that could do something.
	maxSilence = 6 * lookSilent
)

// patience is how long a worker has owed something: to begin an item, to read, or to go on
// with a frame. What counts is time in which the parent looked, and in which the worker could
// have acted, so that neither a parent that was stopped nor a machine that is overloaded is
// taken for a worker that does nothing. The zero value is for a worker that owes nothing. It
// is not safe for concurrent use.
type patience struct {
	at     time.Time          // the last look; zero: it owed nothing then
	did    transport.Activity // what the process had done then
	silent time.Duration      // in which it could have acted
	all    time.Duration      // including that in which it could not
}

// reset says that the worker owes nothing, or has just done something.
func (p *patience) reset() { *p = patience{} }

// look takes in that the worker still owes something. most is how long it may, if the machine
// did not let it act. It reports whether that is over, or maxSilence.
func (p *patience) look(now time.Time, did transport.Activity, most time.Duration) (over bool) {
	return p.lookFor(maxSilence, now, did, most)
}

// lookFor is look with another time than maxSilence.
func (p *patience) lookFor(long time.Duration, now time.Time, did transport.Activity, most time.Duration) (over bool) {
	if !p.at.IsZero() {
		step := min(now.Sub(p.at), 2*lookSilent)
		p.all += step
		if did.CouldAct(p.did) {
			p.silent += step
		}
	}
	p.at, p.did = now, did
	return p.silent >= min(long, most) || p.all >= most
}
