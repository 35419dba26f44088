package supervisor

import (
	"fmt"
	"testing"
	"time"
)

// startsTest does things with starts at given times, and knows when each start began.
type startsTest struct {
	starts
	now    time.Duration
	begun  []time.Duration // of the starts under way
	unused []time.Duration // of those that have come to a worker which was given no item
}

// do does what a step says: "fail", "slow" or "hopeless" is how the start fails that began
// first, "unused" the death of the worker that was ready first. A number behind it says how
// many other workers live. It returns what came of it.
func (s *startsTest) do(step string) string {
	var op string
	var living int
	_, _ = fmt.Sscan(step, &op, &living) // those that are there
	hows := map[string]failure{"fail": passing, "slow": tooSlow, "hopeless": hopeless}
	verdicts := []string{tryAgain: "again", endPatient: "patient end", endAll: "all end"}
	switch op {
	case "begin":
		s.begin(s.now)
		s.begun = append(s.begun, s.now)
	case "ready":
		s.ready()
		s.unused = append(s.unused, pop(&s.begun))
	case "used":
		s.used()
		pop(&s.unused)
	case "alone":
		s.alone()
	case "restart":
		s.restart()
	case "unused":
		return verdicts[s.diedUnused(s.now, pop(&s.unused), living)]
	case "rely":
		return fmt.Sprint(s.reliable())
	case "wait":
		switch d, may := s.wait(s.now); {
		case may:
			return "now"
		case d == 0:
			return "for another"
		default:
			return d.String()
		}
	default:
		return verdicts[s.failed(s.now, pop(&s.begun), hows[op], living)]
	}
	return ""
}

func pop(times *[]time.Duration) time.Duration {
	first := (*times)[0]
	*times = (*times)[1:]
	return first
}

type startStep struct {
	at   int // milliseconds
	do   string
	want string
}

// fails are n starts that fail as soon as they may, one after the other, from at on, beside
// living workers. None ends a call.
func fails(at, n, living int) (steps []startStep) {
	delays := []int{30, 90, 270, 810}
	for i := range n {
		steps = append(steps, startStep{at, "begin", ""}, startStep{at, fmt.Sprint("fail ", living), "again"})
		d := 1000
		if i < len(delays) {
			d = delays[i]
		}
		steps = append(steps, startStep{at, "wait", (time.Duration(d) * time.Millisecond).String()})
		at += d
	}
	return steps
}

