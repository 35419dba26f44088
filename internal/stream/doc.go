// Package stream is MapSeq's window between its input, the workers and the loop.
//
// A Stream is one loop over MapSeq. Three parties meet in it: the input, a sequence that a
// goroutine of the stream's ranges over; the workers, which claim items of the call by
// number; and the loop, the caller's goroutine, which takes the results. Items between
// being read and being taken lie in slots.
//
//	input ──push──► slots ──take──► loop
//	                │   ▲
//	            Items  Results, Finish
//	                ▼   │
//	               workers            Run does all of it on a goroutine
//
// The package knows the types of items and results. It does not know where workers run or
// how items are encoded: what runs the call uses Run, or Items, Results and Finish. Nor does
// it hand out items: the call does that (package schedule), and the stream tells it of each
// item that it has read.
//
// # Items
//
// A segment has 64 items, with an array for items, one for results, and a word with a bit
// for each item that is done. An item and its result belong to one party at a time:
//
//	empty    the input's, until it has announced the item (schedule.Call.Extend)
//	waiting  no party's, until a worker claims the item
//	claimed  the worker's, until Finish or a failure sets its bit in done
//	done     the loop's, which counts it as taken and empties the result
//
// An item that is given back is waiting again. Who finishes an item empties it, so that its
// memory is let go of before the result is. When the workers have ended, the loop owns
// everything: with KeepGoing it yields an error for each item that did not run.
//
// The input begins a segment, and the loop ends it when it has taken all of it; then it is
// spare, until the input needs one. In between it is found in a ring by its number, without a
// lock. In order, the ring is as large as the window. With Unordered a slow item may stay
// behind by any distance: when its place in the ring is needed, its segment moves to a map
// with a lock.
//
// The loop reads the word once and takes in hand what it says is done: in order the items that
// come next, with Unordered all of them. With Unordered, a worker that finishes an item puts
// its segment into a list, if it is not in there. The loop takes the segment out of the list
// first, and then looks at the word: so what is done later lists the segment anew. A segment
// may be listed late, when all of it was taken. The loop finds nothing new in it then.
//
// # Who waits for what
//
//	party    waits on       until                                woken by
//	input    window.space   half of what it may read ahead was   the loop (took),
//	                        taken, or it may not go on           the call (Bounded)
//	workers  the call       an item was read, or none will be    Extend, CloseInput
//	loop     window.ready   its next item is done, or no worker  Finish, Failed,
//	                        is left                              workersEnded
//
// A party that finds what it needs takes no lock. One that goes to sleep first says so in
// an atomic word (wakeAt, waits, and the call's count of sleepers) and then looks again, with
// a mutex held. The others read that word after each item, and lock only if it says that they
// are waited for. So an item costs each party one write of an atomic word that all see, and no
// lock while they keep pace. The input looks at how far it may read when it has read 16 items.
//
// # States
//
// The stream ends in this order. The input ends by itself, or because the call goes no
// further. The workers end when every item that was read is settled, or the call has
// ended. Then the loop takes what is done and yields the last error. If the loop is left
// before that, it ends the call, and with it the other two. Loop returns when both are
// gone.
//
// # Locks
//
// The window and the slots have a mutex each. The order is: the call's, the window's, the
// slots'. The call calls Failed and Bounded with its mutex held. So the stream calls no
// method of the call that locks (all but Extended, Stopped, Bound, Cost, Config and Context)
// while it holds one of its own.
package stream
