// Package shm is the shared segment: two files that a worker maps into its memory and that its
// parent reads and writes as files. When the worker dies, at whatever instruction, the
// parent still has what lies there: which item did it, and every result that was finished
// before. And large items and results need not be copied through a pipe.
//
//	parent: Segment           up, which the worker writes      worker: Mapping, Ring
//
//	Running, Unsent  ◄──────  words: the item that runs,   ◄── SetRunning, Ring.Commit, …
//	                          what is filled, how far
//	Unsent  ◄───────────────  results buffer: records      ◄── Records, SetRecords
//	ReadResults  ◄──────────  result rings                 ◄── Ring
//
//	                          down, which the parent writes
//
//	Taken, RingDoorbell  ──►  words                        ──► Doorbell
//	PutItems  ──────────────► slots for items              ──► Items
//
// Nothing that a worker writes is trusted. Its words prove themselves, so that what a stray
// write leaves there, in C code for example, is not taken for one; what they say, and the
// places that a worker names, must be possible. The worker cannot write to down, and
// where the system can seal files it can truncate neither. The parent maps none of them: it
// meets a short read and no fault, and nothing can change between a check and its use.
//
// The rings and the slots are as large as any message: a file takes memory only where
// something was written. If there is no segment, because the system has none or the worker
// lacks the addresses, everything goes through the pipe. Then a worker uses Private memory
// of the same layout, so that its code is the same but for what it must send at once.
//
// The supervisor owns a Segment and closes it. A worker's Mapping lives as long as its
// process. The package has no locks; each type says which of its methods need one. It knows
// of records only as package wire does, and nothing of calls, pipes or processes.
package shm
