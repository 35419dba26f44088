package worker

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/wire"
)

// memory sees to it that a worker with a limit of memory begins no item when it has grown too
// far, so that what items before have left behind is no item's fault. Its size after its first
// item counts as its own: that holds what is made once and kept, such as a table or a model. Of
// what lies between that and the limit, one half is for what items leave behind, and the other
// for the item that runs. Only the worker itself can do that, since only here it is known when
// no item runs.
//
// Garbage and free memory are not left behind by items, but only the garbage collector can
// tell: it is run when the worker would be too large without. What it has found to be free is
// given back to the system, so that items which take memory elsewhere than from Go find it, but
// not often, since Go would take the same memory again soon, page by page.
//
// All of it belongs to the executor. If there is no limit, the zero value does nothing.
type memory struct {
	limit  int64                                 // 0: none
	open   func() (func() (int64, error), error) // returns size; nil: this system cannot measure
	size   func() (int64, error)                 // measures this process
	ran    bool                                  // an item has been run
	base   int64                                 // its size after its first item; 0: that is not known
	lookAt time.Duration                         // by cost.Clock: it need not be measured before
	freeAt time.Duration                         // by cost.Clock: free memory should not be given back before
	goes   goMemory
}

const (
	// growth is how many bytes a process may take from the system in a nanosecond, which has
	// to clear them: more than was seen. So what lies between a worker's size and what it may
	// have says how long it need not be measured.
	growth = 16

	// lookLeast and lookMost limit how long it is not measured. To measure takes a microsecond
	// or two.
	lookLeast = 100 * time.Microsecond
	lookMost  = 10 * time.Millisecond

	// freeShare is how many times as long as it took to give memory back the worker does not do
	// that again.
	freeShare = 100

	// cleanupTime is how long cleanups and finalizers may take, which may give back memory
	// that is not Go's.
	cleanupTime = 10 * time.Millisecond
)

// init sets the limit, and returns how large this process is, or if that is more, how large
// Go's runtime thinks that it is: with a limit below that, Go would do little but collect
// garbage.
func (m *memory) init(limit int64) (size int64, err error) {
	err = errors.ErrUnsupported
	if m.open != nil {
		m.size, err = m.open()
	}
	if err == nil {
		size, err = m.size()
	}
	m.goes.init(limit)
	if err == nil && max(size, m.goes.use()) >= limit { // maybe of garbage
		debug.FreeOSMemory()
		size, err = m.size()
	}
	if err != nil {
		return 0, fmt.Errorf("it cannot measure its memory: %w", err)
	}
	m.limit = limit
	return max(size, m.goes.use()), nil
}

// limited reports whether there is a limit.
func (m *memory) limited() bool { return m.limit > 0 }

// due reports whether to measure before the next item.
func (m *memory) due() bool { return m.ran && m.limit > 0 && cost.Clock() >= m.lookAt }

// most is how large the worker may be when an item begins.
func (m *memory) most() int64 { return m.base + (m.limit-m.base)/2 }

// within reports whether the worker is certainly small enough for an item to begin, as far as
// can be told without the garbage collector.
func (m *memory) within() bool {
	size, err := m.size()
	switch {
	case err != nil: // the parent still sees to the limit
		m.lookAt = cost.Clock() + time.Second
		return true
	case m.base == 0:
		return false
	}
	free := m.goes.look(size)
	if size > m.most() && cost.Clock() < m.freeAt {
		size -= free
	}
	m.lookLater(size)
	return size <= m.most() && size < m.limit
}

// collect finds out how large the worker is without garbage and free memory, and reports
// whether it is too large for an item to begin.
func (m *memory) collect() (size int64, tooLarge bool) {
	begin := cost.Clock()
	if begin < m.freeAt {
		runtime.GC()
		if size, err := m.size(); err == nil && m.base > 0 {
			if size -= m.goes.look(size); !m.tooLarge(size) {
				m.lookLater(size)
				return size, false
			}
		}
	}
	size = m.free()
	if m.base == 0 {
		m.base = size
	}
	now := cost.Clock()
	m.freeAt = now + freeShare*(now-begin)
	if m.tooLarge(size) {
		awaitCleanups()
		size = m.free()
	}
	m.lookLater(size)
	return size, m.tooLarge(size)
}

