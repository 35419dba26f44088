//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/testkit"
)

// What is not to be had is done without.

// optional is the operations of a launcher whose failure must not be noticed but by what takes
// longer.
var optional = []string{"proc", "epoll", "setsig", "null", "memfd", "seal", "map", "file", "session", "pidfd", "waitid", "kill"}

// TestWithout has each of them fail, once and for good, and all together.
func TestWithout(t *testing.T) {
	for _, forGood := range []bool{false, true} {
		for _, op := range append(optional, "all") {
			t.Run(fmt.Sprintf("%s/forGood=%v", op, forGood), func(t *testing.T) {
				testkit.CheckLeaks(t)
				refused := []string{op}
				if op == "all" {
					refused = optional
				}
				pool := testPool(t, &parallel.ProcessPool{Size: 2, KillDelay: 10 * time.Millisecond})
				setLauncher(pool, &proc.Local{Fault: (&refusals{ops: refused, forGood: forGood}).fault})
				serveAll(t, pool, t.TempDir())
			})
		}
	}
}

// TestReliabilityTable holds that docs/reliability.md says what is done without each of them.
func TestReliabilityTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 7 {
			for name := range strings.SplitSeq(strings.TrimSpace(cells[1]), ", ") {
				if name, ok := strings.CutPrefix(name, "`"); ok {
					rows = append(rows, strings.TrimSuffix(name, "`"))
				}
			}
		}
	}
	want := append(slices.Clone(optional), "pipe", "start", "group", "write")
	slices.Sort(rows)
	slices.Sort(want)
	if !slices.Equal(rows, want) {
		t.Errorf("the rows of the table are for %q, want %q", rows, want)
	}
}

// refusals is a launcher's Fault that makes operations fail, each the first time or always.
type refusals struct {
	ops     []string
	forGood bool

	mu      sync.Mutex
	refused []string
}

func (r *refusals) fault(op string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.ops, op) || !r.forGood && slices.Contains(r.refused, op) {
		return nil
	}
	r.refused = append(r.refused, op)
	return errInjected
}

// serveAll has a pool do what pools do: run items, carry large ones, blame the right one for a
// crash, end one that does not listen, and end. It may use a directory.
func serveAll(t *testing.T, pool *parallel.ProcessPool, dir string) {
	t.Helper()
	out, err := parallel.Map(testkit.Patient(t), testkit.Count(100), testkit.Double, parallel.On(pool))
	if err != nil || len(out) != 100 || out[99] != 198 {
		t.Errorf("%v, %v", out, err)
	}
	items := slices.Repeat([][]byte{bytes.Repeat([]byte{1}, 200_000)}, 20)
	items = append(items, make([]byte, 3<<20), make([]byte, 3<<20))
	if large, err := parallel.Map(testkit.Patient(t), items, bytesBack, parallel.On(pool)); err != nil || !slices.EqualFunc(large, items, bytes.Equal) {
		t.Errorf("%d results, %v", len(large), err)
	}
	blows := make([]blow, 7)
	blows[3] = blow{At: atRun, How: "exit 3", Log: filepath.Join(dir, "log")}
	hits, err := parallel.Map(testkit.Patient(t), blows, suffer, parallel.On(pool))
	var item *parallel.ItemError
	var crash *parallel.CrashError
	if len(hits) != 3 || !errors.As(err, &item) || item.Index != 3 || !errors.As(err, &crash) || crash.ExitCode != 3 {
		t.Errorf("%d results, error %v, want 3, and that of item 3 with exit code 3", len(hits), err)
	}
	runs := filepath.Join(dir, "runs")
	ctx, cancel := context.WithCancel(testkit.Patient(t))
	task := parallel.Spawn(ctx, testkit.Gate, testkit.Step{Make: runs, Deaf: true}, parallel.On(pool))
	testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
	cancel()
	if _, err := task.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if s := pool.Stats(); s.Workers != 0 || s.Busy != 0 {
		t.Errorf("%+v", s)
	}
}
