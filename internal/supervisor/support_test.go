package supervisor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"example.com/parallel"
	"example.com/parallel/internal/proc"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/supervisor"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

// Tests of this package that start workers use it through package parallel, as users do.
// The workers are this test binary, started again.

func TestMain(m *testing.M) {
	parallel.Init()
	isParent = true
	supervisor.OnNewPool(meet)
	supervisor.ErrorsOfUsers = inner(known(new(parallel.ProcessPool))).Errors().(userErrors)
	os.Exit(m.Run())
}

type userErrors interface {
	supervisor.Errors
	schedule.Errors
}

// isParent says that this process is no worker.
var isParent bool

// errKnown is a sentinel that both sides know.
var errKnown = errors.New("known on both sides")

func init() {
	parallel.Register(testkit.Double)
	parallel.Register(testkit.PID)
	parallel.Register(testkit.Present)
	parallel.Register(testkit.Gate)
	parallel.RegisterEach(testkit.Touch)
	parallel.RegisterError(errKnown)
}

// testPool returns p, to be closed at t's end. Its workers are started by the launcher that
// everyTransport has chosen.
func testPool(t *testing.T, p *parallel.ProcessPool) *parallel.ProcessPool {
	known(p)
	setLauncher(p, &proc.Local{NoShared: launcher.NoShared, SharedInFile: launcher.SharedInFile})
	t.Cleanup(func() {
		p.Close()
		insides.Delete(&p.Env[0])
	})
	return p
}

// inside is what tests reach of a pool of package parallel besides what users do.
type inside struct {
	launcher transport.Launcher // starts the workers; nil: as users have them started
	hurry    bool               // starts that fail are given up soon
	pool     *supervisor.Pool   // what is behind it, from its first use on
}

// insides holds the inside of each pool that is known. The key is the address of the first
// string of its Env, which is its alone, and which both sides know.
var insides sync.Map // of *string and *inside

// known lets the tests reach the inside of p, which has not been used.
func known(p *parallel.ProcessPool) *parallel.ProcessPool {
	p.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, p.Env...)
	insides.Store(&p.Env[0], new(inside))
	return p
}

// meet takes in that a pool has been made.
func meet(pool *supervisor.Pool) {
	env := pool.Env()
	if len(env) == 0 {
		return
	}
	if v, ok := insides.Load(&env[0]); ok {
		in := v.(*inside)
		in.pool = pool
		if in.launcher != nil {
			pool.SetLauncher(in.launcher)
		}
		if in.hurry {
			pool.HurryStarts()
		}
	}
}

// insideOf is the inside of p, which is known.
func insideOf(p *parallel.ProcessPool) *inside {
	v, ok := insides.Load(&p.Env[0])
	if !ok {
		panic("a pool that is not known")
	}
	return v.(*inside)
}

// inner is the pool of this package that is behind one of package parallel.
func inner(p *parallel.ProcessPool) *supervisor.Pool {
	p.Stats() // it is made on first use
	return insideOf(p).pool
}

// setLauncher has the workers of p, which has not been used, started by l.
func setLauncher(p *parallel.ProcessPool, l transport.Launcher) { insideOf(p).launcher = l }

// hurryStarts has starts of p, which has not been used, given up soon when they fail.
func hurryStarts(p *parallel.ProcessPool) { insideOf(p).hurry = true }

// launchers are the ways in which a worker of this machine and its parent reach each other.
var launchers = map[string]*proc.Local{"segment": new(proc.Local), "file": {SharedInFile: true}, "pipe": {NoShared: true}}

// launcher is how the workers of pools are started that testPool is given.
var launcher = launchers["segment"]

// everyTransport runs test with workers that share a segment, in memory or in a file, and
// with workers that share none.
func everyTransport(t *testing.T, test func(t *testing.T)) {
	for _, name := range []string{"segment", "file", "pipe"} {
		t.Run(name, func(t *testing.T) {
			launcher = launchers[name]
			t.Cleanup(func() { launcher = launchers["segment"] })
			test(t)
		})
	}
}

// itemErrors takes the error of a call with KeepGoing apart.
func itemErrors(err error) (items []*parallel.ItemError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var item *parallel.ItemError
			if errors.As(e, &item) {
				items = append(items, item)
			}
		}
	}
	return items
}

// occupy has a worker of pool run an item until the function that it returns is called, and
// returns the worker's number.
func occupy(t *testing.T, pool *parallel.ProcessPool) (pid int, finish func()) {
	dir := t.TempDir()
	runs, open := filepath.Join(dir, "runs"), filepath.Join(dir, "go")
	task := parallel.Spawn(t.Context(), testkit.Gate, testkit.Step{Make: runs, Wait: open}, parallel.On(pool))
	testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(runs) })
	return task.PID(), func() {
		_ = testkit.Touch(context.Background(), open)
		if _, err := task.Wait(); err != nil {
			t.Error(err)
		}
	}
}
