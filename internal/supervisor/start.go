package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"

	"example.com/parallel/internal/wire"
)

// How workers start. The pool starts them, as many as calls wait for, and none of them for
// a certain call: whichever has waited longest when a worker is ready gets it, and may have
// got another before.

// What the errors of calls begin with that get no worker.
const (
	notStarted = "cannot start a worker process"
	diedUnused = "worker processes die before they can be given an item"
)

// start is a start of a worker that is under way. The pool's mutex guards it.
type start struct {
	begun  time.Duration
	cancel context.CancelFunc // of the launch
	worker *worker            // nil: it is being launched
	place  link[*start]
}

// abandon ends a start whose worker is not needed any more.
func (s *start) abandon() {
	if s.worker != nil {
		s.worker.retire() // first, since the end of the launch's context would be a reason to kill it
	}
	s.cancel()
}

// stage is what a worker is to its pool. It only goes forward, and ready may be left out.
// The pool's mutex guards it.
type stage uint8

const (
	starting stage = iota
	ready          // it can be given an item
	used           // it was given one, or was not needed for one when it was ready
	buried         // it has been reaped
)

// place is a worker's place in the pool. The pool's mutex guards it.
type place struct {
	stage     stage
	begun     time.Duration // when its start began
	idle      link[*worker]
	idleSince time.Duration
}

// startLocked starts as many workers as calls wait for, there is room for and the starts
// before allow. If they allow none yet, the next tick comes when they do.
func (p *Pool) startLocked(now time.Duration) {
	for p.waiting.n > p.starts.pending && p.workers < p.config.Size {
		wait, may := p.starts.wait(now)
		if !may {
			if wait > 0 {
				p.setTickLocked(now + wait)
			}
			return
		}
		p.starts.begin(now)
		p.workers++
		// Any call may get the worker, so the context of none of them counts.
		ctx, cancel := context.WithCancel(context.Background())
		late := p.clock.AfterFunc(p.config.StartTimeout, cancel)
		s := &start{begun: now, cancel: func() { late.Stop(); cancel() }}
		p.starting.push(&s.place, s)
		p.unreaped.Go(func() { p.run(ctx, s) })
	}
}

// run is the goroutine of a start, from the launch until it is known how that has ended.
func (p *Pool) run(ctx context.Context, s *start) {
	defer s.cancel()
	w, err := p.launch(ctx)
	if err != nil {
		p.failed(s, nil, howFailed(err), p.config.Errors.Start(err, notStarted))
		return
	}
	p.launched(s, w)
	w.greet()
	greeted := p.now()
	if how, err := w.awaitReady(ctx.Done()); err != nil {
		p.failed(s, w, how, err)
		return
	}
	p.ready(s).send()
	p.log.debug("parallel: worker started", "pid", w.pid(), "took", p.now()-greeted)
}

// launch starts the process and what serves it.
func (p *Pool) launch(ctx context.Context) (*worker, error) {
	spec := p.config.Spec
	spec.GOMAXPROCS = max(1, runtime.GOMAXPROCS(0)/p.config.Size)
	link, err := p.config.Launcher.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	w := newWorker(p, link)
	w.serve()
	p.counters.started.Add(1)
	return w, nil
}

// launched takes in that the process of s has been started.
func (p *Pool) launched(s *start, w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.worker, w.place.begun = w, s.begun
	if p.drained {
		w.retire()
	}
}

// ready takes in that a start has succeeded. It returns which call is to be asked for a worker
// for the one that is next to wait.
func (p *Pool) ready(s *start) ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := s.worker
	p.starting.remove(&s.place)
	p.starts.ready()
	if w.place.stage == buried { // just now
		p.workers--
		return p.buriedUnusedLocked(w)
	}
	w.place.stage = ready
	p.living++
	switch {
	case !w.usable(): // it is about to be buried
	case p.drained:
		w.retire()
	default:
		p.offerLocked(w)
	}
	p.startLocked(p.now())              // others, if one was tried before them
	if e := p.waiting.first; e != nil { // it relied on this start, which has brought it none
		return p.whomToAskLocked(e.value.call)
	}
	return ask{}
}

// failed takes in that a start has failed with err. w is the worker, which has been buried;
// nil if there was none.
func (p *Pool) failed(s *start, w *worker, how failure, err error) {
	if p.noteFailed(s, how, err).send(); w == nil || !w.expected() {
		p.log.warn("parallel: worker not started", "error", err.Error())
	}
}

func (p *Pool) noteFailed(s *start, how failure, err error) ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.starting.remove(&s.place)
	p.workers--
	if p.drained { // no call is left
		p.starts.pending--
		return ask{}
	}
	p.noteErrLocked(how, err)
	return p.obeyLocked(now, p.starts.failed(now, s.begun, how, p.living))
}

// noteErrLocked keeps the error of a failed start for the calls that end because of it. Of
// several in a row it is that of the last, unless one before leaves less hope.
func (p *Pool) noteErrLocked(how failure, err error) {
	if p.starts.row == 0 || how >= p.starts.worst {
		p.startErr = err
	}
}

