package supervisor

import (
	"bytes"
	"sync"
)

// How much of a worker's standard error is kept for a CrashError, in bytes.
const (
	stderrKept  = 4 << 10 // of its start, and of its end
	wordsKept   = 1 << 10 // from the last words on, at the expense of the start
	wordsPrefix = 32      // how much of a line is looked at to tell whether it is last words
)

// tail keeps the start and the end of what is written to it. Behind the Go
// runtime's last words come stacks that may be longer than all that is kept, so
// those words are kept too.
type tail struct {
	mu      sync.Mutex
	total   int    // bytes written
	head    []byte // the first of them
	end     []byte // the last of them, and up to as many again
	words   []byte // those from wordsAt on; nil if there were none
	wordsAt int
	line    []byte // the start of the line that is being written
	decided bool   // whether that line is last words is known
}

var lastWords = [][]byte{[]byte("fatal error: "), []byte("panic: "), []byte("unexpected fault "), []byte("runtime: goroutine stack ")}

// isLastWords reports whether a line that starts so is what the Go runtime says
// when it dies.
func isLastWords(line []byte) bool {
	for _, words := range lastWords {
		if bytes.HasPrefix(line, words) {
			return true
		}
	}
	return bytes.HasPrefix(line, []byte("SIG")) && bytes.Contains(line, []byte(": "))
}

func (t *tail) write(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(p) > 0 {
		part := p
		if !t.decided {
			part = p[:min(len(p), wordsPrefix-len(t.line))]
		}
		newline := bytes.IndexByte(part, '\n')
		if newline >= 0 {
			part = part[:newline+1]
		}
		t.keepLocked(part)
		if !t.decided {
			t.line = append(t.line, part...)
			if newline >= 0 || len(t.line) == wordsPrefix {
				t.decideLocked()
			}
		}
		if newline >= 0 {
			t.line, t.decided = t.line[:0], false
		}
		p = p[len(part):]
	}
}

// keepLocked takes in what may be a part of a line.
func (t *tail) keepLocked(p []byte) {
	t.total += len(p)
	t.head = append(t.head, p[:min(len(p), stderrKept-len(t.head))]...)
	if t.words != nil {
		t.words = append(t.words, p[:min(len(p), wordsKept-len(t.words))]...)
	}
	t.end = append(t.end, p...)
	if over := len(t.end) - stderrKept; over > stderrKept {
		t.end = append(t.end[:0], t.end[over:]...)
	}
}

// decideLocked starts to keep last words if the line is such. Those that are in what
// is kept already need not be kept again.
func (t *tail) decideLocked() {
	t.decided = true
	if isLastWords(t.line) && t.total > stderrKept && (t.words == nil || len(t.words) == wordsKept) {
		t.words, t.wordsAt = bytes.Clone(t.line), t.total-len(t.line)
	}
}

// reset forgets everything: what comes now belongs to other items.
func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total, t.head, t.end, t.words, t.line, t.decided = 0, nil, nil, nil, nil, false
}

// bytes returns what is kept.
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.end[max(0, len(t.end)-stderrKept):]
	endAt := t.total - len(end)
	if endAt <= len(t.head) {
		return append(bytes.Clone(t.head), end[len(t.head)-endAt:]...)
	}
	const gap = "\n… \n"
	if t.words == nil || t.wordsAt >= endAt {
		return append(append(bytes.Clone(t.head), gap...), end...)
	}
	b := append(bytes.Clone(t.head[:stderrKept-wordsKept]), gap...)
	if t.wordsAt+len(t.words) >= endAt {
		return append(append(b, t.words[:endAt-t.wordsAt]...), end...)
	}
	return append(append(append(b, t.words...), gap...), end...)
}

// SummaryLine is the line of a crashed process's standard error that says most: the
// runtime's last words, else the last line.
func SummaryLine(stderr []byte) string {
	const most = 200
	var last, words []byte
	for line := range bytes.Lines(stderr) {
		line = bytes.TrimSpace(line)
		if isLastWords(line) {
			words = line
		}
		if len(line) > 0 {
			last = line
		}
	}
	if words == nil {
		words = last
	}
	return string(words[:min(len(words), most)])
}
