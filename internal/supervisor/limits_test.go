//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// What limits a worker: items, idleness, memory, message sizes.

func init() {
	parallel.Register(grow)
	parallel.Register(inflate)
	parallel.Register(readBig)
}

func TestMaxItems(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2, MaxItems: 3})
	var pids []int
	for range 2 {
		out, err := parallel.Map(t.Context(), testkit.Count(20), testkit.PID, parallel.On(pool))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, out...)
	}
	ran := make(map[int]int)
	for _, pid := range pids {
		if ran[pid]++; ran[pid] > 3 {
			t.Fatalf("process %d ran more than 3 items", pid)
		}
	}
	if s := pool.Stats(); s.Died != 0 || s.Items != 40 || s.Started < 14 {
		t.Errorf("%+v", s)
	}
}

func TestIdleTimeout(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 2, IdleTimeout: time.Millisecond})
	_, first := occupy(t, pool)
	_, second := occupy(t, pool)
	first()
	second()
	testkit.WaitFor(t, "idle workers to end", func() bool { return pool.Stats().Workers == 0 })
	if out, err := parallel.Map(t.Context(), testkit.Count(10), testkit.Double, parallel.On(pool)); err != nil || len(out) != 10 {
		t.Errorf("afterwards: %v, %v", out, err)
	}
	if s := pool.Stats(); s.Died != 0 {
		t.Errorf("ended workers count as dead: %+v", s)
	}

	pool = testPool(t, &parallel.ProcessPool{Size: 1, IdleTimeout: -1})
	pid, finish := occupy(t, pool)
	finish()
	testkit.WaitFor(t, "the ticks for calls to end", func() bool { return !inner(pool).TickSet() })
	for range 1000 { // no call is there any more that could set it
		if inner(pool).TickSet() {
			t.Fatal("the timer is set although idle workers stay")
		}
	}
	if out, err := parallel.Map(t.Context(), testkit.Count(1), testkit.PID, parallel.On(pool)); err != nil || out[0] != pid {
		t.Errorf("ran in %v, %v, want in %d", out, err, pid)
	}
}

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

func TestMemoryLimitBetweenItems(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMemoryBytes: 1 << 50})
	before, err := parallel.Map(t.Context(), []mass{{400, ""}}, grow, parallel.On(pool))
	if err != nil {
		t.Fatal(err)
	}
	inner(pool).SetMaxMemory(300 << 20) // between calls, so that no item is met in the act
	after, err := parallel.Map(t.Context(), make([]mass, 3), grow, parallel.On(pool))
	if err != nil || after[0] == before[0] {
		t.Errorf("ran in %v, %v, want not in %v, which is too large", after, err, before)
	}
	if s := pool.Stats(); s.Died != 0 || s.Started != 2 {
		t.Errorf("%+v", s)
	}
}

// TestMemoryLimitBelowAnIdleWorker has a limit that no worker can keep: each runs a little,
// which is all that can be done.
func TestMemoryLimitBelowAnIdleWorker(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMemoryBytes: 1})
	_, err := parallel.Map(testkit.Patient(t), testkit.Count(5), testkit.Double, parallel.On(pool), parallel.KeepGoing())
	for _, e := range itemErrors(err) {
		if !errors.Is(e, parallel.ErrMemoryLimit) { // if the machine is so slow that an item is met in the act
			t.Error(err)
		}
	}
	if s := pool.Stats(); s.Items != 5 || s.Started > 5 {
		t.Errorf("%+v, want 5 items in at most 5 workers", s)
	}
}

// inflate returns the length of its item, and for "inflate" 100,000 bytes.
func inflate(_ context.Context, s string) (string, error) {
	if strings.HasPrefix(s, "inflate") {
		return strings.Repeat("x", 100_000), nil
	}
	return fmt.Sprint(len(s)), nil
}

func readBig(ctx context.Context, _ int) (int, error) {
	s, _ := parallel.Shared[string](ctx)
	return len(s), nil
}

func TestMaxMessageBytes(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 1, MaxMessageBytes: 1000})
		items := []string{"a", strings.Repeat("y", 990), strings.Repeat("y", 1001), "inflate", "b"}
		out, err := parallel.Map(t.Context(), items, inflate, parallel.On(pool), parallel.KeepGoing())
		failed := itemErrors(err)
		if len(failed) != 2 || failed[0].Index != 2 || failed[1].Index != 3 {
			t.Fatalf("error %v, want those of items 2 and 3", err)
		}
		for i, what := range []string{"item", "result"} {
			want := fmt.Sprintf("parallel: item %d: the encoded %s is larger than MaxMessageBytes (1000 bytes)", i+2, what)
			if failed[i].Error() != want {
				t.Errorf("%q, want %q", failed[i], want)
			}
		}
		if got, want := strings.Join(out, " "), "1 990   1"; got != want {
			t.Errorf("results %q, want %q", got, want)
		}
		if s := pool.Stats(); s.Started != 1 || s.Died != 0 {
			t.Errorf("large messages cost workers: %+v", s)
		}
		readShared := func(n int) ([]int, error) {
			return parallel.Map(t.Context(), testkit.Count(1), readBig, parallel.On(pool), parallel.Share(strings.Repeat("z", n)))
		}
		if out, err := readShared(900); err != nil || out[0] != 900 {
			t.Errorf("a shared value within the limit: %v, %v", out, err)
		}
		if _, err = readShared(1001); err == nil || !strings.HasPrefix(err.Error(), "parallel: Share: ") {
			t.Errorf("a shared value over the limit: %v", err)
		}
	})
}
