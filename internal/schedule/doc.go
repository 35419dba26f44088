// Package schedule hands out the items of a call by number, takes in what became of each,
// and works out the error that a sequential loop would have returned. It also runs items on
// goroutines of this process.
//
// It must not know the types of items and results, nor worker processes, nor how an error
// that users see is made. The typed side of a call is a [Job], worker processes are a
// [Claimant], and errors are made by [Errors].
//
//	          New, Extend, CloseInput
//	                    │ items, as numbers
//	┌─ Call ────────────▼─────────────────────────────────────────┐
//	│  ledger: available ──► claimed ──► done, failed or skipped  │
//	│              ▲            │                                 │
//	│              └─ given back┘                                 │
//	│  bound, failures, progress                                  │
//	└──┬──────────────▲─────────────────────────────┬─────────────┘
//	   │ Claim        │ Done, Fail,                 │ Failed, Bounded
//	   │              │ Skip, GiveBack              │
//	┌──▼──────────────┴─────────────────┐    ┌──────▼──────────────┐
//	│ Claimant: the team of goroutines, │    │ Stream (MapSeq), or │
//	│ or worker processes               │    │ Outcome at the end  │
//	└───────────────────────────────────┘    └─────────────────────┘
//
// # Items
//
// Every item is claimed once, in index order, and then settled in one of four ways: done,
// failed, skipped (the call ended before the item ran) or given back, to be claimed again.
// An item that is claimed and not settled is open. It belongs to the worker that claimed it,
// which must settle it.
//
// # A call's end
//
// The bound is the last item that may still be started. It only falls:
//
//	no bound  → i    item i failed, and the call does not keep going
//	any       → −1   the call was ended from outside: its context, End, a callback that did not return
//
// Items before a bound of i run to their end, because one of them may fail too: the lowest
// failure that remains is the error of a sequential loop. When a call is ended from
// outside, what has not been started is skipped. A call is over when its input is closed
// and every item is settled or skipped; only then may Outcome be called.
//
// # Goroutines
//
// [Cheap] calls run [Inline], as a plain loop on the caller's goroutine: a helper takes tens
// of microseconds to arrive. For all others [Call.RunGoroutines] starts a team of runners.
// A runner claims chunks that take about 20 µs, or longer if more than 8 runners run at
// once, so that the mutex is rarely contended. Two things keep a slow item from holding up
// the items behind it. The team's alarm raises the yield flag when runners have had nothing
// to do for a while, and the watchdog does so for an inline call that takes long. A [Job]
// notices after each item: it looks at the flag, or it is a [Yielder] and calls its function
// through a [Next]. The context is looked at each 5 µs, by what items are known to take.
//
// # Locks
//
// A Call has one mutex. Goroutines sleep, with a condition for each kind, until there may be
// an item to claim, every item is settled, or the team's alarm has gone off. An item that
// becomes available wakes one of them, not all. The input of a stream makes items available
// without the mutex, and takes it only to wake somebody. The ledger, the sleepers, the
// failures and the team have no lock of their own: the call's guards them. Only methods of
// Call lock it. What needs it held is named …Locked, or is a method of ledger, sleepers,
// failures, Claimant or Stream, which all do.
//
// Locks are taken in this order: the call's mutex, then the stream's or the claimant's. The
// call calls Stream and Claimant while it holds its mutex; they must not call it while they
// hold theirs. The mutex of progress is held while the callback runs, and no other is. The
// watchdog's mutex and the backlog's are held alone.
//
// Code of the user's (the callback, methods of errors, fn) never runs under the call's
// mutex. It may panic or call runtime.Goexit anywhere. What must happen all the same is done
// in deferred functions, mostly those of package guard.
package schedule
