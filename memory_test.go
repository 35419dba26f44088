//go:build linux

package parallel

import (
	"bytes"
	"context"
	"syscall"
	"testing"
)

func init() { Register(bytesBack) }

func bytesBack(_ context.Context, b []byte) ([]byte, error) { return b, nil }

// TestPageIsGivenBack looks at what a worker's page takes when calls with large
// items are over, and with small ones.
func TestPageIsGivenBack(t *testing.T) {
	checkLeaks(t)
	pool := testPool(t, &ProcessPool{Size: 1})
	for _, size := range []int{10, 1 << 20, 20 << 20} {
		items := make([][]byte, 5)
		for i := range items {
			items[i] = bytes.Repeat([]byte{byte(i)}, size)
		}
		out, err := Map(patient(t), items, bytesBack, On(pool))
		if err != nil || len(out) != len(items) {
			t.Fatalf("%d results, %v", len(out), err)
		}
		for i := range out {
			if !bytes.Equal(out[i], items[i]) {
				t.Fatalf("item %d of %d bytes is another", i, size)
			}
		}
		core := pool.get()
		core.mu.Lock()
		info, err := core.idle[0].page.Stat()
		core.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		// Two trays, two slots and the outbox, each with a little more.
		if took := info.Sys().(*syscall.Stat_t).Blocks * 512; took > (2+trays)*(pageKeep+64<<10)+trayAt {
			t.Errorf("after items of %d bytes the page takes %d", size, took)
		}
	}
}

// TestItemsOfAllSizes sends items around the sizes at which they take another way.
func TestItemsOfAllSizes(t *testing.T) {
	bothTransports(t, func(t *testing.T) {
		checkLeaks(t)
		pool := testPool(t, &ProcessPool{Size: 2})
		var items [][]byte
		for _, around := range []int{0, byReference, trayRoom, outboxFull, batchBytes, traySize} {
			for d := -50; d <= 50; d += 10 {
				items = append(items, bytes.Repeat([]byte{byte(d)}, max(0, around+d)))
			}
		}
		for range 3 {
			out, err := Map(patient(t), items, bytesBack, On(pool))
			if err != nil || len(out) != len(items) {
				t.Fatalf("%d results, %v", len(out), err)
			}
			for i := range out {
				if !bytes.Equal(out[i], items[i]) {
					t.Errorf("item %d of %d bytes came back with %d", i, len(items[i]), len(out[i]))
				}
			}
		}
	})
}
