package parallel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"example.com/parallel/internal/wire"
)

// The worker's side of the process place; the parent's is in process.go, with a
// picture of both.

// inheritance is what a worker is given by its parent.
type inheritance struct {
	requests, results, leash *os.File
	page                     *os.File // nil where there is none
}

// inherited is what this process was given; nil if it is no worker. It is taken
// over as early as possible, so that a process that another package starts in
// its initialization inherits neither the files nor the mark.
var inherited = func() *inheritance {
	mark, ok := os.LookupEnv(markVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(markVariable)
	in, err := inherit(mark)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return in
}()

// Init makes worker processes possible. It must be the first statement of main,
// and in tests that use processes, of TestMain. In a worker process, which is
// this program started again, it runs what the parent sends and never returns;
// everywhere else it returns at once. Whatever the program does before Init, in
// package initialization, it does in every worker too.
func Init() {
	initialized.Store(true)
	if inherited != nil {
		serveWorker(inherited)
	}
}

// worker is this process in its role as a worker.
type worker struct {
	out      *outbox
	maxBytes int

	mu      sync.Mutex
	arrived sync.Cond // the queue has something
	queue   []queued
	call    *workerCall            // the one that the items in the queue belong to
	calls   map[uint64]*workerCall // those that have begun and not ended
	running int                    // the number of the item that is running; −1: none
}

// queued is an item that waits to be run.
type queued struct {
	seq   uint64
	index int
	data  []byte
}

// workerCall is the parent's call that the items belong to.
type workerCall struct {
	id         uint64
	function   *function
	keepGoing  bool
	invocation invocation
	base       context.Context // with the call's deadline and shared value
	endBase    context.CancelFunc
	ctx        context.Context // fn's
	cancel     context.CancelCauseFunc
	bound      int64 // no item after it is started
}

// serveWorker is the life of a worker process. This goroutine listens to the
// parent, another runs the items, so that the parent is heard while an item
// runs. It ends with the process.
func serveWorker(in *inheritance) {
	go func() {
		// End of file means that the parent has died.
		var b [1]byte
		_, _ = in.leash.Read(b[:])
		dieWithGroup()
	}()
	w := &worker{running: -1, calls: make(map[uint64]*workerCall)}
	w.arrived.L = &w.mu
	requests := wire.NewReader(in.requests, maxFrame)
	if err := w.greet(requests, in); err != nil {
		fmt.Fprintln(os.Stderr, "parallel: worker process:", err)
		os.Exit(2)
	}
	go w.execute()
	for {
		kind, payload, err := requests.Next()
		if err == nil {
			err = w.take(kind, payload)
		}
		if err != nil {
			// The parent has gone, or is not one.
			dieWithGroup()
		}
	}
}

// greet answers the parent's hello.
func (w *worker) greet(requests *wire.Reader, in *inheritance) error {
	kind, payload, err := requests.Next()
	if err != nil {
		return err
	}
	var hello wire.Hello
	if kind != wire.KindHello {
		return fmt.Errorf("a frame of kind %d in place of a hello", kind)
	}
	if err := hello.Parse(payload); err != nil {
		return err
	}
	w.maxBytes = hello.MaxMessage
	w.out = newOutbox(in.results, in.page)
	m := wire.Welcome{Version: wire.Version, PID: os.Getpid(), Registered: table()}
	_, err = in.results.Write(wire.Finish(m.Append(wire.Begin(nil, wire.KindHello))))
	return err
}

// take does what a frame of the parent's says.
func (w *worker) take(kind wire.Kind, payload []byte) error {
	switch kind {
	case wire.KindCall:
		var m wire.Call
		if err := m.Parse(payload); err != nil {
			return err
		}
		return w.begin(&m)
	case wire.KindItems:
		return w.enqueue(slices.Clone(payload))
	case wire.KindStop:
		var m wire.Stop
		if err := m.Parse(payload); err != nil {
			return err
		}
		cause, err := decodeError(m.Cause)
		if err != nil {
			return err
		}
		w.stop(&m, cause)
	case wire.KindRecall:
		w.recall()
	default:
		return fmt.Errorf("a frame of unknown kind %d", kind)
	}
	return nil
}

// begin makes m the call that the next items belong to.
func (w *worker) begin(m *wire.Call) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Known {
		if w.call = w.calls[m.ID]; w.call == nil {
			return fmt.Errorf("unknown call %d", m.ID)
		}
		return nil
	}
	f, err := registered(m.Function)
	if err != nil {
		return err
	}
	c := &workerCall{
		id: m.ID, function: f, keepGoing: m.KeepGoing, bound: noBound,
		invocation: invocation{timeout: m.Timeout, maxBytes: w.maxBytes},
	}
	ctx := context.Background()
	if m.Shared {
		var v sharedValue = &sharedBytes{typ: m.ShareType, data: slices.Clone(m.Share)}
		ctx = context.WithValue(ctx, shareKey{}, v)
	}
	c.endBase = func() {}
	if m.Deadline > 0 {
		ctx, c.endBase = context.WithDeadline(ctx, time.Now().Add(m.Deadline))
	}
	c.base = ctx
	c.renew()
	w.call, w.calls[m.ID] = c, c
	return nil
}

