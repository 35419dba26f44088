package stream

import "sync/atomic"

// The generic code of this package is compiled in the user's package, which knows of this
// one only what package parallel exports of it: a function that is called here for each item
// is inlined there only if package parallel has inlined it too. So package parallel inlines
// InlineFlag and InlineWindow, and runs neither.

// InlineFlag and InlineWindow call what runs for each item. They are two because one would
// be too large to be inlined.
func InlineFlag() {
	var f flag
	raised(nil)
	f.set()
	f.clear()
	f.isSet()
}

// InlineWindow does for the window what InlineFlag does for the flag.
func InlineWindow(w *window) {
	w.toTake()
	w.added(w.next())
}

// raised reports whether a worker should look up between items.
func raised(yield *atomic.Uint32) bool { return yield.Load() != 0 }

// flag is a boolean that one party sets and another sees.
type flag struct{ on atomic.Bool }

func (f *flag) set()        { f.on.Store(true) }
func (f *flag) clear()      { f.on.Store(false) }
func (f *flag) isSet() bool { return f.on.Load() }
