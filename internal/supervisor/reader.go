package supervisor

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// reader is the reading side of a worker. All but turn belongs to the goroutine that reads,
// which is the worker's reader goroutine, the follower, or for one frame the caller of a
// short call, the leader (see pipe.Turn). A session has the follower wanted while anything
// is in flight, but for a single item that its caller waits for by itself. Both change with
// the session's mutex held.
type reader struct {
	results transport.Receiver
	turn    *pipe.Turn
	frames  *wire.Reader
	ring    []byte       // results that were read from the segment
	settled uint64       // the last item that the worker has said the outcome of; 0: none
	apart   bool         // it said that by a frame of its own
	mute    bool         // its pipe was closed long before it ended: what it said then is lost
	left    *message     // what the leader has left to the follower; set before Yield, taken after Await
	most    atomic.Int64 // how large the worker may be when an item begins, by its own word; 0: not known. For all to read

	// The follower keeps here how far it has come: after a Goexit in code of the user's
	// another goroutine goes on.
	phase   readerPhase
	records *wire.Cursor // those of the last frame that have not been taken in; nil: none
}

// readerPhase is how far a reader has come. It only goes forward.
type readerPhase uint8

const (
	greeting readerPhase = iota // the worker's answer to the hello has not come
	reading
	ended   // nothing more can be read
	cleared // the pool has room for another worker
)

func (r *reader) init(results transport.Receiver) {
	r.results, r.turn, r.frames = results, pipe.NewTurn(false), wire.NewReader(results, wire.Slack)
}

// message is what was met in the pipe.
type message struct {
	kind    wire.Kind
	payload []byte
	err     error // nothing more will come
	breach  error // the worker cannot be trusted
}

// receive reads a frame.
func (r *reader) receive() message {
	kind, payload, err := r.frames.Next()
	m := message{kind: kind, payload: payload, err: err}
	if errors.Is(err, wire.ErrProtocol) {
		m.breach = err
	}
	return m
}

// next is the next frame for the follower.
func (r *reader) next() message {
	if r.phase > greeting && r.turn.Await() {
		m := *r.left
		r.left = nil
		return m
	}
	return r.receive()
}

// pollTime is how long the caller of a call that should be over by then waits in system
// calls of its own before it leaves that to the runtime's poller.
const pollTime = 200 * time.Microsecond

// readInPlace reads a frame as the leader, whose turn it is until then, and takes it in
// unless that is the follower's to do. soon says that the answer should come within
// pollTime.
func (s *session) readInPlace(soon bool) {
	r := &s.worker.reader
	if soon && !r.frames.Buffered() {
		r.results.Poll(pollTime)
	}
	s.lead()
}

// lead reads a frame as the leader, and yields.
func (s *session) lead() {
	r := &s.worker.reader
	m := r.receive()
	if s.call.callerServes && m.err == nil && m.kind == wire.KindResults && ranWell(m.payload) {
		if m.breach = s.handleRecords(wire.NewCursor(m.payload), false); m.breach == nil {
			r.turn.Yield(false)
			return
		}
	}
	left := m // m itself stays on the stack
	r.left, s.sender.left = &left, true
	r.turn.Yield(true)
}

// ranWell reports whether there are only results in a frame, and few: errors may be decoded
// by code of the user's.
func ranWell(records []byte) bool {
	if len(records) > shm.RecordsSize {
		return false
	}
	for c := wire.NewCursor(records); c.Len() > 0; {
		switch r, err := wire.ReadRecord(c); {
		case err != nil, r.Kind == wire.RecordFailure:
			return false
		}
	}
	return true
}

// persist calls f until it returns. Where code of the user's in f calls Goexit, which ends
// the goroutine, spawn takes another in which f goes on.
func persist(spawn func(func()), f func()) {
	spawn(func() { guard.Run(f, func() { persist(spawn, f) }) })
}

// read is the follower: it takes in what the worker says until that ends, and reaps the
// worker.
func (w *worker) read() {
	if w.reader.phase < ended {
		if err := w.handleFrames(); err != nil {
			w.breach(err)
		}
		w.reader.phase = ended
	}
	if !w.pool.clock.Within(drainTimeout, w.exited) { // as it should be: the end of the process closed the pipe
		w.reader.mute = true
		w.kill(presumption{errors.New("it closed its results")})
	}
	w.reap()
}

// handleFrames takes in frame after frame until there are no more. Its error means that
// the worker cannot be trusted.
func (w *worker) handleFrames() error {
	for {
		if w.reader.records != nil {
			if err := w.handleRecords(w.reader.records); err != nil {
				return err
			}
			w.reader.records = nil
		}
		m := w.reader.next()
		if m.breach != nil {
			return m.breach
		}
		if m.err != nil {
			return nil // it has ended, or closed the pipe, and is no use alive
		}
		if err := w.handle(m.kind, m.payload); err != nil {
			return err
		}
	}
}

// handle takes in one frame.
func (w *worker) handle(kind wire.Kind, payload []byte) error {
	switch {
	case kind == wire.KindHello && w.reader.phase == greeting:
		w.reader.phase = reading
		return w.handleWelcome(payload)
	case kind == wire.KindResults && w.reader.phase == reading:
		w.reader.records = wire.NewCursor(payload)
		return nil
	default:
		return fmt.Errorf("a frame of kind %d out of turn", kind)
	}
}

func (w *worker) handleWelcome(payload []byte) error {
	var welcome wire.Welcome
	if err := welcome.Parse(payload); err != nil {
		return err
	}
	if w.segment != nil && !welcome.Mapped { // it had not the addresses for it
		w.segment.Close()
		w.segment = nil
	}
	if w.segment != nil && w.segment.Revokes() {
		w.pool.revokes.Store(true)
	}
	w.reader.frames.SetMax(int(w.pool.config.MaxMessageBytes) + wire.Slack)
	w.welcome <- welcome // has room for it
	return nil
}

// handleRecords takes in what the worker says, which is for its session, if it has one.
func (w *worker) handleRecords(c *wire.Cursor) error {
	if s := w.serves(); s != nil {
		return s.handleRecords(c, false)
	}
	return w.handleStray(c)
}

// handleStray takes in what a worker says that serves no call: how long it was busy, that
// there was nothing to give back, and how large it may be or has become.
func (w *worker) handleStray(c *wire.Cursor) error {
	for c.Len() > 0 {
		r, err := wire.ReadRecord(c)
		if err != nil {
			return err
		}
		switch {
		case r.Kind == wire.RecordBusy, r.Kind == wire.RecordRecalled && w.conn.answered(), w.hasRevoked(r):
		case w.handleMemory(r):
		default:
			return errors.New("an outcome for no call")
		}
	}
	return nil
}

// handleMemory takes in how large the worker may be when an item begins, or that it has become
// too large. It reports false if r is another record, or there is no limit.
func (w *worker) handleMemory(r wire.Record) bool {
	switch {
	case w.pool.config.MaxMemoryBytes == 0:
		return false
	case r.Kind == wire.RecordAllowance:
		w.reader.most.Store(r.Memory)
	case r.Kind == wire.RecordOutgrown:
		if !w.setOutgrown() {
			w.retire()
			w.pool.log.debug("parallel: worker replaced", "pid", w.pid(), "reason", "MaxMemoryBytes")
		}
	default:
		return false
	}
	return true
}
