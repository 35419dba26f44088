package supervisor

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Who gets a worker, and who is asked for one.

// session has d use w in a session. Its sender does not run.
func (p *poolTest) session(d *call, w *worker) *session {
	s := newSession(d, w)
	s.sender.used = true
	d.add(s, true)
	return s
}

// leave has a session end.
func (p *poolTest) leave(s *session) {
	s.call.remove(s, true)
	p.release(s.worker, s.call)
	synctest.Wait()
}

// rests has s wait for work that does not come. The channel is closed when it does so no more.
func (p *poolTest) rests(s *session) chan struct{} {
	for s.call.Left() > 0 {
		s.call.Claim(1, 1, 0, nil)
	}
	risen := make(chan struct{})
	go func() {
		defer close(risen)
		s.call.Claim(1, 1, 0, func() bool { return p.mayRest(s) })
		p.stir(s, false).send()
	}()
	synctest.Wait()
	return risen
}

// waitsFor has d wait for a worker.
func (p *poolTest) waitsFor(d *call) chan got {
	p.t.Helper()
	c := p.acquires(d)
	p.waits(c)
	return c
}

// asked is how many of the sessions were asked for their workers.
func asked(sessions []*session) (n int) {
	for _, s := range sessions {
		s.mu.Lock()
		if s.asked {
			n++
		}
		s.mu.Unlock()
	}
	return n
}

// askedToRise is how often the sessions of d that have no work were asked for their workers.
func (p *poolTest) askedToRise(d *call) int {
	p.Pool.mu.Lock()
	defer p.Pool.mu.Unlock()
	return int(d.lending.asked)
}

func TestFirstComeFirstServed(t *testing.T) {
	inPool(t, 1, welcomes, func(p *poolTest) {
		d := p.call()
		w := p.uses(d)
		var calls []*call
		var all []chan got
		for range 5 {
			calls = append(calls, p.call())
			all = append(all, p.waitsFor(calls[len(calls)-1]))
		}
		p.end(calls[1]) // does not wait any more
		for i, e := range calls {
			if i == 1 {
				continue
			}
			p.release(w, d)
			synctest.Wait()
			p.gets(all[i])
			p.waits(all[max(2, i+1):]...)
			d = e
		}
		p.release(w, d)
	})
}

// TestOneHolderIsAskedForEachThatWaits has many calls hold workers.
func TestOneHolderIsAskedForEachThatWaits(t *testing.T) {
	const holders = 50
	inPool(t, holders, welcomes, func(p *poolTest) {
		var calls []*call
		var sessions []*session
		for range holders {
			d := p.call()
			calls, sessions = append(calls, d), append(sessions, p.session(d, p.uses(d)))
		}
		var all []chan got
		for n := 1; n <= holders+10; n++ {
			d := p.call()
			calls, all = append(calls, d), append(all, p.waitsFor(d))
			if got, want := asked(sessions), min(n, holders); got != want {
				t.Fatalf("when %d calls wait, %d of %d sessions were asked", n, got, holders)
			}
		}
		for _, s := range sessions {
			p.leave(s)
		}
		for i, c := range all {
			p.release(p.gets(c), calls[holders+i])
			synctest.Wait()
		}
	})
}

// TestAStartThatGoesToAnother has a call rely on a start under way whose worker another call
// gets, which waited before and was itself no help.
func TestAStartThatGoesToAnother(t *testing.T) {
	var late *fakeWorker
	begins := func(w *fakeWorker) error {
		if w.number < 2 {
			return welcomes(w)
		}
		late = w
		return nil
	}
	inPool(t, 3, begins, func(p *poolTest) {
		var resting []*session
		for range 2 {
			d := p.call()
			s := p.session(d, p.uses(d))
			if !p.mayRest(s) {
				t.Fatal("a session may not rest though no call waits")
			}
			resting = append(resting, s)
		}
		first, other, third := resting[0].call, resting[1].call, p.call()
		before, behind := p.waitsFor(first), p.waitsFor(third)
		late.welcome()
		synctest.Wait()
		got := p.gets(before)
		got.given()
		p.waits(behind)
		if p.askedToRise(first)+p.askedToRise(other) == 0 {
			t.Error("a call waits, and none that has no work is asked for its worker")
		}
		for _, s := range resting {
			p.stir(s, false)
			p.leave(s)
		}
		p.release(p.gets(behind), third)
		p.release(got, first)
	})
}

