// Package shm is the shared segment: two files that a worker maps into its memory, and that its
// parent maps as far as it uses them, or else reads and writes as files. When the worker dies, at whatever instruction, the
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
// where the system can seal files it can truncate neither. The parent maps only what is sealed.
// What it has mapped may change while it is read: it copies, and checks the copy. A fault in
// the copying is an error like a short read. What a dead worker left is read from the files.
//
// The rings and the slots are as large as any message: a file takes memory only where
// something was written. If there is no segment, because the system has none or the worker
// lacks the addresses, everything goes through the pipe. Then a worker uses Private memory
// of the same layout, so that its code is the same but for what it must send at once.
//
// The supervisor owns a Segment and closes it. A worker's Mapping lives as long as its
// process. A Segment has a lock, so that nothing is touched after Close has unmapped it; the
// other types say which of their methods need one. The package knows
// of records only as package wire does, and nothing of calls, pipes or processes.
package shm