func TestStarts(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps [][]startStep
	}{
		{"any number at once", [][]startStep{{
			{0, "wait", "now"}, {0, "begin", ""}, {0, "begin", ""}, {0, "begin", ""}, {0, "wait", "now"}}}},
		{"five in a row, with growing delay", [][]startStep{fails(0, 4, 0), {
			{1199, "wait", "1ms"}, {1200, "wait", "now"}, {1200, "begin", ""}, {1200, "fail", "patient end"}}}},
		{"the call that is left ends by the next", [][]startStep{fails(0, 4, 0), {
			{1200, "begin", ""}, {1200, "fail", "patient end"}, {1200, "wait", "1s"}, {2200, "begin", ""}, {2200, "fail", "patient end"}}}},
		{"no call is left", [][]startStep{fails(0, 4, 0), {
			{1200, "begin", ""}, {1200, "fail", "patient end"}, {1200, "restart", ""}, {1200, "wait", "now"}}, fails(1200, 4, 0)}},
		{"the next call tries one at a time", [][]startStep{fails(0, 4, 0), {
			{1200, "begin", ""}, {1200, "fail", "patient end"}, {1200, "restart", ""}, {1200, "begin", ""}, {1200, "wait", "for another"}}}},
		{"a worker lives", [][]startStep{fails(0, 9, 1), {{5200, "wait", "1s"}}}},
		{"the living worker dies", [][]startStep{fails(0, 9, 1), {
			{6000, "alone", ""}, {6000, "wait", "now"}}, fails(6000, 4, 0), {{7200, "begin", ""}, {7200, "fail", "patient end"}}}},
		{"the last living worker dies and nothing has failed", [][]startStep{{
			{0, "alone", ""}, {0, "begin", ""}, {0, "wait", "now"}}}},
		{"success makes a new row", [][]startStep{fails(0, 4, 0), {
			{1200, "begin", ""}, {1201, "ready", ""}, {1202, "used", ""}, {1202, "wait", "now"}}, fails(2000, 4, 0)}},
		{"every second start fails", [][]startStep{fails(0, 1, 0), {{30, "begin", ""}, {31, "ready", ""}, {32, "used", ""}}, fails(40, 1, 1), {
			{70, "begin", ""}, {71, "ready", ""}, {72, "used", ""}}, fails(80, 1, 2)}},
		{"one at a time after a failure, then twice as many", [][]startStep{fails(0, 1, 0), {
			{30, "begin", ""}, {30, "wait", "for another"}, {31, "ready", ""}, {31, "wait", "now"}, {32, "used", ""},
			{32, "begin", ""}, {32, "begin", ""}, {32, "wait", "for another"},
			{33, "ready", ""}, {34, "used", ""}, {34, "begin", ""}, {34, "begin", ""}, {34, "begin", ""}, {34, "wait", "for another"}}}},
		{"those under way together are one", [][]startStep{{
			{0, "begin", ""}, {0, "begin", ""}, {1, "begin", ""}, {5, "fail", "again"}, {6, "fail", "again"}, {9, "fail", "again"},
			{9, "wait", "26ms"}}, fails(35, 0, 0), {{35, "begin", ""}, {35, "fail", "again"}, {35, "wait", "90ms"}}}},
		{"one under way is waited for", [][]startStep{{
			{0, "begin", ""}, {0, "begin", ""}, {1, "hopeless", "again"}, {2, "ready", ""}, {3, "used", ""}, {3, "wait", "now"}}}},
		{"starts are relied on until one fails", [][]startStep{{
			{0, "rely", "0"}, {0, "begin", ""}, {0, "begin", ""}, {0, "rely", "2"}, {1, "fail", "again"}, {1, "rely", "0"},
			{2, "ready", ""}, {2, "used", ""}, {3, "begin", ""}, {3, "rely", "1"}}}},
		{"no try can succeed", [][]startStep{{{0, "begin", ""}, {1, "hopeless", "all end"}}}},
		{"no try can succeed, as one of several found", [][]startStep{{
			{0, "begin", ""}, {0, "begin", ""}, {1, "hopeless", "again"}, {2, "fail", "all end"}}}},
		{"no try can succeed beside a living worker", [][]startStep{{
			{0, "begin", ""}, {1, "hopeless 1", "again"}, {1, "wait", "1s"}, {50, "alone", ""}, {50, "wait", "now"},
			{50, "begin", ""}, {51, "hopeless", "all end"}}}},
		{"too slow, and none was ever ready", [][]startStep{{
			{0, "begin", ""}, {0, "begin", ""}, {10000, "slow", "again"}, {10000, "slow", "all end"}}}},
		{"too slow, and one was ready once", [][]startStep{{
			{0, "begin", ""}, {1, "ready", ""}, {2, "used", ""}, {3, "begin", ""}, {10003, "slow", "again"}, {10003, "wait", "30ms"}}}},
		{"too slow beside a living worker", [][]startStep{{{0, "begin", ""}, {10000, "slow 1", "again"}}}},
		{"workers die before they are given an item", [][]startStep{{
			{0, "begin", ""}, {1, "ready", ""}, {2, "unused", "again"}, {2, "wait", "30ms"},
			{32, "begin", ""}, {33, "ready", ""}, {34, "unused", "again"}, {34, "wait", "90ms"},
			{124, "begin", ""}, {124, "fail", "again"}, {124, "wait", "270ms"},
			{394, "begin", ""}, {395, "ready", ""}, {396, "unused", "again"}, {396, "wait", "810ms"},
			{1206, "begin", ""}, {1207, "ready", ""}, {1208, "unused", "patient end"}}}},
		{"a worker that was ready has succeeded when it is used", [][]startStep{fails(0, 4, 0), {
			{1200, "begin", ""}, {1201, "ready", ""}, {1202, "unused 1", "again"}, {1202, "wait", "1s"}}}},
		{"a row ends when nothing was tried for long", [][]startStep{fails(0, 4, 0), {
			{1200 + 1000, "begin", ""}, {2200, "fail", "patient end"}}}},
		{"a row has ended when nothing was tried for longer", [][]startStep{fails(0, 4, 0), fails(1200+1001, 4, 0)}},
	} {
		s := startsTest{starts: starts{pace: usualPace}}
		for _, steps := range test.steps {
			for _, step := range steps {
				s.now = time.Duration(step.at) * time.Millisecond
				if got := s.do(step.do); got != step.want {
					t.Errorf("%s: at %v, %q gives %q, want %q", test.name, s.now, step.do, got, step.want)
				}
			}
		}
	}
}

// TestStartsPatience asks whether a call ends that comes back with a worker which died
// before it could be given an item.
func TestStartsPatience(t *testing.T) {
	s := startsTest{starts: starts{pace: usualPace}}
	for i := range leastTries {
		if s.patient(time.Hour, 0) {
			t.Errorf("a call ends after %d failures", i)
		}
		s.begin(s.now)
		s.failed(s.now, s.now, passing, 0)
		s.now += s.delay()
	}
	if !s.patient(time.Second, 0) || s.patient(time.Second-1, 0) || s.patient(time.Hour, 1) {
		t.Error("a call ends if and only if it has waited for a second and no worker lives")
	}
	if s.begin(s.now); s.patient(time.Hour, 0) {
		t.Error("a call ends while a start is under way")
	}
}
