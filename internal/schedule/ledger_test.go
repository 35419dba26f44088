package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// newLedger is a ledger of a call whose items are all there.
func newLedger(workers, avail int) *ledger {
	l := &ledger{workers: workers, closed: true}
	l.avail.Store(int64(avail))
	l.bound.Store(NoBound)
	return l
}

func TestLedgerClaimChunk(t *testing.T) {
	for _, test := range []struct {
		name        string
		workers     int
		next, avail int
		returned    []Span
		bound       int64
		want, least int
		claimed     Span
		rest        []Span // of returned
	}{
		{name: "as many as wanted", workers: 2, avail: 100, want: 7, least: 1, claimed: Span{0, 7}},
		{name: "two chunks are left for each", workers: 2, avail: 100, want: 50, least: 1, claimed: Span{0, 25}},
		{name: "one chunk where two are not worth it", workers: 2, next: 90, avail: 100, want: 50, least: 9, claimed: Span{90, 95}},
		{name: "no more than least", workers: 2, next: 90, avail: 100, want: 50, least: 4, claimed: Span{90, 94}},
		{name: "at least one", workers: 8, next: 99, avail: 100, want: 50, least: 4, claimed: Span{99, 100}},
		{name: "none", workers: 8, next: 100, avail: 100, want: 50, least: 4, claimed: Span{100, 100}},
		{name: "behind the bound", workers: 2, next: 50, avail: 100, bound: 20, want: 7, least: 1},
		{name: "ended", workers: 2, avail: 100, bound: -1, want: 7, least: 1},
		{name: "half of what was returned", workers: 2, next: 50, avail: 100, returned: []Span{{10, 15}, {20, 30}}, want: 7, least: 1,
			claimed: Span{10, 13}, rest: []Span{{13, 15}, {20, 30}}},
		{name: "the last returned", workers: 2, next: 50, avail: 100, returned: []Span{{10, 11}, {20, 30}}, want: 7, least: 1,
			claimed: Span{10, 11}, rest: []Span{{20, 30}}},
		{name: "as many returned as wanted", workers: 2, next: 50, avail: 100, returned: []Span{{10, 40}}, want: 7, least: 1,
			claimed: Span{10, 17}, rest: []Span{{17, 40}}},
		{name: "returned before the bound", workers: 2, next: 50, avail: 100, returned: []Span{{10, 12}, {30, 40}}, bound: 20, want: 7, least: 1,
			claimed: Span{10, 11}, rest: []Span{{11, 12}, {30, 40}}},
		{name: "returned behind the bound", workers: 2, next: 50, avail: 100, returned: []Span{{30, 40}}, bound: 20, want: 7, least: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(test.workers, test.avail)
			l.next, l.returned = test.next, slices.Clone(test.returned)
			if test.bound != 0 {
				l.bound.Store(test.bound)
			}
			if got := l.claimChunk(test.want, test.least); got != test.claimed {
				t.Errorf("claimed %v, want %v", got, test.claimed)
			}
			if l.open != test.claimed.Len() {
				t.Errorf("%d items are open, want %d", l.open, test.claimed.Len())
			}
			if !slices.Equal(l.returned, test.rest) {
				t.Errorf("%v can be claimed again, want %v", l.returned, test.rest)
			}
		})
	}
}

