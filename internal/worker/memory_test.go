package worker

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/wire"
)

// scale is a size that tests set in place of this process's.
type scale struct {
	bytes  atomic.Int64
	looks  atomic.Int64
	broken atomic.Bool
}

func (s *scale) open() (func() (int64, error), error) {
	return func() (int64, error) {
		s.looks.Add(1)
		if s.broken.Load() {
			return 0, errors.New("broken")
		}
		return s.bytes.Load(), nil
	}, nil
}

const mib = 1 << 20

// newMemory returns the memory of a worker with a limit of 100 MiB that had 10 MiB after its
// first item.
func newMemory(t *testing.T) (*memory, *scale) {
	t.Helper()
	keepGoLimit(t)
	s := new(scale)
	s.bytes.Store(2 * mib)
	m := &memory{open: s.open}
	if size, err := m.init(100 * mib); size < 2*mib || err != nil {
		t.Fatalf("it has %d bytes, %v", size, err)
	}
	if m.due() {
		t.Error("it is measured before its first item")
	}
	m.ran = true
	s.bytes.Store(10 * mib)
	if !m.due() || m.within() {
		t.Error("it is not measured after its first item")
	}
	if size, tooLarge := m.collect(); size != 10*mib || tooLarge || m.base != size || m.most() != 55*mib {
		t.Fatalf("after its first item it has %d bytes, base %d, most %d, too large: %v", size, m.base, m.most(), tooLarge)
	}
	m.freeAt = 0
	return m, s
}

// keepGoLimit sets the limit of Go's memory to what it was when t ends.
func keepGoLimit(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
}

func TestMemoryIsMeasuredInTime(t *testing.T) {
	m, s := newMemory(t)
	for _, test := range []struct {
		bytes int64
		later time.Duration // until it is measured again
	}{
		{10 * mib, 45 * mib / growth},
		{50 * mib, 5 * mib / growth},
		{55*mib - 1, lookLeast},
		{0, 55 * mib / growth},
	} {
		s.bytes.Store(test.bytes)
		before := cost.Clock()
		if !m.within() {
			t.Errorf("%d bytes are too much", test.bytes)
		}
		if later := m.lookAt - before; later < test.later || later > test.later+time.Second || m.lookAt-cost.Clock() > lookMost {
			t.Errorf("with %d bytes it is measured after %v, want %v", test.bytes, later, test.later)
		}
	}
	if m.due() {
		t.Error("it is measured at once")
	}
	m.lookAt = 0
	if !m.due() {
		t.Error("it is not measured")
	}
}

func TestMemoryIsTooLarge(t *testing.T) {
	for _, test := range []struct {
		bytes    int64
		tooLarge bool
	}{
		{40 * mib, false},
		{50 * mib, true}, // so little is left that it would have to be collected all the time
		{55*mib + 1, true},
		{100 * mib, true},
	} {
		m, s := newMemory(t)
		s.bytes.Store(test.bytes)
		if size, tooLarge := m.collect(); size != test.bytes || tooLarge != test.tooLarge {
			t.Errorf("with %d bytes it is too large: %v, size %d", test.bytes, tooLarge, size)
		}
	}
	m, s := newMemory(t)
	if s.bytes.Store(55*mib + 1); m.within() {
		t.Error("a byte more than half is not too much")
	}
	m.base = 100 * mib
	if _, tooLarge := m.collect(); tooLarge {
		t.Error("less than it had after its first item is too much")
	}
	if s.bytes.Store(100 * mib); m.within() {
		t.Error("a worker that its first item has taken to the limit is within it")
	}
	m.freeAt = 0
	if _, tooLarge := m.collect(); !tooLarge {
		t.Error("a worker that its first item has taken to the limit is not too large")
	}
}

