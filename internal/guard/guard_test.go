package guard_test

import (
	"runtime"
	"slices"
	"testing"

	"example.com/parallel/internal/guard"
)

// endings are the ways in which code of the user's ends.
var endings = []struct {
	name string
	f    func()
	both []string // what happens in Catch within Run, in order
	run  []string // and in Run by itself
}{
	{"return", func() {}, []string{"went on"}, []string{"went on"}},
	{"panic", func() { panic("oh") }, []string{"caught oh", "went on"}, []string{"lost", "panicked"}},
	{"Goexit", runtime.Goexit, []string{"caught Goexit", "lost"}, []string{"lost"}},
	{"panic during Goexit", func() {
		defer func() { panic("oh") }()
		runtime.Goexit()
	}, []string{"caught oh", "lost"}, []string{"lost", "panicked"}},
	{"Goexit during panic", func() {
		defer runtime.Goexit()
		panic("oh")
	}, []string{"caught Goexit", "lost"}, []string{"lost"}},
}

// inGoroutine runs f in a goroutine of its own, and returns what it notes.
func inGoroutine(f func(note func(string))) (got []string) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if recover() != nil {
				got = append(got, "panicked")
			}
		}()
		f(func(s string) { got = append(got, s) })
	}()
	<-ended
	return got
}

func TestCatchWithinRun(t *testing.T) {
	for _, test := range endings {
		got := inGoroutine(func(note func(string)) {
			guard.Run(func() {
				guard.Catch(test.f, func(v any) {
					if v == nil {
						v = "Goexit"
					}
					note("caught " + v.(string))
				})
			}, func() { note("lost") })
			note("went on")
		})
		if !slices.Equal(got, test.both) {
			t.Errorf("%s: %q, want %q", test.name, got, test.both)
		}
	}
}

func TestRun(t *testing.T) {
	for _, test := range endings {
		got := inGoroutine(func(note func(string)) {
			guard.Run(test.f, func() { note("lost") })
			note("went on")
		})
		if !slices.Equal(got, test.run) {
			t.Errorf("%s: %q, want %q", test.name, got, test.run)
		}
	}
}

// TestTheStackIsThere looks in caught for the function that panicked.
func TestTheStackIsThere(t *testing.T) {
	guard.Catch(panics, func(any) {
		pc := make([]uintptr, 20)
		frames := runtime.CallersFrames(pc[:runtime.Callers(0, pc)])
		for {
			frame, more := frames.Next()
			if frame.Function == "example.com/parallel/internal/guard_test.panics" {
				return
			}
			if !more {
				t.Error("it is not on the stack")
				return
			}
		}
	})
}

func panics() { panic("oh") }

func TestNothingIsAllocated(t *testing.T) {
	n, lost := 0, 0
	if allocs := testing.AllocsPerRun(100, func() {
		guard.Run(func() {
			guard.Catch(func() { n++ }, func(any) { lost++ })
		}, func() { lost++ })
	}); allocs > 0 || lost > 0 || n == 0 {
		t.Errorf("%v allocations, %d calls, %d of them lost", allocs, n, lost)
	}
}
