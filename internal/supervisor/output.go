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

// relay starts to carry from, which it closes in the end, to where the pool sends it.
// outputMu is held while writing there; all workers of a pool share it. keep, if not nil,
// also takes what passes. A nil from has nothing to carry.
func (o *output) relay(from transport.Stream, to func() io.Writer, outputMu *sync.Mutex, keep *tail) {
	if from == nil {
		return
	}
	r := &relay{from: from, to: to, mu: outputMu, keep: keep}
	o.relays.Go(r.run)
}

// relay carries one output of a worker in whole lines, so that the lines of several workers
// do not mix.
type relay struct {
	from transport.Stream
	to   func() io.Writer
	mu   *sync.Mutex // held while writing to to
	keep *tail       // nil: nothing is kept
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
		r.write(buf[:whole])
		buf = append(buf[:0], buf[whole:]...)
		if err != nil {
			return
		}
	}
}

func (r *relay) write(lines []byte) {
	if len(lines) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.to().Write(lines) // a broken destination is not the items' fault
}
