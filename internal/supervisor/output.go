package supervisor

import (
	"bytes"
	"io"
	"sync"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/transport"
)

// output is what a worker prints. The zero value is ready.
type output struct {
	relays sync.WaitGroup
	stderr tail
}

// relay starts to carry from, which it closes in the end, to a sink. keep, if not nil, also
// takes what passes. A nil from has nothing to carry.
func (o *output) relay(from transport.Stream, to *sink, keep *tail) {
	if from == nil {
		return
	}
	r := &relay{from: from, to: to, keep: keep, buf: make([]byte, 0, 4<<10)}
	persist(o.relays.Go, r.run)
}

// sinks are where the output of all workers of a pool goes, one write at a time. The writers
// are code of the user's.
type sinks struct {
	mu             sync.Mutex // held while a writer runs
	log            *log
	stdout, stderr sink
}

func newSinks(c *Config, log *log) *sinks {
	s := &sinks{log: log}
	s.stdout = sink{all: s, name: "Stdout", to: c.Stdout}
	s.stderr = sink{all: s, name: "Stderr", to: c.Stderr}
	return s
}

// sink is one of them.
type sink struct {
	all  *sinks
	name string // of the pool's field
	to   func() io.Writer
	said sync.Once
}

// write writes lines. What goes wrong is not the items' fault: the lines are lost, which is
// said once. If the writer calls runtime.Goexit, the goroutine ends.
func (s *sink) write(lines []byte) {
	if len(lines) == 0 {
		return
	}
	var end guard.End
	var err error
	defer func() { // no lock is held any more
		if err != nil || !end.Returned() {
			s.said.Do(func() { s.lost(end, err) })
		}
	}()
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	guard.Catch(func() { err = writeAll(s.to(), lines) }, func(v any) { end = guard.Caught(v) })
}

func writeAll(w io.Writer, b []byte) error {
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// lost says that lines have been lost: because of a fault of the writer if it did not return,
// else because of err.
func (s *sink) lost(end guard.End, err error) {
	log := s.all.log
	switch {
	case end.Returned():
		log.warn("parallel: lines that workers print are lost", "output", s.name, "error", err)
	case log.to != nil:
		log.warn("parallel: lines that workers print are lost: the writer does not return", "output", s.name, "writer", end.String())
	default:
		complain("ProcessPool.%s %s: lines that workers print are lost whenever it does so", s.name, end)
	}
}

// relay carries one output of a worker in whole lines, so that the lines of several workers
// do not mix. If a writer ends its goroutine, it goes on in another, behind the lines that it
// was writing.
type relay struct {
	from transport.Stream
	to   *sink
	keep *tail // nil: nothing is kept

	buf   []byte
	sent  int   // bytes at the start of buf that have been written, or are lost
	ended error // of the reading; nil: it goes on
}

// relayLine is how long a line may be before it is passed on in parts.
const relayLine = 64 << 10

// run carries until the worker's end is closed.
func (r *relay) run() {
	for r.ended == nil {
		r.buf = append(r.buf[:0], r.buf[r.sent:]...)
		r.sent = 0
		r.read()
		r.to.write(r.buf[:r.sent])
	}
	r.from.Close()
}

// read reads what there is, and counts in sent what is to be written of it.
func (r *relay) read() {
	if len(r.buf) == cap(r.buf) {
		r.buf = append(r.buf, 0)[:len(r.buf)] // grow
	}
	n, err := r.from.Read(r.buf[len(r.buf):cap(r.buf)])
	if r.keep != nil {
		r.keep.write(r.buf[len(r.buf) : len(r.buf)+n])
	}
	r.buf = r.buf[:len(r.buf)+n]
	r.sent, r.ended = bytes.LastIndexByte(r.buf, '\n')+1, err
	if err != nil || r.sent == 0 && len(r.buf) >= relayLine {
		r.sent = len(r.buf)
	}
}
