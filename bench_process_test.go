package parallel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/parallel"
)

// What processes cost: to start, to call, to keep and to replace.

// bareVariable makes this program, started again, a bare process: the least
// that a worker process can be. It says a byte and then sends back every byte
// that it is sent.
const bareVariable = "PARALLEL_BENCH_BARE"

// A variable is initialized before any init function is called.
var _ = func() bool {
	if os.Getenv(bareVariable) == "" {
		return false
	}
	plain(os.Stdin)
	plain(os.Stdout)
	b := []byte{'!'}
	for {
		if _, err := os.Stdout.Write(b); err != nil {
			os.Exit(0)
		}
		if _, err := os.Stdin.Read(b); err != nil {
			os.Exit(0)
		}
	}
}()

func init() {
	parallel.Register(benchPID)
	parallel.Register(benchUpper)
	parallel.Register(benchNextDay)
	parallel.Register(benchOwnTwice)
	parallel.Register(dieAt)
}

// benchPID returns the number of the process after a while, so that no other
// item of a call can run in it before all have been given out.
func benchPID(_ context.Context, wait time.Duration) (int, error) {
	time.Sleep(wait) // allowed: it keeps the worker busy
	return os.Getpid(), nil
}

// dieAt kills its process at a time in nanoseconds since 1970, and returns at
// once when it is later.
func dieAt(_ context.Context, at int64) (int, error) {
	if time.Now().UnixNano() > at {
		return os.Getpid(), nil
	}
	for time.Now().UnixNano() < at {
	}
	kill(os.Getpid())
	select {}
}

// kill ends a process as the system does that has run out of memory.
func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

// bareProcess is a process and our ends of its pipes.
type bareProcess struct {
	cmd      *exec.Cmd
	to, from *os.File
}

// startBare starts a bare process and waits for its first byte.
func startBare(b *testing.B) *bareProcess {
	p := &bareProcess{cmd: exec.Command(os.Args[0])}
	if runtime.GOOS == "linux" {
		p.cmd.Path = "/proc/self/exe"
	}
	p.cmd.Env = append(os.Environ(), bareVariable+"=1")
	stdin, to, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	from, stdout, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.to, p.from = stdin, stdout, to, from
	err = p.cmd.Start()
	stdin.Close()
	stdout.Close()
	if err != nil {
		b.Fatal(err)
	}
	plain(p.to)
	plain(p.from)
	p.read(b)
	return p
}

// plain makes reads and writes of f plain system calls, which block.
func plain(f *os.File) { f.Fd() }

func (p *bareProcess) read(b *testing.B) {
	var one [1]byte
	if _, err := p.from.Read(one[:]); err != nil || one[0] != '!' {
		b.Fatalf("a bare process says %q, %v", one, err)
	}
}

func (p *bareProcess) call(b *testing.B) {
	if _, err := p.to.Write([]byte{'!'}); err != nil {
		b.Fatal(err)
	}
	p.read(b)
}

func (p *bareProcess) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.to.Close()
	p.from.Close()
}

// BenchmarkColdStart measures the time from nothing to the first result of
// Processes(n), in MapSeq, and to Map's return with no process left. It compares
// them with the time to the first byte of one process that does nothing else:
// x-bare.
func BenchmarkColdStart(b *testing.B) {
	b.Run("to=first-byte/place=bare", func(b *testing.B) {
		benchAgainstBare(b, func() time.Duration { return timeBare(b) })
	})
	for _, n := range []int{1, 2} {
		items := make([]int, n) // so that n processes are needed
		b.Run(fmt.Sprintf("to=first-result/place=processes/processes=%d", n), func(b *testing.B) {
			benchAgainstBare(b, func() (first time.Duration) {
				start := time.Now()
				for r, err := range parallel.MapSeq(context.Background(), slices.Values(items), benchTwice, parallel.Processes(n)) {
					if err != nil || r != 0 {
						b.Fatal(r, err)
					}
					if first == 0 {
						first = time.Since(start)
					}
				}
				return first
			})
		})
		b.Run(fmt.Sprintf("to=return/place=processes/processes=%d", n), func(b *testing.B) {
			benchAgainstBare(b, func() time.Duration {
				start := time.Now()
				if _, err := parallel.Map(context.Background(), items, benchTwice, parallel.Processes(n)); err != nil {
					b.Fatal(err)
				}
				return time.Since(start)
			})
		})
	}
}

