package parallel

import (
	"errors"
	"fmt"
	"time"

	"example.com/parallel/internal/wire"
)

// Who reads what a worker says. A goroutine of the handle's does, the reader, while
// there is something that the worker has been sent and not answered. The caller of a
// short call reads the answer itself: to wake two goroutines, one after the other,
// takes longer than everything else in such a call.

// said is what was met in the pipe.
type said struct {
	kind    wire.Kind
	payload []byte
	err     error // nothing more will come
	breach  error // the worker cannot be trusted
}

// hear reads a frame, as the reader or in its place.
func (h *handle) hear() said {
	kind, payload, err := h.frames.Next()
	f := said{kind: kind, payload: payload, err: err}
	if errors.Is(err, wire.ErrTooLarge) {
		f.breach = err
	}
	return f
}

// next is the next frame for the reader, who waits until one is wanted.
func (h *handle) next() said {
	if h.greeted {
		h.mu.Lock()
		for !h.wanted && (h.lent || !h.waited) {
			h.listen.Wait()
		}
		h.mu.Unlock()
	}
	if f := h.passed; f != nil {
		h.passed = nil
		return *f
	}
	return h.hear()
}

// want has the reader read until nothing is under way; see unwant.
func (h *handle) want() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.wanted {
		h.wanted = true
		h.listen.Signal()
	}
}

// unwant notes that nothing is under way in s. Its sender may have seen that before,
// so that the worker serves another session by now.
func (h *handle) unwant(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == s {
		h.wanted = false
	}
}

// borrow takes the reader's place, if it rests.
func (h *handle) borrow() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lent = h.greeted && !h.wanted && !h.waited
	return h.lent
}

// handOver returns it, with what is the reader's to take in, if that is not nil.
func (h *handle) handOver(f *said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lent, h.passed = false, f
	if h.wanted = f != nil; h.wanted || h.waited {
		h.listen.Signal()
	}
}

// lingerTime is how long the caller of a call that should be over by then waits in a
// system call of its own before it leaves that to the poller.
const lingerTime = 200 * time.Microsecond

// readInPlace reads a frame in place of the reader, and takes it in unless that is the
// reader's to do. It returns false if the reader does not rest. mu is held, but not
// while it waits.
func (s *session) readInPlace() bool {
	if !s.h.borrow() {
		return false
	}
	soon := s.backlog() < lingerTime
	s.mu.Unlock()
	defer s.mu.Lock()
	if soon && !s.h.frames.Buffered() {
		awaitInput(s.h.results, lingerTime)
	}
	f := s.h.hear()
	if f.err == nil && f.kind == wire.KindResults && ranWell(f.payload) {
		if f.breach = s.takeRecords(wire.NewCursor(f.payload), false); f.breach == nil {
			s.h.handOver(nil)
			return true
		}
	}
	s.h.handOver(&f)
	return true
}

// ranWell reports whether there are only results in a frame: errors may be decoded
// by code of the user's.
func ranWell(records []byte) bool {
	for c := wire.NewCursor(records); c.Len() > 0; {
		switch r, err := wire.ReadRecord(c); {
		case err != nil, r.Kind == wire.RecordFailure:
			return false
		}
	}
	return true
}

// persist calls f until it returns. Where code of the user's in f calls Goexit,
// which ends the goroutine, spawn takes another in which f goes on.
func persist(spawn func(func()), f func()) {
	spawn(func() {
		returned := false
		defer func() {
			if !returned {
				persist(spawn, f)
			}
		}()
		f()
		returned = true
	})
}

// read takes in what the worker sends until it ends, and buries it.
func (h *handle) read() {
	if !h.ended {
		if err := h.takeFrames(); err != nil {
			h.kill(fmt.Errorf("it broke the protocol: %w", err))
		}
		h.ended = true
	}
	select {
	case <-h.exited: // as it should be: the end of the process closed the pipe
	case <-time.After(linger):
		h.kill(errors.New("it closed its results"))
	}
	h.bury()
}

// takeFrames takes in frame after frame until there are no more. Its error
// means that the worker cannot be trusted.
func (h *handle) takeFrames() error {
	for {
		if h.records != nil {
			if err := h.takeRecords(); err != nil {
				return err
			}
			h.records = nil
		}
		f := h.next()
		if f.breach != nil {
			return f.breach
		}
		if f.err != nil {
			return nil // it has ended, or closed the pipe, which is no use alive
		}
		if err := h.take(f.kind, f.payload); err != nil {
			return err
		}
	}
}

// take takes in one frame.
func (h *handle) take(kind wire.Kind, payload []byte) error {
	switch {
	case kind == wire.KindHello && !h.greeted:
		h.greeted = true
		var welcome wire.Welcome
		if err := welcome.Parse(payload); err != nil {
			return err
		}
		h.frames.SetMax(int(h.pool.config.MaxMessageBytes) + frameSlack)
		h.welcome <- welcome // has room for it
		return nil
	case kind == wire.KindResults && h.greeted:
		h.records = wire.NewCursor(payload)
		return nil
	default:
		return fmt.Errorf("a frame of kind %d out of turn", kind)
	}
}

func (h *handle) takeRecords() error {
	h.mu.Lock()
	s := h.session
	h.mu.Unlock()
	if s == nil {
		return h.takeStray()
	}
	return s.takeRecords(h.records, false)
}

// takeStray takes in what a worker says that serves no call: how long it was
// busy, and that there was nothing to give back.
func (h *handle) takeStray() error {
	for h.records.Len() > 0 {
		r, err := wire.ReadRecord(h.records)
		if err != nil {
			return err
		}
		if r.Kind != wire.RecordBusy && (r.Kind != wire.RecordRecalled || !h.answered()) {
			return errors.New("an outcome for no call")
		}
	}
	return nil
}

// answered takes in that the worker has answered a recall. It returns false if
// it was not asked.
func (h *handle) answered() bool {
	if h.recalls.Load() == 0 {
		return false
	}
	h.recalls.Add(-1)
	return true
}
