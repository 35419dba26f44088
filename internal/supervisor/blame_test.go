package supervisor

import (
	"fmt"
	"slices"
	"testing"
)

// TestBlame does things in turn and looks at which of them were too many.
func TestBlame(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []string // what is done
		yes   []int    // the steps that reported true
	}{
		{"an item's workers die before it has begun", []string{"miss 7", "miss 7", "miss 7", "miss 7", "miss 7"}, []int{3, 4}},
		{"each item has its own count", []string{
			"miss 7", "miss 8", "miss 7", "miss 8", "miss 7", "miss 8", "miss 9", "miss 8", "miss 7"}, []int{7, 8}},
		{"an item's workers are silent", []string{"silence 7", "silence 7", "silence 7"}, []int{1, 2}},
		{"a silence and deaths", []string{"miss 7", "silence 7", "miss 7"}, []int{2}},
		{"a silence is its own item's", []string{"silence 7", "silence 8", "miss 7", "silence 9"}, nil},
		{"nothing is retried", []string{"retry 7 0", "retry 8 0"}, nil},
		{"twice", []string{"retry 7 2", "retry 8 2", "retry 7 2", "retry 7 2", "retry 8 2", "retry 8 2"}, []int{0, 1, 2, 4}},
		{"a miss costs no try", []string{"miss 7", "retry 7 1", "miss 7", "retry 7 1"}, []int{1}},
	} {
		var b blame
		var yes []int
		for i, step := range test.steps {
			if b.do(step) {
				yes = append(yes, i)
			}
		}
		if !slices.Equal(yes, test.yes) {
			t.Errorf("%s: of %q, those numbered %v reported true, want %v", test.name, test.steps, yes, test.yes)
		}
	}
}

// do does what the step says, and returns what that reports.
func (b *blame) do(step string) bool {
	var op string
	var item, most int
	_, _ = fmt.Sscan(step, &op, &item, &most) // those that are there
	switch op {
	case "miss":
		return b.diedBefore(item, false)
	case "silence":
		return b.diedBefore(item, true)
	case "retry":
		return b.retry(item, most)
	}
	panic("unknown step " + step)
}
