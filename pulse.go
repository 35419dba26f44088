package parallel

import (
	"sync"
	"time"
)

// pulse is the clock of a pool, for what need not be done at once. It beats till all
// calls that there are have seen two beats, and once after one has ended. A call that
// is over before its second has cost no timer.
type pulse struct {
	timer *time.Timer          // nil before the first beat
	set   bool                 // whether it is
	owed  map[*handle]struct{} // those that may have to be told of the end of a call; all three are guarded by the pool's mutex
	beats sync.WaitGroup       // those that will come or are there
}

// beatTime is the time between two beats.
const beatTime = 5 * time.Millisecond

// awaitBeat sees to it that there is a beat. p.mu is held.
func (p *poolCore) awaitBeat() {
	if p.pulse.set {
		return
	}
	p.pulse.set = true
	p.pulse.beats.Add(1)
	if p.pulse.timer == nil {
		p.pulse.timer = time.AfterFunc(beatTime, p.beat)
	} else {
		p.pulse.timer.Reset(beatTime)
	}
}

// beat starts the monitors of calls that have been there for a while, and tells workers
// what they were to be told later.
func (p *poolCore) beat() {
	defer p.pulse.beats.Done()
	var calls []*dispatch
	var workers []*handle
	p.mu.Lock()
	young := false
	for d := range p.active {
		switch d.beats++; d.beats {
		case 1:
			young = true
		case 2:
			calls = append(calls, d)
		}
	}
	for h := range p.pulse.owed {
		workers = append(workers, h)
	}
	clear(p.pulse.owed)
	if p.pulse.set = false; !p.ended && young {
		p.awaitBeat()
	}
	p.mu.Unlock()
	for _, d := range calls {
		d.pokeMonitor()
	}
	for _, h := range workers {
		h.sayNow()
	}
}

// stopBeating ends the pulse. No call is left.
func (p *poolCore) stopBeating() {
	p.mu.Lock()
	if p.pulse.set && p.pulse.timer.Stop() {
		p.pulse.set = false
		p.pulse.beats.Done()
	}
	p.mu.Unlock()
	p.pulse.beats.Wait()
}
