package parallel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/wire"
)

// The worker's side of the process place; the parent's is in process.go, with a
// picture of both.

// inheritance is what a worker is given by its parent.
type inheritance struct {
	requests       *inlet
	results, leash *os.File
	page           *os.File // nil where there is none
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
	ear     ear
	arrived sync.Cond // the queue has something, or something was heard
	queue   []queuedRun
	call    *workerCall            // the one that the next items to arrive belong to
	calls   map[uint64]*workerCall // those that have begun and not ended
	heard   uint64                 // stops and recalls
	taken   queuedRun              // the items that the executor has taken; none: nothing is running
	brake   atomic.Uint32          // not 0: the executor should give back what of them it has not begun

	// The executor's.
	buf   []byte
	since time.Time // when it took them,
	ended bool      // and whether they were the last of what had been sent together
}

// queuedRun is a run of items with the call that they belong to. The parent may
// have gone on to its next call while the executor is still ending the last part of
// the one before: what is said of one call must not touch items of another.
type queuedRun struct {
	wire.Run
	call *workerCall
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
	bound      int64         // no item after it is started
	wait       time.Duration // how long a result may wait for others
}

// serveWorker is the life of a worker process. This goroutine, the listener, listens
// to the parent while another, the executor, runs items, so that the parent is heard
// meanwhile; see listen.go. It ends with the process.
func serveWorker(in *inheritance) {
	go func() {
		// End of file means that the parent has died.
		var b [1]byte
		_, _ = in.leash.Read(b[:])
		dieWithGroup()
	}()
	w := newWorker(in.requests)
	if err := w.greet(in); err != nil {
		fmt.Fprintln(os.Stderr, "parallel: worker process:", err)
		os.Exit(2)
	}
	go w.execute()
	w.listen()
}

