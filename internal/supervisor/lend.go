package supervisor

import (
	"context"
	"time"
)

// How calls get workers, and give them up for others. No event walks all calls or all
// workers: a call that waits asks at most one that holds a worker.
//
// A session gives its worker up, while others wait for one that no start will bring them,
//
//	when it has no work for it          it is resting, and is asked
//	when nothing is in flight           it sees so by itself
//	after the item that is running      if it is asked: it recalls what is behind that
//
// A call that waits for one worker more while it holds others is no reason for itself to
// give up one of those.

// lending is what the pool knows of a call. The pool's mutex guards it.
type lending struct {
	waiting int    // sessions to be that wait for a worker
	held    int    // workers
	resting int    // sessions that have no work for their worker
	asked   uint64 // how often those have been asked to give them up
	known   bool   // it has had a worker

	holder, rester link[*call] // its places in the pool's lists
	age            link[*call] // and in the tick's
}

// waiter waits for a worker for call.
type waiter struct {
	call  *call
	since time.Duration // when the call began to do without
	offer chan offer    // holds one; there is one when it is in no list any more
	place link[*waiter]
}

// offer is what a waiter gets: a worker, or why there will be none.
type offer struct {
	worker *worker
	err    error
}

// rest is what a session that may be resting knows of it: its sender's, but set with the
// pool's mutex held.
type rest struct {
	begun bool
	asked uint64 // the call's when it began
}

// acquire returns a worker for d: an idle one, else the first that another call gives up or
// that becomes ready. It returns nil if d's context ends, or d has no more use for a worker,
// while it waits. since is when d began to do without; 0 is now, and is set.
func (p *Pool) acquire(ctx context.Context, d *call, since *time.Duration) (*worker, error) {
	w, own, ask := p.claim(d, since)
	if w != nil {
		return w, nil
	}
	ask.send()
	select {
	case o := <-own.offer:
		return o.worker, o.err
	case <-ctx.Done():
	case <-d.quit:
	}
	p.withdraw(own)
	return nil, nil
}

// claim takes an idle worker, or a place among those that wait, and says which call is to be
// asked for one.
func (p *Pool) claim(d *call, since *time.Duration) (*worker, *waiter, ask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.idle.last; e != nil; e = p.idle.last {
		w := e.value
		p.idle.remove(e)
		if w.usable() { // else it died while it was idle, and will be reaped
			p.lendLocked(w, d)
			return w, nil, ask{}
		}
	}
	now := p.now()
	if *since == 0 {
		*since = now
	}
	own := &waiter{call: d, since: *since, offer: make(chan offer, 1)}
	p.waiting.push(&own.place, own)
	d.lending.waiting++
	if p.starts.patient(now-own.since, p.living) {
		p.refuseLocked(own)
		return nil, own, ask{}
	}
	p.startLocked(now)
	return nil, own, p.whomToAskLocked(d)
}

// withdraw ends the waiting. A worker that was offered meanwhile goes on to the next.
func (p *Pool) withdraw(own *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.remove(&own.place) {
		own.call.lending.waiting--
		return
	}
	if w := (<-own.offer).worker; w != nil {
		p.takeBackLocked(w, own.call)
	}
}

// release takes back a worker that acquire returned for d.
func (p *Pool) release(w *worker, d *call) {
	if reason := p.retireReason(w); reason != "" {
		w.retire()
		p.log.debug("parallel: worker replaced", "pid", w.pid(), "reason", reason, "items", w.items)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takeBackLocked(w, d)
}

// takeBackLocked takes w back from d.
func (p *Pool) takeBackLocked(w *worker, d *call) {
	if d.lending.held--; d.lending.held == 0 {
		p.holding.remove(&d.lending.holder)
	}
	switch {
	case !w.usable(): // room is made when it is reaped
	case p.drained:
		w.retire()
	default:
		p.offerLocked(w)
	}
}

// offerLocked gives w to the call that has waited longest, or lets it be idle.
func (p *Pool) offerLocked(w *worker) {
	if e := p.waiting.first; e != nil {
		own := p.removeLocked(e)
		p.lendLocked(w, own.call)
		own.offer <- offer{worker: w} // has room for it
		return
	}
	p.usedLocked(w)
	w.place.idleSince = p.now()
	p.idle.push(&w.place.idle, w)
	p.tickForIdleLocked()
}

// retireIdle ends the workers that are idle.
func (p *Pool) retireIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle.values() {
		w.retire()
	}
}

