package supervisor

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/transport"
)

// ErrClosed is why a call is not admitted: the pool has been closed.
var ErrClosed = errors.New("process pool is closed")

// ErrStopped is why an item is not encoded, or a result not decoded: it is not wanted any more.
var ErrStopped = errors.New("the item is not wanted any more")

// A Stopper says whether an item is not wanted any more.
type Stopper interface{ Stopped() bool }

// Config is what a pool is made of. It does not change. No field is left to a default.
type Config struct {
	Size            int           // most workers at once
	MaxItems        int           // items after which a worker is replaced; 0: no limit
	MaxMemoryBytes  int64         // resident size of a worker; 0: no limit
	MaxMessageBytes int64         // of one encoded item, result or shared value
	IdleTimeout     time.Duration // how long a worker may be idle; negative: for ever
	StartTimeout    time.Duration // from start to ready; also how long a worker may do nothing about what it was sent
	KillDelay       time.Duration // from asking an item to end to killing its worker

	Launcher       transport.Launcher
	Spec           transport.Spec   // what every worker is started with; the pool sets its limit of memory and its GOMAXPROCS
	Stdout, Stderr func() io.Writer // asked for each write, since os.Stdout is a variable
	Logger         *slog.Logger     // nil: silent; the pool reaches it by its log
	Errors         Errors
	Table          func() []string // what a worker must be able to run, a line each
}

// Errors makes and carries the errors that users see.
type Errors interface {
	// Crash is the error of an item whose worker died.
	Crash(Crash) error
	// Timeout is why a worker was killed whose item exceeded its time limit.
	Timeout(limit time.Duration) error
	// Memory is why a worker was killed that has outgrown its memory limit.
	Memory(size, limit int64) error
	// MemoryAtStart is why a worker was killed that has reached its memory limit before it
	// was given an item.
	MemoryAtStart(size, limit int64) error
	// Start is the error of a call whose workers cannot be started.
	Start(err error, what string) error
	// Encode is the error of an item that could not be encoded, and Decode that of one
	// whose result could not be decoded, because of err.
	Encode(err error) error
	Decode(err error) error
	// Goexit stands for a call of runtime.Goexit in code of the user's.
	Goexit() error
	// Append appends the encoding of err to *dst. It runs code of the user's. If that calls
	// runtime.Goexit, the goroutine ends when the encoding has been appended.
	Append(dst *[]byte, err error)
	// Parse reads what Append wrote in a worker, which is not trusted, into *into, which is
	// not nil afterwards. It runs code of the user's. If that calls runtime.Goexit, the
	// goroutine ends when *into has been set.
	Parse(src []byte, into *error) (malformed error)
}

// Crash is how a worker died.
type Crash struct {
	PID      int
	ExitCode int       // −1: a signal ended it
	Signal   os.Signal // nil: none did
	Stderr   []byte    // the start and the end of what it wrote to its standard error
	Reason   error     // why this package killed it, or why its items fail; nil: it died by itself
	Own      bool      // the item that it was running had exceeded a limit: Retry is not for that
}

// Job is a call's items and results as bytes.
type Job interface {
	schedule.Job
	// Encode appends item i, which may take limit bytes, to dst. It may run code of the
	// user's. Its error is ErrStopped if stop has said so meanwhile.
	Encode(dst []byte, i, limit int, stop Stopper) ([]byte, error)
	// Decode stores the result of item i. It may run code of the user's. Its error is
	// ErrStopped if stop has said so meanwhile, and the result is large.
	Decode(src []byte, i int, stop Stopper) error
	// Items returns the bytes of items whose encoding is their memory; nil if they are not
	// in one piece.
	Items(schedule.Span) []byte
	// Results returns the same for results, to be written to.
	Results(schedule.Span) []byte
	// AppendItems appends the bytes of items whose encoding is their memory to dst.
	AppendItems(dst []byte, s schedule.Span) []byte
	// SetResults stores results whose encoding is their memory.
	SetResults(s schedule.Span, src []byte)
}

// Function is what a pool needs to know of the function that a call runs.
type Function struct {
	ID         int            // its number, which workers know it by
	ItemSize   int            // of each encoded item; −1: varies
	ResultSize int            // of each encoded result; −1: varies
	Pure       bool           // neither encoding nor decoding runs code of the user's
	Cost       *cost.Estimate // of an item, by a worker's clock; the pool learns it
}

// Call is what a call asks of a pool.
type Call struct {
	Function  Function
	Job       Job
	Timeout   time.Duration // of each item; 0: none
	Retries   int           // how often an item may run again whose worker died
	Shared    bool          // there is a shared value
	ShareType string
	Share     []byte
	OnStart   func(pid int) // told before a worker is sent items; nil: not wanted
}

// Stats describes a pool at one moment.
type Stats struct {
	Workers, Busy                                            int
	Started, Died, Items, Failed, Retried, BytesIn, BytesOut int64
	BusyTime                                                 time.Duration
}
