// Package supervisor is the parent's side of worker processes: which workers there are,
// what each of them has in flight, and which of them is ended when. It knows items and
// results as bytes, and workers by the interfaces of package transport. It knows neither
// types, codecs nor reflection, and nothing of how a process is started.
//
//	schedule.Call ◄── claims, outcomes ── session ── items ──► conn ──requests──► worker
//	                                        ▲  │                                  process
//	                                        │  └─ window: what is in flight          │
//	                                     outcomes                                    │
//	                                        │                                        │
//	        call: monitor, blame          reader ◄───────────────results─────────────┤
//	        Pool: idle workers, starts,   relay, tail ◄───────stdout, stderr─────────┘
//	              tick, who is lent what
//
// A Pool keeps workers. A call is one schedule.Call in it, which has up to Size workers at
// once. For each it holds a session, which claims items, sends them in batches and takes in
// what becomes of them. A worker is the parent's end of one process.
//
// # Goroutines
//
//	goroutine          lives as long as              does
//	reader, follower   the worker                    reads results if the caller does not; reaps
//	two relays         the worker's outputs          carry lines to Stdout and Stderr
//	progress           a call with a callback        calls back (package schedule's)
//	exit               the process                   waits for the exit
//	sender             a call, one for each worker   claims and sends; the caller's own if the caller serves.
//	                                                 It reads the answer to a short call
//	monitor            a call, from when it lasts    sees to everything that has a clock
//	tell               one frame                     writes a stop or a recall, which must not block the monitor
//	start              a start                       launches a worker and waits until it is ready
//	tick, stall        a moment                      timers: the pool's housekeeping; a worker that does not read
//
// What a worker says is read by one goroutine at a time; pipe.Turn says which.
//
// # States
//
// A worker in its pool, which counts it until it has been reaped:
//
//	starting  for any call      → ready, or its start has failed
//	ready     offered to a call → used; if it dies before, its start has failed
//	used                        → buried
//
// A used worker is idle, or held by one session. From there it is handed to the call that
// has waited longest, idle, or replaced: it has run MaxItems items, or says that it has become
// too large for MaxMemoryBytes. From being idle it is held, or ended by IdleTimeout or Close.
//
// A worker's own life is its status; a session's view of its worker is its state; a reader's
// progress is its phase. All three only go forward.
//
// # Ownership
//
// The launcher gives the parts of a worker to this package, which closes them: the reader
// goroutine closes Requests and Results and in the end the segment, each relay closes its
// output, and Process.Wait releases what the process held.
//
// # Locks
//
// Locks are taken in this order: conn.stallMu, call.mu, session.mu, schedule.Call's, monitor.mu, Pool.mu,
// worker.mu. The others are leaves: those of frameQueue, blame, tail, pipe.Turn and the
// Process. Under none of them does code of the user's run, or anything that waits for a
// worker. Two more are held during just that, and no other is taken under them: conn.mu
// while a frame is written, and the sinks' while a user's writer runs. A name that ends in
// Locked says that the mutex of its type is held.
//
// # Code of the user's
//
// Encoders, decoders, methods of errors and callbacks may call runtime.Goexit, which ends the
// goroutine that runs them. The sender, the reader and the relays keep their state outside the
// goroutine and go on in a new one: see persist. The Logger runs in a goroutine of its own: see
// log. No lock is held while any of this runs but the sinks', for the writers.
package supervisor
