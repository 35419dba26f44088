//go:build linux

package supervisor

import (
	"bytes"
	"io"
	"testing"
	"time"

	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// quietProcess does nothing, and says what it is told to.
type quietProcess struct {
	noProcess
	activity transport.Activity
	size     int64
}

func (p *quietProcess) Resident() (int64, error) { return p.size, nil }

func (p *quietProcess) Activity() transport.Activity { return p.activity }

// silentSession is a session whose worker says nothing, and which the monitor looks at.
type silentSession struct {
	*distrustfulSession
	process *quietProcess
	now     time.Time
	pings   chan struct{} // closed when the worker is asked to give back what it has not begun
}

// pinged closes a channel at the first write.
type pinged struct{ first chan struct{} }

func (p pinged) Write(b []byte) (int, error) {
	select {
	case <-p.first:
	default:
		close(p.first)
	}
	return len(b), nil
}

func newSilentSession(t *testing.T) *silentSession {
	h := newDistrustfulSession(t, false)
	s := &silentSession{h, &quietProcess{activity: transport.Activity{Known: true}, size: 100 << 20}, time.Unix(0, 0), make(chan struct{})}
	h.worker.link.Process = s.process
	h.worker.status = serving
	h.worker.pool.config.StartTimeout = 10 * time.Second
	h.worker.reader.frames = wire.NewReader(bytes.NewReader(nil), 100)
	h.worker.conn.init(pinged{s.pings}, h.worker.deaf)
	h.worker.conn.recalls.Store(0)
	h.mapping.Ring().Stop(0)
	h.mapping.SetRunning(0)
	t.Cleanup(h.tells.Wait)
	return s
}

// look looks at the session every lookSilent for so long, and returns why the worker was
// killed; nil: it was not.
func (s *silentSession) look(d time.Duration) error {
	for end := s.now.Add(d); s.now.Before(end) && s.killed() == nil; s.now = s.now.Add(lookSilent) {
		s.mu.Lock()
		running, _ := s.runningLocked()
		s.lookSilentLocked(s.now, running)
		s.mu.Unlock()
		s.tells.Wait() // what is being written is no silence
	}
	return s.killed()
}

func (s *silentSession) killed() error {
	s.worker.mu.Lock()
	defer s.worker.mu.Unlock()
	return s.worker.reason
}

func TestSilence(t *testing.T) {
	const long, most = time.Hour, 10 * time.Second
	for _, test := range []struct {
		name  string
		setup func(s *silentSession)
		want  error // why the worker is killed
		after time.Duration
	}{
		{"it begins with nothing", func(*silentSession) {}, errSilent, maxSilence},
		{"its items are still being copied", func(s *silentSession) { s.worker.conn.written.Store(1) }, nil, 0},
		{"the second of its items is", func(s *silentSession) { s.worker.conn.written.Store(2) }, errSilent, maxSilence},
		{"a frame is being written", func(s *silentSession) { s.worker.conn.writing.Store(true) }, nil, 0},
		{"what it said is being taken in", func(s *silentSession) { s.busy = true }, nil, 0},
		{"it is running an item", func(s *silentSession) { s.mapping.SetRunning(1) }, nil, 0},
		{"it is stopped in an item", func(s *silentSession) { s.mapping.SetRunning(1); s.process.activity.Stopped = true }, nil, 0},
		{"it is stopped before one", func(s *silentSession) { s.process.activity.Stopped = true }, errSilent, maxSilence},
		{"it gets no processor", func(s *silentSession) { s.process.activity.Eager = true }, errSilent, most},
		{"nothing is known of it", func(s *silentSession) { s.process.activity.Known = false }, errSilent, most},
		{"it may be collecting garbage", func(s *silentSession) { s.worker.pool.config.MaxMemoryBytes = 1 << 30 }, errSilent, maxSilence + time.Second},
		{"nothing is in flight", func(s *silentSession) { s.window.clear() }, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSilentSession(t)
			test.setup(s)
			if got := s.look(long); got != test.want {
				t.Fatalf("it is killed because %v, want %v", got, test.want)
			}
			if took := s.now.Sub(time.Unix(0, 0)); test.want != nil && (took < test.after || took > test.after+3*lookSilent) {
				t.Errorf("it is killed after %v, want after %v", took, test.after)
			}
			if test.want != nil && !s.process.activity.Eager {
				<-s.pings // it was asked before
			}
		})
	}
}

