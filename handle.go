package parallel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/wire"
)

// markVariable names the environment variable that makes a process a worker.
const markVariable = "PARALLEL_WORKER"

// maxFrame is the most that a frame may hold: one message of the largest size,
// with what stands around it.
const (
	maxFrame   = 1<<32 - 1 - frameSlack
	frameSlack = 4 << 20
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

	// For whoever holds the worker: a session, the idle list, nobody else.
	items     int       // sent so far
	lastSeq   uint64    // of the last item sent
	idleSince time.Time // when it became idle

	mu      sync.Mutex
	session *session // takes in the results; nil when idle
	reason  error    // why we killed it; nil if we have not
	waited  bool     // the process has been waited for: its number is not ours any more
	lost    bool     // no result will come any more
	retired bool     // we ended it because it was not needed any more
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
	begun := time.Now()
	timeout := time.NewTimer(p.config.StartTimeout)
	defer timeout.Stop()
	select {
	case welcome := <-h.welcome:
		if err := checkWelcome(welcome); err != nil {
			return nil, h.giveUp(err)
		}
		p.config.logger.Debug("parallel: worker started", "pid", h.pid, "took", time.Since(begun))
		return h, nil
	case <-h.dead:
		return nil, h.startError(errors.New("it ended before it had reached parallel.Init"))
	case <-timeout.C:
		return nil, h.giveUp(fmt.Errorf("it has not reached parallel.Init within the StartTimeout of %v: "+
			"is parallel.Init() the first statement of main?", p.config.StartTimeout))
	case <-ctx.Done():
	case <-quit:
	}
	h.retire()
	return nil, nil
}

// giveUp kills a worker that cannot be used, and returns why.
func (h *handle) giveUp(reason error) error {
	h.kill(reason)
	<-h.dead
	return h.startError(reason)
}

// startError is the error of a worker that did not become ready. h is dead.
func (h *handle) startError(reason error) error {
	e := h.crash()
	e.Err = reason
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

// launch starts the process and the goroutines that serve it.
func (p *poolCore) launch() (h *handle, err error) {
	var ours, theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close() // the child has its own by now
		}
		if err != nil {
			for _, f := range ours {
				f.Close()
			}
		}
	}()
	pipe := func(inward bool) (our, their *os.File) {
		if err != nil {
			return nil, nil
		}
		var r, w *os.File
		if r, w, err = os.Pipe(); err != nil {
			return nil, nil
		}
		if our, their = w, r; inward {
			our, their = r, w
		}
		ours, theirs = append(ours, our), append(theirs, their)
		return our, their
	}
	h = &handle{
		pool: p, exited: make(chan struct{}), dead: make(chan struct{}),
		welcome: make(chan wire.Welcome, 1),
	}
	var requests, results, leash, stdoutR, stdout, stderrR, stderr *os.File
	h.requests, requests = pipe(false)
	h.results, results = pipe(true)
	h.leash, leash = pipe(false)
	stdoutR, stdout = pipe(true)
	stderrR, stderr = pipe(true)
	if err != nil {
		return nil, err
	}
	inherited := []*os.File{requests, results, leash}
	if !withoutPage.Load() {
		if h.page, err = newPage(); err != nil {
			return nil, err
		}
	}
	if h.page != nil {
		ours = append(ours, h.page)
		inherited = append(inherited, h.page)
	}
	if h.cmd, err = p.command(inherited); err != nil {
		return nil, err
	}
	h.cmd.Stdout, h.cmd.Stderr = stdout, stderr
	if err = h.cmd.Start(); err != nil {
		return nil, err
	}
	h.pid = h.cmd.Process.Pid
	if h.group, err = newProcessGroup(h.cmd); err != nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		return nil, err
	}
	p.burials.Add(1)
	h.relay(stdoutR, p.config.stdout, nil)
	h.relay(stderrR, p.config.stderr, &h.stderr)
	go h.reap(stdoutR, stderrR)
	go h.read()
	hello := wire.Hello{Version: wire.Version, MaxMessage: int(p.config.MaxMessageBytes)}
	_ = h.write(wire.Finish(hello.Append(wire.Begin(nil, wire.KindHello)))) // if it cannot be written, no welcome comes
	return h, nil
}

// withoutPage makes workers do without the page, as on systems that have none,
// so that tests can run both ways.
var withoutPage atomic.Bool

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

// read takes in what the worker sends until it ends, and buries it.
func (h *handle) read() {
	r := wire.NewReader(h.results, int(h.pool.config.MaxMessageBytes)+frameSlack)
	for {
		kind, payload, err := r.Next()
		if err == nil {
			err = h.take(kind, payload)
		} else if !errors.Is(err, wire.ErrTooLarge) {
			break // it has ended, or closed the pipe, which is no use alive
		}
		if err != nil {
			h.kill(fmt.Errorf("it broke the protocol: %w", err))
			break
		}
	}
	select {
	case <-h.exited: // as it should be: the end of the process closed the pipe
	case <-time.After(linger):
		h.kill(errors.New("it closed its results"))
	}
	h.bury()
}

// take takes in one frame. Its error means that the worker cannot be trusted.
func (h *handle) take(kind wire.Kind, payload []byte) error {
	switch kind {
	case wire.KindHello:
		var welcome wire.Welcome
		if err := welcome.Parse(payload); err != nil {
			return err
		}
		select {
		case h.welcome <- welcome:
			return nil
		default:
			return errors.New("a second welcome")
		}
	case wire.KindResults:
		h.mu.Lock()
		s := h.session
		h.mu.Unlock()
		if s == nil {
			return takeStray(payload)
		}
		return s.takeRecords(payload, false)
	default:
		return fmt.Errorf("a frame of unknown kind %d", kind)
	}
}

// bury ends the handle when nothing more can be read: it tells the session, and
// makes room in the pool.
func (h *handle) bury() {
	<-h.exited
	h.relays.Wait()
	h.mu.Lock()
	h.lost = true
	s := h.session
	expected := h.retired
	h.mu.Unlock()
	if s != nil {
		s.workerLost()
	}
	if !expected {
		h.pool.died.Add(1)
		h.pool.config.logger.Warn("parallel: worker died", "pid", h.pid, "error", h.crash().Error())
	}
	for _, f := range []*os.File{h.requests, h.results, h.leash, h.page} {
		if f != nil {
			f.Close()
		}
	}
	h.pool.buried(h)
	close(h.dead)
	h.pool.burials.Done()
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
	return !h.waited && !h.lost
}

// attach makes s take in the worker's results. It returns false if none will
// come.
func (h *handle) attach(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost || h.waited {
		return false
	}
	h.session = s
	return true
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
	_, err := h.requests.Write(frame)
	return err
}
