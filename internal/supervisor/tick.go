package supervisor

import (
	"time"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/cost"
)

// tick is the pool's housekeeping, for what need not be done at once: starting the monitors
// of calls that last, telling workers of the end of calls, and ending workers that have
// been idle for too long. It is one timer. It runs soon after a call has come or gone, and
// when the first idle worker is due; a call that is over before its second tick has cost no
// timer of its own. All fields but running are guarded by the pool's mutex.
type tick struct {
	timer   *clock.Timer         // nil before the first
	set     bool                 // the timer is set
	soon    bool                 // the timer is set for tickTime from when it was set
	owed    map[*worker]struct{} // workers that may have to be told of the end of a call
	running gate                 // ticks that will come or are there
}

// tickTime is the time from one tick to the next.
const tickTime = 5 * time.Millisecond

// tickSoonLocked sees to it that there is a tick soon.
func (p *Pool) tickSoonLocked() {
	if !p.tick.soon {
		p.tick.soon = true
		p.setTickLocked(tickTime)
	}
}

// tickForIdleLocked sees to it that there is a tick when the worker that has been idle for
// longest is due, or before.
func (p *Pool) tickForIdleLocked() {
	if p.config.IdleTimeout < 0 || p.drained || len(p.idle) == 0 || p.tick.set {
		return
	}
	due := p.idle[0].idleSince + p.config.IdleTimeout
	p.setTickLocked(max(0, due-cost.Clock()))
}

// setTickLocked has a tick come after d. One that was to come later comes then; one that is
// about to begin comes besides.
func (p *Pool) setTickLocked(d time.Duration) {
	t := &p.tick
	t.set = true
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

// due is what there is to do: the calls that are seen for the second time, the workers that
// may have to be told something, and those that have just been ended because they were idle
// for too long.
func (p *Pool) due() (lasting []*call, owed, late []*worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick.set, p.tick.soon = false, false
	young := false
	for d := range p.active {
		switch d.ticks++; d.ticks {
		case 1:
			young = true
		case 2:
			lasting = append(lasting, d)
		}
	}
	for w := range p.tick.owed {
		owed = append(owed, w)
	}
	clear(p.tick.owed)
	for p.config.IdleTimeout >= 0 && len(p.idle) > 0 && cost.Clock()-p.idle[0].idleSince >= p.config.IdleTimeout {
		late = append(late, p.idle[0])
		p.idle[0].retire()
		p.idle = p.idle[1:]
	}
	if young && !p.drained {
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
