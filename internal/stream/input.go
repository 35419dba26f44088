package stream

import "example.com/parallel/internal/guard"

// The input's side of a stream: one goroutine, which ranges over the sequence.

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
	if !s.window.waitForSpace() {
		return false
	}
	for item := range s.items {
		s.push(item)
		if !s.window.waitForSpace() {
			return false
		}
	}
	return true
}

// push makes one more item available.
func (s *Stream[T, R]) push(item T) {
	i := s.window.next()
	if s.bag != nil {
		s.bag.add(i, item)
	} else {
		s.ring.add(i).item = item
	}
	s.window.added(i)
	s.call.Extend(1)
}
