//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// MaxMemoryBytes: only an item that outgrows its worker fails.

func init() {
	parallel.Register(grow)
	parallel.Register(carry)
}

const mib = 1 << 20

// mass is memory to take: MiB of it, and then a file to wait for.
type mass struct {
	MiB  int
	Wait string
}

var keptMemory [][]byte

// grow takes memory and keeps it. The memory is not Go's, so that it is as much with the
// race detector.
func grow(_ context.Context, m mass) (int, error) {
	if m.MiB > 0 {
		b, err := syscall.Mmap(-1, 0, m.MiB<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return 0, err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		keptMemory = append(keptMemory, b)
	}
	for m.Wait != "" && !testkit.Exists(m.Wait) {
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	return os.Getpid(), nil
}

func TestMemoryLimitWithinAnItem(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxMemoryBytes: 300 << 20})
		items := make([]mass, 10)
		items[4] = mass{400, "never"}
		out, err := parallel.Map(testkit.Patient(t), items, grow, parallel.On(pool), parallel.KeepGoing(), parallel.Retry(3))
		failed := itemErrors(err)
		var crash *parallel.CrashError
		if len(failed) != 1 || failed[0].Index != 4 || !errors.As(err, &crash) || !errors.Is(err, parallel.ErrMemoryLimit) {
			t.Fatalf("error %v, want that of item 4 alone, over the limit", err)
		}
		if !strings.Contains(err.Error(), "memory limit") || crash.Signal != os.Kill || crash.PID == 0 {
			t.Errorf("error %#v: %v", crash, err)
		}
		for i, pid := range out {
			if (pid == 0) != (i == 4) {
				t.Errorf("result %d is %d", i, pid)
			}
		}
		if s := pool.Stats(); s.Died != 1 || s.Retried != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// load is an item of carry. It says in a log that it runs.
type load struct {
	Index   int
	KeepMiB int    // to be kept
	Go      bool   // by Go, and not outside of it
	DropMiB int    // garbage
	Late    string // keep nothing before this file is there, though the item has ended by then
	Done    string // then make this file
	Takes   time.Duration
	Payload []byte // the result is the same
	LogTo   string
	CleanUp bool // what is kept outside of Go is given back when the garbage collector has run
}

var carried struct {
	sync.Mutex
	kept [][]byte
	log  *os.File
	sink []byte
}

// carry does what the load says, and returns its payload.
func carry(ctx context.Context, l load) ([]byte, error) {
	if err := l.log(); err != nil {
		return nil, err
	}
	if l.Late != "" {
		go func() {
			for !testkit.Exists(l.Late) {
				time.Sleep(time.Millisecond) // allowed: paces the polling
			}
			_ = l.take()
			_ = testkit.Touch(ctx, l.Done)
		}()
		return nil, nil
	}
	for begin := time.Now(); time.Since(begin) < l.Takes; {
	}
	return l.Payload, l.take()
}

func (l load) log() (err error) {
	if carried.log == nil || carried.log.Name() != l.LogTo {
		if carried.log, err = os.OpenFile(l.LogTo, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	_, err = carried.log.Write(binary.LittleEndian.AppendUint32(nil, uint32(l.Index)))
	return err
}

func (l load) take() error {
	carried.Lock()
	defer carried.Unlock()
	for n := l.DropMiB; n > 0; n-- {
		carried.sink = touched(make([]byte, mib))
	}
	switch {
	case l.KeepMiB == 0:
		return nil
	case l.Go:
		carried.kept = append(carried.kept, touched(make([]byte, l.KeepMiB*mib)))
		return nil
	}
	b, err := syscall.Mmap(-1, 0, l.KeepMiB*mib, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	if touched(b); l.CleanUp {
		runtime.AddCleanup(new([16]*int), func(b []byte) { _ = syscall.Munmap(b) }, b)
	} else {
		carried.kept = append(carried.kept, b)
	}
	return nil
}

func touched(b []byte) []byte {
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return b
}

// loads is n items that a test makes, with a log.
func loads(t *testing.T, n int, item func(i int) load) []load {
	items := make([]load, n)
	log := filepath.Join(t.TempDir(), "log")
	for i := range items {
		items[i] = item(i)
		items[i].Index, items[i].LogTo = i, log
	}
	return items
}

// checkLoads checks that each of the items has run once, as they say themselves.
func checkLoads(t *testing.T, items []load) {
	t.Helper()
	log, err := os.ReadFile(items[0].LogTo)
	if err != nil {
		t.Fatal(err)
	}
	ran := make([]int, len(items))
	for ; len(log) >= 4; log = log[4:] {
		ran[binary.LittleEndian.Uint32(log)]++
	}
	for i, n := range ran {
		if n != 1 {
			t.Errorf("item %d has run %d times", i, n)
		}
	}
}

// callers are the ways to have carry run items in a pool. Each returns the errors of its calls.
var callers = map[string]func(ctx context.Context, items []load, pool *parallel.ProcessPool) []error{
	"Map": func(ctx context.Context, items []load, pool *parallel.ProcessPool) []error {
		_, err := parallel.Map(ctx, items, carry, parallel.On(pool), parallel.KeepGoing())
		return []error{err}
	},
	"Map with Retry": func(ctx context.Context, items []load, pool *parallel.ProcessPool) []error {
		_, err := parallel.Map(ctx, items, carry, parallel.On(pool), parallel.KeepGoing(), parallel.Retry(3))
		return []error{err}
	},
	"MapSeq": func(ctx context.Context, items []load, pool *parallel.ProcessPool) (errs []error) {
		for _, err := range parallel.MapSeq(ctx, slices.Values(items), carry, parallel.On(pool), parallel.KeepGoing()) {
			errs = append(errs, err)
		}
		return errs
	},
	"Spawn": func(ctx context.Context, items []load, pool *parallel.ProcessPool) (errs []error) {
		var tasks []*parallel.Task[[]byte]
		for _, l := range items {
			tasks = append(tasks, parallel.Spawn(ctx, carry, l, parallel.On(pool)))
		}
		for _, task := range tasks {
			_, err := task.Wait()
			errs = append(errs, err)
		}
		return errs
	},
	"several calls": func(ctx context.Context, items []load, pool *parallel.ProcessPool) []error {
		errs := make([]error, 4)
		var calls sync.WaitGroup
		for i, some := range slices.Collect(slices.Chunk(items, (len(items)+3)/4)) {
			calls.Go(func() { _, errs[i] = parallel.Map(ctx, some, carry, parallel.On(pool), parallel.KeepGoing()) })
		}
		calls.Wait()
		return errs
	},
}

// TestLeaksCostNoItem has items leave memory behind, fast and slowly, often and rarely.
func TestLeaksCostNoItem(t *testing.T) {
	const limit = 100 * mib
	for _, test := range []struct {
		name    string
		n       int
		callers bool // in every way; else by Map alone
		item    func(i int) load
	}{
		{"a little each", 100, true, func(int) load { return load{KeepMiB: 3} }},
		{"a little each, of Go's", 100, true, func(int) load { return load{KeepMiB: 3, Go: true} }},
		{"slowly", 40, true, func(int) load { return load{KeepMiB: 7, Takes: 5 * time.Millisecond} }},
		{"much each", 10, false, func(int) load { return load{KeepMiB: 30} }},
		{"every tenth", 150, true, func(i int) load { return load{KeepMiB: i % 10 / 9 * 20} }},
		{"some in a row, among many that leave nothing", 3000, false, func(i int) load { return load{KeepMiB: i % 1000 / 996 * 25} }},
		{"with garbage", 60, false, func(int) load { return load{KeepMiB: 4, DropMiB: 5} }},
		{"with payloads", 60, false, func(int) load { return load{KeepMiB: 4, Payload: make([]byte, 100<<10)} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := func(t *testing.T, name string) {
				testkit.CheckLeaks(t)
				pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxMemoryBytes: limit})
				items := loads(t, test.n, test.item)
				for _, err := range callers[name](testkit.Patient(t), items, pool) {
					if err != nil {
						t.Error(err)
					}
				}
				checkLoads(t, items)
				if s := pool.Stats(); s.Died != 0 || s.Failed != 0 || s.Items != int64(test.n) || s.Started < 3 || s.Started > 40 {
					t.Errorf("%+v", s)
				}
			}
			everyTransport(t, func(t *testing.T) { call(t, "Map") })
			if test.callers {
				for name := range callers {
					t.Run(name, func(t *testing.T) { call(t, name) })
				}
			}
		})
	}
}

// TestOnlyTheItemThatOutgrowsFails has one item of many that leave something behind take more
// than there is.
func TestOnlyTheItemThatOutgrowsFails(t *testing.T) {
	const n, large = 60, 33
	items := func(t *testing.T) []load {
		return loads(t, n, func(i int) load {
			l := load{KeepMiB: 2, Takes: time.Millisecond}
			if i == large {
				l.KeepMiB = 2000
			}
			return l
		})
	}
	for name, call := range callers {
		t.Run(name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxMemoryBytes: 100 * mib})
			items := items(t)
			err := errors.Join(call(testkit.Patient(t), items, pool)...)
			var crash *parallel.CrashError
			if !errors.As(err, &crash) || !errors.Is(err, parallel.ErrMemoryLimit) {
				t.Fatalf("error %v", err)
			}
			checkLoads(t, items)
			if s := pool.Stats(); s.Died != 1 || s.Failed != 1 || s.Items != n || s.Retried != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestGarbageIsNoLeak has items drop much more than there is room for.
func TestGarbageIsNoLeak(t *testing.T) {
	for name, item := range map[string]load{
		"a little each":  {DropMiB: 1, Takes: 100 * time.Microsecond},
		"much each":      {DropMiB: 30},
		"by a cleanup":   {KeepMiB: 10, CleanUp: true},
		"nothing at all": {},
		"large payloads": {Payload: make([]byte, 3*mib)},
		"small payloads": {Payload: make([]byte, 100)},
		"of everything":  {DropMiB: 20, Payload: make([]byte, mib)},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxMemoryBytes: 150 * mib})
			items := loads(t, 100, func(int) load { return item })
			out, err := parallel.Map(testkit.Patient(t), items, carry, parallel.On(pool))
			if err != nil {
				t.Fatal(err)
			}
			for i := range out {
				if len(out[i]) != len(item.Payload) {
					t.Errorf("result %d has %d bytes", i, len(out[i]))
				}
			}
			checkLoads(t, items)
			most := int64(2)
			if item.CleanUp { // the machine may be too slow for some of them; without any it would take 15
				most = 8
			}
			if s := pool.Stats(); s.Died != 0 || s.Started > most {
				t.Errorf("%+v, want no worker replaced", s)
			}
		})
	}
}

