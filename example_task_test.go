package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"example.com/parallel"
)

func init() {
	parallel.Register(render)
	parallel.Register(watch)
}

// render stands for work that takes a while.
func render(ctx context.Context, title string) (string, error) {
	return "<h1>" + strings.ToUpper(title) + "</h1>", nil
}

// watch works until it is told to stop.
func watch(ctx context.Context, dir string) (int, error) {
	<-ctx.Done()
	return 0, fmt.Errorf("watching %s: %w", dir, context.Cause(ctx))
}

// A task runs while the program does something else.
func ExampleTask() {
	ctx := context.Background()
	header := parallel.Spawn(ctx, render, "contents", parallel.Processes(1))
	footer := parallel.Spawn(ctx, render, "index") // on a goroutine
	fmt.Println("meanwhile")
	for _, task := range []*parallel.Task[string]{header, footer} {
		html, err := task.Wait()
		fmt.Println(html, err)
	}
	// Output:
	// meanwhile
	// <h1>CONTENTS</h1> <nil>
	// <h1>INDEX</h1> <nil>
}

// Wait returns what the function returned. The error is the function's own: a
// task has no index, and so no ItemError.
func ExampleTask_Wait() {
	ctx, cancel := context.WithCancel(context.Background())
	task := parallel.Spawn(ctx, watch, "inbox", parallel.Processes(1))
	cancel()
	_, err := task.Wait()
	_, again := task.Wait() // the same, as often as you like
	fmt.Println(errors.Is(err, context.Canceled), err == again)
	// Output: true true
}

// Done is for a select statement: here the program gives up on a task when its
// user does.
func ExampleTask_Done() {
	interrupted := make(chan os.Signal, 1) // signal.Notify(interrupted, os.Interrupt)
	task := parallel.Spawn(context.Background(), render, "report", parallel.Processes(1))
	select {
	case <-task.Done():
		html, err := task.Wait() // does not wait any more
		fmt.Println(html, err)
	case <-interrupted:
		fmt.Println("interrupted")
	}
	// Output: <h1>REPORT</h1> <nil>
}

// PID tells which process to look at with the tools of the operating system.
func ExampleTask_PID() {
	ctx := context.Background()
	inProcess := parallel.Spawn(ctx, processID, 0, parallel.Processes(1))
	pid, err := inProcess.Wait()
	fmt.Println(inProcess.PID() == pid, inProcess.PID() == os.Getpid(), err)

	onGoroutine := parallel.Spawn(ctx, processID, 0)
	_, err = onGoroutine.Wait()
	fmt.Println(onGoroutine.PID(), err)
	// Output:
	// true false <nil>
	// 0 <nil>
}
