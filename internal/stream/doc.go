// Package stream is MapSeq's window between its input, the workers and the loop.
//
// A Stream is one loop over MapSeq. Three parties meet in it: the input, a sequence that a
// goroutine of the stream's ranges over; the workers, which claim items of the call by
// number; and the loop, the caller's goroutine, which takes the results. Items between
// being read and being taken lie in slots.
//
//	input ──push──► slots ──take──► loop
//	                │   ▲
//	              Item  Put
//	                ▼   │
//	               workers            Run does both on a goroutine
//
// The package knows the types of items and results. It does not know where workers run or
// how items are encoded: what runs the call uses Run, or Item and Put. Nor does it hand out
// items: the call does that (package schedule), and the stream tells it of each item that it
// has read.
//
// # Entries
//
// Each slot is an entry, and an entry belongs to one party at a time:
//
//	empty    the input's, until it has announced the item (schedule.Call.Extend)
//	waiting  no party's, until a worker claims the item
//	claimed  the worker's, until Put or a failure sets done
//	done     the loop's, until it counts the item as taken; then it is empty again
//
// An item that is given back is waiting again. When the workers have ended, the loop owns
// every entry: with KeepGoing it yields an error for each item that did not run. In order,
// the entries are a ring, which is read and written without a lock. With Unordered a slow
// item may stay behind by any distance, so that they are a bag: a map with a lock.
//
// # Who waits for what
//
//	party    waits on       until                                woken by
//	input    window.space   half of what it may read ahead was   the loop (took),
//	                        taken, or it may not go on           the call (Bounded)
//	workers  the call       an item was read, or none will be    Extend, CloseInput
//	loop     window.ready   its next item is done, or no worker  Put, Failed,
//	                        is left                              workersEnded
//
// A party that finds what it needs takes no lock. One that goes to sleep first says so in
// an atomic word (wakeAt, waits) and then looks again, with the window's mutex held. The
// others read that word after each item, and lock only if it says that they are waited
// for. So an item in order costs one turn with the call's mutex, Extend's, and none with
// the window's while the parties keep pace.
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
// The window and the bag have a mutex each. The order is: the call's, the window's, the
// bag's. The call calls Failed and Bounded with its mutex held. So the stream calls no
// method of the call that locks (all but Stopped, Bound, Cost, Config and Context) while
// it holds one of its own.
package stream