// TestFirstItemIsTheWorkersOwn has a worker keep most of what it may have from its first item
// on.
func TestFirstItemIsTheWorkersOwn(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMemoryBytes: 100 * mib})
	items := loads(t, 100, func(i int) load { return load{KeepMiB: max(0, 60-60*i), DropMiB: 1} })
	if _, err := parallel.Map(testkit.Patient(t), items, carry, parallel.On(pool)); err != nil {
		t.Fatal(err)
	}
	checkLoads(t, items)
	if s := pool.Stats(); s.Started != 1 || s.Died != 0 {
		t.Errorf("%+v, want one worker", s)
	}
}

// TestWorkerOutgrowsWhileItRests has what an item has started take memory after its end.
func TestWorkerOutgrowsWhileItRests(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMemoryBytes: 100 * mib})
		late, done := filepath.Join(t.TempDir(), "late"), filepath.Join(t.TempDir(), "done")
		call := func(items []load) {
			t.Helper()
			if _, err := parallel.Map(testkit.Patient(t), items, carry, parallel.On(pool)); err != nil {
				t.Fatal(err)
			}
			checkLoads(t, items)
		}
		call(loads(t, 1, func(int) load { return load{KeepMiB: 80, Late: late, Done: done} }))
		_ = testkit.Touch(t.Context(), late)
		testkit.WaitFor(t, "the memory to be taken", func() bool { return testkit.Exists(done) })
		call(loads(t, 3, func(int) load { return load{KeepMiB: 10} }))
		if s := pool.Stats(); s.Started != 2 || s.Died != 0 || s.Failed != 0 {
			t.Errorf("%+v, want the worker replaced", s)
		}
	})
}

