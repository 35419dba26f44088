package parallel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/wire"
)

// markVariable names the environment variable that makes a process a worker.
const markVariable = "PARALLEL_WORKER"

const (
	maxFrame   = min(math.MaxUint32, math.MaxInt) // bytes in a frame: what its length can say
	frameSlack = 4 << 20                          // what a frame may hold besides one message of the largest size
	writeStep  = 1 << 20                          // how much is written between two notes of the progress
	bufferKeep = 64 << 10                         // bytes of a buffer that a handle keeps
)

// handle is the parent's end of one worker process. Three goroutines live as
// long as the process and a moment more: one, the reader, reads its results and
// finally buries it, two relay its output; a fourth waits for its exit.
type handle struct {
	pool  *poolCore
	cmd   *exec.Cmd
	pid   int
	group *processGroup

	// The parent's ends. The reader closes them at the burial.
	requests *os.File // written to with writeMu held
	results  *inlet
	leash    *os.File // never written to: its end of file says that we are gone
	page     *os.File // nil where there is none

	stderr  tail
	relays  sync.WaitGroup
	exited  chan struct{}     // closed when the process has been waited for
	dead    chan struct{}     // closed when the handle is buried
	welcome chan wire.Welcome // the worker's answer to Hello, once

	writeMu sync.Mutex
	bells   uint64       // stops and recalls that have been written; with writeMu held
	writing atomic.Bool  // a frame is being written
	sent    atomic.Int64 // bytes written so far
	recalls atomic.Int64 // sent and not answered; an answer may come when the session has ended

	// Of whoever reads what the worker says; see reader.go.
	frames  *wire.Reader
	tray    []byte     // results that were taken from the page
	reached [trays]int // how far the trays have been filled

	// The reader's, who goes on from here after a Goexit in code of the user's.
	records *wire.Cursor // those of the last frame that have not been taken in; nil: none
	greeted bool
	ended   bool // nothing more can be read
	cleared bool // the burial has got as far as making room

	// For whoever holds the worker: a session, the idle list, nobody else.
	items     int       // sent so far
	buf       []byte    // for frames of items,
	first     []byte    // and for the first of a call's, with what goes before it
	reach     [2]int    // how far the slots have been filled
	lastSeq   uint64    // of the last item sent
	idleSince time.Time // when it became idle

	mu         sync.Mutex
	turn       sync.Cond           // the reader should look whose turn it is; see reader.go
	rests      bool                // the reader does not read,
	wanted     bool                // it should,
	lent       bool                // somebody reads in its place
	passed     *said               // what was read in its place and is for it to take in; nil: nothing
	later      []byte              // frames to be said later,
	laterCalls uint64              // of which the executor is to hear,
	session    *session            // takes in the results; nil when idle
	calls      map[uint64]struct{} // those that the worker has been told of, and not of their end
	reason     error               // why we killed it; nil if we have not
	killed     bool                // we have killed it, with a reason or without
	waited     bool                // the process has been waited for: its number is not ours any more
	lost       bool                // no result will come any more
	retired    bool                // we ended it because it was not needed any more
}

// relay starts to carry one of the worker's outputs.
func (h *handle) relay(from *os.File, to func() io.Writer, t *tail) {
	r := &relay{from: from, to: to, mu: &h.pool.outputMu, tail: t}
	h.relays.Go(r.run)
}

// reap waits for the process to exit, ends what it has left behind, and takes
// its exit status.
func (h *handle) reap(outputs ...*os.File) {
	h.group.wait()
	h.mu.Lock()
	h.group.kill() // while the number of the group is still ours
	h.waited = true
	h.turn.Signal()
	h.mu.Unlock()
	_ = h.cmd.Wait() // the state is in h.cmd; our pipes are not its business
	h.group.close()
	late := time.Now().Add(linger)
	_ = h.results.SetReadDeadline(late) // where a stray process holds the other end
	for _, f := range outputs {
		_ = f.SetReadDeadline(late)
	}
	close(h.exited)
}

