package worker

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// Link is how a worker reaches its parent. The worker owns all of it.
type Link struct {
	Requests Requests     // frames from the parent
	Results  io.Writer    // frames to the parent
	Shared   *shm.Mapping // nil: everything goes through the stream
	// OpenResident returns a function that measures this process: what it has in use and
	// shares with no other, in bytes. nil: this system cannot.
	OpenResident func() (func() (int64, error), error)
	Ready        func() // called between the greeting and the first item; nil: nothing to do
	Die          func() // ends this process and all that it has started; does not return
}

// Requests is a stream whose reader may look for input by itself. One goroutine at a time
// uses it. A *pipe.Reader implements it.
type Requests interface {
	io.Reader
	// Poll waits for input in system calls of its own, for at most about d, and reports whether
	// there is some.
	Poll(d time.Duration) bool
}

// Config is what a worker can do. Its functions may be called from any goroutine, Function
// and Shared with a lock held: they must not block, nor run code of the user's.
type Config struct {
	Function func(id int) (*Function, error) // the registered function with that number
	Table    func() []string                 // what the parent must agree on: see wire.Welcome
	Errors   Errors
	Shared   func(ctx context.Context, typ string, data []byte) context.Context // gives ctx the call's shared value; data is the result's to keep
}

// Function runs items of one registered function.
type Function struct {
	// Run is the typed loop: it runs items of p until there are no More, or one fails,
	// whose error it returns. A panic passes through it, and so does runtime.Goexit.
	Run        func(ctx context.Context, p *Part) error
	ResultSize int            // of each encoded result; −1: varies
	Cost       *cost.Estimate // what an item takes, which the worker learns
}

// Errors makes the errors of items and carries them. Append and Parse run code of the
// user's, so no lock is held when they are called. If that code calls runtime.Goexit, the
// goroutine ends when they have done what they are to do.
type Errors interface {
	Recovered(v any) error                           // of what recover returned, called while the stack is there; nil: runtime.Goexit
	Append(dst *[]byte, err error)                   // appends the encoding of an error; cannot fail
	Parse(src []byte, into *error) (malformed error) // reads what Append has written elsewhere; *into is not nil afterwards
}

// worker is this process in its role as a worker.
type worker struct {
	config   Config
	die      func()
	maxBytes int // of an encoded item or result
	mapping  *shm.Mapping
	results  *resultsBuffer
	in       input

	mu        sync.Mutex
	arrived   sync.Cond // the queue has something, or doorbells has grown
	queue     queue
	current   *call            // the one that the next items to arrive belong to
	calls     map[uint64]*call // those that have begun and not ended
	doorbells uint64           // stops and recalls that were read; the doorbell counts those that were sent
	doomed    bool             // this process is to end before the next item
	claimed   queuedRun        // what the executor has claimed; no items: nothing is running
	outgrown  int64            // the size at which this worker has become too large, so that it runs no item any more; 0: it has not

	// The executor's.
	part      Part
	memory    memory
	since     time.Time // the items were claimed then
	batchDone bool      // no items are left of those that were sent with the claimed ones
}

// Serve is the life of a worker process. The calling goroutine becomes the listener. Serve
// does not return: the worker ends by l.Die, or with status 2 if it is not greeted.
func Serve(l Link, c Config) {
	w := newWorker(l, c)
	if err := w.greet(); err != nil {
		fmt.Fprintln(os.Stderr, "parallel: worker process:", err)
		os.Exit(2)
	}
	w.prepare()
	serving.Store(w)
	if l.Ready != nil {
		l.Ready()
	}
	go w.execute()
	w.listen()
}

// serving is the worker that this process is; nil if it is none.
var serving atomic.Pointer[worker]

// Forge writes a frame as this worker process, between its own. It is for tests of what a
// worker may say that is not true.
func Forge(frame []byte) { serving.Load().results.send(frame) }

// newWorker returns a worker that has not been greeted, and must be prepared before it runs
// items.
func newWorker(l Link, c Config) *worker {
	w := &worker{config: c, die: l.Die, mapping: l.Shared, calls: make(map[uint64]*call)}
	if w.mapping == nil {
		w.mapping = shm.Private()
	}
	w.arrived.L = &w.mu
	w.results = newResultsBuffer(l.Results, w.mapping, l.Die)
	w.part.init(w.mapping, w.results)
	w.in.init(l.Requests)
	w.memory.open = l.OpenResident
	return w
}

// prepare makes what the greeting does not need. It comes after that: until the parent has
// answered, there is time for it.
func (w *worker) prepare() {
	w.in.alarm = newTimer(w.relisten)
	w.results.timer = newTimer(w.results.onTimer)
}

// greet answers the parent's hello.
func (w *worker) greet() error {
	kind, payload, err := w.in.frames.Next()
	if err != nil {
		return err
	}
	if kind != wire.KindHello {
		return fmt.Errorf("a frame of kind %d in place of a hello", kind)
	}
	var hello wire.Hello
	if err := hello.Parse(payload); err != nil {
		return err
	}
	w.maxBytes = hello.MaxMessage
	m := wire.Welcome{Version: wire.Version, PID: os.Getpid(), Mapped: w.mapping.Shared(), Registered: w.config.Table()}
	if hello.MaxMemory > 0 {
		if m.Memory, err = w.memory.init(hello.MaxMemory); err != nil {
			return err
		}
		w.part.memory = &w.memory
	}
	w.results.send(wire.Finish(m.Append(wire.Begin(nil, wire.KindHello))))
	return nil
}

// newTimer returns a timer that calls f and is not set.
func newTimer(f func()) *time.Timer {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return t
}