// TestAWorkerThatOnlyAnswers has a silent worker give back what it has not begun, and one that
// has begun an item meanwhile.
func TestAWorkerThatOnlyAnswers(t *testing.T) {
	for _, begins := range []bool{false, true} {
		s := newSilentSession(t)
		s.look(pingSilence + 4*lookSilent)
		<-s.pings
		if begins {
			s.mapping.SetRunning(1)
		}
		first := uint64(1)
		if begins {
			first++
		}
		if err := s.handleDropped(wire.Record{Kind: wire.RecordRecalled, Seq: first, Last: wantedItems + 1}); err != nil {
			t.Fatal(err)
		}
		want := errSilent
		if begins {
			want = nil
		}
		if got := s.killed(); got != want || s.given == 0 {
			t.Errorf("it begins: %v; it is killed because %v, %d items were given back", begins, got, s.given)
		}
	}
}

// TestProgressEndsASilence has a worker say something from time to time.
func TestProgressEndsASilence(t *testing.T) {
	s := newSilentSession(t)
	for range wantedItems {
		if err := s.look(maxSilence); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.window.popFirst(1)
		s.mu.Unlock()
	}
	if err := s.look(time.Hour); err != errSilent {
		t.Errorf("at the last item it is killed because %v", err)
	}
}

// TestStopWithinAFrame has a worker stop in the middle of a frame, while it runs an item; and
// go on in time.
func TestStopWithinAFrame(t *testing.T) {
	for _, goesOn := range []bool{false, true} {
		s := newSilentSession(t)
		s.mapping.SetRunning(1)
		src, dst := io.Pipe()
		s.worker.reader.frames = wire.NewReader(src, 1000)
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _, _ = s.worker.reader.frames.Next()
		}()
		frame := wire.Finish(append(wire.Begin(nil, wire.KindResults), make([]byte, 100)...))
		new(wire.Sealer).Seal(frame)
		_, _ = dst.Write(frame[:50])
		for n, partial := s.worker.reader.frames.Partial(); !partial || n < 50-wire.HeaderLen; n, partial = s.worker.reader.frames.Partial() {
			time.Sleep(time.Microsecond) // allowed: paces the polling
		}
		if err := s.look(maxSilence); err != nil {
			t.Error(err)
		}
		if goesOn {
			_, _ = dst.Write(frame[50:])
			<-read
		}
		if err := s.look(maxSilence); (err == nil) != goesOn {
			t.Errorf("it goes on: %v; killed because %v", goesOn, err)
		}
		if broken := s.worker.brokenBy(); (broken == nil) != goesOn {
			t.Errorf("it goes on: %v; it broke the protocol: %v", goesOn, broken)
		}
		dst.Close()
		<-read
	}
}

// TestAGarbledWordIsReadTwice has what the worker says of itself make no sense for a moment,
// and for good.
func TestAGarbledWordIsReadTwice(t *testing.T) {
	s := newSilentSession(t)
	for i, step := range []struct{ ok, broken bool }{{true, false}, {false, false}, {true, false}, {false, false}, {false, true}} {
		var again agenda
		s.lookGarbledLocked(step.ok, &again)
		if broken := s.worker.brokenBy() != nil; broken != step.broken || !step.ok && again == 0 {
			t.Errorf("look %d: it broke the protocol: %v; the next look is in %v", i, broken, time.Duration(again))
		}
	}
}
