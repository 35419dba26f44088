package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

const (
	bufferKeep   = 64 << 10    // bytes of a buffer that a worker keeps between calls
	drainTimeout = time.Second // how long what a dead worker has said may still be waited for, if something that it started holds its pipes open from outside its group
)

// worker is the parent's end of one worker process.
type worker struct {
	pool    *Pool
	link    *transport.Worker
	conn    conn
	segment *shm.Segment // nil: everything goes through the stream. Set before the worker is ready
	reader  reader
	output  output
	welcome chan wire.Welcome // its answer to Hello, once; holds one
	exited  chan struct{}     // closed when the process has gone
	dead    chan struct{}     // closed when nothing of the worker is left

	used    atomic.Bool // its stage is used, or beyond
	revoked revoked     // see revoke.go
	place   place       // in the pool

	holding

	mu      sync.Mutex
	status  status
	reason  error               // why this package killed it first; errRetired: it was not needed; nil: it has not
	own     bool                // it was killed because of its item's own limit
	broken  error               // how it broke the protocol; nil: it has not
	exit    transport.Exit      // from exited on
	session *session            // takes in the results; nil while it is idle
	calls   map[uint64]struct{} // those that the worker has been told of, and not of their end
}

// holding belongs to the holder of the worker, which is a session, the list of idle
// workers, or no one yet.
type holding struct {
	items   int    // that it was sent and has not given back
	lastSeq uint64 // of the last item that it was sent
	frame   []byte // buffer for frames of items
	first   []byte // buffer for a call's first frame, with what goes before it
}

// status is where a worker is in its life. It only goes forward.
type status uint8

const (
	serving  status = iota // it may be sent items, as far as is known
	outgrown               // it has become too large, and runs no item any more
	ending                 // this package has killed it; its exit is awaited
	gone                   // its process has gone; what it said may still be to be read
	reaped                 // nothing more will come of it, and what it had in flight is being settled
)

// errRetired is why a worker is killed that is not needed any more: no item's error, and
// no death that counts.
var errRetired = errors.New("it was not needed any more")

func newWorker(p *Pool, link *transport.Worker) *worker {
	w := &worker{
		pool: p, link: link, segment: link.Shared,
		exited: make(chan struct{}), dead: make(chan struct{}),
		welcome: make(chan wire.Welcome, 1), calls: make(map[uint64]struct{}),
	}
	w.conn.clock = p.clock
	w.conn.init(link.Requests, w.deaf)
	w.reader.init(link.Results)
	return w
}

// serve starts what serves the worker until it is dead.
func (w *worker) serve() {
	w.pool.unreaped.Add(1)
	w.output.relay(w.link.Stdout, &w.pool.sinks.stdout, nil)
	w.output.relay(w.link.Stderr, &w.pool.sinks.stderr, &w.output.stderr)
	go w.awaitExit()
	persist(func(f func()) { go f() }, w.read)
}

func (w *worker) pid() int { return w.link.Process.PID() }

// awaitExit waits for the process to exit, and gives what may still be read of it a limit.
func (w *worker) awaitExit() {
	exit := w.link.Process.Wait()
	w.mu.Lock()
	w.status, w.exit = max(w.status, gone), exit
	w.mu.Unlock()
	w.reader.turn.End()
	late := time.Now().Add(drainTimeout)
	for _, s := range []transport.Stream{w.link.Results, w.link.Stdout, w.link.Stderr} {
		if s != nil {
			_ = s.SetReadDeadline(late) // without it, its end of file ends the reading
		}
	}
	close(w.exited)
}

// reap ends the worker when nothing more can be read: it makes room in the pool, and has
// the session settle what was in flight. After a Goexit in code of the user's the reader
// calls it again.
func (w *worker) reap() {
	<-w.exited
	w.output.relays.Wait()
	w.mu.Lock()
	w.status = reaped
	s := w.session
	w.mu.Unlock()
	w.conn.queue.close()
	if w.reader.phase < cleared {
		w.reader.phase = cleared
		w.makeRoom()
	}
	if s != nil {
		s.workerLost()
	}
	if w.segment != nil {
		w.segment.Close()
	}
	w.reader.frames, w.reader.ring = nil, nil // calls remember their workers for longer than these live
	close(w.dead)
	w.pool.unreaped.Done()
}

// makeRoom gives back what a dead worker held, but for its segment, which is still to be
// read.
func (w *worker) makeRoom() {
	for _, c := range []io.Closer{w.link.Requests, w.link.Results} {
		c.Close()
	}
	expected := w.expected()
	if !expected {
		w.pool.counters.died.Add(1)
	}
	// If it was not ready, its start has failed, which is logged there.
	if was := w.pool.bury(w); was >= ready && !expected {
		w.pool.log.warn("parallel: worker died", "pid", w.pid(), "error", w.crash(nil).Error())
	}
}

