// Package proc starts worker processes on this machine, and ends them: Local is the
// launcher for them, and Inherit is its counterpart in the process that it has started.
//
//	parent                                     worker, leader of a session of its own
//
//	Worker.Requests  ──────── pipe ────────►   Inherited.Requests
//	Worker.Results   ◄─────── pipe ─────────   Inherited.Results
//	process          ── parent-death pipe ─►   Inherited          nothing is written to it
//	Worker.Stdout, Stderr ◄── pipes ────────   os.Stdout, os.Stderr
//	Worker.Shared    ──────── files ────────   Inherited.Shared
//
// What differs by platform, the process group first of all, is in the files group_….go.
// The package knows nothing of frames, calls or pools. It keeps no state but what this
// process has inherited, the environment of each launcher's first start, and that of each
// process, whose one lock is in process.go.
//
// What a worker and its descendants need in order to end with their parent is here too: a
// worker leads a process group, which is killed as a whole (on Windows: a job object); and
// it sees the end of its parent by the parent-death pipe, also if the parent was killed, from
// package initialization on. On Linux the kernel does the same by itself: parentdeath_linux.go
// says how.
//
// What the system refuses is done without: each operation of the kind has a name, see
// Local.Fault.
package proc
