// Crash shows that an item may take its worker process down, or never end, and
// the batch goes on. One item of ten makes the Go runtime die, another spins for
// ever; the other results are printed, and the two failures with their causes.
//
//	go run ./examples/crash
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"example.com/parallel"
)

func init() { parallel.Register(square) }

// square returns n², with two exceptions.
func square(_ context.Context, n int) (int, error) {
	switch n {
	case 3:
		dieOfConcurrentMapWrites()
	case 7:
		for turns := 0; ; turns++ { // and never look at the context
		}
	}
	return n * n, nil
}

// dieOfConcurrentMapWrites makes the mistake that no recover can catch.
func dieOfConcurrentMapWrites() {
	runtime.GOMAXPROCS(4) // a worker has its share of the processors, maybe one
	m := make(map[int]int)
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				m[i%8] = i
			}
		}()
	}
	select {}
}

func main() {
	parallel.Init()
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// run squares ten numbers and prints what came of each.
func run(ctx context.Context, w io.Writer) error {
	pool := &parallel.ProcessPool{
		Size:      2,
		KillDelay: 100 * time.Millisecond, // how long an item may overrun its limit
		Stderr:    io.Discard,             // the dying process's words are in the error
	}
	defer pool.Close()

	items := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	i, failed := 0, 0
	for result, err := range parallel.MapSeq(ctx, slices.Values(items), square,
		parallel.On(pool), parallel.KeepGoing(), parallel.ItemTimeout(time.Second)) {
		var item *parallel.ItemError
		switch {
		case err == nil:
			fmt.Fprintf(w, "item %d: the square of %d is %d\n", i, items[i], result)
		case errors.As(err, &item):
			fmt.Fprintf(w, "item %d: FAILED: %s\n", item.Index, describe(item.Err))
			failed++
		default:
			return err // the call itself could not run
		}
		i++
	}
	fmt.Fprintf(w, "%d results, %d failures\n", i-failed, failed)
	return nil
}

// describe says how an item failed, from the fields of the error.
func describe(err error) string {
	var crash *parallel.CrashError
	if !errors.As(err, &crash) {
		return err.Error()
	}
	end := fmt.Sprintf("process %d ended with exit code %d", crash.PID, crash.ExitCode)
	if crash.Signal != nil {
		end = fmt.Sprintf("process %d ended with signal %v", crash.PID, crash.Signal)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return end + ": its time was up"
	}
	return end + ": " + fatalLine(crash.Stderr)
}

// fatalLine returns the line of stderr with which the Go runtime died.
func fatalLine(stderr []byte) string {
	for line := range bytes.Lines(stderr) {
		if bytes.HasPrefix(line, []byte("fatal error: ")) {
			return string(bytes.TrimSpace(line))
		}
	}
	return fmt.Sprintf("%q", stderr)
}
