package parallel

import (
	"errors"
	"fmt"
	"time"

	"example.com/parallel/internal/wire"
)

// Who reads what a worker says: one goroutine at a time, to which frames, records and
// the trays belong.
//
//	nobody      the reader rests, in awaitFrame. Nothing has been sent that is not
//	            answered, or who has sent it reads soon
//	the reader  the handle's goroutine, from when it is wanted until it finds in
//	            awaitFrame that it is not any more
//	a borrower  the caller of a short call, for one frame. To wake two goroutines, one
//	            after the other, takes longer than all else in such a call
//
// A session has the reader wanted while anything is under way, but for a single item
// that its sender waits for in a quiet call. Both change with the session's mutex held.

// said is what was met in the pipe.
type said struct {
	kind    wire.Kind
	payload []byte
	err     error // nothing more will come
	breach  error // the worker cannot be trusted
}

// readFrame reads a frame, as the reader or in its place.
func (h *handle) readFrame() said {
	kind, payload, err := h.frames.Next()
	f := said{kind: kind, payload: payload, err: err}
	if errors.Is(err, wire.ErrTooLarge) {
		f.breach = err
	}
	return f
}

// awaitFrame is the next frame for the reader, who rests until it is wanted, something
// has been handed over to it, or the process has ended.
func (h *handle) awaitFrame() said {
	if h.greeted {
		h.mu.Lock()
		h.rests = true
		for h.lent || !h.wanted && h.passed == nil && !h.waited {
			h.turn.Wait()
		}
		h.rests = false
		h.mu.Unlock()
	}
	if f := h.passed; f != nil {
		h.passed = nil
		return *f
	}
	return h.readFrame()
}

// setWanted says whether the reader is wanted. rouse must follow at some time.
func (h *handle) setWanted(wanted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted = wanted
}

// rouse has the reader look whether it is wanted.
func (h *handle) rouse() { h.turn.Signal() }

// borrow takes the reader's place, if it rests.
func (h *handle) borrow() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lent = h.rests && !h.wanted && h.passed == nil && !h.waited
	return h.lent
}

// handOver gives the reader's place back, with what is the reader's to take in, if that
// is not nil.
func (h *handle) handOver(f *said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lent, h.passed = false, f
	if f != nil || h.waited {
		h.turn.Signal()
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
		s.h.results.linger(lingerTime)
	}
	f := s.h.readFrame()
	if f.err == nil && f.kind == wire.KindResults && ranWell(f.payload) {
		if f.breach = s.takeRecords(wire.NewCursor(f.payload), false); f.breach == nil {
			s.h.handOver(nil)
			return true
		}
	}
	theirs := f // f itself stays on the stack
	s.h.handOver(&theirs)
	return true
}

// ranWell reports whether there are only results in a frame, and few: errors may be
// decoded by code of the user's.
func ranWell(records []byte) bool {
	if len(records) > outboxSize {
		return false
	}
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
		f := h.awaitFrame()
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
		if h.page != nil && !welcome.Mapped { // it had not the addresses for it
			h.page.Close()
			h.page = nil
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
