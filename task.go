package parallel

import (
	"context"
	"sync/atomic"
)

// Task is one call of a function that [Spawn] has started. Its methods may be
// called at any time, from any goroutine.
type Task[R any] struct {
	done   chan struct{} // closed at the end; what is below does not change then
	result R
	err    error
	pid    atomic.Int64
}

// Spawn starts one call of fn with arg and returns without waiting for it, as
// the go statement does; with [Processes] or [On] it runs in a worker process.
// Everything that holds for an item of [Map] holds for the task. Spawn panics
// if ctx, fn or an option is nil.
func Spawn[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), arg T, opts ...Option) *Task[R] {
	check("Spawn", ctx, fn == nil)
	s := newSettings("Spawn", opts)
	if s.processes > 0 {
		s.processes = 1 // one item needs no more
	}
	t := &Task[R]{done: make(chan struct{})}
	s.onStart = func(pid int) { t.pid.Store(int64(pid)) }
	out := make([]R, 1)
	w := &mapWork[T, R]{[]T{arg}, out, limited(fn, s.timeout)}
	go func() {
		defer close(t.done)
		defer func() {
			if v := recover(); v != nil { // from a callback of the caller's
				t.err = caught(v)
			}
		}()
		_, err := runSlice(ctx, &s, identify("Spawn", fn), w, 0, 1)
		t.err = taskError(err)
		if t.err == nil {
			t.result = out[0]
		}
	}()
	return t
}

// Wait waits for the task to end and returns what fn returned. Unlike Map's,
// the error has no [*ItemError] around it. Wait can be called any number of
// times. Where fn ran in a process of the task's own, that has gone when Wait
// returns.
func (t *Task[R]) Wait() (R, error) {
	<-t.done
	return t.result, t.err
}

// Done returns a channel that is closed when the task has ended.
func (t *Task[R]) Done() <-chan struct{} { return t.done }

// PID returns the process ID of the worker process that runs the task, or that
// ran it. It is 0 on a goroutine, and before the task has started.
func (t *Task[R]) PID() int { return int(t.pid.Load()) }

// taskError is err, of a call with one item, without the item's number.
func taskError(err error) error {
	switch err := err.(type) {
	case *ItemError:
		return err.Err
	case joinedError:
		return err[0].Err
	default:
		return err
	}
}
