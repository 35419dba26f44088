package supervisor

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// wiretap is a worker's requests: it keeps what is written to it, write by write.
type wiretap struct {
	mu     sync.Mutex
	writes []string
	err    error // of every write
}

func (w *wiretap) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.writes = append(w.writes, string(b))
	return len(b), nil
}

func (w *wiretap) Close() error { return nil }

func (w *wiretap) check(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.writes, want) {
		t.Errorf("written: %q, want %q", w.writes, want)
	}
}

func panics(why string) bool { panic(why) }

// newConn returns a conn to w that waits for an hour.
func newConn(w io.Writer) *conn {
	c := new(conn)
	c.init(w, func(p *patience) bool {
		return p.look(time.Now(), transport.Activity{}, time.Hour) && panics("it was found deaf")
	})
	return c
}

func TestConnKeepsTheOrder(t *testing.T) {
	var w wiretap
	c := newConn(&w)
	c.flush() // of nothing
	w.check(t)
	c.queue.push([]byte("a"))
	c.queue.push([]byte("b"))
	w.check(t)
	if err := c.write([]byte("now"), 0, nil); err != nil { // it may overtake: what waits belongs to calls that have ended
		t.Error(err)
	}
	c.flush()
	w.check(t, "now", "ab")
	c.flush() // not again
	w.check(t, "now", "ab")

	c.queue.push([]byte("c"))
	c.queue.push([]byte("d"))
	frames, bells := c.queue.pop([]byte("before "))
	if string(frames) != "before cd" || bells != 2 {
		t.Errorf("popped %q with %d for the executor, want both", frames, bells)
	}
	c.queue.push([]byte("e")) // must not spoil what was popped
	if string(frames) != "before cd" {
		t.Errorf("what was popped has become %q", frames)
	}
	if frames, bells = c.queue.pop(nil); string(frames) != "e" || bells != 1 {
		t.Errorf("popped %q with %d, want the last", frames, bells)
	}
	if frames, bells = c.queue.pop(nil); len(frames) != 0 || bells != 0 {
		t.Errorf("popped %q with %d, want nothing", frames, bells)
	}
}

// TestConnRingsTheDoorbell has the doorbell show what was written before, too.
func TestConnRingsTheDoorbell(t *testing.T) {
	segment, err := shm.Create(shm.Options{})
	if err != nil {
		t.Skip("there is no shared segment here: ", err)
	}
	defer segment.Close()
	up, down := segment.Inherit()
	defer down.Close()
	mapping, err := shm.Map(up, down)
	if err != nil {
		t.Fatal(err)
	}
	var w wiretap
	c := newConn(&w)
	for i, step := range []struct {
		bells   uint64
		segment *shm.Segment
		want    uint64 // on the doorbell
	}{
		{0, segment, 0},
		{1, segment, 1},
		{2, nil, 1}, // the executor hears of these as it reads
		{0, segment, 1},
		{1, segment, 4},
	} {
		if err := c.write([]byte("x"), step.bells, step.segment); err != nil {
			t.Fatal(err)
		}
		if got := mapping.Doorbell(); got != step.want {
			t.Errorf("after step %d the doorbell shows %d, want %d", i, got, step.want)
		}
	}
	c.queue.push([]byte("y"))
	c.flush()
	if got := mapping.Doorbell(); got != 4 || c.doorbells != 5 {
		t.Errorf("the doorbell shows %d, and %d are counted, want 4 and 5", got, c.doorbells)
	}
	w.err = errors.New("broken")
	if err := c.write([]byte("z"), 1, segment); err != w.err || mapping.Doorbell() != 4 {
		t.Errorf("%v; the doorbell shows %d for what was not written", err, mapping.Doorbell())
	}
}

func TestConnDrop(t *testing.T) {
	var w wiretap
	c := newConn(&w)
	c.queue.push([]byte("a"))
	c.queue.close()
	c.queue.push([]byte("b"))
	c.flush()
	w.check(t)
	if frames, _ := c.queue.pop(nil); len(frames) != 0 {
		t.Errorf("%q has been kept", frames)
	}
}

func TestConnRecalls(t *testing.T) {
	c := newConn(io.Discard)
	for i, step := range []struct {
		op   func() bool
		want bool
	}{
		{c.answered, false}, // it was not asked
		{c.recalling, true},
		{c.recalling, false}, // one is on its way
		{c.answered, true},
		{c.answered, false},
		{c.recalling, true},
		{c.answered, true},
	} {
		if got := step.op(); got != step.want {
			t.Errorf("step %d reports %v", i, got)
		}
	}
}

// deafTest is a conn to a pipe that a worker should read, and when it was found not to.
type deafTest struct {
	conn
	worker *io.PipeReader
	begun  time.Time
	deafAt atomic.Int64 // nanoseconds from begun on; 0: it was not
	done   chan error   // what the write returns
}

// foundDeaf is when the worker was found deaf.
func (d *deafTest) foundDeaf() time.Duration { return time.Duration(d.deafAt.Load()) }

const deafLimit = 8 * time.Second

