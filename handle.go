package parallel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/parallel/internal/wire"
)

// markVariable names the environment variable that makes a process a worker.
const markVariable = "PARALLEL_WORKER"

const (
	maxFrame   = min(math.MaxUint32, math.MaxInt) // bytes in a frame: what its length can say
	frameSlack = 4 << 20                          // what a frame may hold besides one message of the largest size
	writeStep  = 1 << 20                          // how much is written between two notes of the progress
)

// handle is the parent's end of one worker process. Three goroutines live as
// long as the process and a moment more: one reads its results and finally
// buries it, two relay its output; a fourth waits for its exit.
type handle struct {
	pool  *poolCore
	cmd   *exec.Cmd
	pid   int
	group *processGroup

	// The parent's ends. The reader closes them at the burial.
	requests *os.File // written to with writeMu held
	results  *os.File
	leash    *os.File // never written to: its end of file says that we are gone
	page     *os.File // nil where there is none

	stderr  tail
	relays  sync.WaitGroup
	exited  chan struct{}     // closed when the process has been waited for
	dead    chan struct{}     // closed when the handle is buried
	welcome chan wire.Welcome // the worker's answer to Hello, once

	writeMu sync.Mutex
	writing atomic.Bool  // a frame is being written
	sent    atomic.Int64 // bytes written so far
	recalls atomic.Int64 // sent and not answered; an answer may come when the session has ended

	// The reader's, who goes on from here after a Goexit in code of the user's.
	frames  *wire.Reader
	records *wire.Cursor // those of the last frame that have not been taken in; nil: none
	greeted bool
	ended   bool // nothing more can be read
	cleared bool // the burial has got as far as making room

	// For whoever holds the worker: a session, the idle list, nobody else.
	items     int       // sent so far
	lastSeq   uint64    // of the last item sent
	idleSince time.Time // when it became idle

	mu      sync.Mutex
	session *session            // takes in the results; nil when idle
	calls   map[uint64]struct{} // those that the worker has been told of, and not of their end
	reason  error               // why we killed it; nil if we have not
	killed  bool                // we have killed it, with a reason or without
	waited  bool                // the process has been waited for: its number is not ours any more
	lost    bool                // no result will come any more
	retired bool                // we ended it because it was not needed any more
}

// start starts a worker and waits until it is ready. It returns nil without an
// error if ctx ends or quit is closed meanwhile. The caller has made room for
// the worker in p.workers.
func (p *poolCore) start(ctx context.Context, quit <-chan struct{}) (*handle, error) {
	h, err := p.launch()
	if err != nil {
		p.buried(nil)
		return nil, fmt.Errorf("parallel: cannot start a worker process: %w", err)
	}
	p.started.Add(1)
	timeout := time.NewTimer(p.config.StartTimeout)
	if ready, err := h.awaitReady(timeout.C, ctx.Done(), quit); ready || err != nil {
		timeout.Stop()
		if err != nil {
			h = nil
		}
		return h, err
	}
	// The call has no more use for it. A later one will, and would have to
	// wait for its start.
	p.adopt(h)
	p.burials.Go(func() {
		defer timeout.Stop()
		ready, _ := h.awaitReady(timeout.C, nil, nil)
		p.disown(h)
		if ready {
			p.release(h)
		}
	})
	return nil, nil
}

// awaitReady waits until the worker is ready, ctx or quit is closed, or it is
// clear that it will not be; then it is dead.
func (h *handle) awaitReady(timeout <-chan time.Time, ctx, quit <-chan struct{}) (bool, error) {
	begun := time.Now()
	select {
	case welcome := <-h.welcome:
		if err := checkWelcome(welcome); err != nil {
			return false, h.giveUp(err)
		}
		h.pool.config.logger.Debug("parallel: worker started", "pid", h.pid, "took", time.Since(begun))
		return true, nil
	case <-h.dead:
		return false, h.startError(errors.New("it ended before it had reached parallel.Init"))
	case <-timeout:
		return false, h.giveUp(fmt.Errorf("it has not reached parallel.Init within the StartTimeout of %v: "+
			"is parallel.Init() the first statement of main?", h.pool.config.StartTimeout))
	case <-ctx:
	case <-quit:
	}
	return false, nil
}

// giveUp kills a worker that cannot be used, and returns why.
func (h *handle) giveUp(reason error) error {
	h.kill(reason)
	<-h.dead
	return h.startError(reason)
}

// startError is the error of a worker that did not become ready: why we killed
// it, else reason. h is dead.
func (h *handle) startError(reason error) error {
	e := h.crash()
	if e.Err == nil {
		e.Err = reason
	}
	return fmt.Errorf("parallel: cannot start a worker process: %w", e)
}

