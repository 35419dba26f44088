package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results is what was measured.
type results struct {
	about   map[string]string               // lines such as "cpu: AMD EPYC"; commands below "command"
	values  map[string]map[string][]float64 // by benchmark and unit
	missing []string                        // what was asked for and is not there
}

var (
	aboutLine = regexp.MustCompile(`^([a-z][\w./-]*): (.*)$`)
	procs     = regexp.MustCompile(`-\d+$`)
)

// read reads the output of several runs of go test -bench. A benchmark's name is that of
// its package, a dot, and its own without "Benchmark" and the number of processors:
// compare.Goroutines/work=tiny/n=10. What cannot be a result is told to warn and left
// out: a log of a worker can end up within one.
func read(in io.Reader, warn io.Writer) *results {
	r := &results{about: make(map[string]string), values: make(map[string]map[string][]float64)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := aboutLine.FindStringSubmatch(line); m != nil {
			r.note(m[1], m[2])
		} else if strings.HasPrefix(line, "Benchmark") && strings.ContainsAny(line, " \t") {
			if err := r.add(strings.Fields(line)); err != nil {
				fmt.Fprintf(warn, "line %d: %v\n", n, err)
			}
		}
	}
	return r
}

// note takes in what the results depend on. Commits and dates differ if not all were
// measured at once.
func (r *results) note(key, value string) {
	if old := r.about[key]; old != "" && (key == "commit" || key == "date") {
		if strings.Contains(old, value) {
			return
		}
		value = old + ", " + value
	}
	r.about[key] = value
}

// add takes a result: name, number of rounds, and pairs of value and unit.
func (r *results) add(fields []string) error {
	if len(fields) < 4 || len(fields)%2 != 0 {
		return fmt.Errorf("%d words are no result: %.80q", len(fields), fields)
	}
	if _, err := strconv.Atoi(fields[1]); err != nil {
		return fmt.Errorf("no number of rounds: %w", err)
	}
	pairs := make(map[string]float64)
	for i := 2; i < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return err
		}
		pairs[fields[i+1]] = v
	}
	name := strings.TrimPrefix(fields[0], "Benchmark")
	name = path.Base(r.about["pkg"]) + "." + procs.ReplaceAllString(name, "")
	if r.values[name] == nil {
		r.values[name] = make(map[string][]float64)
	}
	for unit, v := range pairs {
		r.values[name][unit] = append(r.values[name][unit], v)
	}
	return nil
}

// get returns a figure, or NaN if it is missing, which is noted.
func (r *results) get(name, unit string) float64 {
	v := slices.Clone(r.values[name][unit])
	if len(v) == 0 {
		if m := name + " " + unit; !slices.Contains(r.missing, m) {
			r.missing = append(r.missing, m)
		}
		return math.NaN()
	}
	return median(v)
}

// spread is the lowest and the highest of a figure in several builds or runs, if they differ
// by more than is noise: "0.92 to 1.27".
func (r *results) spread(name, unit string) string {
	v := r.values[name][unit]
	if len(v) < 2 || slices.Max(v)-slices.Min(v) < 0.1*median(slices.Clone(v)) {
		return ""
	}
	return ratio(slices.Min(v)) + " to " + ratio(slices.Max(v))
}

// most returns the largest figure of unit among the benchmarks names.
func (r *results) most(unit string, names ...string) float64 {
	worst := math.Inf(-1)
	for _, name := range names {
		worst = max(worst, r.get(name, unit)) // NaN if one is missing
	}
	return worst
}

// workers is how many items ran at once.
func (r *results) workers() float64 {
	n, err := strconv.Atoi(r.about["cores"])
	if err != nil {
		return math.NaN()
	}
	return float64(n)
}

// median sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// each makes the names of a benchmark for several sizes.
func each(format string, sizes []int) []string {
	names := make([]string, len(sizes))
	for i, n := range sizes {
		names[i] = fmt.Sprintf(format, n)
	}
	return names
}