func TestLedgerClaimShare(t *testing.T) {
	for _, test := range []struct {
		name              string
		workers           int
		next, avail, open int
		returned          []Span
		bound             int64
		want, least, held int
		waiting           int // others
		claimed           Span
	}{
		{name: "as many as wanted", workers: 2, avail: 100, want: 7, claimed: Span{0, 7}},
		{name: "two turns are left for each", workers: 2, avail: 100, want: 50, claimed: Span{0, 25}},
		{name: "its whole share where turns are short", workers: 2, avail: 100, want: 90, least: 80, claimed: Span{0, 50}},
		{name: "its share counts what it holds", workers: 2, next: 50, avail: 100, open: 50, want: 90, least: 80, held: 30, claimed: Span{50, 70}},
		{name: "and what others hold", workers: 2, next: 50, avail: 100, open: 50, want: 90, least: 80, claimed: Span{50, 100}},
		{name: "at least one beyond its share", workers: 2, next: 99, avail: 100, open: 50, want: 90, least: 80, held: 50, claimed: Span{99, 100}},
		{name: "half of what was returned", workers: 2, next: 50, avail: 100, returned: []Span{{10, 15}}, want: 7, claimed: Span{10, 13}},
		{name: "a part if others wait", workers: 4, next: 50, avail: 100, returned: []Span{{10, 17}}, want: 7, waiting: 2, claimed: Span{10, 12}},
		{name: "the last one", workers: 4, next: 50, avail: 100, returned: []Span{{10, 11}}, want: 7, waiting: 2, claimed: Span{10, 11}},
		{name: "all of what is not worth a claim", workers: 2, next: 50, avail: 100, open: 200, returned: []Span{{10, 15}}, want: 7, least: 5 * leastPart, claimed: Span{10, 15}},
		{name: "no more than its share of what was returned", workers: 4, next: 50, avail: 50, returned: []Span{{0, 40}}, want: 40, claimed: Span{0, 5}},
		{name: "one span of what was returned", workers: 1, next: 50, avail: 100, returned: []Span{{10, 11}, {20, 30}}, want: 7, claimed: Span{10, 11}},
		{name: "behind the bound", workers: 2, next: 50, avail: 100, bound: 20, want: 7},
		{name: "none", workers: 2, next: 100, avail: 100, want: 7, claimed: Span{100, 100}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(test.workers, test.avail)
			l.next, l.open, l.returned = test.next, test.open, slices.Clone(test.returned)
			for _, s := range l.returned {
				l.again += s.Len()
			}
			if test.bound != 0 {
				l.bound.Store(test.bound)
			}
			if got := l.claimShare(test.want, test.least, test.held, test.waiting); got != test.claimed {
				t.Errorf("claimed %v, want %v", got, test.claimed)
			}
			if want := test.open + test.claimed.Len(); l.open != want {
				t.Errorf("%d items are open, want %d", l.open, want)
			}
		})
	}
}

func TestLedgerGiveBack(t *testing.T) {
	for _, test := range []struct{ returned, want []Span }{
		{[]Span{{4, 6}}, []Span{{4, 6}}},
		{[]Span{{4, 6}, {0, 2}}, []Span{{0, 2}, {4, 6}}},
		{[]Span{{4, 6}, {6, 8}}, []Span{{4, 8}}},
		{[]Span{{4, 6}, {2, 4}}, []Span{{2, 6}}},
		{[]Span{{4, 6}, {0, 2}, {2, 4}}, []Span{{0, 6}}},
		{[]Span{{8, 9}, {0, 2}, {4, 6}, {2, 4}}, []Span{{0, 6}, {8, 9}}},
		{[]Span{{0, 1}, {2, 3}, {4, 5}, {3, 4}}, []Span{{0, 1}, {2, 5}}},
	} {
		l := newLedger(2, 10)
		l.next, l.open = 10, 10
		n := 0
		for _, s := range test.returned {
			l.giveBack(s)
			n += s.Len()
		}
		if !slices.Equal(l.returned, test.want) {
			t.Errorf("after %v were given back, %v can be claimed, want %v", test.returned, l.returned, test.want)
		}
		if l.open != 10-n || l.left() != n {
			t.Errorf("after %v were given back, %d are open and %d left", test.returned, l.open, l.left())
		}
	}
}

