// Package transport is how a parent reaches its workers: the interfaces between the
// supervisor, which serves calls with workers, and the launchers, which start them.
//
//	supervisor ──Launch──► Launcher ──► Worker
//	                                     ├ Process   waited for and killed, as a whole
//	                                     ├ Requests  frames to the worker
//	                                     ├ Results   frames from the worker
//	                                     ├ Shared    memory that both see; nil: none
//	                                     └ Stdout, Stderr
//
// A launcher knows nothing of calls, and the supervisor nothing of processes, pipes or
// platforms. A proc.Local starts workers on this machine. Another launcher, which runs a
// command of the user's and speaks over its standard input and output, implements the same
// interfaces with Shared and Stdout nil.
package transport

import (
	"context"
	"io"
	"os"
	"time"

	"example.com/parallel/internal/shm"
)

// Launcher starts the workers of a pool. It is safe for concurrent use.
type Launcher interface {
	// Launch starts a worker and returns as soon as it can be written to. That the
	// process has started does not mean that it is ready. The context ends the start, not
	// the worker. A Launch that fails leaves nothing behind.
	Launch(ctx context.Context, spec Spec) (*Worker, error)
}

// Spec is what a worker is started with.
type Spec struct {
	Env            []string // appended to this process's environment; of two values for a name the later counts
	Dir            string   // working directory; empty: this process's. Environment and directory are those of the launcher's first start
	MaxMemoryBytes int64    // what Process.Resident should stay below; 0: no limit
	GOMAXPROCS     int      // its share of the processors, unless Env says otherwise; 0: not set
}

// Worker is a worker that was started. All of its parts belong to the supervisor from then
// on, which closes them.
type Worker struct {
	Process  Process
	Requests io.WriteCloser // a Write that waits fails after Process.Kill
	Results  Receiver
	Shared   *shm.Segment // nil: everything goes through the stream, and the worker says which item it starts
	Stdout   Stream       // nil: output comes in frames
	Stderr   Stream       // as Stdout
}

// Process is a worker process with all that it has started. Its methods may be called from
// any goroutine. All but Wait do not block, since they are called with locks held.
type Process interface {
	// PID is the process ID; 0 if the launcher does not know it, since the worker runs elsewhere.
	PID() int
	// Kill ends the process and what it has started, and does not wait for their end. It
	// may be called any number of times, also after the process has ended.
	Kill()
	// Wait returns when the process has ended, has been reaped, and what it left behind in
	// its group has been killed. It also releases what was held for the process, so it
	// must be called, once.
	Wait() Exit
	// Resident is the memory that the process has in use and shares with no other, in bytes:
	// neither files nor the segment count. The error is errors.ErrUnsupported if that cannot be
	// known. After Wait it is another.
	Resident() (int64, error)
	// Activity is what the process is doing, as far as the system says so. It may take tens
	// of microseconds.
	Activity() Activity
}

// Activity is what a process is doing at a moment.
type Activity struct {
	Stopped bool          // by a signal, or by a debugger
	Known   bool          // the rest is
	Eager   bool          // a thread of it is running, wants to run, or waits for a disk
	CPU     time.Duration // that it has used, in steps of some milliseconds
}

// CouldAct reports whether a process could have acted since before: it has used a processor,
// or none of its threads wants one. If nothing is known of it, it could not have.
func (a Activity) CouldAct(before Activity) bool {
	return a.Known && (!a.Eager || before.Known && a.CPU > before.CPU)
}

// Exit is how a process ended.
type Exit struct {
	Code   int       // −1: a signal ended it, or nothing is known
	Signal os.Signal // nil: it exited, or nothing is known: other code of this process has reaped it
}

// Stream is an output of a worker.
type Stream interface {
	io.ReadCloser
	// SetReadDeadline ends reads at t, also one that waits. It is how the supervisor stops
	// reading when a process outside the worker's group holds the other end.
	SetReadDeadline(t time.Time) error
}

// Receiver is a Stream whose reader may look for input by itself.
type Receiver interface {
	Stream
	// Poll waits for input in system calls of its own, for at most about d, and reports
	// whether there is some. That is faster than Read if input comes within microseconds. It
	// returns false at once if there is no such thing.
	Poll(d time.Duration) bool
}
