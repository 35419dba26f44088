//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"os"
	"syscall"
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/supervisor"
	"example.com/parallel/internal/testkit"
)

func init() { parallel.Register(bytesBack) }

func bytesBack(_ context.Context, b []byte) ([]byte, error) { return b, nil }

// TestSegmentIsGivenBack looks at what a worker's segment takes when calls with large
// items are over, and with small ones.
func TestSegmentIsGivenBack(t *testing.T) {
	testkit.CheckLeaks(t)
	pool := testPool(t, &parallel.ProcessPool{Size: 1})
	for _, size := range []int{10, 1 << 20, 20 << 20} {
		items := make([][]byte, 5)
		for i := range items {
			items[i] = bytes.Repeat([]byte{byte(i)}, size)
		}
		out, err := parallel.Map(testkit.Patient(t), items, bytesBack, parallel.On(pool))
		if err != nil || len(out) != len(items) {
			t.Fatalf("%d results, %v", len(out), err)
		}
		for i := range out {
			if !bytes.Equal(out[i], items[i]) {
				t.Fatalf("item %d of %d bytes is another", i, size)
			}
		}
		took := int64(0)
		up, down := inner(pool).Idle()[0].Segment().Files()
		for _, f := range []*os.File{up, down} {
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			took += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		// Trim leaves 1 MiB of each of the 4 rings and of each slot; there is the results
		// buffer, and each place may take a little more.
		const most = (shm.Slots+4)*(1<<20+64<<10) + shm.RingsAt
		if took > most {
			t.Errorf("after items of %d bytes the segment takes %d", size, took)
		}
	}
}

// TestItemsOfAllSizes sends items around the sizes at which they take another way.
func TestItemsOfAllSizes(t *testing.T) {
	const (
		sendSize    = 64 << 10 // what a worker has to say is sent from so many bytes on
		byReference = 4 << 10  // items and results go through the segment from so many on
	)
	if shm.Fits(byReference-1) || !shm.Fits(byReference) {
		t.Fatal("items go through the segment from another size on")
	}
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		pool := testPool(t, &parallel.ProcessPool{Size: 2})
		var items [][]byte
		for _, around := range []int{0, byReference, shm.RingRoom, sendSize, supervisor.BatchBytes, shm.RingFull} {
			for d := -50; d <= 50; d += 10 {
				items = append(items, bytes.Repeat([]byte{byte(d)}, max(0, around+d)))
			}
		}
		for range 3 {
			out, err := parallel.Map(testkit.Patient(t), items, bytesBack, parallel.On(pool))
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
