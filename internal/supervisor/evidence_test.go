package supervisor

import "testing"

// TestVerdict has a row for each case of the table in evidence's comment.
func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		name string
		evidence
		want verdict
	}{
		{"the first item was running", evidence{running: 5, first: 5, settled: 4}, blamesFirst},
		{"the first item that it was ever sent", evidence{running: 1, first: 1}, blamesFirst},
		{"after items that were given back", evidence{running: 9, first: 9, settled: 4}, blamesFirst},
		{"none was running", evidence{first: 5, settled: 4}, blamesNone},
		{"none was ever running", evidence{first: 1}, blamesNone},
		{"the one before, whose outcome has come", evidence{running: 4, first: 5, settled: 4, apart: true}, blamesNone},
		{"the same, and items between were given back", evidence{running: 4, first: 9, settled: 4, apart: true}, blamesNone},
		{"the one before, though it says both at once", evidence{running: 4, first: 5, settled: 4}, blamesAll},
		{"a later item", evidence{running: 6, first: 5, settled: 4}, blamesAll},
		{"an item that it was not sent", evidence{running: 1 << 40, first: 5, settled: 4}, blamesAll},
		{"an item of long ago", evidence{running: 2, first: 5, settled: 4, apart: true}, blamesAll},
		{"an item that was given back", evidence{running: 5, first: 7, settled: 4}, blamesAll},
		{"it says that all before have outcomes", evidence{first: 5, settled: 4, past: 5}, blamesNone},
		{"the first item in flight has an outcome that has not come", evidence{first: 5, settled: 4, past: 6}, blamesAll},
		{"and it is running the next", evidence{running: 6, first: 5, settled: 4, past: 6}, blamesAll},
		{"it broke the protocol", evidence{broken: true, first: 5, settled: 4}, blamesAll},
		{"it broke the protocol in the first item", evidence{broken: true, running: 5, first: 5, settled: 4}, blamesAll},
		{"it broke the protocol between items", evidence{broken: true, running: 4, first: 5, settled: 4}, blamesAll},
		{"its memory makes no sense", evidence{garbled: true, first: 5, settled: 4}, blamesAll},
		{"its memory makes no sense, but for one word", evidence{garbled: true, running: 5, first: 5, settled: 4}, blamesAll},
	} {
		if got := test.verdict(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
