package main

import (
	"fmt"
	"math"
	"strings"
)

// sections are the figures of documents, by the name in their marks.
var sections = map[string]func(*results) string{
	"machine":    machine,
	"commands":   commandList,
	"versions":   versions,
	"goals":      goals,
	"loop":       againstLoop,
	"work":       otherWork,
	"ratio":      ratios,
	"skewed":     skewed,
	"seq":        sequences,
	"efficiency": efficiencies,
	"items":      itemTimes,
	"pool":       poolRatios,
	"payload":    payloads,
	"short":      shortCalls,
	"estimate":   wrongEstimates,
	"starts":     starts,
	"many":       many,
	"codec":      codecs,
	"memory":     memory,
	"bad":        bad,
	"readme":     summary,
}

func machine(r *results) string {
	for _, key := range []string{"date", "commit", "cpu", "cores", "kernel", "go"} {
		if r.about[key] == "" {
			r.missing = append(r.missing, key)
		}
	}
	commits := "commit " + r.about["commit"]
	if strings.Contains(commits, ", ") {
		commits = "commits " + r.about["commit"] // see measured.txt which of them is whose
	}
	return fmt.Sprintf("Taken on %s at %s: a virtual machine with %s cores (%s), %s, Go %s.\n",
		r.about["date"], commits, r.about["cores"], r.about["cpu"], r.about["kernel"], r.about["go"])
}

func commandList(*results) string {
	var out strings.Builder
	out.WriteString("```sh\n")
	for _, c := range commands {
		fmt.Fprintln(&out, c)
	}
	out.WriteString("```\n")
	return out.String()
}

// ratios is what BenchmarkRatio says, less 100 ns where it is against the loop.
func ratios(r *results) string {
	t := &table{labels: 1, head: []string{"n ="}}
	for _, n := range manySizes {
		t.head = append(t.head, count(n))
	}
	for _, w := range []struct {
		name, work, unit string
		upTo             int
	}{
		{"x\\*2, over the loop", "tiny", "x-loop", 1e7},
		{"x\\*2, over static chunks", "tiny", "x-chunks", 1e7},
		{"ForEach, over the loop", "each", "x-loop", 1e7},
		{"ForEach, over static chunks", "each", "x-chunks", 1e7},
		{"structs of 64 bytes, over the loop", "wide", "x-loop", 1e6},
		{"structs of 64 bytes, over static chunks", "wide", "x-chunks", 1e6},
		{"strings, over the loop", "text", "x-loop", 1e6},
		{"strings, over static chunks", "text", "x-chunks", 1e6},
		{"1 µs, over static chunks", "1us", "x-chunks", 1e5},
		{"100 µs, over static chunks", "100us", "x-chunks", 1e3},
	} {
		row := []string{w.name}
		for _, n := range manySizes {
			if n > w.upTo {
				row = append(row, "")
			} else {
				row = append(row, ratio(r.get(fmt.Sprintf("parallel.Ratio/work=%s/n=%d", w.work, n), w.unit)))
			}
		}
		t.add(row...)
	}
	return t.String()
}

// What BenchmarkMap measures of skewed items.
var (
	heavies    = []string{"1ms", "5ms", "20ms"}
	skewSizes  = []int{100, 1000}
	skewPlaces = []struct{ key, name string }{
		{"chunks", "static chunks"}, {"errgroup", "errgroup"}, {"goroutines", "**goroutines**"},
		{"kept", "**kept pool**"}, {"processes", "**started for each call**"},
	}
)

func skewName(heavy, place string, n int) string {
	return fmt.Sprintf("parallel.Map/work=skewed/heavy=%s/place=%s/n=%d", heavy, place, n)
}

func skewedWorst(r *results, place string) float64 {
	worst := math.Inf(-1)
	for _, heavy := range heavies {
		for _, n := range skewSizes {
			worst = max(worst, r.get(skewName(heavy, place, n), "x-ideal"))
		}
	}
	return worst
}

func skewed(r *results) string {
	t := &table{labels: 1, head: []string{"time over the best possible"}}
	for _, n := range skewSizes {
		for _, heavy := range heavies {
			t.head = append(t.head, fmt.Sprintf("%s, last %s of %s", count(n), count(int(4*r.workers())), strings.Replace(heavy, "ms", " ms", 1)))
		}
	}
	for _, p := range skewPlaces {
		row := []string{p.name}
		for _, n := range skewSizes {
			for _, heavy := range heavies {
				row = append(row, ratio(r.get(skewName(heavy, p.key, n), "x-ideal")))
			}
		}
		t.add(row...)
	}
	return t.String()
}

func seqName(work, place string, n int) string {
	return fmt.Sprintf("parallel.MapSeq/work=%s/place=%s/n=%d", work, place, n)
}

func sequences(r *results) string {
	t := &table{labels: 1, head: []string{"time per item", "10,000 × x\\*2", "1,000,000 × x\\*2", "10,000 × 1 µs", "100 × 100 µs"}}
	for _, p := range []struct{ key, name string }{
		{"loop", "a loop"}, {"goroutines", "goroutines"}, {"goroutines/order=none", "goroutines, unordered"},
		{"kept", "kept pool"}, {"kept/order=none", "kept pool, unordered"},
	} {
		row := []string{p.name}
		for _, w := range []struct {
			work string
			n    int
		}{{"tiny", 1e4}, {"tiny", 1e6}, {"1us", 1e4}, {"100us", 100}} {
			row = append(row, duration(r.get(seqName(w.work, p.key, w.n), "ns/item")))
		}
		t.add(row...)
	}
	return t.String()
}
