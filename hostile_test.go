//go:build linux

package parallel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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

	"example.com/parallel/internal/wire"
)

// Workers that are not ours: whatever they do with what they were given, the
// parent neither panics nor hangs, and only the items that they run may fail.

func init() { Register(misbehave) }

// mischief is an item. The harmless ones return N.
type mischief struct {
	How string
	N   int
	Dir string // where to report processes that the test must end
}

func misbehave(_ context.Context, m mischief) (int, error) {
	if m.How != "" {
		f, ok := mischiefs[m.How]
		if !ok {
			return 0, errors.New("the test is broken")
		}
		for inherited.page != nil { // until the results of items before have been sent
			if state, _ := readPage(inherited.page); state.length == 0 {
				break
			}
			time.Sleep(time.Millisecond) // allowed: paces the polling
		}
		f(m)
	}
	return m.N, nil
}

// mischiefs are the ways to misbehave. Those that must cost the worker its life
// do not return: else it may lose it in a later item.
var mischiefs = map[string]func(mischief){
	"garbage on the results": func(mischief) { write(random(1 << 20)); pause() },
	"a frame of absurd length": func(mischief) {
		write([]byte{0xff, 0xff, 0xff, 0xff, byte(wire.KindResults)})
		write(make([]byte, 1<<20))
		pause()
	},
	"half a frame":       func(mischief) { write([]byte{100, 0, 0, 0, byte(wire.KindResults), 1, 2, 3}); os.Exit(0) },
	"a frame of no kind": func(mischief) { write(wire.Finish(wire.Begin(nil, 99))); pause() },
	"a second welcome": func(mischief) {
		write(wire.Finish((&wire.Welcome{Version: 1}).Append(wire.Begin(nil, wire.KindHello))))
		pause()
	},
	"a result of its own":   func(mischief) { result(wire.RecordResult, current(), 8); pause() },
	"a result of another":   func(mischief) { result(wire.RecordResult, current()+1, 8); pause() },
	"results out of order":  func(mischief) { result(wire.RecordResult, current()+7, 8); pause() },
	"a result of nonsense":  func(mischief) { result(wire.RecordResult, current(), 3); pause() },
	"a failure of nonsense": func(mischief) { result(wire.RecordFailure, current(), 100); pause() },
	"an endless failure":    func(mischief) { result(wire.RecordFailure, current(), 5<<20); pause() },
	"a record of no kind":   func(mischief) { results([]byte{77}); pause() },
	"many records at once":  func(mischief) { results(make([]byte, 1<<20)); pause() },
	"a flood of records": func(mischief) {
		for range 20 {
			results(busy(10_000))
		}
	},
	"it is busy for ever":    func(mischief) { results(wire.AppendBusy(nil, 1<<30, 1<<62)); results(wire.AppendBusy(nil, 1, 1<<62)) },
	"it drops its items":     func(mischief) { results(wire.AppendDropped(nil, wire.RecordDropped, 0, 1<<60)); pause() },
	"it gives items back":    func(mischief) { results(wire.AppendDropped(nil, wire.RecordRecalled, 0, 1<<60)); pause() },
	"it starts another item": func(mischief) { results(wire.AppendStarted(nil, 1<<60)) },

	"no page":            func(mischief) { resizePage(0) },
	"half a page":        func(mischief) { resizePage(outboxAt / 2) },
	"an enormous page":   func(mischief) { resizePage(1 << 40) },
	"a page of noise":    func(mischief) { scribble(trayAt) },
	"noise and an end":   func(mischief) { scribble(trayAt); os.Exit(0) },
	"a lie in the page":  func(mischief) { scribble(8); pause() },
	"no page and an end": func(mischief) { resizePage(0); os.Exit(0) },
	"a page that changes": func(mischief) {
		for range 1000 {
			scribble(pageWords)
			if inherited.page != nil {
				_, _ = inherited.page.WriteAt(random(100), trayAt)
			}
		}
		pause()
	},
	"results in no tray":        func(mischief) { results(wire.AppendTray(nil, current(), 1, 8, math.MaxInt, 8)); pause() },
	"results before all trays":  func(mischief) { results(wire.AppendTray(nil, current(), 1, 8, 8, 8)); pause() },
	"results behind the page":   func(mischief) { resizePage(trayAt); results(wire.AppendTray(nil, current(), 1, 8, trayAt, 8)); pause() },
	"results of absurd length":  func(mischief) { results(wire.AppendTray(nil, current(), 1, -1, trayAt, math.MaxInt)); pause() },
	"results of another size":   func(mischief) { results(wire.AppendTray(nil, current(), 1, 3, trayAt, 3)); pause() },
	"results that do not fit":   func(mischief) { results(wire.AppendTray(nil, current(), 1, 8, trayAt, 3)); pause() },
	"results of too many items": func(mischief) { results(wire.AppendTray(nil, current(), 1<<20, 8, trayAt, 8<<20)); pause() },
	"results of later items":    func(mischief) { results(wire.AppendTray(nil, current()+1, 1, 8, trayAt, 8)); pause() },
	"results of no size":        func(mischief) { results(wire.AppendTray(nil, current(), 1<<30, 0, trayAt, 0)); pause() },
	"it closes what it has": func(mischief) {
		for fd := 3; fd < 7; fd++ {
			_ = syscall.Close(fd)
		}
		_ = syscall.Close(inherited.requests.fd)
		pause()
	},
	"it closes its results": func(mischief) { _ = syscall.Close(fdResults); pause() },
	"it closes its output": func(mischief) {
		for fd := range 3 {
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
	"it reads what is not its": func(mischief) { go func() { _, _ = io.Copy(io.Discard, inherited.requests) }() },
	"a stray keeps its pipes":  func(m mischief) { stray(m); os.Exit(0) },
	"a stray goes on and on":   func(m mischief) { chattyStray(m); os.Exit(0) },
	"it signs and waits": func(m mischief) {
		_ = os.WriteFile(filepath.Join(m.Dir, "runs"), nil, 0o600)
		pause()
	},
	"a stray and a result": func(m mischief) { stray(m) },
}

func write(b []byte) { _, _ = inherited.results.Write(b) }

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Int())
	}
	return b
}

