package schedule

import (
	"slices"
	"testing"
)

// TestProgressSurvivesItsCallback has the callback end in each of these ways at the second
// item, and then well.
func TestProgressSurvivesItsCallback(t *testing.T) {
	for i, test := range endings {
		var seen []int
		aborted := 0
		p := &progress{total: 5}
		p.callback = func(done, total int) {
			if seen = append(seen, done); done == 2 {
				test.f()
			}
		}
		for range 2 {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				p.report(2, func(any) { aborted++ })
			}()
			<-ended
		}
		if want := []int{1, 2, 3, 4}; !slices.Equal(seen, want) {
			t.Errorf("%s: called back with %v, want %v", test.name, seen, want)
		}
		if want := min(i, 1); aborted != want { // the first ending is a return
			t.Errorf("%s: aborted %d times, want %d", test.name, aborted, want)
		}
	}
}
