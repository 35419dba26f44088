package parallel

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

// relay carries one output of a worker to where the pool sends it, in whole
// lines, so that the lines of several workers do not mix.
type relay struct {
	from *os.File
	to   func() io.Writer // asked for each line: os.Stdout is a variable
	mu   *sync.Mutex      // held while writing to to; shared by all workers of a pool
	tail *tail            // also takes what passes; may be nil
}

// relayLine is how long a line may be before it is passed on in parts.
const relayLine = 64 << 10

// run carries until the worker's end is closed. It closes from.
func (r *relay) run() {
	defer r.from.Close()
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)] // grow
		}
		n, err := r.from.Read(buf[len(buf):cap(buf)])
		if r.tail != nil {
			r.tail.write(buf[len(buf) : len(buf)+n])
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

// stderrKept is how much of the start and of the end of a worker's standard
// error is kept for a CrashError, in bytes each.
const stderrKept = 4 << 10

// tail keeps the start and the end of what is written to it. The start begins
// anew where a line looks like the Go runtime's last words, since after those
// come stacks that may be longer than all that is kept.
type tail struct {
	mu        sync.Mutex
	head, end []byte
	cut       int  // bytes dropped between head and end
	dying     bool // the last words have been seen: head stays
}

var lastWords = [][]byte{[]byte("fatal error: "), []byte("panic: "), []byte("SIG"), []byte("unexpected fault"), []byte("runtime: ")}

func (t *tail) write(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(p) > 0 {
		line := p
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line = p[:i+1]
		}
		p = p[len(line):]
		t.line(line)
	}
}

func (t *tail) line(line []byte) {
	if !t.dying {
		for _, words := range lastWords {
			if bytes.HasPrefix(line, words) {
				t.head, t.end, t.cut, t.dying = t.head[:0], t.end[:0], 0, true
			}
		}
	}
	if n := min(len(line), stderrKept-len(t.head)); n > 0 && t.cut == 0 && len(t.end) == 0 {
		t.head = append(t.head, line[:n]...)
		line = line[n:]
	}
	t.end = append(t.end, line...)
	if over := len(t.end) - stderrKept; over > 0 {
		t.cut += over
		t.end = append(t.end[:0], t.end[over:]...)
	}
}

// reset forgets everything: what comes now belongs to other items.
func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head, t.end, t.cut, t.dying = nil, nil, 0, false
}

// bytes returns what is kept.
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := append([]byte(nil), t.head...)
	if t.cut > 0 {
		b = append(b, "\n… \n"...)
	}
	return append(b, t.end...)
}

// tellingLine is the line of a crashed process's standard error that says most:
// the runtime's last words, else the last line.
func tellingLine(stderr []byte) string {
	const most = 200
	var last []byte
	for line := range bytes.Lines(stderr) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		last = line
		for _, words := range lastWords[:4] {
			if bytes.HasPrefix(line, words) {
				return string(line[:min(len(line), most)])
			}
		}
	}
	return string(last[:min(len(last), most)])
}

// linger is how long output may still be waited for when a worker has ended and
// something that it started keeps its pipes open from outside its group.
const linger = time.Second