// TestMemoryThatCannotBeMeasured has the parent alone see to the limit.
func TestMemoryThatCannotBeMeasured(t *testing.T) {
	m, s := newMemory(t)
	s.broken.Store(true)
	m.lookAt = 0
	if before := cost.Clock(); !m.within() || m.lookAt < before+time.Second {
		t.Errorf("it is looked at again after %v", m.lookAt-before)
	}
	if size, tooLarge := m.collect(); tooLarge {
		t.Errorf("it is too large with %d bytes", size)
	}
	m.base = 0
	for range 3 {
		if _, tooLarge := m.collect(); tooLarge || m.base != 0 || m.due() {
			t.Errorf("it is too large: %v, base %d, due %v", tooLarge, m.base, m.due())
		}
	}

	if _, err := new(memory).init(mib); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("on a system that cannot measure: %v", err)
	}
	no := errors.New("no")
	for _, open := range []func() (func() (int64, error), error){
		func() (func() (int64, error), error) { return nil, no },
		func() (func() (int64, error), error) { return func() (int64, error) { return 0, no }, nil },
	} {
		if _, err := (&memory{open: open}).init(mib); !errors.Is(err, no) {
			t.Errorf("%v, want %v", err, no)
		}
	}
}

// TestMemoryIsGivenBackRarely has the worker be too large but for memory that Go has free.
func TestMemoryIsGivenBackRarely(t *testing.T) {
	m, s := newMemory(t)
	garbage := make([]byte, 64*mib)
	for i := 0; i < len(garbage); i += 4096 {
		garbage[i] = 1
	}
	runtime.KeepAlive(garbage)
	garbage = nil
	runtime.GC()
	m.freeAt = cost.Clock() + time.Hour
	s.bytes.Store(60 * mib)
	if !m.within() {
		t.Error("it is too large, though most of it is free")
	}
	if s.bytes.Store(200 * mib); m.within() {
		t.Error("it is not too large, though little of it is free")
	}
	var now time.Duration
	m.freeAt, now = 0, cost.Clock()
	s.bytes.Store(40 * mib)
	if _, tooLarge := m.collect(); tooLarge || m.freeAt < now+freeShare*10*time.Microsecond {
		t.Errorf("it is given back again after %v", m.freeAt-now)
	}
	if free := m.goes.look(0); free > 32*mib {
		t.Errorf("%d bytes were not given back", free)
	}
}

// TestMemoryOutsideOfGo has Go get by with less when there is memory that is not Go's.
func TestMemoryOutsideOfGo(t *testing.T) {
	keepGoLimit(t)
	debug.SetMemoryLimit(100 * mib / 10 * 9)
	var g goMemory
	g.init(100 * mib)
	limit := func(outside int64) int64 {
		g.look(g.use() + outside)
		return debug.SetMemoryLimit(-1)
	}
	for _, test := range []struct{ outside, least, most int64 }{
		{0, 90 * mib, 90 * mib},
		{2 * mib, 90 * mib, 90 * mib}, // too little to make a difference
		{40 * mib, 49 * mib, 51 * mib},
		{41 * mib, 49 * mib, 51 * mib},
		{1000 * mib, 10 * mib, 15 * mib}, // so that it gets on
		{0, 88 * mib, 90 * mib},
	} {
		if got := limit(test.outside); got < test.least || got > test.most {
			t.Errorf("with %d bytes outside Go may have %d, want %d to %d", test.outside, got, test.least, test.most)
		}
	}
	debug.SetMemoryLimit(20 * mib) // the user's own
	g = goMemory{}
	g.init(100 * mib)
	if got := limit(40 * mib); got != 20*mib {
		t.Errorf("the user's limit has become %d", got)
	}
}

// TestCleanupsAreAwaited has a finalizer be done with when its memory counts.
func TestCleanupsAreAwaited(t *testing.T) {
	var ended atomic.Int32
	for range 3 {
		runtime.SetFinalizer(new([100]byte), func(*[100]byte) { ended.Add(1) })
		runtime.AddCleanup(new([100]byte), func(int) { ended.Add(1) }, 0)
	}
	for tries := 0; ended.Load() < 6; tries++ {
		if tries == 100 { // the machine may be slower than cleanupTime
			t.Fatalf("%d of 6 have been run", ended.Load())
		}
		awaitCleanups()
	}
}

// serveWithLimit starts a worker with a limit of 100 MiB, which is as large as s says.
func serveWithLimit(t *testing.T, shared bool, s *scale) *parent {
	t.Helper()
	keepGoLimit(t)
	p, l := newParent(t, shared)
	l.OpenResident = s.open
	p.hooks.swell = func(bytes int64) {
		s.bytes.Store(bytes)
		// Until then it would not be measured, whatever it has.
		for begin := cost.Clock(); cost.Clock() < begin+2*lookMost; {
			runtime.Gosched()
		}
	}
	p.start(l, wire.Hello{Version: wire.Version, MaxMessage: 1 << 30, MaxMemory: 100 * mib})
	return p
}

