package parallel

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"example.com/parallel/internal/schedule"
)

// Option changes how one call behaves. If two options disagree, the later one
// wins. An option with an impossible value, such as Goroutines(0), panics.
type Option interface{ apply(*settings) }

type option func(*settings)

func (o option) apply(s *settings) { o(s) }

// settings is what a call's options come to.
type settings struct {
	// Where fn runs: on pool if it is set, else in processes worker processes
	// of the call's own if that is positive, else on goroutines goroutines.
	goroutines int
	processes  int
	pool       *ProcessPool

	keepGoing bool
	unordered bool
	timeout   time.Duration // each item's own; 0: none
	retries   int
	progress  func(done, total int)
	shared    sharedValue // nil: none

	onStart func(pid int) // told when an item starts in a process; nil: not wanted
}

// newSettings reads the options of a call of the function called name.
func newSettings(name string, opts []Option) settings {
	s := settings{goroutines: runtime.GOMAXPROCS(0)}
	for i, o := range opts {
		if o == nil {
			panic(fmt.Sprintf("parallel: %s: option %d is nil", name, i))
		}
		o.apply(&s)
	}
	if s.unordered && name != "MapSeq" {
		panic("parallel: " + name + ": the option Unordered is for MapSeq only")
	}
	return s
}

// context is the context of a call: ctx with the shared value in it.
func (s *settings) context(ctx context.Context) context.Context {
	if s.shared == nil {
		return ctx
	}
	return context.WithValue(ctx, shareKey{}, s.shared)
}

// config is how a call of the function id schedules its items, of which there are total, −1
// if that is not known, and done have been run already.
func (s *settings) config(id identity, total, done int) schedule.Config {
	c := schedule.Config{
		KeepGoing: s.keepGoing, Workers: s.workers(), Total: total, First: done,
		Progress: s.progress, Errors: makeErrors,
	}
	if !s.inProcesses() {
		c.Cost = id.cost()
	}
	return c
}

// inProcesses reports whether fn runs in worker processes.
func (s *settings) inProcesses() bool { return s.pool != nil || s.processes > 0 }

// workers is the most items that run at once.
func (s *settings) workers() int {
	switch {
	case s.pool != nil:
		return s.pool.get().Size()
	case s.processes > 0:
		return s.processes
	default:
		return s.goroutines
	}
}

func (s *settings) setPlace(goroutines, processes int, pool *ProcessPool) {
	s.goroutines, s.processes, s.pool = goroutines, processes, pool
}

// Goroutines runs fn on at most n goroutines of this process, n ≥ 1. It is the
// default, with n = GOMAXPROCS. Choose a larger n if items wait for something
// other than the processor. If they wait for one another, n must be at least the
// number of items; without this option the caller may run them alone.
func Goroutines(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("parallel: Goroutines(%d): n must be at least 1", n))
	}
	return option(func(s *settings) { s.setPlace(n, 0, nil) })
}

// Processes runs fn in at most n worker processes, n ≥ 1. They are started for
// this call and gone when it returns. Use [On] to keep them for the next call.
func Processes(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("parallel: Processes(%d): n must be at least 1", n))
	}
	return option(func(s *settings) { s.setPlace(0, n, nil) })
}

// On runs fn in the worker processes of pool, which keeps them for later calls.
func On(pool *ProcessPool) Option {
	if pool == nil {
		panic("parallel: On(nil): the pool is nil")
	}
	return option(func(s *settings) { s.setPlace(0, 0, pool) })
}

// KeepGoing runs every item, whatever happens to the others, and reports every
// failure. The error joins the *ItemErrors in index order, and a failed item has
// a zero result.
func KeepGoing() Option {
	return option(func(s *settings) { s.keepGoing = true })
}

// ItemTimeout limits each item to d, d > 0, from its own start. When d has passed,
// the item's context ends. An item that returns later has failed, whatever it
// returns: its error satisfies errors.Is(err, context.DeadlineExceeded). A panic
// stays a *PanicError. In a worker process an item that ignores its context is
// killed [ProcessPool.KillDelay] later. A goroutine cannot be killed; the call
// waits for it.
func ItemTimeout(d time.Duration) Option {
	if d <= 0 {
		panic(fmt.Sprintf("parallel: ItemTimeout(%v): the limit must be positive", d))
	}
	return option(func(s *settings) { s.timeout = d })
}

// Retry runs an item again if its worker process died while running it, at most n
// more times, n ≥ 0. Without it no item is run twice. It does not apply to an
// error that fn returned, to a panic, or to an item that exceeded its own limit
// (ItemTimeout, MaxMemoryBytes).
func Retry(n int) Option {
	if n < 0 {
		panic(fmt.Sprintf("parallel: Retry(%d): n must not be negative", n))
	}
	return option(func(s *settings) { s.retries = n })
}

// Unordered makes MapSeq yield results as items finish, not in the order of the
// input. Other functions panic if they are given it.
func Unordered() Option {
	return option(func(s *settings) { s.unordered = true })
}

// OnProgress calls f after each item that has finished, well or not, with the
// number of finished items and the number of all items. For MapSeq, which does
// not know it, total is -1. Calls of f do not overlap within one call, and done
// grows by one from each to the next. The last one has returned before the call
// does.
//
// On goroutines f runs on those that do the work, so it should be brief. In
// processes it runs on a goroutine of its own, and may make calls on the same
// [ProcessPool]. If f panics or calls runtime.Goexit, it is not called again, the
// call ends, and the panic or the Goexit goes on in the caller; with Spawn it is
// the task's error.
func OnProgress(f func(done, total int)) Option {
	if f == nil {
		panic("parallel: OnProgress(nil): the function is nil")
	}
	return option(func(s *settings) { s.progress = f })
}
