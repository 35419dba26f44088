package stream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/schedule"
)

// newWindow is the window of a call that nothing runs.
func newWindow(t *testing.T, workers int) *window {
	w := new(window)
	config := schedule.Config{Workers: workers, Total: -1, Errors: testErrors{}, Stream: bounded{w}}
	w.init(schedule.New(t.Context(), config))
	return w
}

// bounded passes on to a window that a call's bound has fallen.
type bounded struct{ *window }

func (bounded) Failed(schedule.Failure) {}
func (b bounded) Bounded()              { b.wakeInput() }

// fill reads items until there is no space, and returns how many there are then.
func (w *window) fill() int {
	for w.next()-w.toTake() < w.ahead() {
		w.added(w.next())
	}
	return w.next()
}

func TestWindowReadsAheadByWhatItemsTake(t *testing.T) {
	for _, test := range []struct {
		cost time.Duration // 0: not known
		want int           // per worker
	}{
		{0, aheadSlow}, {time.Nanosecond, aheadFast}, {fastItem - 1, aheadFast}, {fastItem, aheadSlow}, {time.Second, aheadSlow},
	} {
		for _, workers := range []int{1, 3} {
			w := newWindow(t, workers)
			if test.cost > 0 {
				w.call.Cost().Set(test.cost)
			}
			if got := w.fill(); got != test.want*workers {
				t.Errorf("with %d workers and items of %v, %d are read, want %d", workers, test.cost, got, test.want*workers)
			}
			if got := w.size(); got < w.next() {
				t.Errorf("the window's size is %d, and %d items are in it", got, w.next())
			}
		}
	}
}

// waiting runs f in a goroutine and returns when that sleeps or has returned. ended reports
// which.
func waiting[T any](f func() T) (ended func() (T, bool)) {
	result := make(chan T, 1)
	go func() { result <- f() }()
	ended = func() (v T, ok bool) {
		synctest.Wait()
		select {
		case v = <-result:
			return v, true
		default:
			return v, false
		}
	}
	synctest.Wait()
	return ended
}

func TestWindowWakesTheInputWhenHalfIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(t, 2)
		read := w.fill()
		ended := waiting(w.waitForSpace)
		for range read/2 - 1 {
			w.took()
			if _, ok := ended(); ok {
				t.Fatalf("the input goes on when %d of %d items were taken", w.toTake(), read)
			}
		}
		w.took()
		if more, ok := ended(); !ok || !more {
			t.Errorf("the input waits when half has been taken: %v, %v", more, ok)
		}
		if at := w.wakeAt.Load(); at != never {
			t.Errorf("the loop is still asked to wake it at %d", at)
		}
	})
}

func TestWindowEndsTheInputThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(t, 2)
		w.fill()
		ended := waiting(w.waitForSpace)
		if _, ok := ended(); ok {
			t.Fatal("the input does not wait in a full window")
		}
		w.call.End(errors.New("enough"))
		if more, ok := ended(); !ok || more {
			t.Errorf("when the call has ended, the input waits or goes on: %v, %v", more, ok)
		}
	})
}

func TestWindowDoesNotStartTheInputOfAnEndedCall(t *testing.T) {
	w := newWindow(t, 1)
	w.call.End(errors.New("enough"))
	if w.waitForSpace() {
		t.Error("the input may be asked for an item")
	}
}

func TestWindowAwait(t *testing.T) {
	for _, test := range []struct {
		name      string
		item      int64
		event     func(w *window, done *bool)
		woken, ok bool
	}{
		{"its item is done", 3, func(w *window, done *bool) { *done = true; w.finished(3) }, true, true},
		{"another one is done", 3, func(w *window, _ *bool) { w.finished(4) }, false, false},
		{"any item is done", anyItem, func(w *window, done *bool) { *done = true; w.finished(anyItem) }, true, true},
		{"the workers have ended", 3, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, false) }, true, false},
		{"the workers have ended and owe it", 3, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, true) }, true, true},
		{"the workers have ended and owe those before it", 5, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, true) }, true, false},
		{"the workers have ended and none is ready", anyItem, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, true) }, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWindow(t, 1)
				for range 5 {
					w.added(w.next())
				}
				done := false
				ended := waiting(func() bool { return w.await(test.item, func() bool { return done }) })
				if _, ok := ended(); ok {
					t.Fatal("it does not wait")
				}
				test.event(w, &done)
				if ok, woken := ended(); woken != test.woken || ok != test.ok {
					t.Errorf("it is woken: %v, and may take the item: %v; want %v, %v", woken, ok, test.woken, test.ok)
				}
				if test.woken && w.waits.Load() != noItem {
					t.Error("workers are still asked to wake it")
				}
				w.workersEnded(nil, guard.End{}, false)
			})
		})
	}
}

func TestWindowDoesNotWaitForWhatIsDone(t *testing.T) {
	w := newWindow(t, 1)
	if !w.await(0, func() bool { return true }) {
		t.Error("an item that is done may not be taken")
	}
}

func TestWindowKnowsItsEnd(t *testing.T) {
	w := newWindow(t, 1)
	w.added(0)
	if w.allTaken() {
		t.Error("an item that was read counts as taken")
	}
	w.took()
	if !w.allTaken() {
		t.Error("an item that was taken does not count")
	}
	startErr := errors.New("no worker")
	w.inputEnded(guard.Caught("bad"), true)
	w.workersEnded(startErr, guard.Caught(nil), true)
	if got, want := w.state(), (ending{true, 1, startErr, true, guard.Caught("bad"), guard.Caught(nil)}); got != want {
		t.Errorf("the end is %+v, want %+v", got, want)
	}
}