// crash is the error of an item whose worker died. reason says why, unless this package
// has killed it.
func (w *worker) crash(reason error) error { return w.pool.config.Errors.Crash(w.death(reason)) }

func (w *worker) death(reason error) Crash {
	<-w.exited
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil && w.reason != errRetired {
		reason = w.reason
	}
	if errors.As(reason, new(presumption)) && (w.exit.Code >= 0 || w.exit.Signal != os.Kill) {
		reason = nil // it has ended by itself
	}
	return Crash{
		PID: w.pid(), ExitCode: w.exit.Code, Signal: w.exit.Signal, Stderr: w.output.stderr.bytes(),
		Reason: reason, Own: w.own,
	}
}

// kill ends the worker and all that it started. reason is the error of the item that it is
// running.
func (w *worker) kill(reason error) { w.killFor(reason, false) }

// killItem is kill for a worker whose item has exceeded a limit of its own.
func (w *worker) killItem(reason error) { w.killFor(reason, true) }

func (w *worker) killFor(reason error, own bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status >= gone {
		return
	}
	w.status = ending
	if w.reason == nil {
		w.reason, w.own = reason, own
	}
	w.link.Process.Kill()
}

// presumption is why a worker is killed that seems to be ending: if it ended by itself, its
// exit says more.
type presumption struct{ error }

// Unwrap makes errors.Is find what it is about.
func (p presumption) Unwrap() error { return p.error }

// breach gives up a worker that broke the protocol: what it says is not believed any more.
func (w *worker) breach(err error) {
	err = fmt.Errorf("it broke the protocol: %w", err)
	w.setBroken(err)
	w.kill(err)
}

func (w *worker) setBroken(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
}

// brokenBy is how the worker broke the protocol; nil: it has not.
func (w *worker) brokenBy() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// deaf is asked whether the worker, which does not read what is being written to it, is given
// up. One that was stopped in an item is not.
func (w *worker) deaf(p *patience) (giveUp bool) {
	did := w.link.Process.Activity()
	if did.Stopped {
		if s := w.serves(); s != nil && s.isRunning() {
			p.reset()
			return false
		}
	}
	if !p.look(w.pool.clock.Now(), did, w.pool.config.StartTimeout) {
		return false
	}
	w.kill(errDeaf)
	return true
}

// expected reports whether the worker was ended because it was not needed.
func (w *worker) expected() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason == errRetired
}

// killSilent gives up a worker that does nothing about what it was sent. What has stopped it
// may have stopped others, so that none that was idle meanwhile is relied on: an item waits
// for a silent worker once.
func (w *worker) killSilent() {
	w.kill(errSilent)
	w.pool.retireIdle()
}

// retire ends a worker that is not needed any more.
func (w *worker) retire() { w.kill(errRetired) }

// giveUpWriting waits until a worker that cannot be written to has died. If it does so by
// itself, its last words say more than err.
func (w *worker) giveUpWriting(err error) {
	if !w.pool.clock.Within(drainTimeout, w.exited) {
		w.kill(presumption{fmt.Errorf("it cannot be written to: %w", err)})
	}
}

// over reports whether a worker of that size is larger than it may be when an item begins.
func (w *worker) over(size int64) bool {
	most := w.reader.most.Load()
	return most > 0 && size > most
}

// setOutgrown takes in that the worker has become too large. Its holder retires it. It
// reports false if there is no holder that would notice: the worker is idle, or about to be.
func (w *worker) setOutgrown() (held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = max(w.status, outgrown)
	return w.session != nil
}

// hasOutgrown reports whether the worker has become too large, and is still alive.
func (w *worker) hasOutgrown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status == outgrown
}

// usable reports whether the worker may be sent items, as far as is known.
func (w *worker) usable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status == serving
}

// attach makes s take in the worker's results. known says whether the worker has been told
// of the call before. It returns false for ok if no results will come.
func (w *worker) attach(s *session) (known, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != serving {
		return false, false
	}
	w.session = s
	_, known = w.calls[s.call.id]
	w.calls[s.call.id] = struct{}{}
	return known, true
}

// detach ends what attach began. It returns false if the worker has been reaped.
func (w *worker) detach() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session = nil
	w.reader.turn.Want(false)
	return w.status != reaped
}

// forget takes in that the worker is told of the end of a call. It returns false if it has
// been told before.
func (w *worker) forget(call uint64) (knew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, knew = w.calls[call]
	delete(w.calls, call)
	return knew
}

// serves is the session that the worker's results belong to; nil while it is idle.
func (w *worker) serves() *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.session
}