// TestFirstItemsReachTheLimit has every item leave the limit behind, too fast to be killed.
func TestFirstItemsReachTheLimit(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMemoryBytes: 60 * mib})
	items := loads(t, 5, func(int) load { return load{KeepMiB: 60} })
	_, err := parallel.Map(testkit.Patient(t), items, carry, parallel.On(pool), parallel.KeepGoing())
	for _, e := range itemErrors(err) {
		if !errors.Is(e, parallel.ErrMemoryLimit) { // if the machine is so slow that an item is met in the act
			t.Error(e)
		}
	}
	checkLoads(t, items)
	if s := pool.Stats(); s.Items != 5 || s.Started != 5 {
		t.Errorf("%+v, want 5 items in as many workers", s)
	}
}

// TestMemoryLimitBelowAFreshWorker has a limit that no worker can keep.
func TestMemoryLimitBelowAFreshWorker(t *testing.T) {
	for _, limit := range []int64{1, 1 * mib} {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxMemoryBytes: limit})
		_, err := parallel.Map(testkit.Patient(t), testkit.Count(1000), testkit.Double, parallel.On(pool))
		if !errors.Is(err, parallel.ErrMemoryLimit) {
			t.Fatalf("error %v", err)
		}
		for _, want := range []string{"cannot start a worker process: ", "before the first item (", fmt.Sprintf(" bytes, MaxMemoryBytes is %d)", limit), ": raise MaxMemoryBytes"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q, want %q in it", err, want)
			}
		}
		if s := pool.Stats(); s.Items != 0 || s.Started > 4 {
			t.Errorf("%+v", s)
		}
	}
}

// TestReplacementsAreLogged has the Logger told why a worker is replaced.
func TestReplacementsAreLogged(t *testing.T) {
	testkit.CheckLeaks(t)
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMemoryBytes: 100 * mib, Logger: logger})
	items := loads(t, 30, func(int) load { return load{KeepMiB: 10} })
	if _, err := parallel.Map(testkit.Patient(t), items, carry, parallel.On(pool)); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if n := strings.Count(text.String(), "reason=MaxMemoryBytes"); n < 3 {
		t.Errorf("%d replacements were logged:\n%s", n, text.String())
	}
}