// obeyLocked does what is to be done about a start that has failed. It returns which call is
// to be asked for a worker, since there will be none for the one that waits.
func (p *Pool) obeyLocked(now time.Duration, v outlook) ask {
	for e := p.waiting.first; v != tryAgain && e != nil; e = p.waiting.first {
		if v == endPatient && now-e.value.since < p.starts.pace.patience {
			break
		}
		p.refuseLocked(e.value)
	}
	p.startLocked(now)
	if e := p.waiting.first; e != nil {
		return p.whomToAskLocked(e.value.call)
	}
	return ask{}
}

// given takes in that w was given an item.
func (w *worker) given() {
	if !w.used.Load() {
		w.pool.given(w)
	}
}

func (p *Pool) given(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.usedLocked(w)
	p.startLocked(p.now())
}

// usedLocked takes in that w was given an item, or that none needs it.
func (p *Pool) usedLocked(w *worker) {
	if w.used.Store(true); w.place.stage == ready {
		w.place.stage = used
		p.starts.used()
	}
}

// bury makes room for another worker after w has been reaped. It returns what w was. No lock
// of this package is held.
func (p *Pool) bury(w *worker) stage {
	was, ask := p.countOut(w)
	ask.send()
	return was
}

// countOut does what bury says. It returns which call is to be asked for a worker, too.
func (p *Pool) countOut(w *worker) (was stage, a ask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if was, w.place.stage = w.place.stage, buried; was == starting {
		return was, ask{} // its start makes room, when it knows how that has failed
	}
	p.idle.remove(&w.place.idle)
	p.workers--
	p.living--
	switch {
	case was == ready: // then starts are not relied on any more
		a = p.buriedUnusedLocked(w)
	case p.living == 0:
		p.starts.alone()
	}
	p.startLocked(p.now())
	return was, a
}

// buriedUnusedLocked takes in that a worker has died that was ready and was given no item.
func (p *Pool) buriedUnusedLocked(w *worker) ask {
	now := p.now()
	p.noteErrLocked(passing, p.config.Errors.Start(w.crash(nil), diedUnused))
	return p.obeyLocked(now, p.starts.diedUnused(now, w.place.begun, p.living))
}

// greet says hello.
func (w *worker) greet() {
	hello := wire.Hello{Version: wire.Version, MaxMessage: int(w.pool.config.MaxMessageBytes), MaxMemory: w.pool.config.MaxMemoryBytes}
	err := w.conn.write(wire.Finish(hello.Append(wire.Begin(nil, wire.KindHello))), 0, nil)
	if err != nil {
		w.giveUpWriting(err)
	}
}

// awaitReady waits until the worker is ready, or late is closed, or it is clear that the
// worker will not be ready. If it is not, it is dead, and has been buried.
func (w *worker) awaitReady(late <-chan struct{}) (failure, error) {
	select {
	case welcome := <-w.welcome:
		err := checkWelcome(welcome, w.pool.config.Table())
		if err == nil {
			err = w.pool.checkMemory(welcome.Memory)
		}
		if err != nil {
			return hopeless, w.giveUp(err)
		}
		return passing, nil
	case <-w.dead:
		return passing, w.startError(errors.New("it ended before it had reached parallel.Init"))
	case <-late:
		return tooSlow, w.giveUp(fmt.Errorf("it has not reached parallel.Init within the StartTimeout of %v: "+
			"is parallel.Init() the first statement of main?", w.pool.config.StartTimeout))
	}
}

// giveUp kills a worker that cannot be used, and returns why.
func (w *worker) giveUp(reason error) error {
	w.kill(reason)
	<-w.dead
	return w.startError(reason)
}

// startError is the error of a worker that did not become ready: why this package killed
// it, else reason. The worker is dead.
func (w *worker) startError(reason error) error {
	return w.pool.config.Errors.Start(w.crash(reason), notStarted)
}

// howFailed says how a launch has failed with err. What there is too little of, there may
// be enough of a moment later; a file that does not exist will not come.
func howFailed(err error) failure {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return hopeless
	}
	return passing
}

// checkMemory compares how large a worker is before its first item with what it may have. A
// replacement would be no better.
func (p *Pool) checkMemory(size int64) error {
	if limit := p.config.MaxMemoryBytes; limit > 0 && size >= limit {
		return p.config.Errors.MemoryAtStart(size, limit)
	}
	return nil
}

// checkWelcome compares what a worker can run with what it must be able to.
func checkWelcome(w wire.Welcome, table []string) error {
	if w.Version != wire.Version {
		return fmt.Errorf("it speaks version %d of the protocol, this process version %d: "+
			"both must be the same build", w.Version, wire.Version)
	}
	for i, line := range table {
		if i >= len(w.Registered) || w.Registered[i] != line {
			return fmt.Errorf("it is another build, or registers things in another order: it lacks %q", line)
		}
	}
	if len(w.Registered) > len(table) {
		return fmt.Errorf("it is another build, or registers things in another order: it has in addition %.200q", w.Registered[len(table)])
	}
	return nil
}
