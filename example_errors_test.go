package parallel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"example.com/parallel"
)

func init() {
	parallel.Register(compile)
	parallel.Register(triple)
	// Package initialization comes before main, and so before Init.
	_, errBeforeInit = parallel.Map(context.Background(), []int{1, 2}, triple, parallel.Processes(2))
}

// The index leads back to the item. As in a loop, it is that of the first item
// that fails, and the results are those before it.
func ExampleItemError() {
	names := []string{"Ada", "", "Grace", ""}
	initial := func(ctx context.Context, name string) (string, error) {
		if name == "" {
			return "", errors.New("a name is empty")
		}
		return name[:1], nil
	}
	initials, err := parallel.Map(context.Background(), names, initial)
	var failed *parallel.ItemError
	if errors.As(err, &failed) {
		fmt.Println(initials, failed.Index, failed.Err)
	}
	fmt.Println(err)
	// Output:
	// [A] 1 a name is empty
	// parallel: item 1: a name is empty
}

// Error names the item; the text is meant for people.
func ExampleItemError_Error() {
	err := &parallel.ItemError{Index: 7, Err: io.ErrUnexpectedEOF}
	fmt.Println(err)
	// Output: parallel: item 7: unexpected EOF
}

// Unwrap makes errors.Is and errors.As find what an item failed with.
func ExampleItemError_Unwrap() {
	read := func(ctx context.Context, name string) error { return fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF) }
	err := parallel.ForEach(context.Background(), []string{"a.gz"}, read)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	// Output: true
}

// A panic is the error of its item, with the stack of the place. It does not
// take the program down.
func ExamplePanicError() {
	prices := []int{100, 250}
	price := func(ctx context.Context, article int) (int, error) { return prices[article], nil }
	_, err := parallel.Map(context.Background(), []int{0, 1, 2}, price)
	var p *parallel.PanicError
	if errors.As(err, &p) {
		fmt.Println(p.Value)
		fmt.Println(strings.Contains(string(p.Stack), "example_errors_test.go"))
	}
	// Output:
	// runtime error: index out of range [2] with length 2
	// true
}

// The text of a PanicError is what was passed to panic; the stack is in its
// field.
func ExamplePanicError_Error() {
	fail := func(ctx context.Context, _ int) error { panic("cannot happen") }
	err := parallel.ForEach(context.Background(), []int{1}, fail)
	fmt.Println(err)
	// Output: parallel: item 0: panic: cannot happen
}

// An error that was passed to panic is found by errors.Is and errors.As.
func ExamplePanicError_Unwrap() {
	must := func(ctx context.Context, _ int) error { panic(io.ErrNoProgress) }
	err := parallel.ForEach(context.Background(), []int{1}, must)
	fmt.Println(errors.Is(err, io.ErrNoProgress))
	// Output: true
}

// A damaged file makes the Go runtime die in the worker process. The error says
// which file, how the process ended and what it said last; all other files have
// been counted.
func ExampleCrashError() {
	pool := &parallel.ProcessPool{Size: 2, Stderr: io.Discard} // what a dying process prints is in the error
	defer pool.Close()
	files := [][]byte{[]byte("%PDF-1.7 /Page 1"), []byte("GIF89a"), []byte("%PDF-1.4 /Page 1 /Page 2")}
	pages, err := parallel.Map(context.Background(), files, pageCount, parallel.On(pool), parallel.KeepGoing())
	fmt.Println(pages)

	var item *parallel.ItemError
	var crash *parallel.CrashError
	if errors.As(err, &item) && errors.As(item, &crash) {
		words, _, _ := bytes.Cut(crash.Stderr, []byte("\n"))
		fmt.Printf("file %d: exit code %d: %s\n", item.Index, crash.ExitCode, words)
	}
	// Output:
	// [1 0 2]
	// file 1: exit code 2: fatal error: sync: unlock of unlocked mutex
}

// syntaxError is not registered, so that it cannot cross as what it is.
type syntaxError struct{ line int }

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: syntax error", e.line) }

// compile accepts programs in which all parentheses are closed.
func compile(ctx context.Context, program string) (int, error) {
	for i, line := range strings.Split(program, "\n") {
		if strings.Count(line, "(") != strings.Count(line, ")") {
			return 0, &syntaxError{i + 1}
		}
	}
	return len(program), nil
}

// An error of a type that is not registered arrives from a worker process as its
// text and the name of its type. RegisterType and RegisterError let more cross.
func ExampleRemoteError() {
	_, err := parallel.Map(context.Background(), []string{"f()\ng("}, compile, parallel.Processes(1))
	var remote *parallel.RemoteError
	if errors.As(err, &remote) {
		fmt.Println(remote.Type)
		fmt.Println(remote.Message)
	}
	// Output:
	// *parallel_test.syntaxError
	// line 2: syntax error
}

// A function literal that captures a variable has no counterpart in a worker
// process. It is refused before anything starts, never guessed.
func Example_errNotRegistered() {
	factor := 3
	multiply := func(ctx context.Context, n int) (int, error) { return factor * n, nil }
	_, err := parallel.Map(context.Background(), []int{1, 2}, multiply, parallel.Processes(2))
	fmt.Println(errors.Is(err, parallel.ErrNotRegistered))

	results, err := parallel.Map(context.Background(), []int{1, 2}, multiply) // goroutines take any function
	fmt.Println(results, err)
	// Output:
	// true
	// [3 6] <nil>
}

func triple(ctx context.Context, n int) (int, error) { return 3 * n, nil }

// errBeforeInit is from a call in an init function of this file.
var errBeforeInit error

// A program that forgets parallel.Init, or uses processes before it has called
// it, is told so; it does not start itself over and over.
func Example_errNotInitialized() {
	fmt.Println(errors.Is(errBeforeInit, parallel.ErrNotInitialized))

	results, err := parallel.Map(context.Background(), []int{1, 2}, triple, parallel.Processes(2))
	fmt.Println(results, err)
	// Output:
	// true
	// [3 6] <nil>
}

// A pool serves no call after its Close.
func Example_errPoolClosed() {
	pool := &parallel.ProcessPool{}
	pool.Close()
	_, err := parallel.Map(context.Background(), []int{1, 2}, double, parallel.On(pool))
	fmt.Println(errors.Is(err, parallel.ErrPoolClosed))
	// Output: true
}

// A test helper that calls t.FailNow ends its goroutine with runtime.Goexit.
// That is the item's error; the call does not hang.
func Example_errGoexit() {
	check := func(ctx context.Context, n int) error {
		if n == 2 {
			runtime.Goexit()
		}
		return nil
	}
	err := parallel.ForEach(context.Background(), []int{1, 2, 3}, check)
	fmt.Println(errors.Is(err, parallel.ErrGoexit))
	fmt.Println(err)
	// Output:
	// true
	// parallel: item 1: fn called runtime.Goexit
}
