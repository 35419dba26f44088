package parallel_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"example.com/parallel"
)

// BenchmarkLimits reports, as x-unlimited, how many times what a call takes in a warm pool
// it takes in one with a limit.
func BenchmarkLimits(b *testing.B) {
	const n = 1e6
	items := make([]int, n)
	for i := range items {
		items[i] = i
	}
	workers := runtime.GOMAXPROCS(0)
	unlimited := inMap[int, int](parallel.On(warmPool(b)))
	for _, p := range []struct {
		name string
		pool *parallel.ProcessPool
	}{
		{"items", &parallel.ProcessPool{IdleTimeout: -1, MaxItems: 1e9}},
		{"memory", &parallel.ProcessPool{IdleTimeout: -1, MaxMemoryBytes: 1 << 30}},
	} {
		if p.name == "memory" && runtime.GOOS != "linux" {
			continue // the limit is for Linux
		}
		warm(b, p.pool, workers)
		inTurns(b, fmt.Sprintf("limit=%s/n=%d", p.name, len(items)), "x-unlimited", inMap[int, int](parallel.On(p.pool)), unlimited, items, benchTwice)
		p.pool.Close()
	}
}

// BenchmarkPayload reports, as x-loop, how many times what a loop takes that copies each
// item it takes to do the same elsewhere: nearly all of the time is for the way there and
// back.
func BenchmarkPayload(b *testing.B) {
	kept := parallel.On(warmPool(b))
	for _, p := range []struct{ size, n int }{{64 << 10, 1000}, {1 << 20, 100}} {
		items := make([][]byte, p.n)
		for i := range items {
			items[i] = bytes.Repeat([]byte{byte(i)}, p.size)
		}
		for _, w := range []struct {
			place string
			run   mapper[[]byte, []byte]
		}{
			{"goroutines", inMap[[]byte, []byte]()},
			{"kept", inMap[[]byte, []byte](kept)},
			{"processes", inMap[[]byte, []byte](parallel.Processes(runtime.GOMAXPROCS(0)))},
		} {
			inTurns(b, fmt.Sprintf("place=%s/size=%d/n=%d", w.place, p.size, p.n), "x-loop", w.run, inLoop, items, benchCopy)
		}
	}
}
