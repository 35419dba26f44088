package schedule

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
)

// newCall is a call with two workers that has no claimant yet.
func newCall(ctx context.Context, config Config) *Call {
	config.Workers, config.Errors = 2, testErrors{}
	return New(ctx, config)
}

// claim claims the next n items of c.
func claim(c *Call, n int) {
	for n > 0 {
		n -= c.Claim(n, 1, 0, nil).Len()
	}
}

func TestOutcome(t *testing.T) {
	cause := errors.New("enough")
	for _, test := range []struct {
		name   string
		config Config
		do     func(c *Call) // items 0 to 9 are claimed, of 12
		n      int
		err    string
	}{
		{"all run", Config{}, func(c *Call) { c.Done(10); claim(c, 2); c.Done(2) }, 12, ""},
		{"one fails", Config{}, func(c *Call) { c.Done(9); c.Fail(4, errKnown) }, 4, "item 4: known"},
		{"the lowest failure counts", Config{}, func(c *Call) { c.Fail(4, errKnown); c.Fail(2, errKnown); c.Fail(7, errKnown); c.Done(7) }, 2, "item 2: known"},
		{"skipped behind a failure", Config{}, func(c *Call) { c.Fail(4, errKnown); c.Skip(Span{5, 10}); c.Done(4) }, 4, "item 4: known"},
		{"ended", Config{}, func(c *Call) { c.End(cause); c.Done(7); c.Skip(Span{7, 10}) }, 7, "ended after 7 of 12: enough (<nil>)"},
		{"ended at once", Config{}, func(c *Call) { c.End(cause); c.Skip(Span{0, 10}) }, 0, "ended after 0 of 12: enough (<nil>)"},
		{"the first cause counts", Config{}, func(c *Call) { c.End(cause); c.End(errKnown); c.Done(10) }, 10, "ended after 10 of 12: enough (<nil>)"},
		{"ended, and a failure before", Config{}, func(c *Call) { c.Fail(4, errKnown); c.End(cause); c.Done(4); c.Skip(Span{5, 10}) }, 4, "item 4: known"},
		{"ended, and a failure behind what is complete", Config{}, func(c *Call) { c.Fail(8, errKnown); c.End(cause); c.Done(4); c.Skip(Span{4, 8}); c.Done(1) },
			4, "ended after 4 of 12: enough (<nil>)"},
		{"a failure after the end", Config{}, func(c *Call) { c.End(cause); c.Done(9); c.Fail(9, errKnown) }, 9, "item 9: known (enough)"},
		{"returned and not run", Config{}, func(c *Call) { c.GiveBack(Span{3, 6}); c.End(cause); c.Done(7) }, 3, "ended after 3 of 12: enough (<nil>)"},
		{"keeps going", Config{KeepGoing: true}, func(c *Call) { c.Fail(7, errKnown); c.Fail(2, errKnown); c.Done(8); claim(c, 2); c.Done(2) },
			12, "item 2: known\nitem 7: known\n"},
		{"keeps going, all well", Config{KeepGoing: true}, func(c *Call) { c.Done(10); claim(c, 2); c.Done(2) }, 12, ""},
		{"keeps going until ended", Config{KeepGoing: true}, func(c *Call) { c.Fail(7, errKnown); c.Done(8); c.End(cause); c.Skip(Span{3, 4}) },
			12, "item 3: enough\nitem 7: known\nitem 10: enough\nitem 11: enough\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Total = 12
			c := newCall(t.Context(), test.config)
			claim(c, 10)
			test.do(c)
			n, err := c.Outcome()
			text := ""
			if err != nil {
				text = err.Error()
			}
			if n != test.n || text != test.err {
				t.Errorf("%d results, error %q, want %d and %q", n, text, test.n, test.err)
			}
			if c.ledger.open != 0 {
				t.Errorf("%d items are open", c.ledger.open)
			}
		})
	}
}

// TestFailSettles has a method of the error end in each of the ways in which code of the
// user's may.
func TestFailSettles(t *testing.T) {
	for i, test := range endings {
		for _, ended := range []bool{false, true} {
			c := newCall(t.Context(), Config{Total: 10})
			claim(c, 1)
			if ended {
				c.End(errors.New("enough"))
			}
			done, returned := make(chan struct{}), false
			go func() {
				defer close(done)
				c.Fail(0, methodError(test.f))
				returned = true
			}()
			<-done
			c.AwaitSettled()
			want := []string{"item 0: method", "item 0: panic: oh", "item 0: goexit", "item 0: panic: oh"}[i]
			if ended && (i == 0 || i == 2) {
				want += " (enough)"
			}
			n, err := c.Outcome()
			if n != 0 || err.Error() != want {
				t.Errorf("%s, ended %v: %d results, error %q, want %q", test.name, ended, n, err, want)
			}
			if want := i < 2; returned != want {
				t.Errorf("%s: Fail returned: %v, want %v", test.name, returned, want)
			}
		}
	}
}

func TestEndOfTheContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := newCall(ctx, Config{Total: 10})
	if s := c.Claim(1, 1, 0, nil); s != (Span{0, 1}) {
		t.Fatalf("claimed %v", s)
	}
	cancel(cause)
	// No goroutine watches the context.
	if got := c.EndCause(); got != cause {
		t.Errorf("ended because of %v", got)
	}
	if got := c.StopCause(); got != cause {
		t.Errorf("stopped because of %v", got)
	}
	if c.Stopped(1) {
		t.Error("the call was ended by a question")
	}
	if s := c.Claim(1, 1, 0, nil); s.Len() != 0 || !c.Stopped(0) || c.Bound() != -1 {
		t.Errorf("then claimed %v, bound %d", s, c.Bound())
	}
	c.Done(1)
	n, err := c.Outcome()
	if want := "ended after 1 of 10: enough (context canceled)"; n != 1 || err.Error() != want {
		t.Errorf("%d results, error %q, want 1 and %q", n, err, want)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := newCall(ctx, Config{Total: 10})
		stop := c.Watch()
		synctest.Wait()
		if c.Bound() != NoBound {
			t.Errorf("the bound is %d", c.Bound())
		}
		time.Sleep(time.Second) // allowed: fake time, in a bubble
		synctest.Wait()
		if c.Bound() != -1 || c.EndCause() != context.DeadlineExceeded {
			t.Errorf("the bound is %d because of %v", c.Bound(), c.EndCause())
		}
		stop()
		c = newCall(context.Background(), Config{Total: 10})
		c.Watch()()
	})
}

func TestClaimantHears(t *testing.T) {
	p := new(claimant)
	c := newCall(t.Context(), Config{Total: 10})
	if s := c.Claim(8, 5, 0, nil); s != (Span{0, 5}) { // before there is a claimant
		t.Fatalf("claimed %v", s)
	}
	c.GiveBack(Span{4, 5})
	c.Attach(p, new(cost.Estimate))
	p.expect(t)
	c.GiveBack(Span{2, 4})
	p.expect(t, "returned 2")
	c.GiveBack(Span{})
	c.Skip(Span{})
	c.Fail(1, errKnown)
	p.expect(t, "bounded")
	if c.StopCause().Error() != "item 1: known" {
		t.Errorf("items stop because of %v", c.StopCause())
	}
	c.Fail(0, errKnown)
	p.expect(t, "bounded")
	c.End(errKnown)
	p.expect(t, "bounded")
	c.End(errKnown)
	p.expect(t)
	if c.StopCause() != errKnown || c.EndCause() != errKnown {
		t.Errorf("items stop because of %v", c.StopCause())
	}
}

// TestAttachUsesWhatIsKnown checks when a call starts from what is known of its function.
func TestAttachUsesWhatIsKnown(t *testing.T) {
	known := new(cost.Estimate)
	known.Set(time.Millisecond)
	for _, test := range []struct {
		name   string
		config Config
		known  *cost.Estimate
		used   bool
	}{
		{"known", Config{Total: 10}, known, true},
		{"not known", Config{Total: 10}, new(cost.Estimate), false},
		{"some were run inline", Config{Total: 10, First: 3}, known, false},
		{"a stream", Config{Total: -1}, known, false},
	} {
		c := newCall(t.Context(), test.config)
		slow := c.Attach(new(claimant), test.known)
		if slow == test.used || c.Cost().Known() != test.used {
			t.Errorf("%s: slow start %v, cost known %v", test.name, slow, c.Cost().Known())
		}
	}
}

func TestWorkersAreNoMoreThanItems(t *testing.T) {
	for _, test := range []struct{ workers, total, want int }{
		{3, 10, 3}, {3, 2, 2}, {3, 0, 1}, {3, -1, 3}, {1 << 30, -1, maxStreamWorkers}, {1 << 30, 5, 5},
	} {
		c := New(t.Context(), Config{Workers: test.workers, Total: test.total})
		if got := c.Config().Workers; got != test.want {
			t.Errorf("%d workers for %d items: %d, want %d", test.workers, test.total, got, test.want)
		}
	}
}

