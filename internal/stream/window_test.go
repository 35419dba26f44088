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
	for w.call.Extended()-w.toTake() < w.ahead() {
		w.call.Extend(1)
	}
	return w.call.Extended()
}

func TestWindowReadsAheadByWhatItemsTake(t *testing.T) {
	const none = -1 // nothing was encoded
	for _, test := range []struct {
		cost    time.Duration // 0: not known
		encoded int
		want    int // per worker
	}{
		{0, none, aheadSlow}, {time.Nanosecond, none, aheadFast}, {fastItem - 1, none, aheadFast},
		{fastItem, none, aheadSlow}, {time.Second, none, aheadSlow},
		{0, 0, aheadSlow}, {time.Nanosecond, 0, aheadDeep}, {time.Nanosecond, smallItem - 1, aheadDeep}, {time.Nanosecond, smallItem, aheadFast},
		{time.Microsecond, 8, 1000}, {5 * time.Microsecond, 8, aheadFast}, {fastItem - 1, 8, aheadFast}, {fastItem, 8, aheadSlow},
	} {
		for _, workers := range []int{1, 3} {
			w := newWindow(t, workers)
			if test.cost > 0 {
				w.call.Cost().Set(test.cost)
			}
			if test.encoded != none {
				w.encoded(test.encoded)
			}
			if got := w.fill(); got != test.want*workers {
				t.Errorf("with %d workers and items of %v and %d bytes, %d are read, want %d", workers, test.cost, test.encoded, got, test.want*workers)
			}
			if got := w.size(test.encoded != none); got < w.call.Extended() {
				t.Errorf("the window's size is %d, and %d items are in it", got, w.call.Extended())
			}
		}
	}
}

// TestWindowForgetsSmallItems has a large item come after small ones, and the reverse.
func TestWindowForgetsSmallItems(t *testing.T) {
	w := newWindow(t, 1)
	w.call.Cost().Set(time.Nanosecond)
	for _, test := range []struct{ size, want int }{{8, aheadDeep}, {1000, aheadFast}, {8, aheadDeep}} {
		if w.encoded(test.size); w.ahead() != test.want {
			t.Errorf("behind an item of %d bytes, %d are read ahead, want %d", test.size, w.ahead(), test.want)
		}
	}
}

// TestWindowLooksAgain has the input look at how far it may read after each few items: what
// they take may have been learned.
func TestWindowLooksAgain(t *testing.T) {
	w := newWindow(t, 1)
	w.call.Cost().Set(time.Microsecond)
	for _, test := range []struct{ read, want int }{{0, lookEvery}, {7, 7 + lookEvery}, {aheadFast - 3, aheadFast}} {
		if got, ok := w.waitForSpace(test.read); got != test.want || !ok {
			t.Errorf("when %d are read, there is space up to %d, %v; want %d", test.read, got, ok, test.want)
		}
	}
	w.took()
	if got, ok := w.waitForSpace(aheadFast); got != aheadFast+1 || !ok {
		t.Errorf("when one was taken, there is space up to %d, %v; want %d", got, ok, aheadFast+1)
	}
}

func TestWindowKnowsTheLowestFailure(t *testing.T) {
	first, lower := errors.New("first"), errors.New("lower")
	w := newWindow(t, 1)
	if w.wanted(7) != full {
		t.Error("an item is not wanted, though none has failed")
	}
	w.fail(schedule.Failure{Index: 200, Err: first})
	w.fail(schedule.Failure{Index: 70, Err: lower})
	w.fail(schedule.Failure{Index: 100, Err: first})
	if err := w.state().failed; err != lower {
		t.Errorf("the failure is %v", err)
	}
	for number, want := range []uint64{full, 1<<6 - 1, 0, 0} {
		if got := w.wanted(number); got != want {
			t.Errorf("of segment %d, %#x are wanted, want %#x", number, got, want)
		}
	}
}

// hasSpace waits until there is space behind what was read.
func (w *window) hasSpace() bool {
	_, ok := w.waitForSpace(w.call.Extended())
	return ok
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
		ended := waiting(w.hasSpace)
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
		ended := waiting(w.hasSpace)
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
	if w.hasSpace() {
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
		{"its item is done", 3, func(w *window, done *bool) { *done = true; w.finished(3, 1) }, true, true},
		{"another one is done", 3, func(w *window, _ *bool) { w.finished(4, 1) }, false, false},
		{"any item is done", anyItem, func(w *window, done *bool) { *done = true; w.finished(anyItem, 1) }, true, true},
		{"the workers have ended", 3, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, false) }, true, false},
		{"the workers have ended and owe it", 3, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, true) }, true, true},
		{"the workers have ended and owe those before it", 5, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, true) }, true, false},
		{"the workers have ended and none is ready", anyItem, func(w *window, _ *bool) { w.workersEnded(nil, guard.End{}, true) }, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWindow(t, 1)
				w.call.Extend(5)
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
	w.call.Extend(1)
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
	if got, want := w.state(), (ending{true, 1, startErr, true, guard.Caught("bad"), guard.Caught(nil), nil}); got != want {
		t.Errorf("the end is %+v, want %+v", got, want)
	}
}
