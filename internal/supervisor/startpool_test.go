package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What calls that wait for a worker see of starts that fail. TestStarts has the rules.

// TestAllStartsFail has several calls wait: for the same tries, and all end by the same.
func TestAllStartsFail(t *testing.T) {
	inPool(t, 1, dies, func(p *poolTest) {
		var calls []*call
		var all []chan got
		for range 5 {
			calls = append(calls, p.call())
			all = append(all, p.acquires(calls[len(calls)-1]))
		}
		p.at(1199 * time.Millisecond)
		p.waits(all...)
		p.at(1200 * time.Millisecond)
		for _, c := range all {
			if g := <-c; g.worker != nil || g.err == nil || g.after != 1200*time.Millisecond ||
				!strings.Contains(g.err.Error(), "cannot start a worker process: worker process 1004 ended: it ended before it had reached parallel.Init") {
				t.Errorf("after %v: %v, %v, want the last start's error", g.after, g.worker, g.err)
			}
		}
		p.launched(0, 30, 120, 390, 1200)
		if n := strings.Count(p.log.String(), "level=WARN msg=\"parallel: worker not started\""); n != 5 || strings.Count(p.log.String(), "WARN") != n {
			t.Errorf("the Logger was told %d times of 5 starts that failed:\n%s", n, p.log.String())
		}
		again := p.acquires(calls[0]) // has five tries, too
		p.at(2399 * time.Millisecond)
		p.waits(again)
		p.at(2400 * time.Millisecond)
		if g := <-again; g.err == nil {
			t.Error("no error")
		}
	})
}

// TestCallThatComesLate waits for a second itself.
func TestCallThatComesLate(t *testing.T) {
	inPool(t, 1, dies, func(p *poolTest) {
		first, late := p.call(), p.call()
		a := p.acquires(first)
		p.at(900 * time.Millisecond)
		b := p.acquires(late)
		p.at(1200 * time.Millisecond)
		if g := <-a; g.err == nil {
			t.Error("no error")
		}
		p.at(2199 * time.Millisecond)
		p.waits(b)
		p.at(2200 * time.Millisecond)
		if g := <-b; g.err == nil {
			t.Error("no error")
		}
		p.launched(0, 30, 120, 390, 1200, 2200)
	})
}

// TestStartsSucceedInTheEnd has starts fail in all ways that may pass.
func TestStartsSucceedInTheEnd(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM, errors.New("anything"), nil} {
		t.Run(fmt.Sprint(err), func(t *testing.T) {
			fails := func(w *fakeWorker) error {
				switch {
				case w.number >= 4:
					return welcomes(w)
				case err == nil:
					return dies(w)
				}
				return err
			}
			inPool(t, 2, fails, func(p *poolTest) {
				d := p.call()
				a := p.acquires(d)
				synctest.Wait()
				b := p.acquires(d)
				p.at(1199 * time.Millisecond)
				p.waits(a, b)
				p.at(1200 * time.Millisecond)
				p.launched(0, 30, 120, 390, 1200, 1200) // the last when the one before is ready
				for _, c := range []chan got{a, b} {
					if w := p.gets(c); w != nil {
						w.given()
						p.release(w, d)
					}
				}
			})
		})
	}
}

// TestNoStartCanSucceed has the first failure end the calls that wait.
func TestNoStartCanSucceed(t *testing.T) {
	for _, test := range []struct {
		name   string
		begins func(w *fakeWorker) error
		want   string
		at     time.Duration
	}{
		{"no such file", func(*fakeWorker) error { return &fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.ENOENT} }, "no such file", 0},
		{"unsupported", func(*fakeWorker) error { return errors.ErrUnsupported }, "unsupported", 0},
		{"another build", func(w *fakeWorker) error { go w.welcome("what the parent has not"); return nil }, "another build", 0},
		{"too slow", hangs, "within the StartTimeout of 10s", 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inPool(t, 2, test.begins, func(p *poolTest) {
				d, e := p.call(), p.call()
				for _, c := range []chan got{p.acquires(d), p.acquires(e), p.acquires(e)} {
					if g := <-c; g.err == nil || !strings.Contains(g.err.Error(), test.want) || g.after != test.at {
						t.Errorf("error %v after %v, want %q after %v", g.err, g.after, test.want, test.at)
					}
				}
				if n := len(p.launches); n > 3 {
					t.Errorf("%d starts were tried", n)
				}
			})
		})
	}
}

