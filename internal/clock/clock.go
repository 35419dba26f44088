// Package clock is the system's clock, for what must not stand still in a testing/synctest
// bubble: the limits of time of other processes. The time of a bubble is its own, and stands
// still while any of its goroutines waits for something that is outside, such as a process.
//
// A Timer by the system's clock is a goroutine that waits for a pipe until a deadline, since
// deadlines are the system's, and must be stopped before its bubble can end. On systems whose
// pipes have no deadlines, it is one of the bubble's.
package clock

import (
	"errors"
	"os"
	"sync"
	"time"
)

// Bubbled reports whether the calling goroutine runs in a bubble. Times there have no monotonic
// reading, as those have that time.Now returns elsewhere.
func Bubbled() bool {
	now := time.Now()
	return now == now.Round(0)
}

// A Clock is a clock. The zero Clock is that of package time, which is the bubble's in a bubble.
type Clock struct {
	System bool // the system's clock, in a bubble too
}

// Now is the present. By the system's clock in a bubble, only differences mean something.
func (c Clock) Now() time.Time {
	now := time.Now()
	if c.System && now == now.Round(0) {
		return system(now)
	}
	return now
}

// Timer is as a time.Timer.
type Timer struct {
	C     <-chan time.Time // of NewTimer
	plain *time.Timer      // nil: it goes by the system's clock
	piped *pipeTimer
}

// AfterFunc is as time.AfterFunc.
func (c Clock) AfterFunc(d time.Duration, f func()) *Timer {
	if !c.System {
		return &Timer{plain: time.AfterFunc(d, f)}
	}
	p := &pipeTimer{f: f}
	p.reset(d)
	return &Timer{piped: p}
}

// NewTimer is as time.NewTimer. By the system's clock, C may still hold an earlier time after
// Stop and Reset.
func (c Clock) NewTimer(d time.Duration) *Timer {
	if !c.System {
		t := time.NewTimer(d)
		return &Timer{C: t.C, plain: t}
	}
	fired := make(chan time.Time, 1)
	t := c.AfterFunc(d, func() {
		select {
		case fired <- c.Now():
		default: // the last time has not been looked at
		}
	})
	t.C = fired
	return t
}

// Within waits until done is closed, for d at most, and reports whether it was.
func (c Clock) Within(d time.Duration, done <-chan struct{}) bool {
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// Stop is as that of a time.Timer.
func (t *Timer) Stop() bool {
	if t.plain != nil {
		return t.plain.Stop()
	}
	return t.piped.stop()
}

// Reset is as that of a time.Timer.
func (t *Timer) Reset(d time.Duration) bool {
	if t.plain != nil {
		return t.plain.Reset(d)
	}
	return t.piped.reset(d)
}

// pipeTimer is a Timer by the system's clock.
type pipeTimer struct {
	f func()

	mu  sync.Mutex
	end func() (active bool) // ends what waits, which then does not call f; false: it calls f. nil: nothing waits
}

func (p *pipeTimer) stop() (active bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopLocked()
}

func (p *pipeTimer) stopLocked() (active bool) {
	active = p.end != nil && p.end()
	p.end = nil
	return active
}

func (p *pipeTimer) reset(d time.Duration) (active bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	active = p.stopLocked()
	r, w, err := os.Pipe()
	if err == nil {
		if err = r.SetReadDeadline(time.Now().Add(d)); err != nil {
			r.Close()
			w.Close()
		}
	}
	if err != nil {
		t := time.AfterFunc(d, p.f)
		p.end = t.Stop
		return active
	}
	p.end = func() bool { return w.Close() == nil } // else wait has closed it
	go p.wait(r, w)
	return active
}

// wait calls f at r's deadline, unless w is closed before: whoever closes w decides.
func (p *pipeTimer) wait(r, w *os.File) {
	_, err := r.Read(make([]byte, 1))
	r.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) && w.Close() == nil {
		p.f()
	}
}
