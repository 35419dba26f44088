package supervisor

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/transport"
)

// The tests run in bubbles, whose time goes on when all goroutines wait. There are no
// processes: what the tick does to a worker is seen by the process that it kills and in the
// requests that it writes.

// fakeProcess is a process that notes when it is killed.
type fakeProcess struct {
	transport.Process
	begun  time.Time
	killed atomic.Int64 // nanoseconds from begun on; 0: it was not
}

func (p *fakeProcess) PID() int { return 1 }

func (p *fakeProcess) Kill() { p.killed.Store(int64(time.Since(p.begun))) }

// killedAt is when it was killed; 0: it was not.
func (p *fakeProcess) killedAt() time.Duration { return time.Duration(p.killed.Load()) }

// tickTest is a pool, seen by its housekeeping.
type tickTest struct {
	*Pool
	t     *testing.T
	begun time.Time
}

// inBubble runs test with a pool whose workers may be idle for a minute.
func inBubble(t *testing.T, test func(t *testing.T, p *tickTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &tickTest{Pool: NewPool(Config{Size: 9, IdleTimeout: time.Minute, StartTimeout: time.Second}), t: t, begun: time.Now()}
		test(t, p)
		p.stopTick()
	})
}

// call makes a new call, which holds a worker. Its monitor does not run, but it can be seen
// whether it was woken.
func (p *tickTest) call() *call {
	p.t.Helper()
	c := schedule.New(p.t.Context(), schedule.Config{Workers: 1, Total: 1})
	d := newCall(p.Pool, c, Call{Function: Function{Cost: new(cost.Estimate)}})
	d.monitor.end()
	w, _, _ := p.worker()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lendLocked(w, d)
	return d
}

// worker returns a new worker, and what it is sent and how it ends.
func (p *tickTest) worker() (*worker, *wiretap, *fakeProcess) {
	requests, process := new(wiretap), &fakeProcess{begun: p.begun}
	return newWorker(p.Pool, &transport.Worker{Process: process, Requests: requests}), requests, process
}

// rest makes w idle.
func (p *tickTest) rest(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offerLocked(w)
}

// end ends d, of which a worker knows.
func (p *tickTest) end(d *call) {
	w, _, _ := p.worker()
	d.known = append(d.known, w)
	p.forget(d)
}

// at waits until d after the start, and what was due then has been done.
func (p *tickTest) at(d time.Duration) {
	time.Sleep(d - time.Since(p.begun)) // allowed: fake time, in a bubble
	synctest.Wait()
}

// check compares whether a tick will come with what is wanted.
func (p *tickTest) check(want bool) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tick.set != want {
		p.t.Errorf("after %v, whether a tick will come is %v", time.Since(p.begun), p.tick.set)
	}
}

// seen is how many ticks d has seen: at the second it is taken out of the lists.
func (p *tickTest) seen(d *call) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch d.lending.age.in {
	case &p.tick.young:
		return 0
	case &p.tick.older:
		return 1
	}
	return 2
}

// owed is how many workers may have to be told something.
func (p *tickTest) owed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tick.owed)
}

// isWatched reports whether d's monitor was woken.
func (d *call) isWatched() bool { return len(d.monitor.awake) > 0 }

func TestTickWatchesCallsThatLast(t *testing.T) {
	inBubble(t, func(t *testing.T, p *tickTest) {
		p.check(false)
		first := p.call()
		p.check(true)
		p.at(tickTime - 1)
		second := p.call() // does not put the tick off
		p.at(tickTime)
		if p.seen(first) != 1 || p.seen(second) != 1 {
			t.Errorf("after a tick's time the calls have seen %d and %d", p.seen(first), p.seen(second))
		}
		p.at(2*tickTime - 1)
		if first.isWatched() || second.isWatched() {
			t.Error("a call is watched before its second tick")
		}
		p.at(2 * tickTime)
		if !first.isWatched() || !second.isWatched() {
			t.Error("a call is not watched from its second tick on")
		}
		p.check(false) // there is no young call
		p.at(time.Hour)
		if p.seen(first) != 2 {
			t.Errorf("the call has seen %d ticks", p.seen(first))
		}
		<-first.monitor.awake
		third := p.call()
		p.at(time.Hour + 2*tickTime)
		if p.seen(third) != 2 || !third.isWatched() {
			t.Errorf("the third call has seen %d ticks", p.seen(third))
		}
		if first.isWatched() {
			t.Error("the first call was met again")
		}
	})
}

func TestTickDoesNotWatchShortCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, p *tickTest) {
		d := p.call()
		p.at(tickTime + 1)
		p.forget(d)
		p.at(time.Hour)
		if d.isWatched() {
			t.Error("the call is watched when it is over")
		}
		p.check(false)
	})
}

// TestTickTellsWorkersOfEnds has a call end that a worker knows of.
func TestTickTellsWorkersOfEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, p *tickTest) {
		d := p.call()
		p.at(time.Hour)
		w, requests, _ := p.worker()
		_, strange, _ := p.worker() // it does not know of the call
		d.known = append(d.known, w)
		w.conn.queue.push([]byte("over"))
		p.forget(d)
		p.check(true)
		p.at(time.Hour + tickTime - 1)
		requests.check(t)
		p.at(time.Hour + tickTime)
		requests.check(t, "over")
		strange.check(t)
		p.check(false)
		if n := p.owed(); n != 0 {
			t.Errorf("%d workers are still owed something", n)
		}
	})
}