// TestTooSlowOnce has a start run out of its time when one was in time before: the next may be.
func TestTooSlowOnce(t *testing.T) {
	begins := func(w *fakeWorker) error {
		if w.number == 1 {
			return hangs(w)
		}
		return welcomes(w)
	}
	inPool(t, 1, begins, func(p *poolTest) {
		d := p.call()
		w := p.uses(d)
		p.kill(w)
		p.release(w, d)
		c := p.acquires(d)
		if g := <-c; g.err != nil || g.after != 10*time.Second+30*time.Millisecond {
			t.Errorf("error %v after %v", g.err, g.after)
		} else {
			p.release(g.worker, d)
		}
	})
}

// TestStartsFailBesideALivingWorker does not end the call that waits. It gets the worker as
// soon as that is released.
func TestStartsFailBesideALivingWorker(t *testing.T) {
	for _, how := range []error{syscall.EMFILE, fs.ErrNotExist} {
		begins := func(w *fakeWorker) error {
			if w.number > 0 {
				return how
			}
			return welcomes(w)
		}
		inPool(t, 2, begins, func(p *poolTest) {
			d, e := p.call(), p.call()
			w := p.uses(d)
			c := p.acquires(e)
			p.at(time.Hour)
			p.waits(c)
			p.release(w, d)
			synctest.Wait()
			if p.gets(c) != w {
				t.Error("it is another worker")
			}
			p.at(time.Hour + time.Minute)
			if n := len(p.launches); n < 3600 || n > 3700 {
				t.Errorf("%d starts were tried in an hour, want one each second", n)
			}
			p.release(w, e)
		})
	}
}

// TestTheLivingWorkerDies, beside which starts have failed: they are tried again from then
// on, five times.
func TestTheLivingWorkerDies(t *testing.T) {
	begins := func(w *fakeWorker) error {
		if w.number > 0 {
			return syscall.EAGAIN
		}
		return welcomes(w)
	}
	inPool(t, 2, begins, func(p *poolTest) {
		d, e := p.call(), p.call()
		w := p.uses(d)
		c := p.acquires(e)
		p.at(time.Minute + time.Millisecond)
		p.waits(c)
		before := len(p.launches)
		p.kill(w)
		p.release(w, d)
		if g := <-c; !errors.Is(g.err, syscall.EAGAIN) || g.after != time.Minute+1201*time.Millisecond {
			t.Errorf("error %v after %v", g.err, g.after)
		}
		if n := len(p.launches) - before; n != 5 {
			t.Errorf("%d starts were tried when none lived, want 5", n)
		}
	})
}

// TestWorkersDieUnused has workers become ready and die before they are given an item.
func TestWorkersDieUnused(t *testing.T) {
	inPool(t, 1, welcomes, func(p *poolTest) {
		d := p.call()
		var since time.Duration
		deaths := 0
		for {
			w, err := p.acquire(d.Context(), d, &since)
			if err != nil {
				if after := time.Since(p.begun); !strings.Contains(err.Error(), diedUnused) || deaths != 5 || after < time.Second || after > 2*time.Second {
					t.Errorf("error %v after %v and %d deaths", err, after, deaths)
				}
				break
			}
			deaths++
			p.kill(w)
			p.release(w, d)
		}
		w := p.uses(d) // the next call begins anew
		p.kill(w)      // counts as no start
		p.release(w, d)
		if p.starts.row != 0 {
			t.Error("a worker that was given an item counts as a start that failed")
		}
	})
}

// TestIdleWorkersThatDie are no starts that fail.
func TestIdleWorkersThatDie(t *testing.T) {
	inPool(t, 1, welcomes, func(p *poolTest) {
		d := p.call()
		for range 20 {
			w := p.has(d)
			p.release(w, d)
			p.kill(w)
		}
		if len(p.launches) != 20 || time.Since(p.begun) != 0 {
			t.Errorf("%d starts in %v", len(p.launches), time.Since(p.begun))
		}
	})
}

// TestFewWorkers has no more than two of five workers start: they serve, and after one has
// been replaced, too.
func TestFewWorkers(t *testing.T) {
	var p *poolTest
	begins := func(w *fakeWorker) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		alive := 0
		for _, w := range p.alive {
			select {
			case <-w.exit:
			default:
				alive++
			}
		}
		if alive >= 2 {
			return syscall.EMFILE
		}
		p.alive[w.number] = w // before another start looks
		return welcomes(w)
	}
	inPool(t, 5, begins, func(pool *poolTest) {
		p = pool
		served := 0
		var ends []chan struct{}
		for range 50 { // calls, each of which does one thing and has its worker replaced
			over := make(chan struct{})
			ends = append(ends, over)
			d := p.call()
			go func() {
				defer close(over)
				var since time.Duration
				w, err := p.acquire(d.Context(), d, &since)
				if err != nil {
					t.Error(err)
					return
				}
				w.given()
				time.Sleep(100 * time.Millisecond) // allowed: fake time, in a bubble
				p.mu.Lock()
				served++
				p.mu.Unlock()
				w.retire()
				p.release(w, d)
			}()
		}
		for _, over := range ends {
			<-over
		}
		if took := time.Since(p.begun); served != 50 || took > 10*time.Second {
			t.Errorf("%d calls were served in %v", served, took)
		}
	})
}

