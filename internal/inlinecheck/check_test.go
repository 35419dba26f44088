package main

import (
	"slices"
	"strings"
	"testing"
)

// dump is as go tool objdump prints it. The load of the flag was not inlined.
const dump = "TEXT example.com/parallel.mapItems[go.shape.int,go.shape.[]uint8](SB) /src/parallel.go\n" +
	"  parallel.go:186\t0x563d04\t0f860f010000\tJBE 0x563e19\t\n" +
	"  parallel.go:188\t0x563d65\teb20\t\tJMP 0x563d87\t\n" +
	"  parallel.go:190\t0x563db0\tffd6\t\tCALL SI\t\n" +
	"  parallel.go:195\t0x563dcd\te81256f2ff\tCALL sync/atomic.(*Uint32).Load(SB)\t\n" +
	"  parallel.go:190\t0x563e09\te81256f2ff\tCALL runtime.panicBounds(SB)\t\n" +
	"  parallel.go:186\t0x563e46\te8b538f2ff\tCALL runtime.morestack_noctxt.abi0(SB)\t\n" +
	"  parallel.go:186\t0x563e78\te983feffff\tJMP example.com/parallel.mapItems[go.shape.int,go.shape.[]uint8](SB)\t\n" +
	"\n" +
	"TEXT example.com/parallel/internal/stream.(*Stream[go.shape.struct { main.a int }]).Run(SB) /src/stream.go\n" +
	"  stream.go:10\t0x563db0\tff5118\t\tCALL 0x18(CX)\t\n" +
	"  stream.go:11\t0x563e78\te983feffff\tJMP example.com/parallel/internal/stream.(*slots[go.shape.int]).at(SB)\t\n" +
	"  stream.go:12\t0x563e79\te983feffff\tCALL 0x563e78\t\n"

func TestCheck(t *testing.T) {
	instances, err := parse(strings.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		table function
		want  []string
	}{
		{"a call in place of an inlined one", function{name: "mapItems", instances: 1, indirect: 1},
			[]string{"parallel.go:195: mapItems calls sync/atomic.(*Uint32).Load (in 1 of 1 instances)"}},
		{"allowed", function{name: "mapItems", instances: 1, indirect: 1, calls: []string{"sync/atomic.*"}}, nil},
		{"a function value too many", function{name: "mapItems", instances: 1, calls: []string{"sync/atomic.(*Uint32).Load"}},
			[]string{"parallel.go:190: mapItems calls through another function value or an interface (in 1 of 1 instances)"}},
		{"too few instances", function{name: "mapItems", instances: 2, indirect: 1, calls: []string{"sync/atomic.*"}},
			[]string{"mapItems: found 1 instances, not 2: has it been renamed, or is it inlined itself?"}},
		{"another name", function{name: "items", instances: 1},
			[]string{"items: found 0 instances, not 1: has it been renamed, or is it inlined itself?"}},
		{"a method in another package", function{name: "(*Stream).Run", instances: 1, indirect: 1, calls: []string{"(*slots).at"}},
			[]string{"stream.go:12: (*Stream).Run calls 0x563e78 (in 1 of 1 instances)"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, got := check([]function{test.table}, instances, "example.com/parallel"); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