// lendLocked makes w one that d holds.
func (p *Pool) lendLocked(w *worker, d *call) {
	if d.lending.held++; d.lending.held == 1 {
		p.holding.push(&d.lending.holder, d)
		p.tick.enterLocked(d)
		p.tickSoonLocked()
	}
}

// removeLocked takes a waiter out of the list; an offer must follow.
func (p *Pool) removeLocked(e *link[*waiter]) *waiter {
	own := e.value
	p.waiting.remove(e)
	own.call.lending.waiting--
	return own
}

// refuseLocked tells a waiter that no worker can be started. When the last has been told,
// the next call begins anew.
func (p *Pool) refuseLocked(own *waiter) {
	p.removeLocked(&own.place)
	own.offer <- offer{err: p.startErr} // has room for it
	if p.waiting.n == 0 {
		p.starts.restart()
	}
}

// wanted reports whether d should give up a worker that it has no need of at the moment.
func (p *Pool) wanted(d *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wantedLocked(d)
}

// wantedLocked reports whether other calls than d wait for workers which no start that is
// under way can be relied on to bring.
func (p *Pool) wantedLocked(d *call) bool {
	return p.waiting.n-d.lending.waiting > p.starts.reliable()
}

// ask asks a call that holds workers to give one up. The zero value asks none.
type ask struct {
	call    *call
	resting bool // those sessions are asked that have no work for their worker
}

// whomToAskLocked says which call to ask for a worker on behalf of another, if any. Those
// that have no work for a worker come first. The call that was asked goes behind the others.
func (p *Pool) whomToAskLocked(asking *call) ask {
	if d := p.nextLocked(&p.resting, asking); d != nil {
		p.resting.toEnd(&d.lending.rester)
		d.lending.asked++
		return ask{d, true}
	}
	if d := p.nextLocked(&p.holding, asking); d != nil {
		p.holding.toEnd(&d.lending.holder)
		return ask{d, false}
	}
	return ask{}
}

// nextLocked is the first call in l but asking, if it should give up a worker.
func (p *Pool) nextLocked(l *list[*call], asking *call) *call {
	e := l.first
	if e != nil && e.value == asking {
		e = e.next
	}
	if e == nil || !p.wantedLocked(e.value) {
		return nil
	}
	return e.value
}

// send asks. No lock of this package is held.
func (a ask) send() {
	switch {
	case a.call == nil:
	case a.resting:
		a.call.Wake()
	default:
		a.call.askOne()
	}
}

// mayRest reports whether s, which has no work for its worker, may keep it while it waits
// for some. Then the pool knows that it is resting, until it stirs. The mutex of its
// schedule.Call is held, so that it hears of being asked from now on.
func (p *Pool) mayRest(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, r := s.call, &s.sender.rest
	if r.begun {
		return r.asked == d.lending.asked && !p.wantedLocked(d)
	}
	if p.wantedLocked(d) {
		return false
	}
	*r = rest{true, d.lending.asked}
	if d.lending.resting++; d.lending.resting == 1 {
		p.resting.push(&d.lending.rester, d)
	}
	return true
}

// stir ends the rest of s, if it is resting. If it was asked for its worker and has found
// work for it, another call is asked.
func (p *Pool) stir(s *session, works bool) ask {
	d, r := s.call, &s.sender.rest
	if !r.begun {
		return ask{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.lending.resting--; d.lending.resting == 0 {
		p.resting.remove(&d.lending.rester)
	}
	asked := r.asked != d.lending.asked
	*r = rest{}
	if e := p.waiting.first; works && asked && e != nil {
		return p.whomToAskLocked(e.value.call)
	}
	return ask{}
}
