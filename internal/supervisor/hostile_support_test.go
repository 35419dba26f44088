//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"example.com/parallel"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/wire"
	"example.com/parallel/internal/worker"
)

// What hostile workers do with what they were given.

func init() { parallel.Register(misbehave) }

// mischief is an item. The harmless ones return N.
type mischief struct {
	How  string
	N    int
	Dir  string // where to report processes that the test must end
	Runs string // the file in which to note that it runs; empty: none
}

// noteRun adds the item's number to its file of runs.
func noteRun(m mischief) {
	f, err := os.OpenFile(m.Runs, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, m.N)
}

func misbehave(_ context.Context, m mischief) (int, error) {
	if m.Runs != "" {
		noteRun(m)
	}
	if m.How != "" {
		f, ok := mischiefs[m.How]
		if !ok {
			return 0, errors.New("the test is broken")
		}
		for recordsUnsent() { // of items before
			time.Sleep(time.Millisecond) // allowed: paces the polling
		}
		f(m)
	}
	return m.N, nil
}

// mischiefs are the ways to misbehave. Those that must cost the worker its life do not
// return: else it may lose it in a later item.
var mischiefs = map[string]func(mischief){
	"garbage on the results": func(mischief) { write(random(1 << 20)); pause() },
	"a frame of absurd length": func(mischief) {
		worker.Forge(claim(math.MaxUint32))
		write(make([]byte, 1<<20))
		pause()
	},
	"a length and nothing":           func(mischief) { worker.Forge(claim(100)); pause() },
	"a length, a little and results": func(mischief) { worker.Forge(claim(1 << 20)); write(random(10)) },
	"half a frame":                   func(mischief) { worker.Forge(append(claim(100), 1, 2, 3)); os.Exit(0) },
	"half a header":                  func(mischief) { write([]byte{100, 0, 0, 0, byte(wire.KindResults), 1, 2, 3}); os.Exit(0) },
	"a byte":                         func(mischief) { write([]byte{1}) },
	"a byte and nothing":             func(mischief) { write([]byte{1}); pause() },
	"text":                           func(mischief) { write([]byte("GET / HTTP/1.0\r\n\r\n")) },
	"zeros":                          func(mischief) { write(make([]byte, 500)) },
	"a frame that is not numbered":   func(mischief) { write(frame(wire.KindResults, busy(1))); pause() },
	"a frame of no kind":             func(mischief) { worker.Forge(frame(99, nil)); pause() },
	"a second welcome": func(mischief) {
		worker.Forge(frame(wire.KindHello, (&wire.Welcome{Version: 1}).Append(nil)))
		pause()
	},
	"a result of its own":    func(mischief) { result(wire.RecordResult, current(), 8); pause() },
	"a result of another":    func(mischief) { result(wire.RecordResult, current()+1, 8); pause() },
	"results out of order":   func(mischief) { result(wire.RecordResult, current()+7, 8); pause() },
	"a result of nonsense":   func(mischief) { result(wire.RecordResult, current(), 3); pause() },
	"a failure of nonsense":  func(mischief) { result(wire.RecordFailure, current(), 100); pause() },
	"an endless failure":     func(mischief) { result(wire.RecordFailure, current(), 5<<20); pause() },
	"a size that it has not": func(mischief) { results(wire.AppendAllowance(nil, 1)); pause() },
	"too large for any item": func(mischief) { results(wire.AppendOutgrown(nil, 1<<40, current(), current()+100)); pause() },
	"a record of no kind":    func(mischief) { results([]byte{77}); pause() },
	"many records at once":   func(mischief) { results(make([]byte, 1<<20)); pause() },
	"a flood of records": func(mischief) {
		for range 20 {
			results(busy(10_000))
		}
	},
	"it is busy for ever":    func(mischief) { results(wire.AppendBusy(nil, 1<<30, 1<<62)); results(wire.AppendBusy(nil, 1, 1<<62)) },
	"it drops its items":     func(mischief) { results(wire.AppendDropped(nil, wire.RecordDropped, 0, 1<<60)); pause() },
	"it gives items back":    func(mischief) { results(wire.AppendDropped(nil, wire.RecordRecalled, 0, 1<<60)); pause() },
	"it starts another item": func(mischief) { results(wire.AppendStarted(nil, 1<<60)) },

	"no segment":                 func(mischief) { resizeSegment(0) },
	"half a segment":             func(mischief) { resizeSegment(2 << 10) },
	"an enormous segment":        func(mischief) { resizeSegment(1 << 40) },
	"a segment of noise":         func(mischief) { scribble(shm.RingsAt) },
	"noise and an end":           func(mischief) { scribble(shm.RingsAt); os.Exit(0) },
	"a lie in the segment":       func(mischief) { scribble(8); pause() },
	"no segment and an end":      func(mischief) { resizeSegment(0); os.Exit(0) },
	"a segment of zeros":         func(mischief) { overwrite(make([]byte, 64)) },
	"a segment of zeros, an end": func(mischief) { overwrite(make([]byte, 64)); os.Exit(0) },
	"a segment of ones":          func(mischief) { overwrite(bytes.Repeat([]byte{0xff}, 64)) },
	"a segment of text, an end":  func(mischief) { overwrite([]byte("GET / HTTP/1.0\r\n\r\n")); os.Exit(0) },
	"it tells itself things": func(mischief) {
		if inherited.Shared != nil {
			_, _ = inherited.Shared.Down.WriteAt(random(100), 0)
			_ = inherited.Shared.Down.Truncate(0)
		}
	},
	"a segment that changes": func(mischief) {
		for range 1000 {
			scribble(wordsSize)
			if inherited.Shared != nil {
				_, _ = inherited.Shared.Up.WriteAt(random(100), shm.RingsAt)
			}
		}
		pause()
	},
	"holes in the segment": func(mischief) {
		if inherited.Shared != nil {
			for range 1000 {
				_ = unix.Fallocate(fdUp, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, shm.RingsAt+1<<20)
			}
		}
		pause()
	},
	"results of a length that changes": func(mischief) { changeLength(); pause() },
	"results in no ring":               func(mischief) { results(wire.AppendRing(nil, current(), 1, 8, math.MaxInt, 8)); pause() },
	"results before all rings":         func(mischief) { results(wire.AppendRing(nil, current(), 1, 8, 8, 8)); pause() },
	"results behind the segment":       func(mischief) { resizeSegment(shm.RingsAt); ringResults(1, 8, 8) },
	"results of absurd length":         func(mischief) { ringResults(1, -1, math.MaxInt) },
	"results of another size":          func(mischief) { ringResults(1, 3, 3) },
	"results that do not fit":          func(mischief) { ringResults(1, 8, 3) },
	"results of too many items":        func(mischief) { ringResults(1<<20, 8, 8<<20) },
	"results of later items":           func(mischief) { results(wire.AppendRing(nil, current()+1, 1, 8, shm.RingsAt, 8)); pause() },
	"results of no size":               func(mischief) { ringResults(1<<30, 0, 0) },
	"it closes what it has": func(mischief) {
		for fd := fdRequests; fd <= fdDown; fd++ {
			_ = syscall.Close(fd)
		}
		_ = syscall.Close(requestsFD)
		pause()
	},
	"it sends its results elsewhere": func(mischief) {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err == nil {
			err = syscall.Dup3(int(null.Fd()), fdResults, syscall.O_CLOEXEC)
		}
		if err != nil {
			panic(err)
		}
	},
	"it closes its results": func(mischief) { _ = syscall.Close(fdResults); pause() },
	"it closes its output": func(mischief) {
		for fd := range fdRequests {
			_ = syscall.Close(fd)
		}
	},
	"it leaves its group": func(m mischief) {
		child := exec.Command("sleep", "1000")
		if child.Start() == nil {
			report(m, child.Process.Pid)
		}
		_ = syscall.Setpgid(0, syscall.Getppid())
		results([]byte{77})
		pause()
	},
	"it takes no hints":        func(mischief) { signal.Ignore(); pause() },
	"it stops":                 func(mischief) { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP); pause() },
	"it stops reading":         func(mischief) { deafen() },
	"it reads what is not its": func(mischief) { go func() { _, _ = io.Copy(io.Discard, inherited.Requests) }() },
	"a stray keeps its pipes":  func(m mischief) { stray(m); os.Exit(0) },
	"a stray goes on and on":   func(m mischief) { chattyStray(m); os.Exit(0) },
	"it signs and waits": func(m mischief) {
		_ = os.WriteFile(filepath.Join(m.Dir, "runs"), nil, 0o600)
		pause()
	},
	"a stray and a result": func(m mischief) { stray(m) },
}

