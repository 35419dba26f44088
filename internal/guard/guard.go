// Package guard calls code of the user's, which may panic or call runtime.Goexit in place of
// returning, and has done all the same what must be done.
//
//	f                        Catch                   Run
//	returns                  goes on                 goes on
//	panics                   calls caught, goes on   calls lost, panics
//	calls Goexit             calls caught, ends      calls lost, ends
//	panics during a Goexit   calls caught, ends      calls lost, ends
//
// A Goexit cannot be stopped. It goes on even if a deferred function panics on its way and
// that panic is recovered. So Catch says how f ended, and Run, around it, that the goroutine
// is ending:
//
//	guard.Run(func() {
//		guard.Catch(f, func(v any) { err = recovered(v) })
//	}, func() { go theRest() })
//
// Methods calls the methods that errors have, and makes their ends into results.
//
// The package knows nothing of what else it calls. It has no state and no locks.
package guard

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