// benchAgainstBare measures f, in turns with the start of a bare process.
func benchAgainstBare(b *testing.B, f func() time.Duration) {
	var took, bare samples
	for b.Loop() {
		took = append(took, float64(f()))
		b.StopTimer()
		bare = append(bare, float64(timeBare(b)))
		b.StartTimer()
	}
	b.ReportMetric(took.median()/1e3, "p50-µs")
	b.ReportMetric(took.median()/bare.median(), "x-bare")
}

func timeBare(b *testing.B) time.Duration {
	start := time.Now()
	p := startBare(b)
	defer p.stop()
	return time.Since(start)
}

// BenchmarkWarmCall measures one call at a time in a process that is running
// already, in turns with one byte there and back through pipes between two
// processes: x-pipe.
func BenchmarkWarmCall(b *testing.B) {
	pool := &parallel.ProcessPool{Size: 1, IdleTimeout: -1}
	defer pool.Close()
	warm(b, pool, 1)
	bare := startBare(b)
	defer bare.stop()
	ctx, kept := context.Background(), parallel.On(pool)
	items := []int{21}
	for _, w := range []struct {
		name string
		call func() (int, error)
	}{
		{"place=bare", func() (int, error) {
			bare.call(b)
			return 42, nil
		}},
		{"place=kept/func=Map", func() (int, error) {
			results, err := parallel.Map(ctx, items, benchTwice, kept)
			if err != nil {
				return 0, err
			}
			return results[0], nil
		}},
		{"place=kept/func=Spawn", func() (int, error) {
			return parallel.Spawn(ctx, benchTwice, 21, kept).Wait()
		}},
	} {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			var calls, pings samples
			for b.Loop() {
				calls.add(func() {
					if r, err := w.call(); r != 42 || err != nil {
						b.Fatal(r, err)
					}
				})
				if len(calls)%256 == 0 {
					b.StopTimer()
					for range 64 {
						pings.add(func() { bare.call(b) })
					}
					b.StartTimer()
				}
			}
			b.ReportMetric(calls.median()/1e3, "p50-µs")
			if len(pings) > 0 {
				b.ReportMetric(calls.median()/pings.median(), "x-pipe")
			}
		})
	}
}

// BenchmarkIdleWorkerMemory reports what a worker that has run an item and waits
// for the next takes: its resident memory, which the parts of the executable that
// all workers share count into, and what is its own. For comparison, a process
// of the same executable that has run none of this package's code.
func BenchmarkIdleWorkerMemory(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("only Linux tells in /proc what of a process's memory is shared")
	}
	const workers = 4
	pool := &parallel.ProcessPool{Size: workers, IdleTimeout: -1}
	defer pool.Close()
	warm(b, pool, workers)
	waits := slices.Repeat([]time.Duration{20 * time.Millisecond}, workers)
	pids, err := parallel.Map(context.Background(), waits, benchPID, parallel.On(pool))
	if err != nil {
		b.Fatal(err)
	}
	if slices.Sort(pids); len(slices.Compact(pids)) != workers {
		b.Fatalf("%d items that waited at once ran in the processes %v", workers, pids)
	}
	bare := startBare(b)
	defer bare.stop()
	for _, w := range []struct {
		place string
		pids  []int
	}{{"bare", []int{bare.cmd.Process.Pid}}, {"kept", pids}} {
		b.Run("place="+w.place, func(b *testing.B) {
			var resident, private int
			for b.Loop() {
				resident, private = 0, 0
				for _, pid := range w.pids {
					r, p := processMemory(b, pid)
					resident, private = resident+r, private+p
				}
			}
			b.ReportMetric(0, "ns/op") // of reading /proc, which is not the question
			b.ReportMetric(float64(resident)/float64(len(w.pids)), "resident-bytes/worker")
			b.ReportMetric(float64(private)/float64(len(w.pids)), "private-bytes/worker")
		})
	}
}

