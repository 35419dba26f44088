package supervisor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// A pool without processes, in a bubble: its workers say that they are ready, or fail to
// start as the test says, and do nothing else.

// fakeWorker is the worker's side of one of them: its process and what it says.
type fakeWorker struct {
	number int // of the start, from 0
	exit   chan struct{}
	once   sync.Once
	says   *io.PipeReader
	say    *io.PipeWriter
}

func (w *fakeWorker) PID() int { return 1000 + w.number }
func (w *fakeWorker) Kill()    { w.die() }

// die ends the process, as anything may.
func (w *fakeWorker) die() {
	w.once.Do(func() {
		close(w.exit)
		w.say.Close()
	})
}

func (w *fakeWorker) Wait() transport.Exit {
	<-w.exit
	return transport.Exit{Code: w.number}
}

func (w *fakeWorker) Activity() transport.Activity    { return transport.Activity{} }
func (w *fakeWorker) Resident() (int64, error)        { return 0, nil }
func (w *fakeWorker) Read(b []byte) (int, error)      { return w.says.Read(b) }
func (w *fakeWorker) Close() error                    { return w.says.Close() }
func (w *fakeWorker) SetReadDeadline(time.Time) error { return nil }
func (w *fakeWorker) Poll(time.Duration) bool         { return false }
func (w *fakeWorker) welcome(registered ...string) {
	m := wire.Welcome{Version: wire.Version, PID: w.PID(), Registered: registered}
	frame := wire.Finish(m.Append(wire.Begin(nil, wire.KindHello)))
	new(wire.Sealer).Seal(frame)
	_, _ = w.say.Write(frame)
}

// poolTest is a pool whose starts are told by begins what to do.
type poolTest struct {
	*Pool
	t     *testing.T
	ctx   context.Context
	begun time.Time
	log   strings.Builder

	// begins is called for each start, from 0 on. It has the worker do what it should; or
	// its error is the launch's.
	begins func(w *fakeWorker) error

	mu       sync.Mutex
	launches []time.Duration // when starts began
	alive    map[int]*fakeWorker
	open     []*call // were admitted and have not ended
}

// Launch is transport.Launcher's.
func (p *poolTest) Launch(context.Context, transport.Spec) (*transport.Worker, error) {
	w := &fakeWorker{exit: make(chan struct{})}
	w.says, w.say = io.Pipe()
	p.mu.Lock()
	w.number = len(p.launches)
	p.launches = append(p.launches, time.Since(p.begun))
	p.mu.Unlock()
	if err := p.begins(w); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.alive[w.number] = w
	p.mu.Unlock()
	return &transport.Worker{Process: w, Requests: new(wiretap), Results: w}, nil
}

// welcomes has a worker start as it should.
func welcomes(w *fakeWorker) error {
	go w.welcome()
	return nil
}

// dies has it die before it says anything.
func dies(w *fakeWorker) error {
	w.die()
	return nil
}

// hangs has it say nothing.
func hangs(*fakeWorker) error { return nil }

// inPool runs test in a bubble, with a pool of so many workers. When it returns, no call must
// hold a worker.
func inPool(t *testing.T, size int, begins func(w *fakeWorker) error, test func(p *poolTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &poolTest{t: t, ctx: t.Context(), begun: time.Now(), begins: begins, alive: make(map[int]*fakeWorker)}
		p.Pool = NewPool(Config{
			Size: size, StartTimeout: 10 * time.Second, IdleTimeout: -1, MaxMessageBytes: 1 << 20,
			Launcher: p, Errors: ErrorsOfUsers, Table: func() []string { return nil },
			Logger: slog.New(slog.NewTextHandler(&p.log, nil)),
		})
		test(p)
		for len(p.open) > 0 {
			p.end(p.open[0])
		}
		p.Close()
		if p.workers != 0 || p.living != 0 || p.starts.pending != 0 || p.waiting.n != 0 || p.starting.n != 0 || p.holding.n != 0 || p.resting.n != 0 {
			t.Errorf("after Close: %d workers, %d living, %d pending, %d waiting, %d starting, %d holding, %d resting",
				p.workers, p.living, p.starts.pending, p.waiting.n, p.starting.n, p.holding.n, p.resting.n)
		}
	})
}

// call makes a call, which is admitted.
func (p *poolTest) call() *call {
	p.t.Helper()
	if err := p.Enter(); err != nil {
		p.t.Fatal(err)
	}
	d := newCall(p.Pool, schedule.New(p.ctx, schedule.Config{Workers: 9, Total: 9}), Call{Function: Function{Cost: new(cost.Estimate)}})
	p.open = append(p.open, d)
	return d
}

// end ends d: there is nothing left for it to do.
func (p *poolTest) end(d *call) {
	d.quitOnce.Do(func() { close(d.quit) })
	synctest.Wait()
	p.open = slices.DeleteFunc(p.open, func(other *call) bool { return other == d })
	p.forget(d)
	p.Leave()
}

// got is what became of acquiring a worker.
type got struct {
	worker *worker
	err    error
	after  time.Duration
}

// acquires has d acquire a worker, and returns what comes of it.
func (p *poolTest) acquires(d *call) chan got {
	c := make(chan got, 1)
	go func() {
		var since time.Duration
		w, err := p.acquire(d.Context(), d, &since)
		c <- got{w, err, time.Since(p.begun)}
	}()
	return c
}

// has is the worker that d gets at once.
func (p *poolTest) has(d *call) *worker {
	c := p.acquires(d)
	synctest.Wait()
	return p.gets(c)
}

// gets is the worker that has come.
func (p *poolTest) gets(c chan got) *worker {
	p.t.Helper()
	select {
	case g := <-c:
		if g.worker == nil {
			p.t.Errorf("no worker after %v: %v", g.after, g.err)
		}
		return g.worker
	default:
		p.t.Errorf("there is no worker after %v", time.Since(p.begun))
		return nil
	}
}

// uses is has for a worker that is given an item.
func (p *poolTest) uses(d *call) *worker {
	p.t.Helper()
	w := p.has(d)
	w.given()
	return w
}

// waits checks that nothing has come yet.
func (p *poolTest) waits(all ...chan got) {
	p.t.Helper()
	synctest.Wait()
	for i, c := range all {
		select {
		case g := <-c:
			p.t.Errorf("after %v, number %d has got %v, %v", time.Since(p.begun), i, g.worker, g.err)
		default:
		}
	}
}

// at waits until d after the start, and what was due then has been done.
func (p *poolTest) at(d time.Duration) {
	time.Sleep(d - time.Since(p.begun)) // allowed: fake time, in a bubble
	synctest.Wait()
}

// kill ends w's process.
func (p *poolTest) kill(w *worker) {
	p.mu.Lock()
	f := p.alive[w.pid()-1000]
	p.mu.Unlock()
	f.die()
	synctest.Wait()
}

// launched checks when starts began, in milliseconds.
func (p *poolTest) launched(want ...int) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var ms []int
	for _, d := range p.launches {
		ms = append(ms, int(d.Milliseconds()))
	}
	if fmt.Sprint(ms) != fmt.Sprint(want) {
		p.t.Errorf("starts began at %v ms, want %v", ms, want)
	}
}
