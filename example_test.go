package parallel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"example.com/parallel"
)

// What runs in worker processes is registered where every process of the
// program passes before Init, which is the first statement of main, or as here
// of TestMain. ExampleInit shows a whole program.
func init() {
	parallel.Register(printNumbers)
	parallel.Register(double)
	parallel.RegisterEach(printNumber)
	parallel.Register(pageCount)
	parallel.Register(processID)
}

// printNumbers prints the numbers from 1 to last. Spawn runs it in a worker
// process: parallel.Register(printNumbers) stands in an init function.
func printNumbers(ctx context.Context, last int) (struct{}, error) {
	for i := 1; i <= last; i++ {
		fmt.Println("Number:", i)
	}
	return struct{}{}, nil
}

// One function in a process of its own, as the go statement runs one in a
// goroutine.
func ExampleSpawn() {
	task := parallel.Spawn(context.Background(), printNumbers, 5, parallel.Processes(1))
	if _, err := task.Wait(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Process has finished.")
	// Output:
	// Number: 1
	// Number: 2
	// Number: 3
	// Number: 4
	// Number: 5
	// Process has finished.
}

// double returns twice n. For Processes, parallel.Register(double) stands in an
// init function; goroutines need nothing.
func double(ctx context.Context, n int) (int, error) {
	return 2 * n, nil
}

// A pool of four processes that double numbers. Without the last argument the
// same call runs on goroutines.
func ExampleMap() {
	data := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	results, err := parallel.Map(context.Background(), data, double, parallel.Processes(4))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(results)
	// Output: [2 4 6 8 10 12 14 16 18 20]
}

// printNumber is registered with parallel.RegisterEach(printNumber) in an init
// function.
func printNumber(ctx context.Context, number int) error {
	fmt.Printf("Process %d: %d\n", number, number)
	return nil
}

// Four processes, and a function without a result. Who prints first is open.
func ExampleForEach() {
	numbers := []int{1, 2, 3, 4}
	err := parallel.ForEach(context.Background(), numbers, printNumber, parallel.Processes(4))
	if err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// Process 1: 1
	// Process 2: 2
	// Process 3: 3
	// Process 4: 4
}

// pageCount stands for a C library that takes the whole program down when it is
// given a damaged file.
func pageCount(ctx context.Context, pdf []byte) (int, error) {
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		var mu sync.Mutex
		mu.Unlock() // a fatal error: no recover can stop it
	}
	return bytes.Count(pdf, []byte("/Page ")), nil
}

// The same call on goroutines and in worker processes. Only in the latter may a
// file be damaged: it fails alone, and the program goes on.
func Example() {
	ctx := context.Background()
	good := []byte("%PDF-1.7 /Page (Hello) /Page (world)")
	damaged := []byte("%DPF-1.7 /Page (?!)")

	pages, err := parallel.Map(ctx, [][]byte{good, good}, pageCount)
	fmt.Println(pages, err)

	pool := &parallel.ProcessPool{Stderr: new(bytes.Buffer)} // the crash is noisy
	defer pool.Close()
	pages, err = parallel.Map(ctx, [][]byte{good, damaged, good}, pageCount, parallel.On(pool), parallel.KeepGoing())
	var failed *parallel.ItemError
	if errors.As(err, &failed) {
		fmt.Println(pages, "but file", failed.Index, "is damaged")
	}
	// Output:
	// [2 2] <nil>
	// [2 0 2] but file 1 is damaged
}

// The input is a sequence, here one without an end, and is read only a little
// ahead of the loop. Leaving the loop stops everything.
func ExampleMapSeq() {
	naturals := func(yield func(int) bool) {
		for n := 0; yield(n); n++ {
		}
	}
	square := func(ctx context.Context, n int) (int, error) { return n * n, nil }
	for sq, err := range parallel.MapSeq(context.Background(), naturals, square) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if sq > 50 {
			fmt.Println("the first square above 50 is", sq)
			break
		}
	}
	// Output: the first square above 50 is 64
}

// Requests wait for somebody else's machine, so that many more of them can be
// under way than there are processors: here all twenty, or none would return.
func ExampleGoroutines() {
	var arrived sync.WaitGroup
	arrived.Add(20)
	request := func(ctx context.Context, n int) (string, error) {
		arrived.Done()
		arrived.Wait() // the server answers when it has heard all
		return fmt.Sprintf("answer %d", n), nil
	}
	numbers := make([]int, 20)
	for i := range numbers {
		numbers[i] = i
	}
	answers, err := parallel.Map(context.Background(), numbers, request, parallel.Goroutines(20))
	fmt.Println(len(answers), "answers, the last:", answers[19], err)
	// Output: 20 answers, the last: answer 19 <nil>
}

// processID says which process runs it.
func processID(ctx context.Context, _ int) (int, error) { return os.Getpid(), nil }

// Worker processes have memory, crashes and process IDs of their own. These two
// live as long as the call.
func ExampleProcesses() {
	items := make([]int, 100)
	pids, err := parallel.Map(context.Background(), items, processID, parallel.Processes(2))
	if err != nil {
		fmt.Println(err)
		return
	}
	slices.Sort(pids)
	pids = slices.Compact(pids)
	fmt.Println("one or two processes:", len(pids) == 1 || len(pids) == 2)
	fmt.Println("this one among them:", slices.Contains(pids, os.Getpid()))
	// Output:
	// one or two processes: true
	// this one among them: false
}

// Options are values, so that a program can make the choice between goroutines
// and processes a matter of configuration. A later option wins.
func ExampleOption() {
	for _, processes := range []int{0, 2} { // a flag of the program's, say
		options := []parallel.Option{parallel.Goroutines(4), parallel.KeepGoing()}
		if processes > 0 {
			options = append(options, parallel.Processes(processes))
		}
		results, err := parallel.Map(context.Background(), []int{1, 2, 3}, double, options...)
		fmt.Println(results, err)
	}
	// Output:
	// [2 4 6] <nil>
	// [2 4 6] <nil>
}
