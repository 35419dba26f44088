package supervisor

import "errors"

// evidence is what is known of a worker that has died, when all that it had said has been
// taken in: what came through the pipe, and what its segment says it had finished.
//
// The parent does not trust it. What the worker wrote proves itself (see packages wire and
// shm), and it must agree with what the parent knows: a worker runs its items in the order in
// which it was sent them, so that only the first item in flight can be the one that it was
// running. Where it does not agree, or proves nothing, any of the items may have run.
//
//	the pipe                the segment, or without one the pipe,   who is blamed
//	                        says that this was running
//	broke the protocol      anything                                all that it was given
//	as it should be         cannot be read, or is no word           all that it was given
//	                        unsent results that make no sense       all that it was given
//	                        the first item in flight                that item
//	                        nothing                                 none; the first counts a miss
//	                        the item that was settled last,         none; the first counts a miss
//	                        by a frame of its own, or no segment
//	                        the one behind the item behind which    none; the first counts a miss
//	                        others were revoked (see revoke.go)
//	                        any other item                          all that it was given
//	                        that an item in flight has an outcome   all that it was given
//	was closed long         none: there is no segment               all that it was given
//	before the end
//
// How the worker ended does not matter to this, with one exception: if it was killed because
// it did nothing about what it had been sent, the miss counts for more, since that took
// seconds. Items that are not blamed go to other workers, and so do those that were not
// written to the worker completely.
type evidence struct {
	broken  bool   // it broke the protocol
	garbled bool   // what it left in the segment makes no sense
	running uint64 // the item that it says it was running, by its sequence number; 0: none
	first   uint64 // the first item in flight; 0: none
	settled uint64 // the last item that it has said the outcome of, in this session or before; 0: none
	apart   bool   // it may say so after that outcome, since both cannot be said at once
	past    uint64 // by what it says in the segment, all items before that it has run have outcomes; 0: it does not say
}

// verdict is who is blamed for the death of a worker.
type verdict uint8

const (
	blamesNone  verdict = iota // it was running no item
	blamesFirst                // the first item in flight was running
	blamesAll                  // any of the items in flight may have run
)

// verdict judges. If nothing is in flight, it does not matter.
func (e evidence) verdict() verdict {
	switch {
	case e.broken, e.garbled, e.past > e.first:
		return blamesAll
	case e.running == 0, e.running == e.settled && e.apart:
		return blamesNone
	case e.running == e.first:
		return blamesFirst
	default:
		return blamesAll
	}
}

var (
	// errGarbled is why items fail whose worker has left no evidence of what it ran.
	errGarbled = errors.New("something in it destroyed what says which item it was running")

	// errStalled is why a worker is killed that has stopped in the middle of a frame.
	errStalled = errors.New("it stopped in the middle of what it was saying, or something in it wrote to its pipe")
)