// TestServeGivesBackWhatItHasNotRoomFor has an item leave much behind, in a quantum of many.
func TestServeGivesBackWhatItHasNotRoomFor(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		s := new(scale)
		s.bytes.Store(10 * mib)
		p := serveWithLimit(t, shared, s)
		p.costs(fnObey, quantumTime/1000)
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
		p.send(textsFrame(1, 0, "a", "b"))
		p.expect("started 1", "result 1: a", fmt.Sprint("may have ", 55*mib), "started 2", "result 2: b")
		p.send(textsFrame(3, 2, fmt.Sprint("swell ", 30*mib), "c"))
		p.expect("started 3", "result 3: swell", "started 4", "result 4: c")
		p.send(textsFrame(5, 4, "d", fmt.Sprint("swell ", 60*mib), "e", "f"))
		p.send(textsFrame(9, 8, "g"))
		p.expect("started 5", "result 5: d", "started 6", "result 6: swell")
		p.expect("outgrown 7", "outgrown 8", "outgrown 9")
		s.bytes.Store(10 * mib) // it stays so
		for i := range 3 {
			p.send(textsFrame(uint64(10+2*i), 20, "h", "i"))
			p.expect(fmt.Sprint("outgrown ", 10+2*i), fmt.Sprint("outgrown ", 11+2*i))
			p.send(recallFrame())
			p.expect("recalled 0-0")
			p.send(stopFrame(1, 5, "known"))
		}
	})
}

// TestServeMeasuresAfterARest has the worker grow while it has nothing to run.
func TestServeMeasuresAfterARest(t *testing.T) {
	s := new(scale)
	s.bytes.Store(10 * mib)
	p := serveWithLimit(t, true, s)
	p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
	p.send(textsFrame(1, 0, "a"))
	p.expect("result 1: a", fmt.Sprint("may have ", 55*mib))
	p.hooks.swell(60 * mib)
	p.send(textsFrame(2, 1, "b", "c"))
	p.expect("outgrown 2", "outgrown 3")
}

// TestServeMeasuresWhenThereIsNothingToRun has the worker say that it is too large before the
// next item comes.
func TestServeMeasuresWhenThereIsNothingToRun(t *testing.T) {
	s := new(scale)
	s.bytes.Store(10 * mib)
	p := serveWithLimit(t, true, s)
	p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
	p.send(textsFrame(1, 0, "a"))
	p.expect("result 1: a", fmt.Sprint("may have ", 55*mib))
	p.send(textsFrame(2, 1, fmt.Sprint("swell ", 60*mib)))
	p.expect("result 2: swell", "outgrown")
	p.send(textsFrame(3, 2, "b"))
	p.expect("outgrown 3")
}

// TestServeFailsWithoutItsMeasure has a worker that cannot measure itself not serve.
func TestServeFailsWithoutItsMeasure(t *testing.T) {
	p, l := newParent(t, false)
	w := newWorker(l, p.config)
	p.send(helloFrame(wire.Hello{Version: wire.Version, MaxMemory: 100 * mib}))
	if err := w.greet(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// TestLimitCostsTinyItemsNoQuantum has many items be run together, with a limit too.
func TestLimitCostsTinyItemsNoQuantum(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		s := new(scale)
		s.bytes.Store(10 * mib)
		p := serveWithLimit(t, shared, s)
		p.send(callFrame(wire.Call{ID: 1, Function: fnDouble}))
		const n = 3000
		items := make([]uint64, n)
		for i := range items {
			items[i] = uint64(i)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			p.send(intsFrame(1, 0, items...))
		}()
		for i := range n {
			p.expect(fmt.Sprint("started ", i+1), fmt.Sprintf("result %d: %d", i+1, 2*i))
			if i == 0 {
				p.expect(fmt.Sprint("may have ", 55*mib))
			}
		}
		<-sent
		if looks := s.looks.Load(); looks > n/2 {
			t.Errorf("it was measured %d times", looks)
		}
	})
}
