package main

import "slices"

// A peer is one of those that package compare measures.
type peer struct {
	key    string // its name there
	name   string // for the reader
	module string // "" if it has no version of its own
}

var peers = []peer{
	{"loop", "a plain loop", ""},
	{"static", "static chunks by hand", ""},
	{"parallel", "**parallel.Map**", ""},
	{"conc", "conc, iter.Map", "github.com/sourcegraph/conc"},
	{"errgroup", "errgroup", "golang.org/x/sync"},
	{"pond", "pond", "github.com/alitto/pond/v2"},
	{"ants", "ants", "github.com/panjf2000/ants/v2"},
	{"lo", "lo/parallel", "github.com/samber/lo"},
	{"rill", "rill, OrderedMap", "github.com/destel/rill"},
	{"pargo", "pargo, Range", "github.com/exascience/pargo"},

	{"goroutines", "**parallel, goroutines**", ""},
	{"parallel-kept", "**parallel, kept pool**", ""},
	{"parallel-cold", "**parallel, started for each call**", ""},
	{"netrpc-chunks", "net/rpc, chunks by hand", ""},
	{"netrpc", "net/rpc, one by one", ""},
	{"goplugin-chunks", "go-plugin, chunks by hand", ""},
	{"goplugin", "go-plugin, one by one", "github.com/hashicorp/go-plugin"},
	{"python-pool", "Python, Pool.map", "python"},
	{"python-executor", "Python, ProcessPoolExecutor.map", ""},
}

// inGoroutines and inProcesses are the peers of the two benchmarks, in the order of
// their tables.
var (
	inGoroutines = peers[:10]
	inProcesses  = peers[10:]
)

// pick returns the peers of these keys.
func pick(keys ...string) []peer {
	var picked []peer
	for _, key := range keys {
		i := slices.IndexFunc(peers, func(p peer) bool { return p.key == key })
		picked = append(picked, peers[i])
	}
	return picked
}

// versions is a table of those that have one.
func versions(r *results) string {
	t := &table{labels: 3, head: []string{"peer", "module", "version"}}
	for _, p := range peers {
		version := r.about[p.module]
		switch {
		case p.module == "python":
			t.add("multiprocessing.Pool, ProcessPoolExecutor", "Python", version)
		case p.module != "":
			t.add(p.name, "`"+p.module+"`", version)
		default:
			continue
		}
		if version == "" {
			r.missing = append(r.missing, "version of "+p.module)
		}
	}
	t.add("net/rpc, the loop, static chunks", "Go", r.about["go"])
	return t.String()
}

// tinySizes are the n of x*2 in package compare.
var tinySizes = []int{1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// againstLoop is the time of each peer over that of the loop, for x*2.
func againstLoop(r *results) string {
	return loopTable(r, "x\\*2, n =", each("compare.Goroutines/work=tiny/n=%d", tinySizes), tinySizes)
}

// otherWork is the same for items that take longer.
func otherWork(r *results) string {
	t := &table{labels: 1, head: []string{
		"", "1 µs × 10", "1 µs × 1,000", "1 µs × 100,000", "100 µs × 10", "100 µs × 1,000", "skewed × 1,000", "1 ms of waiting × 200",
	}}
	names := []string{
		"1us/n=10", "1us/n=1000", "1us/n=100000", "100us/n=10", "100us/n=1000", "skewed/n=1000", "blocking/n=200",
	}
	for _, p := range inGoroutines {
		row := []string{p.name}
		for _, name := range names {
			if p.key == "lo" && name == "blocking/n=200" {
				row = append(row, none) // it cannot limit how many items run at once
				continue
			}
			row = append(row, ratio(r.get("compare.Goroutines/work="+name, p.key+":x-loop")))
		}
		t.add(row...)
	}
	return t.String()
}

func loopTable(r *results, title string, names []string, sizes []int) string {
	t := &table{labels: 1, head: []string{title}}
	for _, n := range sizes {
		t.head = append(t.head, count(n))
	}
	for _, p := range inGoroutines {
		row := []string{p.name}
		for _, name := range names {
			row = append(row, ratio(r.get(name, p.key+":x-loop")))
		}
		t.add(row...)
	}
	return t.String()
}

// A cost is what an item takes by itself in the benchmark of processes.
type cost struct{ key, name string }

var costs = []cost{{"0", "x*2"}, {"1us", "1 µs"}, {"10us", "10 µs"}, {"100us", "100 µs"}, {"1ms", "1 ms"}}

// efficiency is the ideal time over the time that a peer took. The ideal is that of as many
// workers which have equal parts of the items already, since on some machines two loops at
// once are slower than one. Python has an ideal of its own, but for x*2: who wants a
// million doubled does not care in what.
func efficiency(r *results, p peer, c cost) float64 {
	name := "compare.Processes/cost=" + c.key
	ideal := "static"
	if (p.key == "python-pool" || p.key == "python-executor") && c.key != "0" {
		ideal = p.key + "-ideal"
	}
	return r.get(name, ideal+":x-loop") / r.get(name, p.key+":x-loop")
}

func efficiencies(r *results) string {
	t := &table{labels: 1, head: []string{"efficiency, items of"}}
	for _, c := range costs {
		t.head = append(t.head, escape(c.name))
	}
	for _, p := range inProcesses {
		row := []string{p.name}
		for _, c := range costs {
			row = append(row, percent(efficiency(r, p, c)))
		}
		t.add(row...)
	}
	return t.String()
}

// itemTimes is the time of a call divided by its items.
func itemTimes(r *results) string {
	t := &table{labels: 1, head: []string{"time per item, items of"}}
	for _, c := range costs {
		t.head = append(t.head, escape(c.name))
	}
	for _, p := range slices.Concat(pick("loop"), inProcesses) {
		row := []string{p.name}
		for _, c := range costs {
			row = append(row, duration(r.get("compare.Processes/cost="+c.key, p.key+":ns/item")))
		}
		t.add(row...)
	}
	return t.String()
}

// escape keeps Markdown from reading a star as its own.
func escape(s string) string {
	if s == "x*2" {
		return `x\*2`
	}
	return s
}
