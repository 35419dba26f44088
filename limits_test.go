//go:build linux

package parallel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What limits a worker: items, idleness, memory, message sizes, start.

func init() {
	Register(grow)
	Register(inflate)
	Register(readBig)
}

func TestMaxItems(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2, MaxItems: 3})
	var pids []int
	for range 2 {
		out, err := Map(t.Context(), count(20), pidOf, On(pool))
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
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 2, IdleTimeout: time.Millisecond})
	_, first := occupy(t, pool)
	_, second := occupy(t, pool)
	first()
	second()
	waitFor(t, "idle workers to end", func() bool { return pool.Stats().Workers == 0 })
	if out, err := Map(t.Context(), count(10), double, On(pool)); err != nil || len(out) != 10 {
		t.Errorf("afterwards: %v, %v", out, err)
	}
	if s := pool.Stats(); s.Died != 0 {
		t.Errorf("ended workers count as dead: %+v", s)
	}

	pool = testPool(t, &ProcessPool{Size: 1, IdleTimeout: -1})
	pid, finish := occupy(t, pool)
	finish()
	if pool.get().timer != nil {
		t.Error("a timer runs although idle workers stay")
	}
	if out, err := Map(t.Context(), count(1), pidOf, On(pool)); err != nil || out[0] != pid {
		t.Errorf("ran in %v, %v, want in %d", out, err, pid)
	}
}

// mass is memory to take: MiB of it, and then a file to wait for.
type mass struct {
	MiB  int
	Wait string
}

var keptMemory [][]byte

// grow takes memory and keeps it. The memory is not Go's, so that it is as much
// with the race detector.
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
	for m.Wait != "" && !exists(m.Wait) {
		time.Sleep(time.Millisecond) // allowed: paces the polling
	}
	return os.Getpid(), nil
}

func TestMemoryLimitWithinAnItem(t *testing.T) {
	onlyOn(t, "linux")
	bothTransports(t, func(t *testing.T) {
		checkLeaks(t)
		pool := testPool(t, &ProcessPool{Size: 2, MaxMemoryBytes: 300 << 20})
		items := make([]mass, 10)
		items[4] = mass{400, "never"}
		out, err := Map(patient(t), items, grow, On(pool), KeepGoing(), Retry(3))
		failed := itemErrors(err)
		var crash *CrashError
		if len(failed) != 1 || failed[0].Index != 4 || !errors.As(err, &crash) || !errors.Is(err, ErrMemoryLimit) {
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
	onlyOn(t, "linux")
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1, MaxMemoryBytes: 1 << 50})
	before, err := Map(t.Context(), []mass{{400, ""}}, grow, On(pool))
	if err != nil {
		t.Fatal(err)
	}
	pool.get().config.MaxMemoryBytes = 300 << 20 // between calls, so that no item is met in the act
	after, err := Map(t.Context(), make([]mass, 3), grow, On(pool))
	if err != nil || after[0] == before[0] {
		t.Errorf("ran in %v, %v, want not in %v, which is too large", after, err, before)
	}
	if s := pool.Stats(); s.Died != 0 || s.Started != 2 {
		t.Errorf("%+v", s)
	}
}

// TestMemoryLimitBelowAnIdleWorker has a limit that no worker can keep: each
// runs a little, which is all that can be done.
func TestMemoryLimitBelowAnIdleWorker(t *testing.T) {
	onlyOn(t, "linux")
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1, MaxMemoryBytes: 1})
	_, err := Map(patient(t), count(5), double, On(pool), KeepGoing())
	for _, e := range itemErrors(err) {
		if !errors.Is(e, ErrMemoryLimit) { // where the machine is so slow that an item is met in the act
			t.Error(err)
		}
	}
	if s := pool.Stats(); s.Items != 5 || s.Started > 5 {
		t.Errorf("%+v, want 5 items in at most 5 workers", s)
	}
}

func TestMemoryLimitElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("it is supported here")
	}
	pool := testPool(t, &ProcessPool{MaxMemoryBytes: 1})
	if _, err := Map(t.Context(), count(1), double, On(pool)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// inflate returns a string whose length is the item's, but at most 100,000.
func inflate(_ context.Context, s string) (string, error) {
	if strings.HasPrefix(s, "inflate") {
		return strings.Repeat("x", 100_000), nil
	}
	return fmt.Sprint(len(s)), nil
}

func readBig(ctx context.Context, _ int) (int, error) {
	s, _ := Shared[string](ctx)
	return len(s), nil
}

func TestMaxMessageBytes(t *testing.T) {
	bothTransports(t, func(t *testing.T) {
		checkLeaks(t)
		pool := testPool(t, &ProcessPool{Size: 1, MaxMessageBytes: 1000})
		items := []string{"a", strings.Repeat("y", 990), strings.Repeat("y", 1001), "inflate", "b"}
		out, err := Map(t.Context(), items, inflate, On(pool), KeepGoing())
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
		if out, err := Map(t.Context(), count(1), readBig, On(pool), Share(strings.Repeat("z", 900))); err != nil || out[0] != 900 {
			t.Errorf("a shared value within the limit: %v, %v", out, err)
		}
		_, err = Map(t.Context(), count(1), readBig, On(pool), Share(strings.Repeat("z", 1001)))
		if err == nil || !strings.HasPrefix(err.Error(), "parallel: Share: ") {
			t.Errorf("a shared value over the limit: %v", err)
		}
	})
}
