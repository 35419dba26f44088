package supervisor_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// sharedOut is an item that says in a file that it has run.
type sharedOut struct {
	File  string
	Index int
	Takes time.Duration
}

func init() { parallel.Register(runSharedOut) }

func runSharedOut(_ context.Context, item sharedOut) (int, error) {
	f, err := os.OpenFile(item.File, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Write(binary.NativeEndian.AppendUint32(nil, uint32(item.Index))); err != nil {
		return 0, err
	}
	for begin := time.Now(); time.Since(begin) < item.Takes; { // computes
	}
	return -item.Index, nil
}

// TestItemsAreSharedOut has calls whose items take very different times, so that items are taken
// from one worker for another again and again, and calls that seem short and are not. Each item
// runs once, as is counted outside of the workers, and its result is its own.
func TestItemsAreSharedOut(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		pool := testPool(t, &parallel.ProcessPool{Size: 3})
		random := rand.New(rand.NewPCG(1, 2))
		for round := range 40 {
			file := filepath.Join(t.TempDir(), "ran")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			items := make([]sharedOut, 1+random.IntN(1<<(1+round%8)))
			for i := range items {
				items[i] = sharedOut{file, i, 0}
				if random.IntN(20) == 0 || i > len(items)-6 && round%2 == 0 {
					items[i].Takes = time.Duration(random.IntN(3000)) * time.Microsecond
				}
			}
			results, err := parallel.Map(t.Context(), items, runSharedOut, parallel.On(pool))
			if err != nil {
				t.Fatal(err)
			}
			ran := make([]int, len(items))
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for ; len(data) > 0; data = data[4:] {
				ran[binary.NativeEndian.Uint32(data)]++
			}
			for i := range items {
				if ran[i] != 1 || results[i] != -i {
					t.Errorf("round %d: item %d of %d ran %d times, with the result %d", round, i, len(items), ran[i], results[i])
				}
			}
		}
	})
}

func init() { parallel.Register(computeText) }

// computeText computes for longer if the text begins with an L.
func computeText(_ context.Context, text string) (int, error) {
	takes := 20 * time.Microsecond
	if text[0] == 'L' {
		takes = 5 * time.Millisecond
	}
	for begin := time.Now(); time.Since(begin) < takes; { // computes
	}
	return len(text), nil
}

// TestItemsOfManySizesAreSharedOut has items of different sizes in the segment, which are taken
// from one worker for another. No worker may die of what is put in their place.
func TestItemsOfManySizesAreSharedOut(t *testing.T) {
	pool := testPool(t, &parallel.ProcessPool{Size: 3})
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		items := make([]string, 1000)
		for i := range items {
			size, kind := 10+random.IntN(50), "s"
			if random.IntN(30) == 0 {
				size = 20_000
			}
			if random.IntN(100) == 0 {
				kind = "L"
			}
			items[i] = kind + strings.Repeat("x", size)
		}
		results, err := parallel.Map(t.Context(), items, computeText, parallel.On(pool))
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range results {
			if n != len(items[i]) {
				t.Errorf("item %d of %d bytes has the result %d", i, len(items[i]), n)
			}
		}
	}
	if died := pool.Stats().Died; died > 0 {
		t.Errorf("%d workers died", died)
	}
}

// rendezvous is an item of a function that was cheap so far, and may have to wait for another item:
// so both must run at once.
type rendezvous struct{ Make, Wait string }

func init() { parallel.Register(meetAnother) }

func meetAnother(ctx context.Context, m rendezvous) (string, error) {
	if m.Wait == "" {
		return "", nil
	}
	return testkit.Gate(ctx, testkit.Step{Make: m.Make, Wait: m.Wait})
}

// TestAShortCallCallsForHelp has a call seem short, whose items wait for one another. They can
// only end if another worker gets what the first has not begun.
func TestAShortCallCallsForHelp(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		for name, options := range map[string][]parallel.Option{
			"caller serves":   nil,
			"with a callback": {parallel.OnProgress(func(int, int) {})},
			"with a limit":    {parallel.ItemTimeout(time.Minute)},
		} {
			t.Run(name, func(t *testing.T) {
				pool := testPool(t, &parallel.ProcessPool{Size: 2})
				options := append([]parallel.Option{parallel.On(pool)}, options...)
				for range 50 {
					if _, err := parallel.Map(testkit.Patient(t), make([]rendezvous, 10), meetAnother, options...); err != nil {
						t.Fatal(err)
					}
				}
				one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
				items := []rendezvous{{one, two}, {two, one}}
				out, err := parallel.Map(testkit.Patient(t), items, meetAnother, options...)
				if err != nil || out[0] != two || out[1] != one {
					t.Errorf("%q, %v", out, err)
				}
			})
		}
	})
}