// touchesSegment reports whether a mischief destroys what the segment says.
func touchesSegment(how string) bool {
	return !launcher.NoShared && (strings.Contains(how, "segment") || strings.Contains(how, "noise"))
}

// The descriptors that a worker inherits; see package proc. The first is closed when it has
// been duplicated.
const (
	fdRequests = 3
	fdResults  = 4
	fdParent   = 5
	fdUp       = 6
	fdDown     = 7
)

// requestsFD is the descriptor from which this worker reads. It is looked for before the
// worker makes pipes of its own.
var requestsFD = findRequests()

// findRequests returns the descriptor of the pipe that proc.Inherit has duplicated: the one
// for reading, besides the parent-death pipe, that the worker's children do not inherit.
func findRequests() int {
	if inherited == nil {
		return -1
	}
	var found []int
	for name, target := range testkit.Descriptors() {
		fd, err := strconv.Atoi(name)
		if err != nil || fd == fdParent || !strings.HasPrefix(target, "pipe:") {
			continue
		}
		mode, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if mode&unix.O_ACCMODE == unix.O_RDONLY && flags&unix.FD_CLOEXEC != 0 {
			found = append(found, fd)
		}
	}
	if len(found) == 0 && !testkit.Exists("/proc/self/fd") {
		return -1
	}
	if len(found) != 1 {
		panic(fmt.Sprint("the test is broken: the requests may be at ", found))
	}
	return found[0]
}

