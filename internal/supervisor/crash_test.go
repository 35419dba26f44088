//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// The crash table: everything that can go wrong, at every place on an item's
// way where it can go wrong. After loky's table of the same name.

func init() { parallel.Register(suffer) }

// The places on the way of an item.
const (
	atEncodeItem   = "while its item is encoded"
	atDecodeItem   = "while its item is decoded"
	atRun          = "while it runs"
	atEncodeResult = "while its result is encoded"
	atDecodeResult = "while its result is decoded"
)

// blow is an item that goes wrong in some way at some place.
type blow struct {
	At, How string
	Log     string   // a file in which each thing that goes wrong leaves a byte
	own     struct{} // it crosses by its methods
}

// hit is the result of a blow.
type hit struct {
	b    blow
	done bool
}

func (b blow) MarshalBinary() ([]byte, error) {
	if err := b.strike(atEncodeItem); err != nil {
		return nil, err
	}
	return []byte(strings.Join([]string{b.At, b.How, b.Log}, "\x00")), nil
}

func (b *blow) UnmarshalBinary(src []byte) error {
	fields := strings.Split(string(src), "\x00")
	b.At, b.How, b.Log = fields[0], fields[1], fields[2]
	return b.strike(atDecodeItem)
}

func suffer(_ context.Context, b blow) (hit, error) { return hit{b, true}, b.strike(atRun) }

func (h hit) MarshalBinary() ([]byte, error) {
	if err := h.b.strike(atEncodeResult); err != nil {
		return nil, err
	}
	return []byte(strings.Join([]string{h.b.At, h.b.How, h.b.Log}, "\x00")), nil
}

func (h *hit) UnmarshalBinary(src []byte) error {
	fields := strings.Split(string(src), "\x00")
	h.b, h.done = blow{At: fields[0], How: fields[1], Log: fields[2]}, true
	return h.b.strike(atDecodeResult)
}

// strike makes things go wrong if b wants it here.
func (b blow) strike(at string) error {
	if b.At != at {
		return nil
	}
	f, err := os.OpenFile(b.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write([]byte{'x'})
		f.Close()
	}
	if err != nil && b.Log != "" {
		return err
	}
	switch b.How {
	case "error":
		return errKnown
	case "panic":
		panic("struck")
	case "nested panic":
		panic(nestedPanic(1))
	case "goexit":
		runtime.Goexit()
	case "panic in goexit":
		defer panic("struck")
		runtime.Goexit()
	case "exit 0":
		os.Exit(0)
	case "exit 3":
		os.Exit(3)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "segv signal":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "fault":
		unreadable, _ := syscall.Mmap(-1, 0, 1, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		return fmt.Errorf("read %d", unreadable[0])
	case "fatal":
		new(sync.Mutex).Unlock()
	case "maps":
		concurrentMaps()
	case "stack":
		debug.SetMaxStack(1 << 20)
		return fmt.Errorf("recursed %d", recurse(1))
	case "memory":
		exhaustMemory()
	}
	return errors.New("nothing went wrong")
}

// concurrentMaps writes to a map from two goroutines until the runtime notices.
func concurrentMaps() {
	runtime.GOMAXPROCS(4)
	m := make(map[int]int)
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				m[i%100] = i
			}
		}()
	}
	select {}
}

func recurse(n int) int { return recurse(n+1) + n }

// exhaustMemory allocates until the kernel refuses.
func exhaustMemory() {
	debug.SetMemoryLimit(1 << 60)
	_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: 1 << 28, Max: 1 << 28})
	for all := [][]byte(nil); ; {
		all = append(all, make([]byte, 64<<20))
	}
}

// outcome is what a way to go wrong must look like.
type crashOutcome struct {
	how     string
	code    int       // of a process that ends; −1 with a signal
	signal  os.Signal // that it ends by
	stderr  string    // what is in its standard error
	crashes bool
	is      error // what errors.Is must find
	norace  bool  // not with the race detector, which would report what is meant to happen
}

var crashOutcomes = []crashOutcome{
	{how: "error", is: errKnown},
	{how: "panic"},
	{how: "nested panic"},
	{how: "goexit", is: parallel.ErrGoexit},
	{how: "panic in goexit"},
	{how: "exit 0", crashes: true, code: 0},
	{how: "exit 3", crashes: true, code: 3},
	{how: "kill", crashes: true, code: -1, signal: os.Kill},
	{how: "segv signal", crashes: true, code: 2, stderr: "SIGSEGV: segmentation violation"},
	{how: "fault", crashes: true, code: 2, stderr: "unexpected fault address"},
	{how: "fatal", crashes: true, code: 2, stderr: "fatal error: sync: unlock of unlocked mutex"},
	{how: "maps", crashes: true, code: 2, stderr: "fatal error: concurrent map", norace: true},
	{how: "stack", crashes: true, code: 2, stderr: "runtime: goroutine stack exceeds"},
	{how: "memory", crashes: true, code: 2, stderr: " memory"}, // "out of" it, or "cannot allocate" it where the runtime needs some for itself
}