// processMemory returns the resident memory of a process and what of it is
// private, in bytes.
func processMemory(b *testing.B, pid int) (resident, private int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Skip("this kernel does not sum up a process's memory:", err)
	}
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[2]) != "kB" {
			continue
		}
		kib, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			b.Fatalf("%s: %v", line, err)
		}
		switch string(fields[0]) {
		case "Rss:":
			resident += kib << 10
		case "Private_Clean:", "Private_Dirty:":
			private += kib << 10
		}
	}
	return resident, private
}

// BenchmarkRecovery measures the time from a worker's SIGKILL to the answer of
// the one that replaces it. A busy worker dies under an item that is run again;
// one that waits dies right before it is needed.
func BenchmarkRecovery(b *testing.B) {
	pool := &parallel.ProcessPool{Size: 1, IdleTimeout: -1, Stderr: io.Discard}
	defer pool.Close()
	warm(b, pool, 1)
	answer := func(b *testing.B, at time.Time) int {
		pids, err := parallel.Map(context.Background(), []int64{at.UnixNano()}, dieAt, parallel.On(pool), parallel.Retry(1))
		if err != nil {
			b.Fatal(err)
		}
		return pids[0]
	}
	for _, w := range []struct {
		state string
		kill  func(pid int) time.Time // returns when the worker is killed
	}{
		{"busy", func(int) time.Time { return time.Now().Add(2 * time.Millisecond) }},
		{"idle", func(pid int) time.Time {
			kill(pid)
			return time.Now()
		}},
	} {
		b.Run("state="+w.state, func(b *testing.B) {
			var took samples
			before := answer(b, time.Now())
			for b.Loop() {
				killed := w.kill(before)
				after := answer(b, killed)
				if after == before { // the item came too late to die of it
					continue
				}
				took = append(took, float64(time.Since(killed)))
				before = after
			}
			b.ReportMetric(took.median()/1e3, "p50-µs")
		})
	}
}

// BenchmarkSpawns measures n Spawns at once on a warm pool, from the first to the end of the
// last. What each takes must not depend on n.
func BenchmarkSpawns(b *testing.B) {
	pool := warmPool(b)
	for _, n := range []int{100, 1_000, 16_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			tasks := make([]*parallel.Task[int], n)
			for b.Loop() {
				for i := range tasks {
					tasks[i] = parallel.Spawn(b.Context(), benchTwice, i, parallel.On(pool))
				}
				for i, task := range tasks {
					if r, err := task.Wait(); r != 2*i || err != nil {
						b.Fatal(i, r, err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(n), "ns/spawn")
		})
	}
}

// BenchmarkCallers measures many callers at once of Map with a few items each, on a warm
// pool.
func BenchmarkCallers(b *testing.B) {
	pool := warmPool(b)
	for _, callers := range []int{10, 100, 1_000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchCallers(b, callers, pool)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(callers), "ns/call")
		})
	}
}