func write(b []byte) { _, _ = inherited.Results.Write(b) }

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Int())
	}
	return b
}

// frame is a frame that is not numbered yet.
func frame(kind wire.Kind, payload []byte) []byte {
	return wire.Finish(append(wire.Begin(nil, kind), payload...))
}

// claim is the header of a results frame of that length.
func claim(length uint32) []byte {
	header := wire.Begin(nil, wire.KindResults)
	binary.LittleEndian.PutUint32(header, length)
	return header
}

// results sends a frame with these records, as the worker does.
func results(records []byte) { worker.Forge(frame(wire.KindResults, records)) }

// result sends the outcome of an item, of so many bytes.
func result(kind wire.RecordKind, seq uint64, size int) {
	results(outcome(kind, seq, make([]byte, size)))
}

// ringResults says that results of the item that is running, and those behind it, are in
// the first ring, and does not return.
func ringResults(count, size, length int) {
	results(wire.AppendRing(nil, current(), count, size, shm.RingsAt, length))
	pause()
}

// outcome is the record of an outcome.
func outcome(kind wire.RecordKind, seq uint64, data []byte) []byte {
	record, at := wire.AppendRecordHeader(nil, kind, seq)
	record = append(record, data...)
	wire.PatchLength(record, at)
	return record
}

func busy(n int) (records []byte) {
	for range n {
		records = wire.AppendBusy(records, 1, 1)
	}
	return records
}

// current is the number of the item that is running, if there is a segment.
func current() uint64 {
	if inherited.Shared == nil {
		return 3
	}
	seq, _ := segment().Running()
	return seq
}

