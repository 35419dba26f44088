package schedule

import (
	"slices"
	"testing"

	"example.com/parallel/internal/guard"
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
