// Package worker is the worker's side of worker processes: it reads what the parent asks
// for, runs items, and gathers what it has to say.
//
//	parent           this process
//
//	requests ──────► listener or executor ──► queue ──► executor ──► Part ──► fn
//	shared segment ─► items, doorbell                                  │
//	                                                                   ▼
//	results ◄─────── results buffer ◄───────── failures, result ring ◄─┘
//	shared segment ◄── the same, and which item is running
//
// A worker serves one parent, by frames of package wire. It knows calls by number and
// items as bytes. It must not know the types of items, how it was started, or anything of
// the parent's side but the frames: Link says how the parent is reached, and Config what
// this process can do.
//
// The worker owns its Link and closes nothing: it lives as long as the process.
//
// # Goroutines
//
// There are two, the listener and the executor. The executor runs items, and while it has
// none it reads the requests itself: an item that arrives then need not wait for one
// goroutine to wake another. The listener reads while items run that take long. listen.go
// says whose turn it is. If an item calls runtime.Goexit, or a method of its error does, the
// executor ends with it, and starts another that goes on.
//
// # An item's states
//
//	queued    in the queue          → claimed, by the executor, as part of a quantum
//	                                → dropped, if it comes after its call's bound
//	                                → recalled, by the parent
//	                                → given back, if the worker has become too large: see memory
//	claimed   in the Part           → running, when the typed loop begins it
//	                                → queued, when the executor yields before that
//	running   at most one           → finished in the ring, or failed in the results buffer
//
// The worker tells the parent once what became of each item: its result, its failure, that
// it was dropped, recalled, or given back. If the worker dies before it has written that to
// the pipe, the parent finds it in the shared segment.
//
// Without a segment a quantum is one item, and the ring is private. Before the item starts,
// the worker writes all that it has to say, and that the item starts. So the parent has in
// its pipe what it would have found in the segment.
//
// # Locks
//
// worker.mu guards the queue, the calls, what the executor has claimed, and whether the
// executor waits for the listener. It is taken before the mutex of the Turn and that of the
// results buffer, both of which are leaves. The results buffer's mutex guards that buffer
// and the sending side of the ring. It is held while a frame is written, often together
// with worker.mu: a worker that cannot write does not read, so the parent must always read
// while it sends. Code of the user's, methods of errors included, runs without a lock.
package worker