// free gives free memory back to the system, and returns how large the worker is then; 0 if
// that cannot be measured.
func (m *memory) free() int64 {
	debug.FreeOSMemory()
	size, err := m.size()
	if err != nil {
		return 0
	}
	m.goes.look(size)
	return size
}

// awaitCleanups waits until the cleanups and finalizers of what is garbage have been run, as
// far as they do not block.
func awaitCleanups() {
	done := make(chan struct{}, 2)
	func() {
		garbage := new([64]byte)
		runtime.SetFinalizer(garbage, func(*[64]byte) { done <- struct{}{} })
		garbage = new([64]byte)
		runtime.AddCleanup(garbage, func(done chan struct{}) { done <- struct{}{} }, done)
	}()
	runtime.GC()
	late := time.After(cleanupTime)
	for range 2 {
		select {
		case <-done:
		case <-late:
			return
		}
	}
}

// tooLarge reports whether a worker is too large of which that is known to be neither garbage
// nor free. It is not left to come so near to what it may have that the garbage collector would
// have to run all the time to tell.
func (m *memory) tooLarge(size int64) bool {
	return size > m.most()-(m.most()-m.base)/8 || size >= m.limit
}

// lookLater has a worker of that size measured when it may have become too large.
func (m *memory) lookLater(size int64) {
	m.lookAt = cost.Clock() + min(max(time.Duration((m.most()-size)/growth), lookLeast), lookMost)
}

// goMemory is what Go's runtime knows of its memory, and the limit that it is given: Go keeps
// the garbage in its heap below that. The limit leaves room for memory that is not Go's.
type goMemory struct {
	samples [3]metrics.Sample
	limit   int64 // the worker's, on all of its memory
	given   int64 // the one that Go was given at the start
	outside int64 // how much memory was not Go's when Go was given another
}

func (g *goMemory) init(limit int64) {
	g.samples = [...]metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	g.limit, g.given = limit, debug.SetMemoryLimit(-1)
}

// use is how much memory Go has from the system.
func (g *goMemory) use() int64 {
	metrics.Read(g.samples[:])
	return g.sample(0) - g.sample(1)
}

// sample is one of the samples that were read last.
func (g *goMemory) sample(i int) int64 { return int64(g.samples[i].Value.Uint64()) }

// look returns how much of a worker of that size is memory that Go has free and could give
// back.
func (g *goMemory) look(size int64) (free int64) {
	outside := max(0, size-g.use())
	if step := g.limit / 32; outside > g.outside+step || outside < g.outside-step {
		g.outside = outside
		debug.SetMemoryLimit(min(g.given, max(g.limit/10*9-outside, g.limit/8)))
	}
	return g.sample(2)
}

// lookAtMemoryLocked gives all items back for good if the worker has become too large. No item
// is running. It reports whether the mutex was not held meanwhile.
func (w *worker) lookAtMemoryLocked() (unlocked bool) {
	m := &w.memory
	if w.outgrown > 0 || !m.due() || m.within() {
		return false
	}
	first := m.base == 0
	size, tooLarge := w.collectLocked()
	if first && m.base > 0 {
		w.results.flushRecords(wire.AppendAllowance(nil, m.most()))
	}
	if tooLarge {
		w.outgrown = size
		items := w.queue.clear()
		w.results.flushRecords(wire.AppendOutgrown(nil, size, items.first, items.last))
	}
	return true
}

// collectLocked is memory.collect without the mutex: it may take long, and the listener reads
// meanwhile.
func (w *worker) collectLocked() (size int64, tooLarge bool) {
	w.setAlarmLocked()
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.since = time.Now()
	}()
	return w.memory.collect()
}
