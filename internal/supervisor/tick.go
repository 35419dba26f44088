package supervisor

import (
	"time"

	"example.com/parallel/internal/clock"
)

// tick is the pool's housekeeping, for what need not be done at once: starting the monitors
// of calls that last, telling workers of the end of calls, ending workers that have been idle
// for too long, and trying a start again. It is one timer. It runs soon after a call has got
// its first worker or has ended, and when something is due; a call that is over before its
// second tick has cost no timer of its own. All fields but running are guarded by the pool's
// mutex.
type tick struct {
	timer   *clock.Timer         // nil before the first
	set     bool                 // the timer is set
	at      time.Duration        // when it is to go off
	soon    bool                 // that is at most tickTime after it was set
	young   list[*call]          // calls that have seen no tick since they got their first worker
	older   list[*call]          // calls that have seen one: at the next they last
	owed    map[*worker]struct{} // workers that may have to be told of the end of a call
	running gate                 // ticks that will come or are there
}

// tickTime is the time from one tick to the next.
const tickTime = 5 * time.Millisecond

// enterLocked takes in that d has got a worker.
func (t *tick) enterLocked(d *call) {
	if !d.lending.known {
		d.lending.known = true
		t.young.push(&d.lending.age, d)
	}
}

// leaveLocked takes in that d is over.
func (t *tick) leaveLocked(d *call) {
	_ = t.young.remove(&d.lending.age) || t.older.remove(&d.lending.age)
}

// ageLocked makes each call one tick older and returns those that last. It meets a call
// twice at most.
func (t *tick) ageLocked() (lasting []*call) {
	for e := t.older.first; e != nil; e = t.older.first {
		lasting = append(lasting, e.value)
		t.older.remove(e)
	}
	for e := t.young.first; e != nil; e = t.young.first {
		d := e.value
		t.young.remove(e)
		t.older.push(e, d)
	}
	return lasting
}

// tickSoonLocked sees to it that there is a tick soon.
func (p *Pool) tickSoonLocked() {
	if !p.tick.soon {
		p.tick.soon = true
		p.setTickLocked(p.now() + tickTime)
	}
}

// tickForIdleLocked sees to it that there is a tick when the worker that has been idle for
// longest is due.
func (p *Pool) tickForIdleLocked() {
	if e := p.idle.first; e != nil && p.config.IdleTimeout >= 0 && !p.drained {
		p.setTickLocked(e.value.place.idleSince + p.config.IdleTimeout)
	}
}

// setTickLocked sees to it that there is a tick at a time, or before. One that is about to
// begin comes besides.
func (p *Pool) setTickLocked(at time.Duration) {
	t := &p.tick
	if t.set && t.at <= at {
		return
	}
	t.set, t.at = true, at
	d := max(0, at-p.now())
	switch {
	case t.timer == nil:
		t.running.Add(1)
		t.timer = p.clock.AfterFunc(d, p.ticked)
	case !t.timer.Reset(d):
		t.running.Add(1)
	}
}

// ticked does the housekeeping.
func (p *Pool) ticked() {
	defer p.tick.running.Done()
	lasting, owed, late := p.due()
	for _, d := range lasting {
		d.monitor.act()
	}
	for _, w := range owed {
		w.conn.flush()
	}
	for _, w := range late {
		p.log.debug("parallel: worker ended", "pid", w.pid(), "reason", "IdleTimeout")
	}
}

// due is what there is to do: the calls that last, the workers that may have to be told
// something, and those that have just been ended because they were idle for too long.
func (p *Pool) due() (lasting []*call, owed, late []*worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick.set, p.tick.soon = false, false
	now := p.now()
	lasting = p.tick.ageLocked()
	for w := range p.tick.owed {
		owed = append(owed, w)
	}
	clear(p.tick.owed)
	for e := p.idle.first; e != nil && p.config.IdleTimeout >= 0 && now-e.value.place.idleSince >= p.config.IdleTimeout; e = p.idle.first {
		late = append(late, e.value)
		e.value.retire()
		p.idle.remove(e)
	}
	p.startLocked(now)
	if p.tick.older.n > 0 && !p.drained {
		p.tickSoonLocked()
	}
	p.tickForIdleLocked()
	return lasting, owed, late
}

// stopTick ends the housekeeping. No call is left.
func (p *Pool) stopTick() {
	p.mu.Lock()
	if p.tick.timer != nil && p.tick.timer.Stop() {
		p.tick.set, p.tick.soon = false, false
		p.tick.running.Done()
	}
	p.mu.Unlock()
	p.tick.running.Wait()
}
