package main

import (
	"fmt"
	"math"
)

// A picture has lines of peers. Its coordinates are those of the data, already
// transformed where an axis is logarithmic or has steps.
type picture struct {
	title, note    string
	xLabel, yLabel string
	xTicks, yTicks []tick
	xMin, xMax     float64
	yMin, yMax     float64
	lines          []line
}

type tick struct {
	at    float64
	label string
}

// A line is drawn in the style of its class: see style.
type line struct {
	name, class string
	points      []point
}

type point struct{ x, y float64 }

// drawn says which peers are in a picture, and how. The others are in the tables only,
// since more than six lines cannot be told apart.
type drawn struct{ key, name, class string }

var (
	drawnInGoroutines = []drawn{
		{"errgroup", "errgroup", "d"},
		{"pond", "pond", "e"},
		{"conc", "conc", "c"},
		{"static", "static chunks", "b"},
		{"loop", "the loop", "z"},
		{"parallel", "parallel.Map", "a"},
	}
	drawnInProcesses = []drawn{
		{"goroutines", "goroutines", "z"},
		{"parallel-cold", "parallel, started", "f"},
		{"netrpc-chunks", "net/rpc, chunks", "c"},
		{"goplugin", "go-plugin", "d"},
		{"python-pool", "Python Pool", "e"},
		{"parallel-kept", "parallel, kept", "a"},
	}
)

// goroutinesPicture is the time of x*2 over that of the loop, both axes logarithmic.
func goroutinesPicture(r *results) *picture {
	p := &picture{
		title:  "Doubling n ints: time relative to a loop",
		note:   "lower is better; " + where(r),
		xLabel: "number of items, n",
		xMin:   -0.25, xMax: 6.25,
		yMin: math.Log10(0.4), yMax: math.Log10(5),
		yTicks: []tick{{math.Log10(0.5), "0.5"}, {0, "1"}},
	}
	labels := []string{"1", "10", "100", "1k", "10k", "100k", "1M"}
	for i, label := range labels {
		p.xTicks = append(p.xTicks, tick{float64(i), label})
	}
	for _, d := range drawnInGoroutines {
		l := line{name: d.name, class: d.class}
		for i, n := range tinySizes {
			l.points = append(l.points, point{float64(i), math.Log10(r.get(fmt.Sprintf("compare.Goroutines/work=tiny/n=%d", n), d.key+":x-loop"))})
		}
		p.add(l, math.Log10(1.4))
	}
	for e := 1.0; e <= p.yMax; e++ {
		p.yTicks = append(p.yTicks, tick{e, count(int(math.Pow(10, e)))})
	}
	return p
}

// processesPicture is the efficiency of processes by what items cost.
func processesPicture(r *results) *picture {
	p := &picture{
		title:  "Worker processes: share of the ideal speed",
		note:   "higher is better; " + where(r),
		xLabel: "what an item costs by itself",
		xMin:   -0.2, xMax: float64(len(costs)) - 0.8,
		yMin: 0, yMax: 1.03,
	}
	for i := range 6 {
		p.yTicks = append(p.yTicks, tick{0.2 * float64(i), percent(0.2 * float64(i))})
	}
	for i, c := range costs {
		p.xTicks = append(p.xTicks, tick{float64(i), c.name})
	}
	for _, d := range drawnInProcesses {
		l := line{name: d.name, class: d.class}
		for i, c := range costs {
			l.points = append(l.points, point{float64(i), efficiency(r, pick(d.key)[0], c)})
		}
		p.add(l, 0.02)
	}
	return p
}

// where is what the figures were measured on.
func where(r *results) string {
	return fmt.Sprintf("%s cores (%s), %s", r.about["cores"], r.about["cpu"], r.about["date"])
}

// add adds a line, and grows the axes so that it fits with room to spare. A figure that
// is missing leaves a gap.
func (p *picture) add(l line, room float64) {
	known := l.points[:0]
	for _, at := range l.points {
		if !math.IsNaN(at.y) && !math.IsInf(at.y, 0) {
			known = append(known, at)
			p.yMin, p.yMax = min(p.yMin, at.y-room), max(p.yMax, at.y+room)
		}
	}
	if l.points = known; len(known) > 0 {
		p.lines = append(p.lines, l)
	}
}
