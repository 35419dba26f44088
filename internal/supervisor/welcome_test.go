package supervisor

import (
	"strings"
	"testing"

	"example.com/parallel/internal/wire"
)

func TestCheckWelcome(t *testing.T) {
	table := []string{"a", "b"}
	for _, test := range []struct {
		name    string
		version int
		lines   []string
		want    string // in the error; empty: none
	}{
		{"the same", wire.Version, []string{"a", "b"}, ""},
		{"another version", wire.Version + 1, []string{"a", "b"}, "version"},
		{"nothing", wire.Version, nil, `it lacks "a"`},
		{"less", wire.Version, []string{"a"}, `it lacks "b"`},
		{"another order", wire.Version, []string{"b", "a"}, `it lacks "a"`},
		{"more", wire.Version, []string{"a", "b", "c"}, `it has in addition "c"`},
	} {
		err := checkWelcome(wire.Welcome{Version: test.version, Registered: test.lines}, table)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q in it", test.name, err, test.want)
		}
	}
}
