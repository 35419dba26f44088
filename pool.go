package parallel

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/supervisor"
	"example.com/parallel/internal/transport"
	"example.com/parallel/internal/wire"
)

// ProcessPool keeps worker processes for the calls that name it with [On], so that
// only the first of them pays for their start. The zero value is ready to use and
// starts workers as calls need them. A worker runs one item at a time.
//
// A worker that cannot be started does not end a call while another lives: the
// call goes on with fewer, and the start is tried again. If none lives, the call
// fails after five tries in a row, which take a second or more. It fails at once
// if no try can succeed, as when Dir does not exist. The error has the standard
// error of the last worker that was tried.
//
// A ProcessPool is safe for concurrent use; calls that run at the same time share
// its workers. Set the fields before the first use, and do not copy a pool after
// it.
type ProcessPool struct {
	// Size is the most worker processes at once; 0 means GOMAXPROCS.
	Size int

	// MaxItems is how many items a worker runs before it is replaced; 0 means no
	// limit. It helps against leaks in C libraries.
	MaxItems int

	// MaxMemoryBytes limits how much resident memory a worker has that it shares
	// with no other process; 0 means no limit. An item that takes its worker to
	// the limit fails with a *CrashError that wraps ErrMemoryLimit. A running item
	// is measured every 10 ms, so a fast one can overshoot.
	//
	// What items leave behind is not held against later ones. A worker is replaced
	// between two items when it has grown by more than half of what lay between its
	// size after its first item and the limit, so that each item has the other half
	// to itself. Garbage and free memory do not count. Workers are given a
	// GOMEMLIMIT of nine tenths of the limit, less the memory that is not Go's.
	//
	// If a worker needs more than the limit before its first item, calls fail with
	// an error that wraps ErrMemoryLimit. If memory cannot be measured, which is so
	// on systems other than Linux and without /proc, they fail with one that wraps
	// errors.ErrUnsupported. With a limit an item takes some 30 ns more.
	MaxMemoryBytes int64

	// MaxMessageBytes limits one encoded item, result or shared value; 0 means
	// 1 GiB. An item that is larger, or whose result is, fails. The most is 4 MiB
	// less than 4 GiB, or than 2 GiB on 32-bit systems; a call with a larger limit
	// panics.
	MaxMessageBytes int64

	// IdleTimeout is how long an unused worker is kept. 0 means 1 minute;
	// negative means for ever.
	IdleTimeout time.Duration

	// StartTimeout limits the time from the start of a worker until it is ready,
	// package initialization included; 0 means 10 seconds. A start that takes longer
	// is not tried again if no worker of the pool has ever been ready. A worker that
	// has been sent an item and does not begin it is replaced within two seconds;
	// after StartTimeout, if the machine is so busy that the worker cannot run.
	StartTimeout time.Duration

	// KillDelay is how long an item may take to return after its context has
	// ended, before its worker is killed; 0 means 1 second.
	KillDelay time.Duration

	// Env is appended to this process's environment to make that of a worker. If
	// a name has two values, the later one counts. All workers of a pool get the
	// environment that this process had when the first was started. Each worker is
	// given a share of this process's GOMAXPROCS, but the variable GOMAXPROCS that
	// it and what it starts see is this process's, and so is GOMEMLIMIT.
	Env []string

	// Dir is the workers' working directory; empty means this process's. A relative
	// Dir, and an empty one, go by the directory that this process had when the
	// pool's first worker was started.
	Dir string

	// Stdout and Stderr receive what workers print, in whole lines; nil means
	// os.Stdout and os.Stderr. Writes do not overlap. Output may arrive a moment
	// after the call that caused it has returned; when Close returns, all of it
	// has arrived. If a writer fails, panics or calls runtime.Goexit, the lines
	// that it was given are lost, and the Logger is told once. While a writer
	// blocks, workers wait as soon as they have printed more than a pipe holds,
	// which is 64 KiB on Linux; and Close, and calls whose workers die, wait for
	// the writer.
	Stdout, Stderr io.Writer

	// Logger is told of starts, deaths and replacements of workers, of starts that
	// fail, of workers that are stopped in an item (by SIGSTOP, or a debugger), of a
	// result or an error that takes longer than KillDelay to be decoded, and of lines
	// that cannot be written. If it is nil, the pool is silent. Its
	// handler runs without locks, on a goroutine of its own, and what has something
	// to say waits for it: a call, or Close. If the handler panics or calls
	// runtime.Goexit, the record is lost, and os.Stderr is told once.
	Logger *slog.Logger

	once     sync.Once
	pool     *supervisor.Pool
	launcher transport.Launcher // only tests of this package set it; nil: proc.Local
}

