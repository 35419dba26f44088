package supervisor

import (
	"bytes"
	"io"
	"sync"

	"example.com/parallel/internal/transport"
)

// output is what a worker prints. The zero value is ready.
type output struct {
	relays sync.WaitGroup
	stderr tail
}

// relay starts to carry from, which it closes in the end, to a sink. keep, if not nil, also
// takes what passes. A nil from has nothing to carry.
func (o *output) relay(from transport.Stream, to func() io.Writer, sink *sink, keep *tail) {
	if from == nil {
		return
	}
	r := &relay{from: from, to: to, sink: sink, keep: keep}
	o.relays.Go(r.run)
}

// sink is where the output of all workers of a pool goes, one write at a time.
type sink struct{ mu sync.Mutex }

// write writes lines. What goes wrong is not the items' fault.
func (s *sink) write(to func() io.Writer, lines []byte) {
	if len(lines) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = to().Write(lines)
}

// relay carries one output of a worker in whole lines, so that the lines of several workers
// do not mix.
type relay struct {
	from transport.Stream
	to   func() io.Writer
	sink *sink
	keep *tail // nil: nothing is kept
}

// relayLine is how long a line may be before it is passed on in parts.
const relayLine = 64 << 10

// run carries until the worker's end is closed.
func (r *relay) run() {
	defer r.from.Close()
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)] // grow
		}
		n, err := r.from.Read(buf[len(buf):cap(buf)])
		if r.keep != nil {
			r.keep.write(buf[len(buf) : len(buf)+n])
		}
		buf = buf[:len(buf)+n]
		whole := bytes.LastIndexByte(buf, '\n') + 1
		if err != nil || whole == 0 && len(buf) >= relayLine {
			whole = len(buf)
		}
		r.sink.write(r.to, buf[:whole])
		buf = append(buf[:0], buf[whole:]...)
		if err != nil {
			return
		}
	}
}
