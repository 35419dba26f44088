package supervisor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"example.com/parallel/internal/wire"
)

// starting is what the error of a worker that cannot be started begins with.
const starting = "cannot start a worker process"

// start starts a worker and waits until it is ready. It returns nil without an error if ctx
// ends or quit is closed meanwhile. The caller has made room for the worker in p.workers.
func (p *Pool) start(ctx context.Context, quit <-chan struct{}) (*worker, error) {
	w, err := p.launch()
	if err != nil {
		p.gone(nil)
		return nil, p.config.Errors.Start(err, starting)
	}
	p.counters.started.Add(1)
	timeout := p.clock.NewTimer(p.config.StartTimeout)
	ready, err := w.awaitReady(timeout.C, ctx.Done(), quit)
	switch {
	case err != nil:
		timeout.Stop()
		return nil, err
	case ready:
		timeout.Stop()
		return w, nil
	}
	// The call has no more use for it. A later one will, and would have to wait for its
	// start.
	p.adopt(w)
	p.unreaped.Go(func() {
		defer timeout.Stop()
		ready, _ := w.awaitReady(timeout.C, nil, nil)
		p.disown(w)
		if ready {
			p.release(w)
		}
	})
	return nil, nil
}

// launch starts the process and what serves it, and says hello.
func (p *Pool) launch() (*worker, error) {
	// Another call may get the worker, so the context of the one that starts it does not
	// count.
	ctx, cancel := context.WithTimeout(context.Background(), p.config.StartTimeout)
	defer cancel()
	spec := p.config.Spec
	spec.GOMAXPROCS = max(1, runtime.GOMAXPROCS(0)/p.config.Size)
	link, err := p.config.Launcher.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	w := newWorker(p, link)
	w.serve()
	w.greet()
	return w, nil
}

// greet says hello.
func (w *worker) greet() {
	hello := wire.Hello{Version: wire.Version, MaxMessage: int(w.pool.config.MaxMessageBytes)}
	err := w.conn.write(wire.Finish(hello.Append(wire.Begin(nil, wire.KindHello))), 0, nil)
	if err != nil {
		w.giveUpWriting(err)
	}
}

// awaitReady waits until the worker is ready, until ctxDone or quit is closed, or until it is
// clear that the worker will not be ready; then it is dead.
func (w *worker) awaitReady(timeout <-chan time.Time, ctxDone, quit <-chan struct{}) (bool, error) {
	begun := w.pool.clock.Now()
	select {
	case welcome := <-w.welcome:
		if err := checkWelcome(welcome, w.pool.config.Table()); err != nil {
			return false, w.giveUp(err)
		}
		w.pool.log.debug("parallel: worker started", "pid", w.pid(), "took", w.pool.clock.Now().Sub(begun))
		return true, nil
	case <-w.dead:
		return false, w.startError(errors.New("it ended before it had reached parallel.Init"))
	case <-timeout:
		return false, w.giveUp(fmt.Errorf("it has not reached parallel.Init within the StartTimeout of %v: "+
			"is parallel.Init() the first statement of main?", w.pool.config.StartTimeout))
	case <-ctxDone:
	case <-quit:
	}
	return false, nil
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
	return w.pool.config.Errors.Start(w.crash(reason), starting)
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