// Close waits for all calls that were made before it, tasks that [Spawn] has
// returned included, ends all workers, and returns when none is left. Later calls
// fail with [ErrPoolClosed]. Close may be called more than once, and always returns
// nil. Neither a callback of a call that the pool serves nor the pool's Logger and
// writers may call Close, which would wait for them.
func (p *ProcessPool) Close() error {
	p.get().Close()
	return nil
}

// Stats returns the pool's counters.
func (p *ProcessPool) Stats() PoolStats { return PoolStats(p.get().Stats()) }

// PoolStats describes a [ProcessPool] at one moment. The counters from Started on
// start at zero and only grow.
type PoolStats struct {
	Workers  int           // worker processes now, those starting included
	Busy     int           // of these, how many serve a call
	Started  int64         // workers started
	Died     int64         // workers that crashed, or were killed because of a limit
	Items    int64         // items that ran to an end, well or not
	Failed   int64         // of these, how many failed
	Retried  int64         // items run again because of Retry
	BytesIn  int64         // encoded results received
	BytesOut int64         // encoded items sent
	BusyTime time.Duration // time that workers spent on items, all together
}

// get returns the pool's inner part, made on first use.
func (p *ProcessPool) get() *supervisor.Pool {
	p.check()
	p.once.Do(func() { p.pool = supervisor.NewPool(p.config()) })
	return p.pool
}

// check panics if a field has a value that it cannot have.
func (p *ProcessPool) check() {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"Size", int64(p.Size)}, {"MaxItems", int64(p.MaxItems)}, {"MaxMemoryBytes", p.MaxMemoryBytes},
		{"MaxMessageBytes", p.MaxMessageBytes}, {"StartTimeout", int64(p.StartTimeout)}, {"KillDelay", int64(p.KillDelay)},
	} {
		if f.value < 0 {
			panic(fmt.Sprintf("parallel: ProcessPool.%s is %d: it must not be negative", f.name, f.value))
		}
	}
	if p.MaxMessageBytes > maxMessageBytes {
		panic(fmt.Sprintf("parallel: ProcessPool.MaxMessageBytes is %d: it must be at most %d", p.MaxMessageBytes, int64(maxMessageBytes)))
	}
}

// maxMessageBytes is the largest MaxMessageBytes.
const maxMessageBytes = wire.MaxFrame - wire.Slack

// config is the pool's fields with the defaults filled in.
func (p *ProcessPool) config() supervisor.Config {
	c := supervisor.Config{
		Size: p.Size, MaxItems: p.MaxItems,
		MaxMemoryBytes: p.MaxMemoryBytes, MaxMessageBytes: p.MaxMessageBytes,
		IdleTimeout: p.IdleTimeout, StartTimeout: p.StartTimeout, KillDelay: p.KillDelay,
		Launcher: p.launcher, Spec: transport.Spec{Env: p.Env, Dir: p.Dir},
		Stdout: func() io.Writer { return os.Stdout },
		Stderr: func() io.Writer { return os.Stderr },
		Logger: p.Logger, Errors: makeErrors, Table: table,
	}
	orDefault(&c.Size, runtime.GOMAXPROCS(0))
	orDefault(&c.MaxMessageBytes, 1<<30)
	orDefault(&c.IdleTimeout, time.Minute)
	orDefault(&c.StartTimeout, 10*time.Second)
	orDefault(&c.KillDelay, time.Second)
	if c.Launcher == nil {
		c.Launcher = new(proc.Local)
	}
	if p.Stdout != nil {
		c.Stdout = func() io.Writer { return p.Stdout }
	}
	if p.Stderr != nil {
		c.Stderr = func() io.Writer { return p.Stderr }
	}
	return c
}

func orDefault[V comparable](v *V, value V) {
	var zero V
	if *v == zero {
		*v = value
	}
}