// bury ends the handle when nothing more can be read: it makes room in the pool,
// and tells the session.
func (h *handle) bury() {
	<-h.exited
	h.relays.Wait()
	h.mu.Lock()
	h.lost = true
	s := h.session
	h.mu.Unlock()
	h.takeLater(nil)
	if !h.cleared {
		h.cleared = true
		h.makeRoom()
	}
	if s != nil {
		s.workerLost()
	}
	if h.page != nil {
		h.page.Close()
	}
	h.frames, h.tray = nil, nil // calls remember their workers for longer than these live
	close(h.dead)
	h.pool.burials.Done()
}

// makeRoom gives back what a dead worker held, except for its page, which is
// still to be read.
func (h *handle) makeRoom() {
	closeAll([]io.Closer{h.requests, h.results, h.leash})
	h.mu.Lock()
	expected := h.retired
	h.mu.Unlock()
	if !expected {
		h.pool.died.Add(1)
	}
	h.pool.buried(h)
	if !expected {
		h.pool.config.logger.Warn("parallel: worker died", "pid", h.pid, "error", h.crash().Error())
	}
}

// crash describes the end of the process, which has been waited for.
func (h *handle) crash() *CrashError {
	<-h.exited
	h.mu.Lock()
	defer h.mu.Unlock()
	state := h.cmd.ProcessState
	e := &CrashError{PID: h.pid, ExitCode: -1, Stderr: h.stderr.bytes(), Err: h.reason}
	if state != nil {
		e.ExitCode, e.Signal = state.ExitCode(), exitSignal(state)
	}
	return e
}

// kill ends the worker and all that it started. reason is the error of the item
// that it is running, nil if the worker is merely not needed any more.
func (h *handle) kill(reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waited {
		return
	}
	h.killed = true
	if h.reason == nil {
		h.reason = reason
	}
	h.group.kill()
}

// retire ends a worker that is not needed any more.
func (h *handle) retire() {
	h.mu.Lock()
	h.retired = true
	h.mu.Unlock()
	h.kill(nil)
}

// alive reports whether the worker can be sent items, as far as is known.
func (h *handle) alive() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.killed && !h.waited && !h.lost
}

// attach makes s take in the worker's results, and reports whether the worker
// has been told of the call before. It returns false for ok if no results will
// come.
func (h *handle) attach(s *session) (known, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost || h.waited || h.killed {
		return false, false
	}
	h.session = s
	_, known = h.calls[s.d.id]
	h.calls[s.d.id] = struct{}{}
	return known, true
}

// forget notes that the worker is told of the end of a call.
func (h *handle) forget(call uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.calls, call)
}

// detach ends what attach began. It returns false if the worker is lost.
func (h *handle) detach() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session, h.wanted = nil, false
	return !h.lost
}

// write sends frames. calls is how many of them the executor is to hear of, and
// ring whether at once.
func (h *handle) write(frame []byte, calls uint64, ring bool) error {
	h.writeMu.Lock()
	defer h.writeMu.Unlock()
	h.writing.Store(true)
	defer h.writing.Store(false)
	for len(frame) > 0 {
		n, err := h.requests.Write(frame[:min(len(frame), writeStep)])
		h.sent.Add(int64(n))
		if err != nil {
			return err
		}
		frame = frame[n:]
	}
	if h.bells += calls; ring && h.page != nil {
		h.setWord(pageBell, h.bells)
	}
	return nil
}

// sayLater sends a frame with the next call's first, or at a beat of the pulse.
func (h *handle) sayLater(frame []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost {
		return
	}
	h.later, h.laterCalls = append(h.later, frame...), h.laterCalls+1
}

// takeLater takes what was to be said later, in buf if there is room.
func (h *handle) takeLater(buf []byte) (frames []byte, calls uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	frames, calls = append(buf, h.later...), h.laterCalls
	h.later, h.laterCalls = h.later[:0], 0
	return frames, calls
}

