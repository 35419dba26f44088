package main

import (
	"fmt"
	"math"
)

// A goal is a line of the table with which docs/performance.md begins.
type goal struct {
	what, want string
	measured   float64
	now        string // measured, for the reader
	most       float64
	command    string // benchmarks that measure it
}

func (g goal) met() string {
	switch {
	case math.IsNaN(g.measured):
		return none
	case g.measured <= g.most:
		return "yes"
	}
	return "**no**"
}

func goals(r *results) string {
	t := &table{labels: 5, head: []string{"what", "goal", "now", "met", "benchmark"}}
	for _, list := range [][]goal{mapGoals(r), seqGoals(r), processGoals(r), callGoals(r)} {
		for _, g := range list {
			t.add(g.what, g.want, g.now, g.met(), "`"+g.command+"`")
		}
	}
	return t.String()
}

// worstOf is a goal for the worst of several sizes.
func worstOf(r *results, g goal, format, unit string, sizes []int) goal {
	at := 0
	g.measured = math.Inf(-1)
	for _, n := range sizes {
		if v := r.get(fmt.Sprintf(format, n), unit); v > g.measured || math.IsNaN(v) {
			g.measured, at = v, n
		}
	}
	g.now = fmt.Sprintf("%s (n = %s", ratio(g.measured), count(at))
	if spread := r.spread(fmt.Sprintf(format, at), unit); spread != "" {
		g.now += "; builds " + spread
	}
	g.now += ")"
	return g
}

func timesGoal(what string, most, measured float64, bench string) goal {
	return goal{what, "at most " + ratio(most), measured, ratio(measured), most, bench}
}

func timeGoal(what string, most, measured float64, bench string) goal {
	return goal{what, "at most " + duration(most), measured, duration(measured), most, bench}
}

// Sizes that BenchmarkRatio measures.
var (
	manySizes = []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7}
	largeOnes = []int{1e5, 1e6, 1e7}
)

func mapGoals(r *results) []goal {
	var list []goal
	for _, w := range []struct {
		what, work string
		sizes      []int
	}{
		{"Map of x\\*2 over the loop, less 100 ns, worst n", "tiny", manySizes},
		{"ForEach the same", "each", manySizes},
		{"Map of structs of 64 bytes the same", "wide", tinySizes},
		{"Map of strings the same", "text", tinySizes},
	} {
		g := goal{what: w.what, want: "at most 1.10", most: 1.1, command: "Ratio/work=" + w.work}
		list = append(list, worstOf(r, g, "parallel.Ratio/work="+w.work+"/n=%d", "x-loop", w.sizes))
	}
	g := goal{what: "Map of x\\*2 over static chunks, from 100,000 items on, worst n", want: "at most 1.00", most: 1.005, command: "Ratio/work=tiny"}
	list = append(list, worstOf(r, g, "parallel.Ratio/work=tiny/n=%d", "x-chunks", largeOnes))
	const blocking = "parallel.Map/work=blocking/place=goroutines/width=100/n=200"
	few := r.get("parallel.Map/work=tiny/place=goroutines/n=100000", "allocs/op")
	many := r.get("parallel.Map/work=tiny/place=goroutines/n=1000000", "allocs/op")
	return append(list,
		timesGoal("skewed items over the best possible time, on goroutines, worst case", 1.05,
			skewedWorst(r, "goroutines"), "Map/work=skewed"),
		timesGoal("200 waits of 1 ms on 100 goroutines, over the ideal", 1.3, r.get(blocking, "x-ideal"), "Map/work=blocking"),
		goal{"allocations of Map", "constant in n", many - few,
			fmt.Sprintf("%s for 100,000 items, %s for 1,000,000", digits(few), digits(many)), 2, "Map/work=tiny"},
	)
}

func seqGoals(r *results) []goal {
	var list []goal
	for _, w := range []struct {
		what, place string
		most        float64
	}{
		{"MapSeq of x\\*2, an item", "goroutines", 50},
		{"the same, unordered", "goroutines/order=none", 50},
		{"the same in a warm pool", "kept", 100},
		{"the same in a warm pool, unordered", "kept/order=none", 100},
	} {
		list = append(list, timeGoal(w.what, w.most, r.get(seqName("tiny", w.place, 1e6), "ns/item"), "MapSeq/work=tiny/place="+w.place))
	}
	return list
}

func processGoals(r *results) []goal {
	const echo = "ProcessRatio/work=echo/size=1048576"
	speed := 1 / r.get("parallel."+echo+"/n=100", "x-copy")
	long := r.most("x-goroutines", each("parallel.ProcessRatio/work=100us/n=%d", []int{1e3, 1e4})...)
	short := r.most("x-one", each("parallel.ShortCalls/type=int/n=%d", shortSizes)...)
	return []goal{
		timesGoal("1,000,000 × x\\*2 in a warm pool, over goroutines", 2.5, r.get(tinyPool, "x-goroutines"), "ProcessRatio/work=tiny"),
		timesGoal("100 µs items in a warm pool, over goroutines, worst n", 1.03, long, "ProcessRatio/work=100us"),
		timesGoal("skewed items over the best possible time, in a warm pool, worst case", 1.05, skewedWorst(r, "kept"), "Map/work=skewed"),
		{"1 MiB there and back, speed over that of copying each twice", "at least 0.80", -speed, ratio(speed), -0.8, echo},
		timesGoal("a call of 2 to 1,000 tiny items, over a call of one, worst n", 2.5, short, "ShortCalls/type=int"),
	}
}

func callGoals(r *results) []goal {
	const n = 16_000
	spawns := r.get("compare.Spawns/n=16000", "parallel:ns/item") * n
	apply := r.get("compare.Spawns/n=16000", "python-apply:ns/item") * n
	gob := r.get("codec.Gob/type=small/encoder=kept", "ns/op") / r.get("codec.Codec/type=small", "ns/op")
	call, ping := r.get(warmCall, "x-pipe"), r.get(barePing, "p50-µs")*1e3
	again, bare := r.get(recovery, "p50-µs")*1e3, r.get(bareStart, "p50-µs")*1e3
	return []goal{
		{"one warm call over a byte through bare pipes and back", "at most 1.50", call,
			fmt.Sprintf("%s (a byte %s)", ratio(call), duration(ping)), 1.5, "WarmCall"},
		{"16,000 Spawns at once on one pool", "no slower than Python's apply_async", spawns / apply,
			fmt.Sprintf("%s; Python %s", duration(spawns), duration(apply)), 1, "Spawns (compare)"},
		{"a small struct to bytes and back, over encoding/gob", "5 times faster", -gob,
			digits(gob) + " times", -5, "Codec, Gob (internal/codec)"},
		timesGoal("Processes(2), first result, over a bare process of the same program", 1.5,
			r.get(fmt.Sprintf(coldFirst, 2), "x-bare"), "ColdStart"),
		{"from a worker's SIGKILL to the answer of its replacement", "at most 3 ms", again,
			fmt.Sprintf("%s (a bare process starts in %s)", duration(again), duration(bare)), 3e6, "Recovery/state=busy"},
	}
}
