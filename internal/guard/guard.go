// Package guard calls code of the user's, which may panic or call runtime.Goexit in place of
// returning, and has done all the same what must be done.
//
//	f                        Catch                   Run                  Apart
//	returns                  goes on                 goes on              goes on
//	panics                   calls caught, goes on   calls lost, panics   goes on
//	calls Goexit             calls caught, ends      calls lost, ends     goes on
//	panics during a Goexit   calls caught, ends      calls lost, ends     goes on
//
// A Goexit cannot be stopped. It goes on even if a deferred function panics on its way and
// that panic is recovered. So Catch says how f ended, and Run, around it, that the goroutine
// is ending:
//
//	guard.Run(func() {
//		guard.Catch(f, func(v any) { err = recovered(v) })
//	}, func() { go theRest() })
//
// Apart gives f a goroutine of its own, which is all that a Goexit then ends. It costs about
// a microsecond. An End says how f ended, so that another goroutine can go on with that.
//
// Methods calls the methods that errors have, and makes their ends into results.
//
// The package knows nothing of what else it calls. It has no state and no locks.
package guard

import "runtime"

// Catch calls f. If f panics or calls runtime.Goexit, Catch calls caught with the panic's
// value, or with nil, in a deferred function: the stack is still there. A panic stops here,
// a Goexit does not.
func Catch(f func(), caught func(v any)) {
	returned := false
	defer func() {
		if !returned {
			caught(recover())
		}
	}()
	f()
	returned = true
}

// Run calls f. If f does not return, Run calls lost in a deferred function, since Run does
// not return then either.
func Run(f, lost func()) {
	returned := false
	defer func() {
		if !returned {
			lost()
		}
	}()
	f()
	returned = true
}

// Apart calls f in a goroutine of its own, and returns when that has ended, and how.
func Apart(f func()) (end End) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		Catch(f, func(v any) { end = Caught(v) })
	}()
	<-done
	return end
}

// An End is how a call of code of the user's ended. The zero End says that it returned.
type End struct {
	panicked any // what it panicked with; nil: it did not
	goexit   bool
}

// Caught is the End that Catch calls caught with.
func Caught(v any) End { return End{panicked: v, goexit: v == nil} }

// Returned reports whether the call returned.
func (e End) Returned() bool { return e.panicked == nil && !e.goexit }

// Value is what the call panicked with; nil if it returned or called runtime.Goexit.
func (e End) Value() any { return e.panicked }

// Resume goes on with the end in the calling goroutine: it panics with the same value, or calls
// runtime.Goexit, or does nothing if the call returned.
func (e End) Resume() {
	switch {
	case e.goexit:
		runtime.Goexit()
	case e.panicked != nil:
		panic(e.panicked)
	}
}

// String says how the call ended, behind a subject. It may run methods of the panic's value,
// whose panics it survives.
func (e End) String() string {
	switch {
	case e.goexit:
		return "called runtime.Goexit"
	case e.panicked != nil:
		return "panicked: " + Print(e.panicked)
	}
	return "returned"
}