// sayNow says it.
func (h *handle) sayNow() {
	if frames, calls := h.takeLater(nil); len(frames) > 0 {
		defer h.guard()()
		_ = h.write(frames, calls, false) // a worker that cannot be told is dying
	}
}

// setWord sets a word of the page. Where that fails, the worker goes on without.
func (h *handle) setWord(at int64, v uint64) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	_, _ = h.page.WriteAt(b[:], at)
}

// putInSlot puts the data of a run into a slot of the page, and returns the frame
// that says so, made in buf; nil if the page does not take it.
func (h *handle) putInSlot(slot int, run wire.Run, buf []byte) []byte {
	m := wire.Slot{Run: run, At: inboxAt + slot*pageStride, Length: len(run.Data)}
	if _, err := h.page.WriteAt(run.Data, int64(m.At)); err != nil {
		return nil
	}
	h.reach[slot] = max(h.reach[slot], m.Length)
	return wire.Finish(m.Append(wire.Begin(buf, wire.KindSlot)))
}

// checkTray reports whether the results that r tells of are where they may be.
func (h *handle) checkTray(r wire.Record) error {
	tray := (r.At - trayAt) / pageStride
	if h.page == nil || r.At < trayAt || tray >= trays || r.Length > int(h.pool.config.MaxMessageBytes)+frameSlack {
		return errors.New("results where there are none")
	}
	h.reached[tray] = max(h.reached[tray], r.At+r.Length-trayAt-tray*pageStride)
	return nil
}

// takeTray reads the results that r tells of. They are valid until the next call.
func (h *handle) takeTray(r wire.Record) ([]byte, error) {
	if cap(h.tray) < r.Length || cap(h.tray) > pageKeep && r.Length < cap(h.tray)/16 {
		h.tray = make([]byte, max(r.Length, pageKeep))
	}
	data := h.tray[:r.Length]
	if err := h.readTray(data, r.At); err != nil {
		return nil, err
	}
	if !wire.Fits(data, r.Count, r.Size) {
		return nil, errors.New("results of other sizes than it says")
	}
	h.tookTray(r.Seq + uint64(r.Count))
	return data, nil
}

func (h *handle) readTray(data []byte, at int) error {
	if _, err := h.page.ReadAt(data, int64(at)); err != nil {
		return fmt.Errorf("results that cannot be read: %w", err)
	}
	return nil
}

// tookTray tells the worker that the results of the items before seq have been
// read, so that their tray may be filled again.
func (h *handle) tookTray(seq uint64) { h.setWord(pageTaken, seq) }

// shrink gives back what a call with large items or results has left in the page,
// but for a little in each place. The worker has nothing to do.
func (h *handle) shrink() {
	for i := range 2 {
		h.reach[i] = h.shrinkTo(inboxAt+i*pageStride, h.reach[i])
	}
	for i := range trays {
		h.reached[i] = h.shrinkTo(trayAt+i*pageStride, h.reached[i])
	}
}

func (h *handle) shrinkTo(at, reach int) int {
	if reach <= pageKeep {
		return reach
	}
	shrink(h.page, int64(at+pageKeep), int64(at+reach))
	return pageKeep
}

// errDeaf is why a worker is killed that does not read what it is sent.
var errDeaf = errors.New("it does not read its requests")

// guard kills the worker if what is being written to it does not get on, until
// stop is called.
func (h *handle) guard() (stop func()) {
	done := make(chan struct{})
	sent := h.sent.Load()
	timer := time.AfterFunc(h.pool.config.StartTimeout, func() {
		for sent != h.sent.Load() {
			sent = h.sent.Load()
			select {
			case <-done:
				return
			case <-time.After(h.pool.config.StartTimeout):
			}
		}
		h.kill(errDeaf)
	})
	return func() {
		close(done)
		timer.Stop()
	}
}
