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
	"sync/atomic"
	"syscall"
	"time"

	"example.com/parallel/internal/wire"
)

// How a worker process is started: its pipes and its page, the process, and the
// hello that says that it is ready.

// start starts a worker and waits until it is ready. It returns nil without an
// error if ctx ends or quit is closed meanwhile. The caller has made room for
// the worker in p.workers.
func (p *poolCore) start(ctx context.Context, quit <-chan struct{}) (*handle, error) {
	h, err := p.launch()
	if err != nil {
		p.buried(nil)
		return nil, explain(err, "cannot start a worker process")
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
	return explain(e, "cannot start a worker process")
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
		return fmt.Errorf("it is another build, or registers things in another order: it has in addition %.200q", w.Registered[len(ours)])
	}
	return nil
}

// plumbing is the files of a worker that is being started.
type plumbing struct {
	ours, theirs []io.Closer
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

// inlet makes a pipe from the worker to us.
func (p *plumbing) inlet() (our *inlet, their *os.File) {
	r, their := p.pipe(true)
	if p.err == nil {
		p.err = fault("inlet")
	}
	if p.err != nil {
		return nil, nil
	}
	if our, p.err = newInlet(r); p.err == nil {
		p.ours[len(p.ours)-1] = our
	}
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

func closeAll(files []io.Closer) {
	for _, f := range files {
		f.Close()
	}
}

// launch starts the process and the goroutines that serve it.
func (p *poolCore) launch() (_ *handle, err error) {
	if dir := p.config.Dir; dir != "" {
		if _, err := os.Stat(dir); err != nil { // exec would blame the executable
			return nil, fmt.Errorf("ProcessPool.Dir: %w", err)
		}
	}
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
	h.results, results = files.inlet()
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
	h.turn.L = &h.mu
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
	h.group, err = newProcessGroup(h.cmd)
	if err == nil {
		if err = fault("group"); err != nil {
			h.group.close()
		}
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
		err = h.write(wire.Finish(hello.Append(wire.Begin(nil, wire.KindHello))), 0, false)
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		h.kill(fmt.Errorf("it cannot be talked to: %w", err))
	}
}

// withoutPage makes workers do without the page, as on systems that have none,
// so that tests can run both ways.
var withoutPage atomic.Bool

// pageInFile makes pages of files on Linux too, as on the other Unix systems, for
// the same reason.
var pageInFile atomic.Bool

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
