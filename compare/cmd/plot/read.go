package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"gonum.org/v1/plot/plotter"
)

// A sample is one line of benchmark output.
type sample struct {
	benchmark string            // without "Benchmark"
	keys      map[string]string // from the name: peer=conc/n=10
	perItem   float64           // nanoseconds
}

// read reads the output of go test -bench, and what it says about the machine. A
// line that it cannot make sense of is told to warn and left out, as benchstat
// does: a worker's log can end up within a result. name is that of the input.
func read(r io.Reader, name string, warn io.Writer) (samples []sample, machine string, err error) {
	br := benchfmt.NewReader(r, name)
	for br.Scan() {
		switch rec := br.Result().(type) {
		case *benchfmt.SyntaxError:
			fmt.Fprintln(warn, rec)
		case *benchfmt.Result:
			perItem, ok := rec.Value("sec/item") // benchfmt has made it of ns/item
			if !ok {
				continue
			}
			benchmark, keys := split(rec.Name)
			samples = append(samples, sample{benchmark, keys, perItem * 1e9})
			machine = describe(rec, keys[processors])
		}
	}
	return samples, machine, br.Err()
}

// processors is the key under which split keeps the number behind the name.
const processors = "GOMAXPROCS"

// split splits Goroutines/peer=conc/n=10-2 into its parts.
func split(name benchfmt.Name) (benchmark string, keys map[string]string) {
	base, parts := name.Parts()
	keys = map[string]string{processors: "1"} // which go test leaves out
	for _, part := range parts {
		if key, value, ok := strings.Cut(string(part[1:]), "="); ok && part[0] == '/' {
			keys[key] = value
		} else if part[0] == '-' {
			keys[processors] = string(part[1:])
		}
	}
	return string(base), keys
}

func describe(r *benchfmt.Result, procs string) string {
	s := fmt.Sprintf("%s/%s, GOMAXPROCS %s", r.GetConfig("goos"), r.GetConfig("goarch"), procs)
	if cpu := r.GetConfig("cpu"); cpu != "" {
		s = cpu + ", " + s
	}
	return s
}

// A line is the results of one peer, by ascending X.
type line struct {
	peer   string
	points plotter.XYs
}

// group makes a line for each peer of those samples that x says to have a place,
// in the order in which they were measured. Samples of one peer in one place are
// repetitions; their median counts.
func group(samples []sample, x func(sample) (float64, bool)) []line {
	var peers []string
	times := map[string]map[float64][]float64{}
	for _, s := range samples {
		at, ok := x(s)
		if !ok {
			continue
		}
		peer := s.keys["peer"]
		if times[peer] == nil {
			peers = append(peers, peer)
			times[peer] = map[float64][]float64{}
		}
		times[peer][at] = append(times[peer][at], s.perItem)
	}
	lines := make([]line, len(peers))
	for i, peer := range peers {
		l := line{peer: peer}
		for at, ts := range times[peer] {
			l.points = append(l.points, plotter.XY{X: at, Y: median(ts)})
		}
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		lines[i] = l
	}
	return lines
}

// median sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
