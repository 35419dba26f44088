// Latency says what worker processes cost on this machine, in a small program: to
// start, to be called when they are running, and to be replaced when they die; beside
// each what a bare process takes for the same.
//
//	go run ./examples/latency
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"

	"example.com/parallel"
)

func init() { parallel.Register(pid) }

func pid(context.Context, int) (int, error) { return os.Getpid(), nil }

func main() {
	if len(os.Args) == 2 && os.Args[1] == "echo" {
		echo()
		return
	}
	parallel.Init()
	if err := run(context.Background(), os.Stdout, 100); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

// echo is a bare process: it says that it is there, and answers each byte.
func echo() {
	os.Stdin.Fd() // with plain system calls, which block,
	os.Stdout.Fd()
	b := []byte{'!'}
	for {
		if _, err := os.Stdout.Write(b); err != nil {
			return
		}
		if _, err := os.Stdin.Read(b); err != nil {
			return
		}
	}
}

// bare is such a process and our ends of its pipes.
type bare struct {
	cmd      *exec.Cmd
	to, from *os.File
}

func startBare() (*bare, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stdin, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	from, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	defer stdout.Close()
	b := &bare{exec.Command(path, "echo"), to, from}
	b.cmd.Stdin, b.cmd.Stdout = stdin, stdout
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(err, to.Close(), from.Close())
	}
	to.Fd() // as above
	from.Fd()
	if err := b.read(); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// call sends a byte there and back.
func (b *bare) call() (time.Duration, error) {
	start := time.Now()
	if _, err := b.to.Write([]byte{'?'}); err != nil {
		return 0, err
	}
	err := b.read()
	return time.Since(start), err
}

func (b *bare) read() error {
	_, err := b.from.Read(make([]byte, 1))
	return err
}

func (b *bare) stop() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	b.to.Close()
	b.from.Close()
}

// measurement is one line of what is printed.
type measurement struct {
	name  string
	times int // in each round
	f     func() (time.Duration, error)
	took  []time.Duration
}

// run measures everything in turns, for some rounds.
func run(ctx context.Context, w io.Writer, rounds int) error {
	pool := &parallel.ProcessPool{Size: 1, IdleTimeout: -1, Stderr: io.Discard}
	defer pool.Close()
	b, err := startBare()
	if err != nil {
		return err
	}
	defer b.stop()
	measurements := []measurement{
		{name: "a bare process to its first byte", times: 1, f: bareStart},
		{name: "Processes(2) to the first result", times: 1, f: func() (time.Duration, error) { return firstResult(ctx) }},
		{name: "the death of a worker to the answer of the next", times: 1, f: func() (time.Duration, error) { return recovery(ctx, pool) }},
		{name: "a byte to a bare process and back", times: 100, f: b.call},
		{name: "a call of one item in a running worker", times: 100, f: func() (time.Duration, error) { return call(ctx, pool) }},
	}
	for range rounds {
		for i := range measurements {
			m := &measurements[i]
			for range m.times {
				took, err := m.f()
				if err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
				m.took = append(m.took, took)
			}
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "10%\tmedian\t90%\t\n")
	for _, m := range measurements {
		slices.Sort(m.took)
		for _, tenths := range []int{1, 5, 9} {
			fmt.Fprintf(t, "%v\t", m.took[len(m.took)*tenths/10].Round(100*time.Nanosecond))
		}
		fmt.Fprintf(t, "  %s\n", m.name)
	}
	return t.Flush()
}

func bareStart() (time.Duration, error) {
	start := time.Now()
	b, err := startBare()
	if err != nil {
		return 0, err
	}
	defer b.stop()
	return time.Since(start), nil
}

// firstResult starts processes for one call.
func firstResult(ctx context.Context) (first time.Duration, err error) {
	start := time.Now()
	for _, err := range parallel.MapSeq(ctx, slices.Values([]int{1, 2}), pid, parallel.Processes(2)) {
		if err != nil {
			return 0, err
		}
		if first == 0 {
			first = time.Since(start)
		}
	}
	return first, nil
}

// call calls a process that is running.
func call(ctx context.Context, pool *parallel.ProcessPool) (time.Duration, error) {
	start := time.Now()
	_, err := parallel.Map(ctx, []int{1}, pid, parallel.On(pool))
	return time.Since(start), err
}

// recovery kills a worker, as the system does that has run out of memory, and calls until
// another answers. The call that the dying one was given fails.
func recovery(ctx context.Context, pool *parallel.ProcessPool) (time.Duration, error) {
	before, err := parallel.Map(ctx, []int{1}, pid, parallel.On(pool))
	if err != nil {
		return 0, err
	}
	worker, err := os.FindProcess(before[0])
	if err != nil {
		return 0, err
	}
	defer worker.Release()
	start := time.Now()
	if err := worker.Kill(); err != nil {
		return 0, err
	}
	for {
		after, err := parallel.Map(ctx, []int{1}, pid, parallel.On(pool))
		var crash *parallel.CrashError
		switch {
		case err == nil && after[0] != before[0]:
			return time.Since(start), nil
		case err != nil && !errors.As(err, &crash):
			return 0, err
		}
	}
}