func TestLedgerState(t *testing.T) {
	type state struct {
		left                           int
		mayGrow, drained, fresh, stops bool // stops: item 5 is stopped
	}
	for _, test := range []struct {
		name string
		do   func(l *ledger)
		want state
	}{
		{"at first", func(*ledger) {}, state{left: 10, fresh: true}},
		{"open input", func(l *ledger) { l.closed = false }, state{left: 10, mayGrow: true}},
		{"claimed", func(l *ledger) { l.claimNext(4) }, state{left: 6}},
		{"all claimed", func(l *ledger) { l.claimNext(10) }, state{}},
		{"all settled", func(l *ledger) { l.claimNext(10); l.open = 0 }, state{drained: true}},
		{"all settled, open input", func(l *ledger) { l.claimNext(10); l.open, l.closed = 0, false }, state{mayGrow: true}},
		{"some returned", func(l *ledger) { l.claimNext(10); l.giveBack(Span{2, 10}); l.open = 0 }, state{left: 8}},
		{"some skipped", func(l *ledger) { l.claimNext(10); l.skip(Span{2, 10}) }, state{}},
		{"bound", func(l *ledger) { l.claimNext(4); l.bound.Store(3) }, state{stops: true}},
		{"bound with some returned", func(l *ledger) { l.claimNext(8); l.giveBack(Span{1, 3}); l.giveBack(Span{6, 8}); l.bound.Store(4) },
			state{left: 2, stops: true}},
		{"ended", func(l *ledger) { l.claimNext(4); l.giveBack(Span{1, 3}); l.open = 0; l.bound.Store(-1) }, state{drained: true, stops: true}},
		{"ended with open input", func(l *ledger) { l.closed = false; l.bound.Store(-1) }, state{stops: true}},
	} {
		l := newLedger(2, 10)
		test.do(l)
		if got := (state{l.left(), l.mayGrow(), l.drained(), l.fresh(), l.stopped(5)}); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestLedgerMayHaveMore(t *testing.T) {
	for _, test := range []struct {
		workers, next, open, held int
		want                      bool
	}{
		{workers: 2, want: true},
		{workers: 2, next: 20, open: 20, held: 20, want: true},
		{workers: 2, next: 40, open: 40, held: 37, want: true},
		{workers: 2, next: 40, open: 40, held: 38},   // three quarters of its share
		{workers: 2, next: 97, open: 60, want: true}, // one more than the workers could start at once
		{workers: 2, next: 98, open: 60},
		{workers: 2, next: 100},
	} {
		l := newLedger(test.workers, 100)
		l.next, l.open = test.next, test.open
		if got := l.mayHaveMore(test.held); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func TestLedgerFinish(t *testing.T) {
	for _, test := range []struct {
		name    string
		do      func(l *ledger)
		want    int
		skipped []Span
	}{
		{"all run", func(l *ledger) { l.claimNext(10) }, 10, nil},
		{"some never claimed", func(l *ledger) { l.claimNext(6) }, 6, []Span{{6, 10}}},
		{"some returned", func(l *ledger) { l.claimNext(8); l.giveBack(Span{3, 5}) }, 3, []Span{{3, 5}, {8, 10}}},
		{"some skipped", func(l *ledger) { l.claimNext(10); l.skip(Span{7, 8}); l.giveBack(Span{9, 10}) }, 7, []Span{{7, 8}, {9, 10}}},
		{"returned behind the bound", func(l *ledger) {
			l.claimNext(10)
			l.giveBack(Span{2, 3})
			l.giveBack(Span{7, 9})
			l.bound.Store(5)
			l.claimChunk(1, 1)
			l.claimChunk(1, 1)
		}, 7, []Span{{7, 9}}},
	} {
		l := newLedger(2, 10)
		test.do(l)
		for range 2 { // once more changes nothing
			l.finish()
			if l.complete() != test.want || !slices.Equal(l.skipped, test.skipped) {
				t.Errorf("%s: %d items are complete and %v skipped, want %d and %v", test.name, l.complete(), l.skipped, test.want, test.skipped)
			}
		}
	}
}

// TestLedgerLosesNoItem has workers claim, settle and give back at random until all is
// settled, and checks that every item is run once, or skipped if it is behind the bound.
func TestLedgerLosesNoItem(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		n, workers := 1+random.IntN(60), 1+random.IntN(5)
		l := newLedger(workers, n)
		failed := n // the lowest item that failed
		ran, open := make([]int, n), []Span(nil)
		for step := 0; !l.drained(); step++ {
			if step > 100*n {
				t.Fatalf("seed %d: %d open, %d left, %v returned", seed, l.open, l.left(), l.returned)
			}
			if len(open) == 0 || len(open) < workers && random.IntN(2) == 0 {
				s := l.claimChunk(1+random.IntN(8), 1+random.IntN(3))
				if random.IntN(2) == 0 {
					s2 := l.claimShare(1+random.IntN(8), random.IntN(3), s.Len(), random.IntN(3))
					open = append(open, s2)
				}
				open = append(open, s)
				continue
			}
			i := random.IntN(len(open))
			s := open[i]
			open = slices.Delete(open, i, i+1)
			for s.Len() > 0 {
				switch {
				case l.stopped(s.Lo):
					l.skip(s)
					s = Span{}
				case random.IntN(5) == 0:
					l.giveBack(s)
					s = Span{}
				default:
					ran[s.Lo]++
					l.open--
					if random.IntN(30) == 0 && s.Lo < failed {
						failed = s.Lo
						l.bound.Store(int64(failed))
					}
					s.Lo++
				}
			}
		}
		l.finish()
		state := fmt.Sprintf("seed %d: %d items, failure at %d, skipped %v, ran %v", seed, n, failed, l.skipped, ran)
		for i := range n {
			skips := 0
			for _, s := range l.skipped {
				if s.Lo <= i && i < s.Hi {
					skips++
				}
			}
			if ran[i]+skips != 1 || i <= failed && skips > 0 {
				t.Fatalf("item %d ran %d times and was skipped %d times; %s", i, ran[i], skips, state)
			}
		}
		if l.complete() < min(failed, n) {
			t.Fatalf("%d items are complete; %s", l.complete(), state)
		}
	}
}