// TestAStartThatIsNotReliedOnAnyMore has a call rely on a start under way, when a worker dies
// that was given no item.
func TestAStartThatIsNotReliedOnAnyMore(t *testing.T) {
	begins := func(w *fakeWorker) error {
		if w.number < 2 {
			return welcomes(w)
		}
		return hangs(w)
	}
	inPool(t, 3, begins, func(p *poolTest) {
		d, e, f := p.call(), p.call(), p.call()
		s := p.session(d, p.uses(d))
		risen := p.rests(s)
		unused := p.has(e)
		c := p.waitsFor(f)
		select {
		case <-risen:
			t.Error("a call is asked for its worker though one is starting")
		default:
		}
		p.kill(unused)
		select {
		case <-risen:
		default:
			t.Error("the call that has no work for its worker was not asked")
		}
		p.release(unused, e)
		p.leave(s)
		p.release(p.gets(c), f)
	})
}

// TestSessionsOfACallTakeTurns has one call hold all workers.
func TestSessionsOfACallTakeTurns(t *testing.T) {
	inPool(t, 3, welcomes, func(p *poolTest) {
		d, e := p.call(), p.call()
		var sessions []*session
		for range 3 {
			sessions = append(sessions, p.session(d, p.uses(d)))
		}
		var all []chan got
		for n := 1; n <= 3; n++ {
			all = append(all, p.waitsFor(e))
			if got := asked(sessions); got != n {
				t.Errorf("when %d wait, %d sessions were asked", n, got)
			}
		}
		for i, s := range sessions {
			p.leave(s)
			p.release(p.gets(all[i]), e)
		}
	})
}

// TestWhoHasNoWorkIsAskedFirst also has the next asked, if that one has found some.
func TestWhoHasNoWorkIsAskedFirst(t *testing.T) {
	inPool(t, 4, welcomes, func(p *poolTest) {
		var calls []*call
		var sessions []*session
		for range 4 {
			d := p.call()
			calls, sessions = append(calls, d), append(sessions, p.session(d, p.uses(d)))
		}
		for _, s := range sessions[2:] {
			for range 2 {
				if !p.mayRest(s) {
					t.Error("a session may not rest though no call waits")
				}
			}
		}
		c := p.waitsFor(p.call())
		if n := asked(sessions); n != 0 || p.askedToRise(calls[2]) != 1 || p.askedToRise(calls[3]) != 0 {
			t.Errorf("%d that work were asked, and of those that have no work %d, %d times", n, p.askedToRise(calls[2]), p.askedToRise(calls[3]))
		}
		for _, s := range sessions[2:] {
			if p.mayRest(s) {
				t.Error("a session may rest on though a call waits")
			}
		}
		if a := p.stir(sessions[2], true); a != (ask{calls[3], true}) {
			t.Errorf("when one that was asked has found work, %+v is asked", a)
		}
		if a := p.stir(sessions[3], true); a.resting || a.call == nil {
			t.Errorf("when the other has, %+v is asked", a)
		}
		if a := p.stir(sessions[3], true); a != (ask{}) {
			t.Errorf("one that did not rest has %+v asked", a)
		}
		for _, s := range sessions {
			p.leave(s)
		}
		w := p.gets(c)
		p.Pool.mu.Lock()
		d := p.holding.first.value
		p.Pool.mu.Unlock()
		p.release(w, d)
	})
}

// TestRestIsKeptUntilAsked has a session rest while other calls come and go that get
// workers, and one of its own call waits.
func TestRestIsKeptUntilAsked(t *testing.T) {
	inPool(t, 2, welcomes, func(p *poolTest) {
		d, e, f := p.call(), p.call(), p.call()
		s := p.session(d, p.uses(d))
		if !p.mayRest(s) {
			t.Error("it may not rest")
		}
		w := p.uses(e)
		own := p.waitsFor(d)
		if !p.mayRest(s) || p.wanted(d) || !p.wanted(e) {
			t.Error("that its own call waits for another worker ends its rest, or not that of others")
		}
		other := p.waitsFor(f)
		if p.mayRest(s) {
			t.Error("it may rest on")
		}
		p.release(w, e)
		synctest.Wait()
		p.release(p.gets(own), d)
		synctest.Wait()
		p.release(p.gets(other), f)
		p.stir(s, false)
		p.leave(s)
	})
}