func TestTickEndsIdleWorkers(t *testing.T) {
	inBubble(t, func(t *testing.T, p *tickTest) {
		var processes [3]*fakeProcess
		var workers [3]*worker
		for i := range workers {
			p.at(time.Duration(i) * 20 * time.Second)
			workers[i], _, processes[i] = p.worker()
			p.rest(workers[i])
			p.check(true)
		}
		p.at(50 * time.Second)
		var since time.Duration
		if w, _, _ := p.claim(p.call(), &since); w != workers[2] {
			t.Error("the newest idle worker was not taken")
		}
		p.at(2 * time.Minute)
		for i, want := range []time.Duration{60 * time.Second, 80 * time.Second, 0} {
			if got := processes[i].killedAt(); got != want {
				t.Errorf("worker %d was ended after %v, want %v", i, got, want)
			}
		}
		p.check(false) // there is no idle worker
		p.rest(workers[2])
		p.at(3*time.Minute - 1)
		if processes[2].killedAt() != 0 {
			t.Errorf("the worker was ended after %v", processes[2].killedAt())
		}
		p.at(3 * time.Minute)
		if got, idle := processes[2].killedAt(), len(p.Idle()); got != 3*time.Minute || idle != 0 {
			t.Errorf("the worker was ended after %v, %d are idle", got, idle)
		}
		p.check(false)
	})
}

func TestTickLeavesIdleWorkersThatMayStay(t *testing.T) {
	inBubble(t, func(t *testing.T, p *tickTest) {
		p.config.IdleTimeout = -1
		w, _, process := p.worker()
		p.rest(w)
		p.check(false)
		p.call()
		p.at(24 * time.Hour)
		p.check(false)
		if process.killedAt() != 0 {
			t.Errorf("the worker was ended after %v", process.killedAt())
		}
	})
}

// TestTickForBoth has calls come and go while a worker is idle: neither the calls' ticks nor
// the worker's are late.
func TestTickForBoth(t *testing.T) {
	inBubble(t, func(t *testing.T, p *tickTest) {
		w, _, process := p.worker()
		p.rest(w) // a tick is set for a minute from now
		p.at(30 * time.Second)
		d := p.call() // brought forward
		p.at(30*time.Second + tickTime)
		if p.seen(d) != 1 {
			t.Errorf("the call has seen %d ticks", p.seen(d))
		}
		p.at(30*time.Second + 2*tickTime)
		if !d.isWatched() {
			t.Error("the call is not watched")
		}
		p.check(true) // and put back again
		p.at(time.Minute - 1)
		p.end(d) // just before the worker is due: the tick is not put off
		p.at(time.Minute - 1 + tickTime)
		if got := process.killedAt(); got != time.Minute {
			t.Errorf("the worker was ended after %v, want %v", got, time.Minute)
		}
		p.check(false)
	})
}

// TestStopTick ends the housekeeping in all states: nothing comes later, and nothing is
// waited for that has been.
func TestStopTick(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(p *tickTest)
	}{
		{"before anything", func(p *tickTest) {}},
		{"a tick is set for a call", func(p *tickTest) { p.end(p.call()) }},
		{"it is over", func(p *tickTest) {
			p.end(p.call())
			p.at(time.Second)
		}},
		{"a tick is set for a worker", func(p *tickTest) {
			w, _, _ := p.worker()
			p.rest(w)
		}},
		{"a tick is set for both", func(p *tickTest) {
			w, _, _ := p.worker()
			p.rest(w)
			p.end(p.call())
		}},
		{"a tick comes just now", func(p *tickTest) {
			w, _, _ := p.worker()
			p.rest(w)
			p.end(p.call())
			time.Sleep(tickTime) // allowed: fake time, in a bubble
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *tickTest) {
				test.make(p)
				p.mu.Lock()
				p.drained = true // as Close does
				p.mu.Unlock()
				p.stopTick()
				p.check(false)
				p.stopTick() // also once more
				w, _, _ := p.worker()
				p.rest(w)
				p.check(false)
				p.mu.Lock()
				p.tick.owed = map[*worker]struct{}{new(worker): {}} // a tick would take it away
				p.mu.Unlock()
				p.at(time.Hour)
				if p.owed() != 1 {
					t.Error("a tick came after the end")
				}
			})
		})
	}
}

// TestTickIsAskedForWhileItBegins asks for a tick at the moment when one comes, and while it
// cannot have begun, since the pool's mutex is held: it comes besides, and each is done with
// once.
func TestTickIsAskedForWhileItBegins(t *testing.T) {
	for range 100 {
		inBubble(t, func(t *testing.T, p *tickTest) {
			d := p.call()
			p.mu.Lock()
			time.Sleep(tickTime) // allowed: fake time, in a bubble
			p.tick.set = false   // as if the one that comes had been seen
			p.tickSoonLocked()
			p.mu.Unlock()
			p.at(10 * tickTime)
			if p.seen(d) < 2 {
				t.Errorf("the call has seen %d ticks", p.seen(d))
			}
			p.end(d)
		})
	}
}

// TestTickAtAnyMoment has calls and workers come and go at moments when ticks come, too. A
// tick that is done with twice panics, one that is not is waited for at the end.
func TestTickAtAnyMoment(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		inBubble(t, func(t *testing.T, p *tickTest) {
			p.config.IdleTimeout = 3 * tickTime
			var calls []*call
			for range 100 {
				switch r.IntN(4) {
				case 0:
					calls = append(calls, p.call())
				case 1:
					if len(calls) > 0 {
						p.end(calls[0])
						calls = calls[1:]
					}
				case 2:
					w, _, _ := p.worker()
					p.rest(w)
				case 3:
					time.Sleep(time.Duration(r.IntN(3)) * tickTime) // allowed: fake time, in a bubble
				}
			}
			for _, d := range calls {
				p.end(d)
			}
			p.at(time.Hour)
			p.check(false)
			if idle, owed := len(p.Idle()), p.owed(); idle != 0 || owed != 0 {
				t.Errorf("%d workers are idle, %d are owed something", idle, owed)
			}
		})
	}
}
