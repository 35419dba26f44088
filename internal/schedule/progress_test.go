package schedule

import (
	"errors"
	"slices"
	"testing"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/testkit"
)

// TestProgressSurvivesItsCallback has the callback end in each of these ways at the second
// item. It is not called again unless that was a return.
func TestProgressSurvivesItsCallback(t *testing.T) {
	for _, test := range endings {
		var seen []int
		var aborted []guard.End
		p := &progress{total: 5}
		p.callback = func(done, total int) {
			if seen = append(seen, done); done == 2 {
				test.f()
			}
		}
		for range 2 {
			guard.Apart(func() { p.report(2, func(end guard.End) { aborted = append(aborted, end) }) })
		}
		want, wantEnds := []int{1, 2, 3, 4}, []guard.End(nil)
		if end := ends[test.name]; !end.Returned() {
			want, wantEnds = want[:2], []guard.End{end}
		}
		if !slices.Equal(seen, want) || !slices.Equal(aborted, wantEnds) {
			t.Errorf("%s: called back with %v and aborted with %v, want %v and %v", test.name, seen, aborted, want, wantEnds)
		}
	}
}

// TestReportApart has a goroutine of its own call back, and the callback end in each of these
// ways at the third item. Items are settled without waiting for it.
func TestReportApart(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, test := range endings {
		var seen []int
		open := make(chan struct{})
		c := newCall(t.Context(), Config{Total: 6, KeepGoing: true, Progress: func(done, total int) {
			<-open
			if seen = append(seen, done); done == 3 {
				test.f()
			}
		}})
		stop := c.ReportApart()
		claim(c, 6)
		c.Done(2)
		c.Fail(2, errKnown)
		c.Done(3)
		c.AwaitSettled()
		close(open)
		stop()
		want, wantSeen := ends[test.name], []int{1, 2, 3, 4, 5, 6}
		if !want.Returned() {
			wantSeen = wantSeen[:3]
		}
		var err error
		if end := guard.Apart(func() { _, err = c.Outcome() }); end != want || !slices.Equal(seen, wantSeen) {
			t.Errorf("%s: Outcome %v after calls back with %v, want %v after %v", test.name, end, seen, want, wantSeen)
		}
		if want.Returned() && !errors.Is(err, errKnown) && len(indexes(err)) != 1 {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
	stop := newCall(t.Context(), Config{Total: 1}).ReportApart() // there is no callback
	stop()
}
