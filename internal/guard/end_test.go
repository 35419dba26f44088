package guard_test

import (
	"errors"
	"fmt"
	"testing"

	"example.com/parallel/internal/guard"
)

// ends is what Apart says of the endings, and what Resume then does.
var ends = map[string]struct{ text, resumed string }{
	"return":              {"returned", "went on"},
	"panic":               {"panicked: oh", "panicked"},
	"Goexit":              {"called runtime.Goexit", "ended"},
	"panic during Goexit": {"panicked: oh", "panicked"},
	"Goexit during panic": {"called runtime.Goexit", "ended"},
}

func TestApartAndResume(t *testing.T) {
	for _, test := range endings {
		want := ends[test.name]
		end := guard.Apart(test.f)
		if end.String() != want.text || end.Returned() != (test.name == "return") {
			t.Errorf("%s: the End is %q, returned: %v", test.name, end, end.Returned())
		}
		got := inGoroutine(func(note func(string)) {
			ended := true
			defer func() {
				if v := recover(); v != nil {
					if v != end.Value() {
						t.Errorf("%s: Resume panicked with %v", test.name, v)
					}
					note("panicked")
				} else if ended {
					note("ended")
				}
			}()
			end.Resume()
			ended = false
			note("went on")
		})
		if len(got) != 1 || got[0] != want.resumed {
			t.Errorf("%s: Resume %q, want %q", test.name, got, want.resumed)
		}
	}
}

// An uncomparable value may be passed to panic.
type uncomparable struct{ s []int }

func TestEndOfAnUncomparableValue(t *testing.T) {
	if end := guard.Apart(func() { panic(uncomparable{[]int{1}}) }); end.Returned() || end.String() != "panicked: {[1]}" {
		t.Errorf("the End is %q", end)
	}
}

// nested is an error whose method panics with another such, to a depth.
type nested int

func (n nested) Error() string {
	if n > 0 {
		panic(n - 1)
	}
	return "the innermost"
}

// TestPrintSurvives prints values whose methods panic with values whose methods panic, which
// package fmt survives only once.
func TestPrintSurvives(t *testing.T) {
	for depth, want := range []string{
		"the innermost",
		"%!v(PANIC=Error method: the innermost)",
		"guard_test.nested (its methods panic)",
		"guard_test.nested (its methods panic)",
	} {
		if got := guard.Print(nested(depth)); got != want {
			t.Errorf("depth %d: %q, want %q", depth, got, want)
		}
		if depth == 0 {
			continue
		}
		for _, apart := range []bool{false, true} {
			text := guard.Methods{Apart: apart}.Text(nested(depth))
			if want := fmt.Sprintf("guard_test.nested (its Error method panicked: %s)", guard.Print(nested(depth-1))); text != want {
				t.Errorf("depth %d, apart %v: %q, want %q", depth, apart, text, want)
			}
		}
	}
	if got := guard.Print(errors.New("plain")); got != "plain" {
		t.Errorf("%q", got)
	}
}