// results sends a frame with these records.
func results(records []byte) {
	write(wire.Finish(append(wire.Begin(nil, wire.KindResults), records...)))
}

// result sends the outcome of an item, of so many bytes.
func result(kind wire.RecordKind, seq uint64, size int) {
	results(encoded(kind, seq, make([]byte, size)))
}

// encoded is the record of an outcome.
func encoded(kind wire.RecordKind, seq uint64, data []byte) []byte {
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

// current is the number of the item that is running, where there is a page.
func current() uint64 {
	if inherited.page == nil {
		return 3
	}
	state, _ := readPage(inherited.page)
	return state.running
}

// pause gives the parent the time to react: it does not return.
func pause() { select {} }

func resizePage(n int64) {
	if inherited.page != nil {
		_ = inherited.page.Truncate(n)
	}
}

func scribble(n int) {
	if inherited.page != nil {
		_, _ = inherited.page.WriteAt(random(n), 0)
	}
}

// deafen replaces the requests by a pipe into which nobody writes.
func deafen() {
	r, w, err := os.Pipe()
	if err == nil {
		err = syscall.Dup3(int(r.Fd()), inherited.requests.fd, syscall.O_CLOEXEC)
	}
	if err != nil {
		panic(err)
	}
	deaf = append(deaf, r, w)
}

var deaf []*os.File // open as long as the process lives

// stray starts a process in a session of its own that inherits all pipes.
func stray(m mischief) {
	child := exec.Command("sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{os.NewFile(uintptr(inherited.requests.fd), "requests"), inherited.results}
	if child.Start() == nil {
		report(m, child.Process.Pid)
	}
}

// chattyStray starts one that writes what a worker may say, for as long as it can, and
// faster than that is read: the pipe is never empty.
func chattyStray(m mischief) {
	frames := filepath.Join(m.Dir, "frames")
	frame := wire.Finish(append(wire.Begin(nil, wire.KindResults), busy(1)...))
	_ = os.WriteFile(frames, bytes.Repeat(frame, 16<<20/len(frame)), 0o600)
	child := exec.Command("cat", slices.Repeat([]string{frames}, 10_000)...)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.Stdout, child.Stderr = inherited.results, os.Stderr
	_ = syscall.SetNonblock(fdResults, false) // or it would fail when the pipe is full
	_, _ = unix.FcntlInt(fdResults, unix.F_SETPIPE_SZ, 1<<20)
	if child.Start() == nil {
		report(m, child.Process.Pid)
	}
}

func report(m mischief, pid int) {
	_ = os.WriteFile(filepath.Join(m.Dir, strconv.Itoa(pid)), nil, 0o600)
}

func TestHostileWorkers(t *testing.T) {
	onlyOn(t, "linux")
	bothTransports(t, func(t *testing.T) {
		checkLeaks(t)
		sideBySide(t, mischiefs, func(t *testing.T, how string) {
			pool := testPool(t, &ProcessPool{
				Size: 2, StartTimeout: 2 * time.Second, KillDelay: 20 * time.Millisecond, Stdout: io.Discard, Stderr: io.Discard,
			})
			items := make([]mischief, 100)
			for i := range items {
				items[i].N = i
			}
			items[2].How, items[2].Dir = how, strayDir(t)
			// An item that neither ends nor sends anything is over its time.
			out, err := Map(patient(t), items, misbehave, On(pool), KeepGoing(), ItemTimeout(500*time.Millisecond))
			// It may spoil what it has run itself: the results in its page, which
			// then are the failures of a process that has died.
			spoilt := map[int]bool{2: true}
			for _, e := range itemErrors(err) {
				var crash *CrashError
				if touchesPage(how) && errors.As(e, &crash) {
					spoilt[e.Index] = true
				}
				if !spoilt[e.Index] {
					t.Fatalf("an innocent item failed: %v", e)
				}
			}
			if len(spoilt) > 20 {
				t.Errorf("%d items failed", len(spoilt))
			}
			for i, n := range out {
				// What it says of items that it was given is its word.
				if n != i && !spoilt[i] && !touchesPage(how) {
					t.Errorf("result %d is %d", i, n)
				}
			}
			if err != nil {
				t.Log(err)
			}
			if out, err := Map(patient(t), count(100), double, On(pool)); err != nil || len(out) != 100 {
				t.Errorf("afterwards: %v, %v", out, err)
			}
		})
	})
}

// touchesPage reports whether a mischief destroys what the page says.
func touchesPage(how string) bool {
	return !withoutPage.Load() && (strings.Contains(how, "page") || strings.Contains(how, "noise"))
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

// TestHostileWorkerCannotHoldACallThatEnds has the call cancelled while a worker
// does not listen.
func TestHostileWorkerCannotHoldACallThatEnds(t *testing.T) {
	onlyOn(t, "linux")
	for _, how := range []string{"it takes no hints", "it stops", "it stops reading", "a flood of records", "a stray keeps its pipes"} {
		t.Run(how, func(t *testing.T) {
			checkLeaks(t)
			pool := testPool(t, &ProcessPool{Size: 2, KillDelay: 20 * time.Millisecond, StartTimeout: time.Second})
			dir := strayDir(t)
			runs := filepath.Join(dir, "runs")
			ctx, cancel := context.WithCancel(patient(t))
			go func() {
				for !exists(runs) && ctx.Err() == nil {
					time.Sleep(time.Millisecond) // allowed: paces the polling
				}
				cancel()
			}()
			items := []mischief{{How: how, Dir: dir}, {How: "a flood of records"}, {How: "it signs and waits", Dir: dir}}
			if _, err := Map(ctx, items, misbehave, On(pool), KeepGoing()); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func init() { Register(sayTwice) }

// sayTwice says twice how it ended, and then ends.
func sayTwice(context.Context, int) (int, error) {
	record := encoded(wire.RecordResult, current(), make([]byte, 8))
	results(append(record, record...))
	return 0, nil
}

// TestBreachIsNotTheNextCalls has a worker break the protocol with its last words in a
// call. The next call has nothing to do with that.
func TestBreachIsNotTheNextCalls(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	for range 20 {
		_, _ = Map(patient(t), count(1), sayTwice, On(pool))
		for _, n := range []int{1, 3} {
			if _, err := Map(patient(t), count(n), double, On(pool)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// FuzzRecords gives the parent anything in place of what a worker has to say, on
// the pipe and in the page of a dead one. Every item that was under way is still
// settled exactly once.
func FuzzRecords(f *testing.F) {
	var all []byte
	for seq := range uint64(3) {
		all = append(all, encoded(wire.RecordResult, seq+1, []byte{8, 0, 0, 0, 0, 0, 0, 0})...)
	}
	all = wire.AppendBusy(all, 3, time.Second)
	all = wire.AppendDropped(all, wire.RecordDropped, 4, 4)
	f.Add(all, false, uint64(0))
	f.Add(all, true, uint64(4))
	f.Add(encoded(wire.RecordFailure, 1, appendError(nil, &PanicError{Value: errKnown})), true, uint64(1))
	f.Add(wire.AppendDropped(nil, wire.RecordRecalled, 2, 3), false, uint64(1))
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0}, true, uint64(1<<32|8))
	f.Fuzz(func(t *testing.T, src []byte, inPage bool, running uint64) {
		const items = 4
		s := fuzzedSession(t, items)
		if inPage {
			header := make([]byte, outboxAt)
			binary.NativeEndian.PutUint64(header[pageRunning:], running)
			binary.NativeEndian.PutUint64(header[pageLength:], uint64(len(src))+running)
			// The tray's words are the source's last, if they are not what is there.
			words := append(slices.Clone(src), make([]byte, 40)...)
			copy(header[pageTrayOn:], words[max(0, len(src)-40):][:40])
			if len(src) < 40 {
				binary.NativeEndian.PutUint64(header[pageTraySeq:], 1)
				binary.NativeEndian.PutUint64(header[pageTraySize:], 9)
				binary.NativeEndian.PutUint64(header[pageTrayDone:], running)
			}
			_, _ = s.h.page.WriteAt(append(header, src...), 0)
			_, _ = s.h.page.WriteAt(src, trayAt)
		} else {
			_ = s.takeRecords(wire.NewCursor(src), false)
		}
		s.workerLost()
		s.h.page.Close()
		s.d.c.mu.Lock()
		defer s.d.c.mu.Unlock()
		returned := 0
		for _, span := range s.d.c.returned {
			returned += span.len()
		}
		if s.d.c.open != 0 || len(s.inflight)+s.under != 0 || returned > items || len(s.d.c.failures) > items-returned {
			t.Errorf("%d items open, %d returned, failures %v", s.d.c.open, returned, s.d.c.failures)
		}
	})
}

// TestRunningItemIsOneUnderWay has a worker say which item it is running.
func TestRunningItemIsOneUnderWay(t *testing.T) {
	s := fuzzedSession(t, 4)
	defer s.h.page.Close()
	s.inflight[3].count = 3
	for seq, want := range []uint64{0, 1, 2, 3, 4, 5, 6, 0, 0} {
		s.h.setWord(pageRunning, uint64(seq))
		s.h.setWord(pageBell, 0) // so that all words are there
		if got := s.running(); got != want {
			t.Errorf("item %d is running, it says; taken as %d, want %d", seq, got, want)
		}
	}
}

// fuzzedSession is a session whose worker has been sent n items, the last of
// which the call does not want any more. There is no process.
func fuzzedSession(t *testing.T, n int) *session {
	page, err := os.Create(filepath.Join(t.TempDir(), "page"))
	if err != nil {
		t.Fatal(err)
	}
	function, err := lookup(identify("Map", double))
	if err != nil {
		t.Fatal(err)
	}
	settings := newSettings("Map", []Option{Processes(1), KeepGoing()})
	c := newCall(t.Context(), &settings, n)
	c.patient, c.onHungry = true, func() {}
	c.open, c.next = n, n
	c.bound.Store(int64(n - 2))
	d := &dispatch{
		c: c, pool: newPoolCore(&ProcessPool{Size: 1}), function: function, misses: make(map[int]int),
		work: &mapWork[int, int]{count(n), make([]int, n), double}, poke: make(chan struct{}, 1),
	}
	h := &handle{pool: d.pool, page: page, cmd: new(exec.Cmd), exited: make(chan struct{}), waited: true}
	close(h.exited)
	s := newSession(d, h)
	for i := range n {
		s.inflight = append(s.inflight, flight{uint64(i + 1), i, 1, 8, 0})
	}
	s.under = n
	h.recalls.Store(1)
	return s
}
