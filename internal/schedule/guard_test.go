package schedule

import (
	"runtime"
	"slices"
	"testing"
)

// endings are the ways in which code of the user's ends.
var endings = []struct {
	name string
	f    func()
	want []string // what happens, in order
}{
	{"return", func() {}, []string{"went on"}},
	{"panic", func() { panic("oh") }, []string{"caught oh", "went on"}},
	{"Goexit", runtime.Goexit, []string{"caught Goexit", "lost"}},
	{"panic during Goexit", func() {
		defer func() { panic("oh") }()
		runtime.Goexit()
	}, []string{"caught oh", "lost"}},
}

func TestCatchAndGuard(t *testing.T) {
	for _, test := range endings {
		var got []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			guard(func() {
				catch(test.f, func(v any) {
					if v == nil {
						v = "Goexit"
					}
					got = append(got, "caught "+v.(string))
				})
			}, func() { got = append(got, "lost") })
			got = append(got, "went on")
		}()
		<-ended
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestProgressSurvivesItsCallback has the callback end in each of these ways at the second
// item, and then well.
func TestProgressSurvivesItsCallback(t *testing.T) {
	for _, test := range endings {
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
		if want := len(test.want) - 1; (aborted > 0) != (want > 0) || aborted > 1 {
			t.Errorf("%s: aborted %d times", test.name, aborted)
		}
	}
}