func TestCrashTable(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	places := []string{atEncodeItem, atDecodeItem, atRun, atEncodeResult, atDecodeResult}
	everyTransport(t, func(t *testing.T) {
		for _, at := range places {
			for _, o := range crashOutcomes {
				inParent := at == atEncodeItem || at == atDecodeResult
				if inParent && o.crashes || o.norace && testkit.Race {
					continue
				}
				t.Run(o.how+" "+at, func(t *testing.T) {
					testkit.CheckLeaks(t)
					pool := testPool(t, &parallel.ProcessPool{Size: 2, Stderr: io.Discard})
					o.check(t, pool, at)
				})
			}
		}
	})
}

// check has item 3 of 7 go wrong, under all options that matter.
func (o crashOutcome) check(t *testing.T, pool *parallel.ProcessPool, at string) {
	items := make([]blow, 7)
	for _, test := range []struct {
		name    string
		keep    bool
		retries int
	}{{"plain", false, 0}, {"KeepGoing", true, 0}, {"Retry", false, 2}} {
		items[3] = blow{At: at, How: o.how, Log: filepath.Join(t.TempDir(), "log")}
		opts := []parallel.Option{parallel.On(pool), parallel.Retry(test.retries)}
		if test.keep {
			opts = append(opts, parallel.KeepGoing())
		}
		out, err := parallel.Map(testkit.Patient(t), items, suffer, opts...)
		if test.keep {
			if failed := itemErrors(err); len(failed) != 1 {
				t.Fatalf("%s: error %v, want one", test.name, err)
			}
		} else if len(out) != 3 {
			t.Errorf("%s: %d results, want the 3 before the failure", test.name, len(out))
		}
		for i, r := range out {
			if r.done == (i == 3) {
				t.Errorf("%s: result %d is %+v", test.name, i, r)
			}
		}
		o.checkError(t, test.name, err, at)
		log, _ := os.ReadFile(items[3].Log)
		runs := 1
		if o.crashes {
			runs += test.retries
		}
		if len(log) != runs {
			t.Errorf("%s: it went wrong %d times, want %d", test.name, len(log), runs)
		}
	}
	if out, err := parallel.Map(t.Context(), testkit.Count(100), testkit.Double, parallel.On(pool)); err != nil || len(out) != 100 {
		t.Errorf("afterwards the pool returns %v, %v", out, err)
	}
	s := pool.Stats()
	died := int64(0)
	if o.crashes {
		died = 5
	}
	if s.Died != died || s.Failed != 3 {
		t.Errorf("%+v, want 3 failures and %d deaths", s, died)
	}
}

func (o crashOutcome) checkError(t *testing.T, name string, err error, at string) {
	t.Helper()
	var item *parallel.ItemError
	if !errors.As(err, &item) || item.Index != 3 {
		t.Fatalf("%s: error %v, want that of item 3", name, err)
	}
	var crash *parallel.CrashError
	if errors.As(err, &crash) != o.crashes {
		t.Fatalf("%s: error %#v", name, item.Err)
	}
	if o.is != nil && !errors.Is(err, o.is) {
		t.Errorf("%s: %v is no %v", name, err, o.is)
	}
	var p *parallel.PanicError
	if o.how == "panic" && (at == atRun) != errors.As(err, &p) {
		t.Errorf("%s: error %#v", name, item.Err)
	}
	if o.how == "panic" && !strings.Contains(err.Error(), "struck") {
		t.Errorf("%s: error %v", name, err)
	}
	if !o.crashes {
		return
	}
	if o.how == "segv signal" && crash.Signal == syscall.SIGSEGV {
		o.code, o.signal = -1, syscall.SIGSEGV // the runtime dies of it where it cannot exit
	}
	if o.how == "memory" && testkit.Race && crash.ExitCode == 66 {
		o.code, o.stderr = 66, "ThreadSanitizer" // whose own memory ran out first
	}
	if crash.ExitCode != o.code || crash.Signal != o.signal || crash.Err != nil || crash.PID == 0 {
		t.Errorf("%s: error %+v, want exit code %d and signal %v", name, crash, o.code, o.signal)
	}
	if !strings.Contains(string(crash.Stderr), o.stderr) {
		t.Errorf("%s: its standard error is %q, want %q in it", name, crash.Stderr, o.stderr)
	}
}
