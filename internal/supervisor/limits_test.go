//go:build linux

package supervisor_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// What limits a worker: items, idleness, memory, message sizes.

func init() {
	parallel.Register(inflate)
	parallel.Register(shortly)
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

// TestMaxItemsAmongManyCalls has more calls than workers. A worker is replaced when it has run as
// many items as it may, and not because of what it was sent and has given back.
func TestMaxItemsAmongManyCalls(t *testing.T) {
	for _, calls := range []int{1, 3, 10} {
		t.Run(fmt.Sprint("calls=", calls), func(t *testing.T) {
			testkit.CheckLeaks(t)
			const size, most, rounds, n = 2, 50, 30, 40
			pool := testPool(t, &parallel.ProcessPool{Size: size, MaxItems: most})
			pids := make([][]int, calls)
			var group sync.WaitGroup
			for i := range calls {
				group.Go(func() {
					for range rounds / calls {
						out, err := parallel.Map(testkit.Patient(t), make([]int, n), shortly, parallel.On(pool))
						if err != nil {
							t.Error(err)
						}
						pids[i] = append(pids[i], out...)
					}
				})
			}
			group.Wait()
			ran := make(map[int]int)
			for _, pid := range slices.Concat(pids...) {
				if ran[pid]++; ran[pid] > most {
					t.Fatalf("process %d ran more than %d items", pid, most)
				}
			}
			s := pool.Stats()
			if least := s.Items/most + size; s.Items != rounds*n || s.Started > least || s.Died != 0 {
				t.Errorf("%+v, want %d items in at most %d workers", s, rounds*n, least)
			}
			// It is little more than once, unless the machine is so busy that slices last too
			// long. To recall what was just sent made it a dozen.
			if sent := float64(s.BytesOut) / float64(8*s.Items); sent > 6 {
				t.Errorf("%.1f times as much was sent as there is", sent)
			}
		})
	}
}

// shortly takes a while, and returns the process that it runs in.
func shortly(context.Context, int) (int, error) {
	for begin := time.Now(); time.Since(begin) < 100*time.Microsecond; {
	}
	return os.Getpid(), nil
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
