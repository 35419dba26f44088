package clock_test

import (
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/testkit"
)

func TestBubbled(t *testing.T) {
	if clock.Bubbled() {
		t.Error("the test is said to run in a bubble")
	}
	synctest.Test(t, func(t *testing.T) {
		inside := func() {
			t.Helper()
			if !clock.Bubbled() {
				t.Error("the bubble is not noticed")
			}
		}
		inside()
		time.Sleep(time.Until(time.Date(2100, 1, 1, 0, 0, 0, 0, time.Local))) // allowed: fake time
		inside()
		done := make(chan struct{})
		go func() { defer close(done); inside() }()
		<-done
	})
}

// onClock runs test with each clock outside of a bubble, and by the system's in one whose time
// stands still.
func onClock(t *testing.T, test func(t *testing.T, c clock.Clock)) {
	t.Run("plain", func(t *testing.T) { test(t, clock.Clock{}) })
	t.Run("system", func(t *testing.T) { test(t, clock.Clock{System: true}) })
	t.Run("bubble", func(t *testing.T) {
		if runtime.GOOS == "windows" || runtime.GOOS == "plan9" || runtime.GOOS == "js" {
			t.Skip("pipes have no deadlines")
		}
		synctest.Test(t, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { // while it reads, the bubble's time stands still
				defer close(ended)
				_, _ = r.Read(make([]byte, 1))
				r.Close()
			}()
			began := time.Now()
			test(t, clock.Clock{System: true})
			if passed := time.Since(began); passed != 0 {
				t.Errorf("%v passed in the bubble", passed)
			}
			w.Close()
			<-ended
		})
	})
}

func TestNow(t *testing.T) {
	onClock(t, func(t *testing.T, c clock.Clock) {
		for begin := c.Now(); c.Now().Sub(begin) < time.Millisecond; {
			runtime.Gosched()
		}
	})
}

func TestAfterFunc(t *testing.T) {
	testkit.CheckLeaks(t)
	onClock(t, func(t *testing.T, c clock.Clock) {
		begin, fired := c.Now(), make(chan struct{}, 1)
		timer := c.AfterFunc(20*time.Millisecond, func() { fired <- struct{}{} })
		for range 2 {
			<-fired
			if took := c.Now().Sub(begin); took < 20*time.Millisecond {
				t.Errorf("it went off after %v", took)
			}
			if timer.Stop() {
				t.Error("it is set after it has gone off")
			}
			if begin = c.Now(); timer.Reset(20 * time.Millisecond) {
				t.Error("it was set after it had gone off")
			}
		}
		<-fired
	})
}

func TestStoppedTimersDoNotGoOff(t *testing.T) {
	testkit.CheckLeaks(t)
	onClock(t, func(t *testing.T, c clock.Clock) {
		stopped := c.AfterFunc(time.Hour, func() { t.Error("a timer that was stopped goes off") })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop does not say that the timer was set, or says so again")
		}
		late := c.NewTimer(time.Hour)
		if !late.Reset(time.Millisecond) {
			t.Error("Reset does not say that the timer was set")
		}
		<-late.C
		<-c.NewTimer(-1).C
		closed := make(chan struct{})
		close(closed)
		if !c.Within(time.Hour, closed) || c.Within(time.Millisecond, nil) {
			t.Error("Within does not say what was first")
		}
	})
}

// TestStopAtTheMoment stops timers when they are about to go off: one of both happens.
func TestStopAtTheMoment(t *testing.T) {
	testkit.CheckLeaks(t)
	onClock(t, func(t *testing.T, c clock.Clock) {
		for i := range 200 {
			fired := make(chan struct{}, 1)
			timer := c.AfterFunc(time.Duration(i)*time.Microsecond, func() { fired <- struct{}{} })
			for begin := c.Now(); c.Now().Sub(begin) < 100*time.Microsecond; {
				runtime.Gosched()
			}
			if !timer.Stop() {
				<-fired
			}
			if len(fired) > 0 {
				t.Error("it has gone off, and was stopped")
			}
		}
	})
}

// TestPlainTimersAreTheBubbles has the zero Clock pass the bubble's time.
func TestPlainTimersAreTheBubbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		<-clock.Clock{}.NewTimer(time.Hour).C
		if took := time.Since(begin); took != time.Hour || !(clock.Clock{}).Now().Equal(time.Now()) {
			t.Errorf("a timer of an hour took %v", took)
		}
	})
}