// TestStartsCoverThoseThatWait asks no call for a worker as long as one is starting; and
// does when the start has failed.
func TestStartsCoverThoseThatWait(t *testing.T) {
	begins := func(w *fakeWorker) error {
		if w.number == 0 {
			return welcomes(w)
		}
		time.Sleep(time.Second) // allowed: fake time, in a bubble
		return syscall.EAGAIN
	}
	for _, resting := range []bool{false, true} {
		inPool(t, 2, begins, func(p *poolTest) {
			d, e := p.call(), p.call()
			s := p.session(d, p.uses(d))
			if resting {
				p.mayRest(s)
			}
			c := p.waitsFor(e)
			all := []*session{s}
			if p.wanted(d) || asked(all) != 0 || p.askedToRise(d) != 0 {
				t.Error("a worker is wanted though one is starting")
			}
			p.at(time.Second)
			if !p.wanted(d) || asked(all) == 1 == resting || p.askedToRise(d) == 1 != resting {
				t.Errorf("when the start has failed: wanted %v, asked %d or %d", p.wanted(d), asked(all), p.askedToRise(d))
			}
			p.at(1500 * time.Millisecond) // another is under way, and is not relied on
			if !p.wanted(d) || p.starts.pending != 1 {
				t.Errorf("when another start is tried: wanted %v, %d under way", p.wanted(d), p.starts.pending)
			}
			p.stir(s, false)
			p.leave(s)
			p.release(p.gets(c), e)
		})
	}
}

// TestWithdrawnOfferGoesOn has the call that is offered a worker end just then.
func TestWithdrawnOfferGoesOn(t *testing.T) {
	inPool(t, 1, welcomes, func(p *poolTest) {
		d, e, f := p.call(), p.call(), p.call()
		w := p.uses(d)
		var since time.Duration
		_, own, _ := p.claim(e, &since)
		c := p.waitsFor(f)
		p.release(w, d)
		p.waits(c)
		p.withdraw(own)
		synctest.Wait()
		if p.gets(c) != w {
			t.Error("it is another worker")
		}
		p.release(w, f)
	})
}

// TestOthersAreAskedNotItself has a call that holds workers wait for one more.
func TestOthersAreAskedNotItself(t *testing.T) {
	for _, resting := range []bool{false, true} {
		inPool(t, 2, welcomes, func(p *poolTest) {
			d, e := p.call(), p.call()
			own, other := p.session(d, p.uses(d)), p.session(e, p.uses(e))
			if resting {
				p.mayRest(own)
				p.mayRest(other)
			}
			c := p.waitsFor(d)
			if asked([]*session{own}) > 0 || p.askedToRise(d) > 0 {
				t.Error("the call has asked itself")
			}
			if asked([]*session{other})+p.askedToRise(e) != 1 {
				t.Error("the other call was not asked")
			}
			for _, s := range []*session{own, other} {
				p.stir(s, false)
				p.leave(s)
			}
			p.release(p.gets(c), d)
		})
	}
}

// TestThoseThatRestTakeTurns has two calls wait for workers, when two have no work for theirs.
func TestThoseThatRestTakeTurns(t *testing.T) {
	inPool(t, 2, welcomes, func(p *poolTest) {
		var sessions []*session
		for range 2 {
			d := p.call()
			sessions = append(sessions, p.session(d, p.uses(d)))
			p.mayRest(sessions[len(sessions)-1])
		}
		f := p.call()
		b, c := p.waitsFor(f), p.waitsFor(f)
		for i, s := range sessions {
			if n := p.askedToRise(s.call); n != 1 {
				t.Errorf("call %d was asked %d times", i, n)
			}
			p.stir(s, false)
			p.leave(s)
		}
		p.release(p.gets(b), f)
		p.release(p.gets(c), f)
	})
}

// TestIdleWorkerThatIsEnding is not used.
func TestIdleWorkerThatIsEnding(t *testing.T) {
	inPool(t, 2, welcomes, func(p *poolTest) {
		d := p.call()
		w := p.uses(d)
		p.release(w, d)
		w.mu.Lock()
		w.status = ending
		w.mu.Unlock()
		other := p.uses(d)
		if other == w {
			t.Error("a worker that is ending was used")
		}
		p.release(other, d)
		p.kill(w)
	})
}

// TestMonitorWaitsForASession does not start the monitor of a call that waits for its first
// worker.
func TestMonitorWaitsForASession(t *testing.T) {
	inPool(t, 1, welcomes, func(p *poolTest) {
		d := p.call()
		runs := func() bool {
			d.monitor.mu.Lock()
			defer d.monitor.mu.Unlock()
			return d.monitor.running != nil
		}
		if d.monitor.act(); runs() {
			t.Error("it runs without a session")
		}
		if d.monitor.begin(); !runs() {
			t.Error("it does not run")
		}
		d.monitor.end()
		quick := p.call()
		if quick.monitor.begin(); quick.monitor.running != nil {
			t.Error("it runs though it has nothing to do")
		}
	})
}
