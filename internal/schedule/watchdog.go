package schedule

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/cost"
)

// watchEvery is how often the watchdog looks. An inline call that is still running at the
// look after the one that first saw it is to yield.
const watchEvery = time.Millisecond

// watchRounds is for how many looks there must have been no inline call before the timer is
// stopped. Starting it costs about as much as a call of a hundred items.
const watchRounds = 4

// watchdog notices when an inline call has met an item that takes long, and has it yield, so
// that the items behind that one need not wait. The call looks at no clock, since that would
// cost more than tiny items do. It occupies a slot instead, and a timer looks at all slots
// while there are such calls.
type watchdog struct {
	armed atomic.Bool // the timer is set
	timer *time.Timer // stopped by nothing but look; init makes it

	mu    sync.Mutex
	slots []weak.Pointer[Slot] // a slot that the pool dropped is forgotten
	quiet int                  // looks since there was a call
}

var dog watchdog

// init makes the timer, since one that is made in a testing/synctest bubble would belong to
// that.
func init() {
	dog.timer = time.AfterFunc(time.Hour, dog.look)
	dog.timer.Stop()
}

// Slot is where the watchdog sees an inline call. Calls get one from slots and put it back,
// so that callers on several processors do not share one.
type Slot struct {
	calls atomic.Uint32 // raised when a call begins and when it ends: odd in between
	yield atomic.Uint32 // not zero: the call should give up what it has not begun
	seen  uint32        // what calls was at the last look; guarded by the watchdog's mutex
	kept  Yielder       // hears of yield; nil: none. The call's, but written with that mutex held

	_ [cacheLine]byte // what each call writes is on cache lines of its own
}

var slots = sync.Pool{New: func() any { return dog.newSlot() }}

func (d *watchdog) newSlot() *Slot {
	s := new(Slot)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slots = append(d.slots, weak.Make(s))
	return s
}

// enter begins a call in the slot.
func (s *Slot) enter() {
	s.calls.Add(1)
	if !dog.armed.Load() {
		dog.arm()
	}
}

// leave ends it.
func (s *Slot) leave() {
	s.calls.Add(1)
	if s.yield.Load() != 0 {
		s.yield.Store(0)
		if s.kept != nil {
			s.kept.Yield(false)
		}
	}
}

// measures reports whether a call of f, which has been entered, is to be measured.
func (s *Slot) measures(f *cost.Function) bool {
	return f.Doubted() || s.calls.Load()/2%measureEvery == 0
}

// Kept is what was kept last; nil if nothing was.
func (s *Slot) Kept() Yielder { return s.kept }

// Keep has y hear when the calls in the slot are to yield, from now on and until something
// else is kept.
func (s *Slot) Keep(y Yielder) {
	dog.mu.Lock()
	defer dog.mu.Unlock()
	s.kept = y
}

// raiseLocked has the call in the slot yield. The flag comes last: leave may come in between,
// and takes back both only if it finds the flag. So what is kept is never left raised without
// the flag, which the slot's next call would not take back.
func (s *Slot) raiseLocked() {
	if s.kept != nil {
		s.kept.Yield(true)
	}
	s.yield.Store(1)
}

// arm sets the timer. In a testing/synctest bubble it does not: the timer would go off by the
// bubble's time, which is decades away from the system's, and not be set again before that.
func (d *watchdog) arm() {
	if clock.Bubbled() || !d.armed.CompareAndSwap(false, true) {
		return
	}
	d.timer.Reset(watchEvery)
}

// look looks at all slots, and sets the timer again unless there have been no calls for a
// while.
func (d *watchdog) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quiet++; d.scanLocked() {
		d.quiet = 0
	}
	if d.quiet >= watchRounds {
		d.quiet = 0
		d.armed.Store(false)
		// A call that came just before may have relied on the timer; one that comes from
		// now on arms it.
		if !d.scanLocked() || !d.armed.CompareAndSwap(false, true) {
			return
		}
	}
	d.timer.Reset(watchEvery)
}

// scanLocked reports whether there has been a call since the last look, and has each call
// yield that is the same as then.
func (d *watchdog) scanLocked() (calls bool) {
	d.slots = slices.DeleteFunc(d.slots, func(w weak.Pointer[Slot]) bool {
		s := w.Value()
		if s == nil {
			return true
		}
		now := s.calls.Load()
		running := now%2 == 1
		if running && now == s.seen {
			s.raiseLocked()
		}
		if running || now != s.seen {
			calls = true
		}
		s.seen = now
		return false
	})
	return calls
}
