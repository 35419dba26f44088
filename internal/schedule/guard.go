package schedule

// Code of the user's may panic or call runtime.Goexit in place of returning. A Goexit cannot
// be stopped, and goes on even if a deferred function panics on its way and that panic is
// recovered. So catch says how a function ended, and guard that the goroutine is ending.

// catch calls f. If f panics, or calls runtime.Goexit, caught gets the panic's value, or nil,
// in a deferred function: the stack is still there. A panic stops here.
func catch(f func(), caught func(v any)) {
	returned := false
	defer func() {
		if !returned {
			caught(recover())
		}
	}()
	f()
	returned = true
}

// guard calls f, and lost if f does not return: what has to be done all the same is done
// there, since guard does not return then.
func guard(f, lost func()) {
	returned := false
	defer func() {
		if !returned {
			lost()
		}
	}()
	f()
	returned = true
}
