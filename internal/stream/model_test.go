package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/schedule"
)

// model is what is right for a stream: each item's state by its number. It drives a stream
// whose three parties are one goroutine, and compares.
type model struct {
	t     *testing.T
	s     *Stream[*int, *int]
	read  int
	open  []int         // claimed and not done
	done  map[int]error // done and not taken, with the error
	taken []int         // in the order in which they were taken
}

func newModel(t *testing.T, o Options) *model {
	c := schedule.Config{Workers: 1, Cost: new(cost.Function), Errors: testErrors{}, KeepGoing: true}
	negate := func(_ context.Context, item *int) (*int, error) { return pointer(-*item), nil }
	m := &model{t: t, s: New(t.Context(), c, nil, negate, o), done: make(map[int]error)}
	m.s.call.Attach(remote{}, new(cost.Estimate))
	m.s.call.Cost().Set(time.Microsecond)
	return m
}

// push reads at most n items, as far as there is space.
func (m *model) push(n int) {
	for ; n > 0 && m.read-len(m.taken) < m.s.window.ahead(); n-- {
		if !m.s.hasSpace() {
			m.t.Fatal("there is no space for an item")
		}
		m.s.push(pointer(m.read))
		m.read++
	}
}

// claim claims at most n items, which lie in several segments maybe.
func (m *model) claim(n int) {
	if m.s.call.Left() == 0 {
		return
	}
	claimed := m.s.call.Claim(n, n, 0, nil)
	for sp := claimed; sp.Len() > 0; {
		items := m.s.Items(sp)
		for k, item := range items {
			if *item != sp.Lo+k {
				m.t.Fatalf("item %d is %d", sp.Lo+k, *item)
			}
		}
		sp.Lo += len(items)
	}
	for i := claimed.Lo; i < claimed.Hi; i++ {
		m.open = append(m.open, i)
	}
}

// settle takes the open item that is the at-th out, and those that follow it, at most n.
func (m *model) settle(at, n int) (sp schedule.Span) {
	if len(m.open) == 0 {
		return sp
	}
	at %= len(m.open)
	sp = schedule.Span{Lo: m.open[at], Hi: m.open[at] + 1}
	for sp.Len() < n && at+sp.Len() < len(m.open) && m.open[at+sp.Len()] == sp.Hi {
		sp.Hi++
	}
	m.open = slices.Delete(m.open, at, at+sp.Len())
	for i := sp.Lo; i < sp.Hi; i++ {
		m.done[i] = nil
	}
	return sp
}

// run finishes items as a goroutine does, and finish as the parent of a worker process does.
func (m *model) run(at, n int) {
	sp := m.settle(at, n)
	ran := 0
	if err := m.s.Run(m.t.Context(), sp, &ran, new(atomic.Uint32)); err != nil || ran != sp.Hi {
		m.t.Fatalf("the items of %v were run up to %d: %v", sp, ran, err)
	}
	m.s.call.Done(sp.Len())
}

func (m *model) finish(at, n int) {
	all := m.settle(at, n)
	for sp := all; sp.Len() > 0; {
		results := m.s.Results(sp)
		for k := range results {
			results[k] = pointer(-sp.Lo - k)
		}
		m.s.Finish(schedule.Span{Lo: sp.Lo, Hi: sp.Lo + len(results)})
		sp.Lo += len(results)
	}
	m.s.call.Done(all.Len())
}

// fail has the open item that is the at-th fail.
func (m *model) fail(at int) {
	if sp := m.settle(at, 1); sp.Len() > 0 {
		m.done[sp.Lo] = errBad
		m.s.call.Fail(sp.Lo, errBad)
	}
}

