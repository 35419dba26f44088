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
//	        Pool: idle workers, tick      relay, tail ◄───────stdout, stderr─────────┘
//
// A Pool keeps workers. A call is one schedule.Call in it, which has up to Size workers at
// once; for each it holds a session, which claims items, sends them in batches and takes in
// what becomes of them. A worker is one process from its start until it has been reaped and
// all that it said is taken in; between two sessions it is idle in the pool.
//
// Goroutines. Each worker has four: one reads its results and reaps what is left of it in
// the end, two relay its output, and one waits for its exit. Each session of a call has one,
// the sender, which is the caller's own where the caller serves (see call.callerServes). A
// call that lasts has a monitor, which sees to everything that has a clock. The pool has a
// tick for what need not be done at once. What a worker says is read by one goroutine at a
// time; pipe.Turn says which.
//
// Ownership. The launcher gives the parts of a worker to this package, which closes them:
// the reader goroutine closes Requests and Results and in the end the segment, each relay
// closes its output, and Process.Wait releases what the process held.
//
// Locks are taken in the order call.mu, session.mu, schedule.Call's, Pool.mu, worker.mu,
// conn's. Under none of them does code of the user's run, or anything that waits for a
// worker; a frame is written under conn's own mutex only. A name that ends in Locked says
// that the mutex of its type is held.
//
// Code of the user's (encoders, decoders, methods of errors, callbacks) may call
// runtime.Goexit, which ends the goroutine that runs it. So whatever has to go on after it
// keeps its state outside the goroutine, and goes on in a new one: see persist.
package supervisor