// TestWaitingEndsAtOnce has a call end while it waits, in all ways, and starts go on or not.
func TestWaitingEndsAtOnce(t *testing.T) {
	for name, begins := range map[string]func(*fakeWorker) error{"failing": dies, "under way": hangs} {
		t.Run(name, func(t *testing.T) {
			inPool(t, 1, begins, func(p *poolTest) {
				ctx, cancel := context.WithCancel(p.ctx)
				p.ctx = ctx
				d, e := p.call(), p.call()
				a, b := p.acquires(d), p.acquires(e)
				p.at(10 * time.Millisecond)
				p.end(d)
				if g := <-a; g != (got{nil, nil, 10 * time.Millisecond}) {
					t.Errorf("when nothing was left to do: %+v", g)
				}
				p.waits(b)
				cancel()
				if g := <-b; g != (got{nil, nil, 10 * time.Millisecond}) {
					t.Errorf("when its context had ended: %+v", g)
				}
				p.end(e)
				p.at(time.Second)
				p.launched(0) // no other is tried, since no call waits
			})
		})
	}
}

// TestStartedWorkersAreForAnyCall has the call that a worker was started for get another.
func TestStartedWorkersAreForAnyCall(t *testing.T) {
	var slow *fakeWorker
	begins := func(w *fakeWorker) error {
		if w.number == 1 {
			slow = w
			return hangs(w)
		}
		return welcomes(w)
	}
	inPool(t, 2, begins, func(p *poolTest) {
		d, e, f := p.call(), p.call(), p.call()
		w := p.uses(d)
		b := p.acquires(e) // a worker is starting for it
		p.waits(b)
		p.release(w, d)
		synctest.Wait()
		if p.gets(b) != w {
			t.Error("it is another worker")
		}
		c := p.acquires(f) // no third one is started
		p.waits(c)
		slow.welcome()
		synctest.Wait()
		p.release(p.gets(c), f)
		p.launched(0, 0)
		p.release(w, e)
	})
}

// TestCloseWhileStarting ends workers that are starting for no call any more.
func TestCloseWhileStarting(t *testing.T) {
	inPool(t, 3, hangs, func(p *poolTest) {
		d := p.call()
		c := p.acquires(d)
		p.end(d)
		<-c
		p.Close()
		if time.Since(p.begun) != 0 || p.Stats().Died != 0 || strings.Contains(p.log.String(), "WARN") {
			t.Errorf("Close took %v, %+v, the Logger was told:\n%s", time.Since(p.begun), p.Stats(), p.log.String())
		}
	})
}

// TestCloseWhileLaunching ends a worker that is being launched for no call any more.
func TestCloseWhileLaunching(t *testing.T) {
	begins := func(w *fakeWorker) error {
		time.Sleep(time.Second) // allowed: fake time, in a bubble
		return hangs(w)
	}
	inPool(t, 1, begins, func(p *poolTest) {
		d := p.call()
		c := p.acquires(d)
		p.end(d)
		<-c
		p.Close()
		if time.Since(p.begun) != time.Second || p.Stats().Died != 0 || strings.Contains(p.log.String(), "WARN") {
			t.Errorf("Close took %v, %+v, the Logger was told:\n%s", time.Since(p.begun), p.Stats(), p.log.String())
		}
	})
}

// TestWorkersDieAsTheyBecomeReady has the death and the welcome be seen in any order.
func TestWorkersDieAsTheyBecomeReady(t *testing.T) {
	begins := func(w *fakeWorker) error {
		go func() {
			w.welcome()
			w.die()
		}()
		return nil
	}
	for range 100 {
		inPool(t, 1, begins, func(p *poolTest) {
			d := p.call()
			var since time.Duration
			for {
				w, err := p.acquire(d.Context(), d, &since)
				if err != nil {
					break
				}
				synctest.Wait() // its death is seen
				p.release(w, d)
			}
			if n, took := len(p.launches), time.Since(p.begun); n != 5 || took < time.Second || took > 2*time.Second {
				t.Errorf("%d starts in %v", n, took)
			}
		})
	}
}