// checkWelcome compares what the worker knows with what we know.
func checkWelcome(w wire.Welcome) error {
	if w.Version != wire.Version {
		return fmt.Errorf("it speaks version %d of the protocol, this process version %d: "+
			"both must be the same build", w.Version, wire.Version)
	}
	ours := table()
	for i, line := range ours {
		if i >= len(w.Registered) || w.Registered[i] != line {
			return fmt.Errorf("it is another build, or registers things in another order: it lacks %q", line)
		}
	}
	if len(w.Registered) > len(ours) {
		return fmt.Errorf("it is another build, or registers things in another order: it has in addition %q", w.Registered[len(ours)])
	}
	return nil
}

// plumbing is the files of a worker that is being started.
type plumbing struct {
	ours, theirs []*os.File
	err          error // the first that was met; after it nothing more is made
}

// pipe makes a pipe. inward is from the worker to us.
func (p *plumbing) pipe(inward bool) (our, their *os.File) {
	if p.err == nil {
		p.err = fault("pipe")
	}
	if p.err != nil {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		p.err = err
		return nil, nil
	}
	if our, their = w, r; inward {
		our, their = r, w
	}
	p.ours, p.theirs = append(p.ours, our), append(p.theirs, their)
	return our, their
}

// page makes the page, or returns nil where there is none.
func (p *plumbing) page() *os.File {
	if p.err == nil {
		p.err = fault("page")
	}
	if p.err != nil || withoutPage.Load() {
		return nil
	}
	var page *os.File
	if page, p.err = newPage(); page != nil {
		p.ours = append(p.ours, page)
	}
	return page
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// launch starts the process and the goroutines that serve it.
func (p *poolCore) launch() (_ *handle, err error) {
	var files plumbing
	defer func() {
		closeAll(files.theirs) // the child has its own by now
		if err != nil {
			closeAll(files.ours)
		}
	}()
	h := &handle{
		pool: p, exited: make(chan struct{}), dead: make(chan struct{}),
		welcome: make(chan wire.Welcome, 1), calls: make(map[uint64]struct{}),
	}
	var requests, results, leash, stdoutR, stdout, stderrR, stderr *os.File
	h.requests, requests = files.pipe(false)
	h.results, results = files.pipe(true)
	h.leash, leash = files.pipe(false)
	stdoutR, stdout = files.pipe(true)
	stderrR, stderr = files.pipe(true)
	h.page = files.page()
	if files.err != nil {
		return nil, files.err
	}
	inherited := []*os.File{requests, results, leash}
	if h.page != nil {
		inherited = append(inherited, h.page)
	}
	if err := h.startProcess(inherited, stdout, stderr); err != nil {
		return nil, err
	}
	h.frames = wire.NewReader(h.results, frameSlack)
	p.burials.Add(1)
	h.relay(stdoutR, p.config.stdout, nil)
	h.relay(stderrR, p.config.stderr, &h.stderr)
	go h.reap(stdoutR, stderrR)
	persist(func(f func()) { go f() }, h.read)
	h.greet()
	return h, nil
}

// startProcess starts the process in its group.
func (h *handle) startProcess(inherited []*os.File, stdout, stderr *os.File) (err error) {
	if h.cmd, err = h.pool.command(inherited); err != nil {
		return err
	}
	h.cmd.Stdout, h.cmd.Stderr = stdout, stderr
	if err = fault("start"); err == nil {
		err = h.cmd.Start()
	}
	if err != nil {
		return err
	}
	h.pid = h.cmd.Process.Pid
	if err = fault("group"); err == nil {
		h.group, err = newProcessGroup(h.cmd)
	}
	if err != nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
	}
	return err
}

// greet sends the hello. A broken pipe is left to the reader: the worker has
// ended, and its last words say more.
func (h *handle) greet() {
	hello := wire.Hello{Version: wire.Version, MaxMessage: int(h.pool.config.MaxMessageBytes)}
	err := fault("hello")
	if err == nil {
		err = h.write(wire.Finish(hello.Append(wire.Begin(nil, wire.KindHello))))
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		h.kill(fmt.Errorf("it cannot be talked to: %w", err))
	}
}

// withoutPage makes workers do without the page, as on systems that have none,
// so that tests can run both ways.
var withoutPage atomic.Bool

// faults makes operations of a start fail, in tests: it is asked before each
// with the operation's name. Nil elsewhere.
var faults atomic.Pointer[func(operation string) error]

