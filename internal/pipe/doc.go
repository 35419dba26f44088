// Package pipe is the reading end of a pipe between two processes, for exchanges that take
// microseconds: a Reader that can poll and spin for short answers, and the Turn that says
// which of two goroutines reads.
//
//	other process ──frames──► pipe ──► Reader ──► follower or leader, as the Turn says
//
// It knows nothing of what is read, and nothing of processes. A Reader owns its end of the
// pipe and has no lock: only one goroutine at a time reads. To see to that is what the Turn
// is for, whose states are in its comment.
package pipe