// registered returns the function with number n.
func registered(n int) (*function, error) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if n >= len(registry.all) {
		return nil, fmt.Errorf("unknown function %d", n)
	}
	return registry.all[n], nil
}

// renew gives the call a context for the items to come.
func (c *workerCall) renew() { c.ctx, c.cancel = context.WithCancelCause(c.base) }

// enqueue takes in a frame of items. Those that the parent had on their way when
// it said that they are not wanted any more are dropped.
func (w *worker) enqueue(payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.call == nil {
		return errors.New("items of no call")
	}
	defer w.arrived.Signal()
	err := wire.ParseItems(payload, func(it wire.Item) {
		w.queue = append(w.queue, queued{it.Seq, it.Index, it.Data})
	})
	w.dropAfter(w.call.bound)
	return err
}

// stop goes no further than m.Index in the call.
func (w *worker) stop(m *wire.Stop, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.calls[m.ID]
	if c == nil {
		return // that call is over
	}
	current := c == w.call
	c.bound = min(c.bound, int64(m.Index))
	if c.bound < 0 || current && int64(w.running) > c.bound {
		c.cancel(cause)
		c.renew() // for items before the bound that are still to come
	}
	if current {
		w.dropAfter(c.bound)
	}
	if c.bound < 0 {
		c.endBase()
		delete(w.calls, c.id)
	}
}

// dropAfter drops the items after bound. mu is held.
func (w *worker) dropAfter(bound int64) {
	if bound == noBound {
		return
	}
	var records []byte
	kept := w.queue[:0]
	for _, it := range w.queue {
		if int64(it.index) <= bound {
			kept = append(kept, it)
		} else {
			records = wire.AppendDropped(records, wire.RecordDropped, it.seq, it.seq)
		}
		if len(records) > outboxFull {
			w.out.say(records)
			records = records[:0]
		}
	}
	w.queue = kept
	if len(records) > 0 {
		w.out.say(records)
	}
}

// recall gives back every item that has not been started.
func (w *worker) recall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first, last uint64
	if n := len(w.queue); n > 0 {
		first, last = w.queue[0].seq, w.queue[n-1].seq
	}
	w.queue = nil
	w.out.say(wire.AppendDropped(nil, wire.RecordRecalled, first, last))
}

// execute runs the items, one at a time, in the order in which they came.
func (w *worker) execute() {
	var buf []byte
	for {
		it, c, ctx := w.next()
		buf = w.run(it, c, ctx, buf)
	}
}

// next waits for the next item. It is the running one from then on.
func (w *worker) next() (queued, *workerCall, context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = -1
	if len(w.queue) == 0 {
		w.out.rest()
	}
	for len(w.queue) == 0 {
		w.arrived.Wait()
	}
	it := w.queue[0]
	w.queue = w.queue[1:]
	w.running = it.index
	w.out.begin(it.seq)
	return it, w.call, w.call.ctx
}

// run runs one item and puts its outcome into the outbox. A panic ends here; a
// Goexit takes this goroutine with it, and another goes on. buf is used, and
// returned for the next item.
func (w *worker) run(it queued, c *workerCall, ctx context.Context, buf []byte) []byte {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		w.fail(it, c, caught(v))
		if v == nil {
			go w.execute()
		}
	}()
	frame, at := outcome(buf, wire.RecordResult, it.seq)
	frame, err := c.function.invoke(ctx, frame, it.data, c.invocation)
	returned = true
	if err != nil {
		w.fail(it, c, err)
		return frame
	}
	w.out.finish(frame, at)
	return frame
}

// fail puts an item's failure into the outbox.
func (w *worker) fail(it queued, c *workerCall, err error) {
	frame, at := outcome(nil, wire.RecordFailure, it.seq)
	w.out.finish(appendError(frame, err), at)
	if c.keepGoing {
		return
	}
	// The parent will say so too, but nothing more may start till then.
	w.mu.Lock()
	defer w.mu.Unlock()
	c.bound = min(c.bound, int64(it.index))
	if c == w.call { // else the parent knows, and has gone on
		w.dropAfter(c.bound)
	}
}