// startDeafTest starts to write n bytes to a worker that does what did says. It is for a
// bubble.
func startDeafTest(n int, did transport.Activity) *deafTest {
	d := &deafTest{begun: time.Now(), done: make(chan error, 1)}
	r, w := io.Pipe()
	d.worker = r
	d.init(w, func(p *patience) bool {
		if !p.look(time.Now(), did, deafLimit) {
			return false
		}
		d.deafAt.CompareAndSwap(0, int64(time.Since(d.begun)))
		r.CloseWithError(errDeaf) // as killing a process makes the write fail
		return true
	})
	go func() { d.done <- d.write(make([]byte, n), 0, nil) }()
	return d
}

// TestConnFindsAWorkerDeaf has a worker not read that could, and one that may not have had
// the chance.
func TestConnFindsAWorkerDeaf(t *testing.T) {
	for _, test := range []struct {
		did  transport.Activity
		want time.Duration
	}{
		{transport.Activity{Known: true}, lookSilent + maxSilence},
		{transport.Activity{Known: true, Eager: true}, lookSilent + deafLimit},
		{transport.Activity{}, lookSilent + deafLimit},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := startDeafTest(10, test.did)
			if err := <-d.done; !errors.Is(err, errDeaf) || d.foundDeaf() != test.want {
				t.Errorf("%+v: after %v: %v, want after %v", test.did, d.foundDeaf(), err, test.want)
			}
			if d.writing.Load() {
				t.Error("it is still writing")
			}
		})
	}
}

// TestConnIsPatientWithAWorkerThatReads has a worker take each step of a long frame just in
// time, and stop reading at the last.
func TestConnIsPatientWithAWorkerThatReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			steps = 4
			late  = deafLimit - time.Millisecond // at no look
		)
		d := startDeafTest((steps+1)*writeStep, transport.Activity{})
		for range steps {
			time.Sleep(late) // allowed: fake time, in a bubble
			if _, err := io.ReadFull(d.worker, make([]byte, writeStep)); err != nil {
				t.Fatal(err)
			}
		}
		err := <-d.done
		if want := steps*late + lookSilent + deafLimit; !errors.Is(err, errDeaf) || d.foundDeaf() != want {
			t.Errorf("after %v: %v, want after %v", d.foundDeaf(), err, want)
		}
	})
}

func TestConnDoesNotWatchWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startDeafTest(10, transport.Activity{})
		time.Sleep(deafLimit / 2) // allowed: fake time, in a bubble
		if b, err := io.ReadAll(io.LimitReader(d.worker, 10)); err != nil || !bytes.Equal(b, make([]byte, 10)) {
			t.Errorf("%v, %v", b, err)
		}
		if err := <-d.done; err != nil {
			t.Error(err)
		}
		time.Sleep(10 * deafLimit) // allowed: fake time, in a bubble; no frame is being written
		if d.foundDeaf() != 0 {
			t.Errorf("found deaf after %v", d.foundDeaf())
		}
		d.begun = time.Now()
		go func() { d.done <- d.write([]byte("more"), 0, nil) }()
		if err := <-d.done; !errors.Is(err, errDeaf) || d.foundDeaf() != lookSilent+deafLimit {
			t.Errorf("the next frame: after %v: %v", d.foundDeaf(), err)
		}
	})
}

// TestConnForgivesItsOwnStop has this process stopped for long while a frame is being
// written: of all looks that were due meanwhile, one comes.
func TestConnForgivesItsOwnStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stopped = 100 * deafLimit
		d := startDeafTest(10, transport.Activity{})
		time.Sleep(deafLimit/2 + time.Millisecond) // allowed: fake time, in a bubble; half of the looks have been
		d.stall.Stop()
		time.Sleep(stopped) // allowed: fake time, in a bubble
		d.lookStalled()
		err := <-d.done
		if want := deafLimit - lookSilent + stopped + time.Millisecond; !errors.Is(err, errDeaf) || d.foundDeaf() != want {
			t.Errorf("after %v: %v, want after %v", d.foundDeaf(), err, want)
		}
	})
}

// TestAFailedWriteUsesNoNumber has writes fail of which nothing is written.
func TestAFailedWriteUsesNoNumber(t *testing.T) {
	var w wiretap
	c := newConn(&w)
	frame := wire.Finish(append(wire.Begin(nil, wire.KindStop), "stop"...))
	for i := range 6 {
		if w.err = nil; i%2 == 1 {
			w.err = errors.New("broken")
		}
		if err := c.write(bytes.Repeat(frame, 2), 0, nil); err != w.err {
			t.Fatal(err)
		}
	}
	r := wire.NewReader(strings.NewReader(strings.Join(w.writes, "")), 100)
	for range 6 {
		if _, payload, err := r.Next(); string(payload) != "stop" || err != nil {
			t.Fatalf("%q, %v", payload, err)
		}
	}
}

func TestConnNumbersItsFrames(t *testing.T) {
	var w bytes.Buffer
	c := newConn(&w)
	frame := wire.Finish(append(wire.Begin(nil, wire.KindStop), "stop"...))
	c.queue.push(frame)
	for range 3 {
		if err := c.write(bytes.Repeat(frame, 2), 0, nil); err != nil {
			t.Fatal(err)
		}
		c.flush()
	}
	r := wire.NewReader(&w, 100)
	for range 7 {
		if kind, payload, err := r.Next(); kind != wire.KindStop || string(payload) != "stop" || err != nil {
			t.Fatalf("kind %d, %q, %v", kind, payload, err)
		}
	}
}