// greet answers the parent's hello.
func (w *worker) greet(in *inheritance) error {
	kind, payload, err := w.ear.frames.Next()
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
	m := wire.Welcome{Version: wire.Version, PID: os.Getpid(), Mapped: w.out.mapped, Registered: table()}
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
		var run wire.Run
		if err := run.Parse(slices.Clone(payload)); err != nil {
			return err
		}
		return w.enqueue(run)
	case wire.KindSlot:
		var m wire.Slot
		if err := m.Parse(payload); err != nil {
			return err
		}
		if !w.out.mapped || m.At > pageSize-m.Length {
			return errors.New("items where there is no memory")
		}
		if err := m.Take(w.out.page[m.At:][:m.Length:m.Length]); err != nil {
			return err
		}
		return w.enqueue(m.Run)
	case wire.KindStop:
		var m wire.Stop
		if err := m.Parse(payload); err != nil {
			return err
		}
		cause, err := decodeCause(m.Cause)
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

// decodeCause decodes the cause of a stop; an empty one is context.Canceled. It does so
// in a goroutine of its own, since code of the user's may end that.
func decodeCause(src []byte) (cause error, err error) {
	if len(src) == 0 {
		return context.Canceled, nil
	}
	cause = ErrGoexit
	done := make(chan struct{})
	go func() {
		defer close(done)
		cause, err = decodeError(src)
	}()
	<-done
	return cause, err
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
		id: m.ID, function: f, keepGoing: m.KeepGoing, bound: noBound, wait: outboxLong,
		invocation: invocation{timeout: m.Timeout, maxBytes: w.maxBytes},
	}
	ctx := context.Background()
	if m.Shared {
		var v sharedValue = &sharedBytes{typ: m.ShareType, data: slices.Clone(m.Share)}
		ctx = context.WithValue(ctx, shareKey{}, v)
	}
	if m.Eager {
		c.wait = outboxDelay
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

// enqueue takes in items. Those that the parent had on their way when
// it said that they are not wanted any more are dropped.
func (w *worker) enqueue(run wire.Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.call == nil {
		return errors.New("items of no call")
	}
	if run.Count > 0 {
		w.queue = append(w.queue, queuedRun{run, w.call})
		w.dropStopped(w.call)
	}
	w.lend()
	w.arrived.Signal()
	return nil
}

// stop goes no further than m.Index in the call.
func (w *worker) stop(m *wire.Stop, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear()
	c := w.calls[m.ID]
	if c == nil {
		return // that call is over
	}
	runs := c == w.taken.call
	c.bound = min(c.bound, int64(m.Index))
	if runs && w.taken.Count > 1 {
		w.brake.Store(1)
		spinFor(brakeTime, func() bool { return false })
	}
	if c.bound < 0 || runs && w.running() > c.bound {
		c.cancel(cause)
		c.renew() // for items before the bound that are still to come
	}
	w.dropStopped(c)
	if c.bound < 0 {
		c.endBase()
		delete(w.calls, c.id)
	}
}

// running is the number of the item that is running, −1 if none is. A part's
// next item is not begun without a look at the brake. mu is held.
func (w *worker) running() int64 {
	if w.taken.Count == 0 {
		return -1
	}
	return int64(w.taken.Index) + int64(w.out.running()-w.taken.Seq)
}

// hear counts a stop or a recall. mu is held.
func (w *worker) hear() {
	w.heard++
	w.arrived.Signal()
}

// brakeTime is how long after the brake has been pulled the executor may begin an
// item, or an item that it has begun may not be seen yet: see publish.
const brakeTime = 5 * time.Microsecond

// dropStopped drops the items of c after its bound. mu is held.
func (w *worker) dropStopped(c *workerCall) {
	if c.bound == noBound {
		return
	}
	var records []byte
	kept := w.queue[:0]
	for _, run := range w.queue {
		if run.call != c {
			kept = append(kept, run)
			continue
		}
		wanted := run.Split(int(max(0, min(c.bound-int64(run.Index)+1, int64(run.Count)))))
		if wanted.Count > 0 {
			kept = append(kept, queuedRun{wanted, c})
		}
		if run.Count > 0 {
			records = wire.AppendDropped(records, wire.RecordDropped, run.Seq, run.Seq+uint64(run.Count)-1)
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

// recall gives back every item that has not been taken.
func (w *worker) recall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear()
	var first, last uint64
	if n := len(w.queue); n > 0 {
		first, last = w.queue[0].Seq, w.queue[n-1].Seq+uint64(w.queue[n-1].Count)-1
	}
	w.queue = nil
	w.brake.Store(1) // so that the next recall gets what the executor has taken
	w.out.say(wire.AppendDropped(nil, wire.RecordRecalled, first, last))
}

// execute runs the items, one after the other, in the order in which they came.
func (w *worker) execute() {
	for {
		items, ctx := w.next()
		if w.out.mapped {
			w.runPart(items.Run, items.call, ctx)
		} else {
			w.run(items.Run, items.call, ctx)
		}
	}
}

// next waits for items and takes as many of them as should take partTime. The
// first is the running one from then on.
func (w *worker) next() (queuedRun, context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken.Count > 0 {
		now := time.Now()
		w.taken.call.function.learn(w.taken.Count, now.Sub(w.since))
		w.since = now
	}
	w.taken = queuedRun{}
	for w.out.bell() > w.heard {
		// It is in the pipe. Where this worker has but one processor, who reads
		// the pipe gets it only if nobody else wants it.
		w.await()
	}
	switch {
	case len(w.queue) == 0:
		w.out.rest()
	case w.ended: // the parent may send another
		w.out.send()
	}
	for len(w.queue) == 0 {
		w.await()
		w.since = time.Now()
	}
	first := &w.queue[0]
	c := first.call
	w.taken = queuedRun{first.Split(min(first.Count, w.partSize(c))), c}
	if w.ended = first.Count == 0; w.ended {
		w.queue = w.queue[1:]
	}
	w.watch()
	w.brake.Store(0)
	if w.out.mapped {
		w.out.beginPart(w.taken.Seq, w.taken.Count, c.function.out.FixedSize(), w.since, c.wait)
	} else {
		w.out.begin(w.taken.Seq)
	}
	return w.taken, c.ctx
}

// partSize is how many items of c to take.
func (w *worker) partSize(c *workerCall) int {
	cost := c.function.cost.Load()
	if cost == 0 || !w.out.mapped {
		return 1
	}
	return max(1, int(int64(partTime)*costScale/cost))
}

// run runs one item and puts its outcome into the outbox, where there is no page. A panic ends here; a
// Goexit takes this goroutine with it, and another goes on.
func (w *worker) run(it wire.Run, c *workerCall, ctx context.Context) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		w.fail(it.Seq, it.Index, c, caught(v))
		if v == nil {
			go w.execute()
		}
	}()
	frame, at := outcome(w.buf, wire.RecordResult, it.Seq)
	data, _ := wire.Next(it.Data, it.Size)
	frame, err := c.function.invoke(ctx, frame, data, c.invocation)
	returned = true
	w.buf = frame
	if err != nil {
		w.fail(it.Seq, it.Index, c, err)
		return
	}
	w.out.finish(frame, at)
}

// runPart runs items until one fails, and gives back what it has not begun.
func (w *worker) runPart(items wire.Run, c *workerCall, ctx context.Context) {
	p := &part{items: items, brake: &w.brake, out: w.out, timeout: c.invocation.timeout, limit: w.maxBytes}
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		w.endPart(p, c, caught(v))
		if v == nil {
			go w.execute()
		}
	}()
	err := c.function.runPart(ctx, p)
	returned = true
	w.endPart(p, c, err)
}

// endPart takes in that a part has come to an end, at an item that failed with err
// if that is not nil.
func (w *worker) endPart(p *part, c *workerCall, err error) {
	var failed uint64
	if err != nil {
		failed = w.out.tray.next()
	}
	w.out.endPart(failed)
	w.mu.Lock()
	index := p.items.Index + p.begun - 1 // of the last one begun
	w.taken.Count = p.begun
	if p.begun < p.items.Count { // else the memory of the items may hold others by now
		p.items.Split(p.begun)
		w.queue = slices.Insert(w.queue, 0, queuedRun{p.items, c})
	}
	w.dropStopped(c)
	w.mu.Unlock()
	if err != nil {
		w.fail(failed, index, c, err)
	}
}

// fail puts an item's failure into the outbox.
func (w *worker) fail(seq uint64, index int, c *workerCall, err error) {
	frame, at := outcome(nil, wire.RecordFailure, seq)
	w.out.finish(appendError(frame, err), at)
	if c.keepGoing {
		return
	}
	// The parent will say so too, but nothing more may start till then.
	w.mu.Lock()
	defer w.mu.Unlock()
	c.bound = min(c.bound, int64(index))
	w.dropStopped(c)
}