// TestOneClaimIsWoken has several claims wait when two items are given back, of which each
// claims one: only those that get one are woken.
func TestOneClaimIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting = 5
		p := new(claimant)
		c := newCall(t.Context(), Config{Workers: waiting + 1, Total: 10})
		c.Attach(p, new(cost.Estimate))
		claim(c, 10)
		claimed := make(chan Span, waiting)
		for range waiting {
			go func() { claimed <- c.Claim(5, 1, 0, nil) }()
		}
		synctest.Wait()
		clear(p.heard)
		p.heard = p.heard[:0]
		c.GiveBack(Span{4, 6})
		synctest.Wait()
		if len(claimed) != 2 || c.Starved() != waiting-2 {
			t.Errorf("%d claims have got something, %d wait", len(claimed), c.Starved())
		}
		if n := len(p.heard) - 1; n != 0 { // one is that items were returned
			t.Errorf("%d claims were woken for nothing: %v", n, p.heard)
		}
		c.Done(8)
		c.Done(2)
		for range waiting {
			<-claimed
		}
	})
}

// TestClaimWaits has a claim wait for items that another worker holds, in each of the ways
// in which that ends.
func TestClaimWaits(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(c *Call)
		want Span
	}{
		{"given back", func(c *Call) { c.GiveBack(Span{4, 6}) }, Span{4, 5}}, // the one that gave them back may have the rest
		{"settled", func(c *Call) { c.Done(6) }, Span{}},
		{"failed", func(c *Call) { c.Fail(0, errKnown); c.Skip(Span{1, 6}) }, Span{}},
		{"ended", func(c *Call) { c.End(errKnown) }, Span{}},
		{"the input goes on", func(c *Call) { c.Extend(1) }, Span{6, 7}},
		{"the input goes on for long", func(c *Call) { c.Extend(100) }, Span{6, 11}},
		{"the input ends and all is settled", func(c *Call) { c.CloseInput(); c.Done(6) }, Span{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(claimant)
				c := newCall(t.Context(), Config{Total: -1})
				c.Attach(p, nil)
				c.Extend(6)
				claim(c, 6)
				if test.name == "settled" || test.name == "failed" {
					c.CloseInput()
				}
				var got Span
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					got = c.Claim(5, 6, 0, nil)
				}()
				synctest.Wait()
				p.expect(t, "starved")
				if c.Starved() == 0 {
					t.Error("no claim is said to be starved")
				}
				test.do(c)
				<-ended
				if got != test.want && (got.Len() > 0 || test.want.Len() > 0) {
					t.Errorf("claimed %v, want %v", got, test.want)
				}
				if c.Starved() > 0 {
					t.Error("a claim is still said to be starved")
				}
			})
		})
	}
}

// TestClaimStopsWaiting has a worker lose interest in items while it waits for them.
func TestClaimStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCall(t.Context(), Config{Total: 1})
		c.Claim(1, 1, 0, nil)
		patient := true
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if s := c.Claim(1, 1, 0, func() bool { return patient }); s.Len() > 0 {
				t.Errorf("claimed %v", s)
			}
		}()
		synctest.Wait()
		patient = false
		c.Wake()
		<-ended
	})
}

// TestSleepersDoNotMissWhatComes has an item come when a goroutine is about to sleep.
func TestSleepersDoNotMissWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCall(t.Context(), Config{Total: -1})
		c.mu.Lock()
		defer c.mu.Unlock()
		asked := false
		c.claims.sleepUnless(func() bool {
			if asked = c.claims.n.Load() == 1; !asked {
				t.Error("whoever brings an item would not see that somebody sleeps")
			}
			return true
		})
		if n := c.claims.n.Load(); !asked || n != 0 {
			t.Errorf("asked: %v, and %d sleep", asked, n)
		}
	})
}

func TestAwaitWorkAndSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCall(t.Context(), Config{Total: -1})
		work := make(chan bool)
		go func() {
			for c.AwaitWork() {
				work <- true
			}
			close(work)
		}()
		synctest.Wait()
		select {
		case <-work:
			t.Error("there is work before there are items")
		default:
		}
		c.Extend(1)
		<-work
		if s := c.Claim(1, 1, 0, nil); s.Len() != 1 || c.Left() != 0 {
			t.Errorf("claimed %v, %d left", s, c.Left())
		}
		settled := make(chan struct{})
		go func() {
			defer close(settled)
			c.AwaitSettled()
		}()
		synctest.Wait()
		select {
		case <-settled:
			t.Error("an open item is settled")
		default:
		}
		c.CloseInput()
		c.Done(1)
		<-settled
		for range work { // it may have seen the item before that was claimed
		}
		if n, err := c.Outcome(); n != 1 || err != nil {
			t.Errorf("%d results, error %v", n, err)
		}
	})
}

