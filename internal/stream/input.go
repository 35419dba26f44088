package stream

// The input's side of a stream: one goroutine, which ranges over the sequence.

// read ranges over the input. It tells the call of each item, and that it has ended.
func (s *Stream[T, R]) read() {
	returned, exhausted := false, false
	defer func() {
		v := recover()
		if !returned && v == nil {
			v = s.call.Config().Errors.Recovered(nil) // runtime.Goexit
		}
		s.window.inputEnded(v, exhausted) // before the workers may end because of it
		s.call.CloseInput()
	}()
	if s.window.waitForSpace() {
		exhausted = true
		for item := range s.items {
			s.push(item)
			if !s.window.waitForSpace() {
				exhausted = false
				break
			}
		}
	}
	returned = true
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