func fault(operation string) error {
	if f := faults.Load(); f != nil {
		return (*f)(operation)
	}
	return nil
}

// command is how a worker starts: this executable, with files and the mark that
// tells it of them.
func (p *poolCore) command(files []*os.File) (*exec.Cmd, error) {
	path, err := executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Args = os.Args[:1]
	cmd.Dir = p.config.Dir
	mark, err := attach(cmd, files)
	if err != nil {
		return nil, err
	}
	share := max(1, runtime.GOMAXPROCS(0)/p.config.Size)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(share))
	if limit := p.config.MaxMemoryBytes; limit > 0 {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT="+strconv.FormatInt(limit/10*9, 10))
	}
	cmd.Env = append(cmd.Env, p.config.Env...)
	cmd.Env = append(cmd.Env, markVariable+"="+mark)
	return cmd, nil
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
	h.mu.Unlock()
	_ = h.cmd.Wait() // the state is in h.cmd; our pipes are not its business
	h.group.close()
	late := time.Now().Add(linger)
	for _, f := range append(outputs, h.results) {
		_ = f.SetReadDeadline(late) // where a stray process holds the other end
	}
	close(h.exited)
}

// persist calls f until it returns. Where code of the user's in f calls Goexit,
// which ends the goroutine, spawn takes another in which f goes on.
func persist(spawn func(func()), f func()) {
	spawn(func() {
		returned := false
		defer func() {
			if !returned {
				persist(spawn, f)
			}
		}()
		f()
		returned = true
	})
}

// read takes in what the worker sends until it ends, and buries it.
func (h *handle) read() {
	if !h.ended {
		if err := h.takeFrames(); err != nil {
			h.kill(fmt.Errorf("it broke the protocol: %w", err))
		}
		h.ended = true
	}
	select {
	case <-h.exited: // as it should be: the end of the process closed the pipe
	case <-time.After(linger):
		h.kill(errors.New("it closed its results"))
	}
	h.bury()
}

// takeFrames takes in frame after frame until there are no more. Its error
// means that the worker cannot be trusted.
func (h *handle) takeFrames() error {
	for {
		if h.records != nil {
			if err := h.takeRecords(); err != nil {
				return err
			}
			h.records = nil
		}
		kind, payload, err := h.frames.Next()
		if errors.Is(err, wire.ErrTooLarge) {
			return err
		}
		if err != nil {
			return nil // it has ended, or closed the pipe, which is no use alive
		}
		if err := h.take(kind, payload); err != nil {
			return err
		}
	}
}

// take takes in one frame.
func (h *handle) take(kind wire.Kind, payload []byte) error {
	switch {
	case kind == wire.KindHello && !h.greeted:
		h.greeted = true
		var welcome wire.Welcome
		if err := welcome.Parse(payload); err != nil {
			return err
		}
		h.frames.SetMax(int(h.pool.config.MaxMessageBytes) + frameSlack)
		h.welcome <- welcome // has room for it
		return nil
	case kind == wire.KindResults && h.greeted:
		h.records = wire.NewCursor(payload)
		return nil
	default:
		return fmt.Errorf("a frame of kind %d out of turn", kind)
	}
}

func (h *handle) takeRecords() error {
	h.mu.Lock()
	s := h.session
	h.mu.Unlock()
	if s == nil {
		return h.takeStray()
	}
	return s.takeRecords(h.records, false)
}

// takeStray takes in what a worker says that serves no call: how long it was
// busy, and that there was nothing to give back.
func (h *handle) takeStray() error {
	for h.records.Len() > 0 {
		r, err := wire.ReadRecord(h.records)
		if err != nil {
			return err
		}
		if r.Kind != wire.RecordBusy && (r.Kind != wire.RecordRecalled || !h.answered()) {
			return errors.New("an outcome for no call")
		}
	}
	return nil
}

// answered takes in that the worker has answered a recall. It returns false if
// it was not asked.
func (h *handle) answered() bool {
	if h.recalls.Load() == 0 {
		return false
	}
	h.recalls.Add(-1)
	return true
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
	close(h.dead)
	h.pool.burials.Done()
}

// makeRoom gives back what a dead worker held, except for its page, which is
// still to be read.
func (h *handle) makeRoom() {
	closeAll([]*os.File{h.requests, h.results, h.leash})
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
	h.session = nil
	return !h.lost
}

// write sends a frame.
func (h *handle) write(frame []byte) error {
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
	return nil
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

// writeGuarded sends a frame when no session is there to watch over it.
func (h *handle) writeGuarded(frame []byte) {
	defer h.guard()()
	_ = h.write(frame) // a worker that cannot be told is dying
}
