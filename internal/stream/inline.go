package stream

import (
	"sync/atomic"

	"example.com/parallel/internal/schedule"
)

// The generic code of this package is compiled in the user's package, which knows of this
// one only what package parallel exports of it: a function that is called here for each item
// is inlined there only if package parallel has inlined it too. So package parallel inlines
// InlineFlag, InlineWord and InlineCall, and runs none of them.

// InlineFlag calls what runs for each item. It is one of several because one would be too
// large to be inlined.
func InlineFlag() {
	var f flag
	raised(nil)
	f.raise()
	f.clear()
	f.isSet()
}

// InlineWord is another one.
func InlineWord(word *atomic.Uint64, w *window) {
	markDone(word, bitsFrom(split(w.toTake())))
}

// InlineCall is another one.
func InlineCall(c *schedule.Call) { stopped(c, 0) }

// raised reports whether a worker should look up between items.
func raised(yield *atomic.Uint32) bool { return yield.Load() != 0 }

func stopped(c *schedule.Call, i int) bool { return c.Stopped(i) }

// markDone sets bits in a word.
func markDone(word *atomic.Uint64, bits uint64) { word.Or(bits) }

// flag is a boolean that one party sets and another clears.
type flag struct{ on atomic.Bool }

// raise sets it, and reports whether it was clear.
func (f *flag) raise() bool { return f.on.CompareAndSwap(false, true) }
func (f *flag) clear()      { f.on.Store(false) }
func (f *flag) isSet() bool { return f.on.Load() }