// stream writes down what it hears.
type stream struct {
	failed  []Failure
	bounded int
}

func (s *stream) Failed(f Failure) { s.failed = append(s.failed, f) }
func (s *stream) Bounded()         { s.bounded++ }

func TestStreamTakesTheFailures(t *testing.T) {
	for _, keepGoing := range []bool{false, true} {
		st := new(stream)
		c := newCall(t.Context(), Config{Total: -1, Stream: st, KeepGoing: keepGoing})
		c.Extend(10)
		claim(c, 10)
		c.Fail(3, errKnown)
		c.Fail(1, errKnown)
		c.Fail(2, errKnown)
		var got []int
		for _, f := range st.failed {
			got = append(got, f.Index)
		}
		if !slices.Equal(got, []int{3, 1, 2}) {
			t.Errorf("failures %v", st.failed)
		}
		if want := map[bool]int{false: 2, true: 0}[keepGoing]; st.bounded != want {
			t.Errorf("keepGoing %v: the bound fell %d times, want %d", keepGoing, st.bounded, want)
		}
		if len(c.failures) > 0 {
			t.Errorf("the call keeps %v", c.failures)
		}
	}
}

// curiousErrors calls the call, as code of the user's may.
type curiousErrors struct {
	testErrors
	c **Call
}

func (e curiousErrors) Item(i int, err, cause error) error {
	(*e.c).EndCause()
	return e.testErrors.Item(i, err, cause)
}

func (e curiousErrors) Recovered(v any) error {
	(*e.c).EndCause()
	return e.testErrors.Recovered(v)
}

func (e curiousErrors) Ended(done, total int, cause, also error) error {
	(*e.c).EndCause()
	return e.testErrors.Ended(done, total, cause, also)
}

func (e curiousErrors) Join(failures []Failure) error {
	(*e.c).EndCause()
	return e.testErrors.Join(failures)
}

func TestErrorsAreMadeWithoutTheLock(t *testing.T) {
	for _, keepGoing := range []bool{false, true} {
		var c *Call
		c = New(t.Context(), Config{
			Workers: 2, Total: 10, KeepGoing: keepGoing, Cost: new(cost.Function), Errors: curiousErrors{c: &c},
		})
		c.RunGoroutines(&job{fn: func(_ context.Context, i int) (int, error) {
			switch i {
			case 7:
				return 0, errKnown
			case 8:
				panic("oh")
			case 9:
				runtime.Goexit()
			}
			return i, nil
		}})
		c.End(errKnown)
		if _, err := c.Outcome(); err == nil {
			t.Error("no error")
		}
		if err := c.Ended(3); err.Error() != "ended after 3 of 10: known (<nil>)" {
			t.Errorf("error %v", err)
		}
	}
}

// TestProgressOfSettledItems checks that items are reported before the call may return, and
// settled even if the callback panics or calls Goexit.
func TestProgressOfSettledItems(t *testing.T) {
	for _, test := range endings {
		var c *Call
		var seen []int
		c = newCall(t.Context(), Config{Total: 4, Progress: func(done, total int) {
			if total != 4 || c.Left() != 0 {
				t.Errorf("%s: %d of %d", test.name, done, total)
			}
			seen = append(seen, done)
			if done == 1 || done == 3 {
				test.f()
			}
		}})
		claim(c, 4)
		for _, settle := range []func(){func() { c.Done(2) }, func() { c.Fail(2, errKnown) }, func() { c.Done(1) }} {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				settle()
			}()
			<-ended
		}
		if c.ledger.open != 0 {
			t.Errorf("%s: %d items are open", test.name, c.ledger.open)
		}
		want := ends[test.name]
		if got := guard.Apart(func() { _, _ = c.Outcome() }); got != want || c.Aborted() != want {
			t.Errorf("%s: Outcome %v, Aborted is %v, want %v", test.name, got, c.Aborted(), want)
		}
		if !want.Returned() && c.EndCause() != errAborted {
			t.Errorf("%s: the call was ended because of %v", test.name, c.EndCause())
		}
		if all := []int{1, 2, 3, 4}; !want.Returned() && !slices.Equal(seen, all[:1]) || want.Returned() && !slices.Equal(seen, all) {
			t.Errorf("%s: %v were reported", test.name, seen)
		}
	}
}
