package supervisor

import (
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/wire"
)

// call is one schedule.Call in a pool's workers. A goroutine for each worker serves the
// sessions, and the monitor sees to everything that has a clock.
type call struct {
	*schedule.Call
	pool *Pool
	what Call
	id   uint64 // tells the worker this call from others

	// callerServes: the call's first session is served by the caller's own goroutine. One worker
	// is enough for the call, or at first; and nothing that the caller would do in the session
	// runs code of the user's, whose Goexit would end the caller.
	callerServes bool
	short        short
	slowStart    bool // batches must not grow too fast, since the function's cost was not known before

	crowdedUntil atomic.Int64 // by cost.Clock; 0: another call has never had items of this one given back

	quit     chan struct{} // closed when there is nothing left for another worker to do
	quitOnce sync.Once
	servers  sync.WaitGroup
	monitor  monitor
	blame    blame
	lending  lending // guarded by the pool's mutex

	mu       sync.Mutex     // taken before a session's and the schedule.Call's
	sessions list[*session] // in the order in which they are asked for their workers
	known    []*worker      // workers that know of the call, or knew
}

var lastCallID atomic.Uint64

func newCall(p *Pool, c *schedule.Call, what Call) *call {
	config := c.Config()
	d := &call{Call: c, pool: p, what: what, id: lastCallID.Add(1), quit: make(chan struct{})}
	d.monitor.init(d)
	d.initShort()
	d.callerServes = (config.Workers == 1 || d.isShort()) && config.Total >= 0 && config.Progress == nil && what.Function.Pure
	return d
}

// run serves the call with as many workers as it may have, and returns when every item is
// settled.
func (d *call) run() {
	d.slowStart = d.Attach(&d.monitor, d.what.Function.Cost)
	reported := d.ReportApart()
	if d.what.Timeout > 0 {
		d.monitor.act()
	}
	workers := d.Config().Workers
	if d.isShort() {
		d.Share(1)
		workers = 1
	}
	if d.callerServes {
		var s *session
		d.serveAll(&s)
	} else {
		for range workers {
			d.serve()
		}
	}
	d.servers.Wait()
	d.AwaitSettled()
	reported()
	d.monitor.end()
	d.announceEnd()
}

// serve runs sessions in a goroutine, with one worker after the other, until nothing is left
// to do.
func (d *call) serve() {
	var s *session // outside of the goroutine: a Goexit in code of the user's may end that
	persist(d.servers.Go, func() { d.serveAll(&s) })
}

// serveAll runs session *s, if that is not nil, and others, until nothing is left to do. It
// keeps the session that runs in *s.
func (d *call) serveAll(s **session) {
	var since time.Duration // when it began to do without a worker; 0: it does not
	for *s != nil || d.AwaitWork() {
		if *s != nil {
			if (*s).run() {
				since = 0
			}
			*s = nil
			continue
		}
		w, err := d.pool.acquire(d.Context(), d, &since)
		if err != nil {
			d.End(err)
		}
		if w != nil {
			*s = newSession(d, w)
		}
	}
	// If there is nothing for this one, there is nothing for one that still waits for a
	// worker.
	d.quitOnce.Do(func() { close(d.quit) })
}

// open is the frame that opens the call in a worker, or if the worker knows of it, says that
// the next items belong to it again.
func (d *call) open(buf []byte, known bool) []byte {
	m := wire.Call{ID: d.id, Known: known}
	if !known {
		c := d.Config()
		m.Function, m.KeepGoing, m.Timeout = d.what.Function.ID, c.KeepGoing, d.what.Timeout
		m.Eager = c.Total < 0 || c.Progress != nil
		m.Shared, m.ShareType, m.Share = d.what.Shared, d.what.ShareType, d.what.Share
		if deadline, ok := d.Context().Deadline(); ok {
			m.Deadline = max(1, time.Until(deadline))
		}
	}
	return wire.Finish(m.Append(wire.Begin(buf, wire.KindCall)))
}

// announceEnd tells the workers that know of the call that it is over: at the next tick,
// unless they hold a shared value for it, which may be large.
func (d *call) announceEnd() {
	m := wire.Stop{ID: d.id, Index: -1} // with an empty cause: cancelled
	farewell := wire.Finish(m.Append(wire.Begin(nil, wire.KindStop)))
	for _, w := range d.known {
		if !w.forget(d.id) {
			continue // it has been told
		}
		w.conn.queue.push(farewell)
		if d.what.Shared {
			w.conn.flush()
		}
	}
}

// add takes in that s has begun. knew says whether its worker knew of the call.
func (d *call) add(s *session, knew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions.push(&s.place, s)
	if !knew {
		d.known = append(d.known, s.worker)
	}
}

// remove takes in that s has ended. knows says whether its worker knows of the call.
func (d *call) remove(s *session, knows bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions.remove(&s.place)
	if i := len(d.known) - 1; !knows && d.known[i] == s.worker {
		d.known = d.known[:i]
	}
}

// askOne asks one of the sessions for its worker.
func (d *call) askOne() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.sessions.first; e != nil {
		d.sessions.toEnd(e)
		e.value.ask()
	}
}

// lookAt has the monitor look at every session.
func (d *call) lookAt(look func(s *session)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := d.sessions.first; e != nil; e = e.next {
		look(e.value)
	}
}

// relieve looks at sessions until stop, those first that have not been made to give items back
// for longest.
func (d *call) relieve(look func(s *session) (given, stop bool)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.sessions.first
	for range d.sessions.n {
		given, stop := look(e.value)
		at := e
		if e = e.next; given {
			d.sessions.toEnd(at)
		}
		if stop {
			return
		}
	}
}

// cutShort takes in that items have to be given back, which were sent, since another call
// waits for a worker.
func (d *call) cutShort() { d.crowdedUntil.Store(int64(cost.Clock() + crowdTime)) }

// crowded reports whether that has happened lately, so that it may again.
func (d *call) crowded() bool {
	until := d.crowdedUntil.Load()
	return until != 0 && int64(cost.Clock()) < until
}

// finished enters n items that ran well.
func (d *call) finished(n int) {
	if n == 0 {
		return
	}
	d.pool.counters.items.Add(int64(n))
	d.Done(n)
}

// failed enters an item that failed.
func (d *call) failed(i int, err error) {
	d.pool.counters.items.Add(1)
	d.pool.counters.failed.Add(1)
	d.Fail(i, err)
}

// measured enters how long a worker took for n items.
func (d *call) measured(n int, took time.Duration) {
	d.pool.counters.busyTime.Add(int64(took))
	d.Cost().Learn(n, took)
	d.what.Function.Cost.Learn(n, took)
}

// crashed settles item i, whose worker died under it.
func (d *call) crashed(i int, death Crash) {
	one := schedule.Span{Lo: i, Hi: i + 1}
	switch {
	case d.Stopped(i):
		d.Skip(one) // it was not wanted any more
	case !death.Own && d.blame.retry(i, d.what.Retries):
		d.pool.counters.retried.Add(1)
		d.GiveBack(one)
	default:
		d.failed(i, d.pool.config.Errors.Crash(death))
	}
}
