package main

import (
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
)

// output has what a run of go test -bench can have in it: repetitions, other
// benchmarks, other units, a benchmark that was skipped, and a line that a log
// message has spoilt.
const output = `goos: linux
goarch: amd64
pkg: example.com/parallel/compare
cpu: Some Processor
BenchmarkGoroutines/work=tiny/peer=loop/n=1000-2   	  100	 2.5 ns/item
BenchmarkGoroutines/work=tiny/peer=loop/n=1-2      	 1000	 30.0 ns/item
BenchmarkGoroutines/work=tiny/peer=loop/n=1-2      	 1000	 10.0 ns/item
BenchmarkGoroutines/work=tiny/peer=loop/n=1-2      	 1000	 90.0 ns/item	 8 B/op
BenchmarkGoroutines/work=tiny/peer=conc/n=1-2      	 1000	 40.0 ns/item
BenchmarkGoroutines/work=tiny/peer=conc/n=1-2      	 1000	 50.0 ns/item
BenchmarkGoroutines/work=tiny/peer=pond/n=1-2      	2026/01/02 [ERR] a log
    1000	 50.0 ns/item
BenchmarkGoroutines/work=1us/peer=loop/n=10-2      	 1000	 1000 ns/item
--- SKIP: BenchmarkGoroutines/work=blocking/peer=lo/n=200-2
    goroutines_test.go:86: lo/parallel cannot limit how many items run at once
BenchmarkProcesses/peer=parallel-kept/cost=0-2     	  100	 2.0 ns/item
BenchmarkProcesses/peer=parallel-kept/cost=1ms-2   	    1	 500000 ns/item
BenchmarkSomethingElse-2                           	    1	 7 ns/op
PASS
ok  	example.com/parallel/compare	3.079s
`

func TestReadAndGroup(t *testing.T) {
	var warnings strings.Builder
	samples, machine, err := read(strings.NewReader(output), "output", &warnings)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Some Processor, linux/amd64, GOMAXPROCS 2"; machine != want {
		t.Errorf("machine %q, want %q", machine, want)
	}
	if w := warnings.String(); strings.Count(w, "\n") != 1 || !strings.HasPrefix(w, "output:11:") {
		t.Errorf("warnings %q, want one of line 11", w)
	}
	want := map[string][]line{
		"goroutines": {
			{"loop", plotter.XYs{{X: 1, Y: 30}, {X: 1000, Y: 2.5}}},
			{"conc", plotter.XYs{{X: 1, Y: 45}}},
		},
		"processes": {
			{"parallel-kept", plotter.XYs{{X: tiny, Y: 2}, {X: 1e6, Y: 500000}}},
		},
	}
	for _, f := range figures {
		got := group(samples, f.x)
		for _, l := range got {
			round(l.points)
		}
		if !reflect.DeepEqual(got, want[f.name]) {
			t.Errorf("%s: got %v, want %v", f.name, got, want[f.name])
		}
	}
}

// round takes back what the way through seconds has added.
func round(points plotter.XYs) {
	for i, p := range points {
		points[i].Y = float64(int(p.Y*1e6+0.5)) / 1e6
	}
}

func TestReadNames(t *testing.T) {
	const one = "BenchmarkProcesses/peer=python-pool/cost=10us 5 1.0 ns/item\n"
	samples, machine, err := read(strings.NewReader(one), "one", t.Output())
	if err != nil || len(samples) != 1 {
		t.Fatalf("%v, %v", samples, err)
	}
	s := samples[0]
	if s.benchmark != "Processes" || s.keys["peer"] != "python-pool" || s.keys["cost"] != "10us" {
		t.Errorf("%+v", s)
	}
	if !strings.HasSuffix(machine, "GOMAXPROCS 1") {
		t.Errorf("machine %q, want GOMAXPROCS 1, for which go test adds nothing to names", machine)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.of); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.of, got, c.want)
		}
	}
}
