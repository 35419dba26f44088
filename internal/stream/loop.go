package stream

// The loop's side of a stream: the caller's goroutine, which takes the results.

// take waits for the next pair whose turn has come. It returns false when nothing more will
// be ready.
func (s *Stream[T, R]) take() (r R, err error, ok bool) {
	var i int
	var e *entry[T, R]
	if s.bag != nil {
		i, e = s.nextDone()
	} else {
		i, e = s.nextInOrder()
	}
	if e == nil {
		return r, nil, false
	}
	r, err = e.result, e.err
	if !e.done.isSet() { // it was read, and the workers have ended
		err = s.unrun(i)
	}
	e.free()
	s.window.took()
	return r, err, true
}

// nextInOrder waits until the item after those that have been taken is done; a nil entry
// means that there is none.
func (s *Stream[T, R]) nextInOrder() (int, *entry[T, R]) {
	next := s.window.toTake()
	if e := s.ring.at(next); e != nil && e.done.isSet() {
		return next, e
	}
	done := func() bool {
		e := s.ring.at(next)
		return e != nil && e.done.isSet()
	}
	if !s.window.await(int64(next), done) {
		return 0, nil
	}
	return next, s.ring.at(next)
}

// nextDone waits until an item is done, and takes it out of the bag; a nil entry means that
// there is none.
func (s *Stream[T, R]) nextDone() (i int, e *entry[T, R]) {
	if i, e = s.bag.pop(); e != nil {
		return i, e
	}
	s.window.await(anyItem, func() bool {
		i, e = s.bag.pop()
		return e != nil
	})
	return i, e
}

// unrun is the error of item i, which did not run because the call ended.
func (s *Stream[T, R]) unrun(i int) error {
	return s.call.Config().Errors.Item(i, s.call.EndCause(), nil)
}