// segment is this worker's segment as its parent sees it.
func segment() *shm.Segment { return shm.Open(inherited.Shared.Up, inherited.Shared.Down) }

// recordsUnsent reports whether there are records in the segment that have not been sent,
// besides what is in the ring.
func recordsUnsent() bool {
	if inherited.Shared == nil {
		return false
	}
	unsent, _ := segment().Unsent(0)
	r, err := wire.ReadRecord(wire.NewCursor(unsent))
	return err == nil && r.Kind != wire.RecordResults
}

// wordsSize is enough for all words at the start of the segment.
const wordsSize = 128

// pause gives the parent the time to react: it does not return.
func pause() { select {} }

func resizeSegment(n int64) {
	if inherited.Shared != nil {
		_ = inherited.Shared.Up.Truncate(n)
	}
}

// scribble writes over the first n bytes of the segment.
func scribble(n int) { overwrite(random(n)) }

// overwrite writes b to the start of the segment.
func overwrite(b []byte) {
	if inherited.Shared != nil {
		_, _ = inherited.Shared.Up.WriteAt(b, 0)
	}
}

// changeLength says that a result is in the first ring, behind its length, which it changes all
// the time.
func changeLength() {
	if inherited.Shared == nil {
		return
	}
	go func() {
		for length := uint32(8); ; length ^= 1 << 30 {
			_, _ = inherited.Shared.Up.WriteAt(binary.LittleEndian.AppendUint32(nil, length), shm.RingsAt)
		}
	}()
	results(wire.AppendRing(nil, current(), 1, -1, shm.RingsAt, 12))
}

// deafen replaces the requests by a pipe to which no process writes.
func deafen() {
	r, w, err := os.Pipe()
	if err == nil {
		err = syscall.Dup3(int(r.Fd()), requestsFD, syscall.O_CLOEXEC)
	}
	if err != nil {
		panic(err)
	}
	keptOpen = append(keptOpen, r, w)
}

var keptOpen []*os.File // as long as the process lives

// stray starts a process in a session of its own that inherits all pipes.
func stray(m mischief) {
	requests := os.NewFile(uintptr(requestsFD), "requests")
	keptOpen = append(keptOpen, requests)
	child := exec.Command("sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{requests, inherited.Results}
	if child.Start() == nil {
		report(m, child.Process.Pid)
	}
}

// chattyStray starts one that writes what a worker may say, for as long as it can, and
// faster than that is read: the pipe is never empty.
func chattyStray(m mischief) {
	frames := filepath.Join(m.Dir, "frames")
	frame := frame(wire.KindResults, busy(1))
	_ = os.WriteFile(frames, bytes.Repeat(frame, 16<<20/len(frame)), 0o600)
	child := exec.Command("cat", slices.Repeat([]string{frames}, 10_000)...)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.Stdout, child.Stderr = inherited.Results, os.Stderr
	_ = syscall.SetNonblock(fdResults, false) // or it would fail when the pipe is full
	_, _ = unix.FcntlInt(fdResults, unix.F_SETPIPE_SZ, 1<<20)
	if child.Start() == nil {
		report(m, child.Process.Pid)
	}
}

func report(m mischief, pid int) {
	_ = os.WriteFile(filepath.Join(m.Dir, strconv.Itoa(pid)), nil, 0o600)
}

// strayDir is where workers report processes that are ended with the test.
func strayDir(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, pid := range reported(dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return dir
}

// sideBySide runs a subtest for each name, some at once, since most only wait.
func sideBySide[V any](t *testing.T, names map[string]V, test func(t *testing.T, name string)) {
	var all errgroup.Group
	all.SetLimit(8)
	for name := range names {
		all.Go(func() error {
			t.Run(name, func(t *testing.T) { test(t, name) })
			return nil
		})
	}
	_ = all.Wait()
}