// take takes an item, if one may be taken, or it is owed.
func (m *model) take(owed bool) bool {
	next := len(m.taken)
	if _, ok := m.done[next]; !owed && (len(m.done) == 0 || !m.s.unordered && !ok) {
		return false // it would wait
	}
	r, err, ok := m.s.take()
	if !ok {
		return false
	}
	i := next
	var item *itemError
	switch {
	case err != nil && errors.As(err, &item):
		i = item.index
	case r != nil:
		i = -*r
	}
	want, done := m.done[i]
	switch {
	case !m.s.unordered && i != next:
		m.t.Fatalf("took item %d, want %d", i, next)
	case done && !errors.Is(err, want), !done && !(owed && errors.Is(err, errEnough)):
		m.t.Fatalf("took item %d with %v, want %v; it is done: %v", i, err, want, done)
	case (r == nil) != (err != nil):
		m.t.Fatalf("took item %d with result %v and error %v", i, r, err)
	}
	delete(m.done, i)
	m.taken = append(m.taken, i)
	return true
}

// end ends the workers with items that did not run, takes what is left and checks that each
// item was taken once.
func (m *model) end() {
	m.s.call.End(errEnough)
	m.s.window.workersEnded(nil, guard.End{}, true)
	for m.take(true) {
	}
	if slices.Sort(m.taken); !slices.Equal(m.taken, numbers(m.read)) {
		m.t.Fatalf("of %d items, these were taken: %v", m.read, m.taken)
	}
	m.s.cancel(nil)
}

// checkMemory checks that nothing is kept of what was taken, and of items that are done.
func (m *model) checkMemory() {
	taken := make(map[int]bool)
	for _, i := range m.taken {
		taken[i] = true
	}
	for _, g := range append(m.s.slots.all(), m.s.slots.spare...) {
		for k := range segmentSize {
			i := int(g.number.Load())*segmentSize + k
			_, done := m.done[i]
			if spare := i < 0; g.items[k] != nil && (spare || done || taken[i]) || g.results[k] != nil && (spare || taken[i]) {
				m.t.Fatalf("item %d is kept; done: %v, taken: %v", i, done, taken[i])
			}
		}
	}
}

// TestUnorderedTakesNoneBehindAFailure has item 1 fail when items 0 and 2 are done and not
// taken.
func TestUnorderedTakesNoneBehindAFailure(t *testing.T) {
	s := newStream(t.Context(), upTo(0), same, inAnyOrder)
	s.call.Attach(remote{}, new(cost.Estimate))
	for i := range 3 {
		s.push(i)
		s.call.Claim(1, 1, 0, nil)
	}
	s.Finish(schedule.Span{Lo: 2, Hi: 3})
	s.call.Fail(1, errBad)
	s.Finish(schedule.Span{Lo: 0, Hi: 1})
	s.window.workersEnded(nil, guard.End{}, false)
	if _, err, ok := s.take(); err != nil || !ok || s.hand.items != 0 {
		t.Errorf("took %v, %v; in hand are %b", err, ok, s.hand.items)
	}
	if _, err, ok := s.take(); ok {
		t.Errorf("took a second one: %v", err)
	}
	if err := s.last(); !isItem(err, 1, errBad) {
		t.Errorf("the loop ends with %v", err)
	}
}

// FuzzStream has the three parties of a stream take steps in any order.
func FuzzStream(f *testing.F) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, seed))
		ops := make([]byte, 400)
		for i := range ops {
			ops[i] = byte(random.Uint32())
		}
		f.Add(seed%2 == 0, ops)
	}
	// Item 0 is claimed, and finishes last: with Unordered its segment is late.
	straggler := []byte{0 | 1<<3, 1 | 1<<3}
	for range 50 {
		straggler = append(straggler, 0|31<<3, 1|31<<3, 5|31<<3, 5|31<<3, 4|31<<3, 4|31<<3, 4|31<<3)
	}
	f.Add(true, straggler)
	f.Fuzz(func(t *testing.T, unordered bool, ops []byte) {
		m := newModel(t, Options{Unordered: unordered})
		for _, op := range ops {
			n := int(op>>3) + 1
			switch op % 8 {
			case 0:
				m.push(4 * n)
			case 1:
				m.claim(4 * n)
			case 2:
				m.run(n, 4*n)
			case 3:
				m.fail(n)
			case 5:
				m.finish(1, 4*n) // not the first, if there are others
			case 6:
				m.finish(0, 4*n)
			default:
				for range n {
					m.take(false)
				}
			}
		}
		m.checkMemory()
		m.end()
	})
}

func pointer(i int) *int { return &i }
