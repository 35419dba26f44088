package stream

import "example.com/parallel/internal/guard"

// The input's side of a stream: one goroutine, which ranges over the sequence.

// feed is how far the input has come.
type feed[T, R any] struct {
	read    int            // items that were read
	mayRead int            // how many may be, without a look at the others
	segment *segment[T, R] // where the last one lies
}

// read ranges over the input, and takes in how that ended.
func (s *Stream[T, R]) read() {
	var end guard.End
	exhausted := false
	defer func() { // even if the input calls runtime.Goexit
		s.window.inputEnded(end, exhausted) // before the workers may end because of it
		s.call.CloseInput()
	}()
	guard.Catch(func() { exhausted = s.pushAll() }, func(v any) { end = guard.Caught(v) })
}

// pushAll makes the items of the input available, one after the other as there is space. It
// reports false if it has stopped before the input's end.
func (s *Stream[T, R]) pushAll() bool {
	if !s.hasSpace() {
		return false
	}
	for item := range s.items {
		s.push(item)
		if !s.hasSpace() {
			return false
		}
	}
	return true
}

// hasSpace waits until the input may be asked for another item. It returns false if it must
// not be asked any more.
func (s *Stream[T, R]) hasSpace() (ok bool) {
	f := &s.feed
	if f.read < f.mayRead && !stopped(s.call, f.read) {
		return true
	}
	f.mayRead, ok = s.window.waitForSpace(f.read)
	return ok
}

// push makes one more item available.
func (s *Stream[T, R]) push(item T) {
	f := &s.feed
	number, k := split(f.read)
	if k == 0 {
		f.segment = s.slots.begin(number)
	}
	f.segment.items[k] = item
	f.read++
	s.call.Extend(1)
}