// benchCallers has so many goroutines call Map once.
func benchCallers(b *testing.B, callers int, pool *parallel.ProcessPool) {
	items := []int{1, 2, 3, 4, 5}
	var group errgroup.Group
	for range callers {
		group.Go(func() error {
			results, err := parallel.Map(b.Context(), items, benchTwice, parallel.On(pool))
			if err == nil && results[4] != 10 {
				err = fmt.Errorf("results %v", results)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkManyWorkers measures a warm pool of 200 workers: one call of items that wait for a
// millisecond, against the time that they take at least; as many callers as workers; and one
// call at a time.
func BenchmarkManyWorkers(b *testing.B) {
	const workers = 200
	pool := &parallel.ProcessPool{Size: workers, IdleTimeout: -1}
	defer pool.Close()
	warm(b, pool, workers)
	naps := slices.Repeat([]time.Duration{time.Millisecond}, 10*workers)
	b.Run("work=blocking", func(b *testing.B) {
		for b.Loop() {
			if _, err := parallel.Map(b.Context(), naps, benchSleep, parallel.On(pool)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(10*time.Millisecond), "x-ideal")
	})
	for _, callers := range []int{1, workers, 10 * workers} {
		b.Run(fmt.Sprintf("work=tiny/callers=%d", callers), func(b *testing.B) {
			for b.Loop() {
				benchCallers(b, callers, pool)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(callers), "ns/call")
		})
	}
}

// BenchmarkShortCalls reports what a call of n tiny items in a pool of two warm
// workers takes, and, as x-one, how many times what a call of one item takes.
func BenchmarkShortCalls(b *testing.B) {
	for _, p := range []struct {
		name string
		pool *parallel.ProcessPool
	}{
		{"", &parallel.ProcessPool{Size: 2, IdleTimeout: -1}},
		{"/limit=items", &parallel.ProcessPool{Size: 2, IdleTimeout: -1, MaxItems: 1e9}},
		{"/limit=memory", &parallel.ProcessPool{Size: 2, IdleTimeout: -1, MaxMemoryBytes: 1 << 30}},
	} {
		pool := p.pool
		warm(b, pool, 2)
		benchShort(b, "type=int"+p.name, pool, func(i int) int { return i }, benchTwice)
		if p.name == "" {
			benchShort(b, "type=string", pool, func(i int) string { return fmt.Sprint("item ", i) }, benchUpper)
			benchShort(b, "type=time", pool, func(i int) time.Time { return time.Unix(int64(i), 0) }, benchNextDay)
			benchShort(b, "type=own", pool, func(i int) benchOwn { return benchOwn{i} }, benchOwnTwice)
		}
		pool.Close()
	}
}

func benchUpper(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }

func benchNextDay(_ context.Context, t time.Time) (time.Time, error) { return t.AddDate(0, 0, 1), nil }

// benchOwn encodes itself, by code of the user's.
type benchOwn struct{ n int }

func (o benchOwn) MarshalBinary() ([]byte, error) { return binary.AppendVarint(nil, int64(o.n)), nil }

func (o *benchOwn) UnmarshalBinary(data []byte) error {
	n, _ := binary.Varint(data)
	o.n = int(n)
	return nil
}

func benchOwnTwice(_ context.Context, o benchOwn) (benchOwn, error) { return benchOwn{2 * o.n}, nil }

func benchShort[T, R any](b *testing.B, name string, pool *parallel.ProcessPool, item func(i int) T, fn func(context.Context, T) (R, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	kept := parallel.On(pool)
	for _, n := range []int{2, 10, 100, 1000} {
		b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
			items := make([]T, n)
			for i := range items {
				items[i] = item(i)
			}
			var one, all samples
			for b.Loop() {
				for range 16 {
					one.add(func() { mustMap(b, ctx, items[:1], fn, kept) })
				}
				for range 16 {
					all.add(func() { mustMap(b, ctx, items, fn, kept) })
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(all.median()/1e3, "p50-µs")
			b.ReportMetric(all.median()/one.median(), "x-one")
		})
	}
}

func mustMap[T, R any](b *testing.B, ctx context.Context, items []T, fn func(context.Context, T) (R, error), options ...parallel.Option) {
	if r, err := parallel.Map(ctx, items, fn, options...); len(r) != len(items) || err != nil {
		b.Fatal(len(r), err)
	}
}

// BenchmarkWrongEstimate reports what a call of two items in a pool of two warm workers takes if
// the items before have been tiny, and, as x-known, how many times what it takes if they have
// been as long.
func BenchmarkWrongEstimate(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pool := &parallel.ProcessPool{Size: 2, IdleTimeout: -1}
	defer pool.Close()
	warm(b, pool, 2)
	kept := parallel.On(pool)
	tiny := spinItems(100, 0)
	for _, each := range []time.Duration{100 * time.Microsecond, 250 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		for _, n := range []int{2, 20} {
			b.Run(fmt.Sprintf("each=%v/n=%d", each, n), func(b *testing.B) {
				items := spinItems(n, each)
				var known, wrong samples
				for b.Loop() {
					for range 5 {
						mustMap(b, ctx, items, benchSpin, kept)
					}
					known.add(func() { mustMap(b, ctx, items, benchSpin, kept) })
					for range 5 {
						mustMap(b, ctx, tiny, benchSpin, kept)
					}
					wrong.add(func() { mustMap(b, ctx, items, benchSpin, kept) })
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(wrong.median()/1e3, "p50-µs")
				b.ReportMetric(wrong.median()/known.median(), "x-known")
			})
		}
	}
}
