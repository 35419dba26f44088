package main

import (
	"fmt"
	"strings"
)

// Sections about worker processes.

const (
	tinyPool  = "parallel.ProcessRatio/work=tiny/n=1000000"
	warmCall  = "parallel.WarmCall/place=kept/func=Map"
	bareStart = "parallel.ColdStart/to=first-byte/place=bare"
	barePing  = "parallel.WarmCall/place=bare"
	coldFirst = "parallel.ColdStart/to=first-result/place=processes/processes=%d"
	recovery  = "parallel.Recovery/state=busy"
)

// poolRatios is what BenchmarkProcessRatio and BenchmarkLimits say.
func poolRatios(r *results) string {
	t := &table{labels: 2, head: []string{"call", "over", "times", "time"}}
	for _, w := range []struct{ call, over, name, unit string }{
		{"1,000,000 × x\\*2", "goroutines", tinyPool, "x-goroutines"},
		{"1,000 × 100 µs", "goroutines", "parallel.ProcessRatio/work=100us/n=1000", "x-goroutines"},
		{"10,000 × 100 µs", "goroutines", "parallel.ProcessRatio/work=100us/n=10000", "x-goroutines"},
		{"1,000 × 1 ms", "goroutines", "parallel.ProcessRatio/work=1ms/n=1000", "x-goroutines"},
		{"1,600 × 64 KiB there and back", "copying each twice", "parallel.ProcessRatio/work=echo/size=65536/n=1600", "x-copy"},
		{"100 × 1 MiB there and back", "copying each twice", "parallel.ProcessRatio/work=echo/size=1048576/n=100", "x-copy"},
		{"1,000,000 × x\\*2 with MaxMemoryBytes", "a pool without", "parallel.Limits/limit=memory/n=1000000", "x-unlimited"},
		{"1,000,000 × x\\*2 with MaxItems", "a pool without", "parallel.Limits/limit=items/n=1000000", "x-unlimited"},
	} {
		t.add(w.call, w.over, ratio(r.get(w.name, w.unit)), duration(r.get(w.name, "p50-ms")*1e6))
	}
	return t.String()
}

// payloads is what BenchmarkPayload says: items that are copied once, and no more.
func payloads(r *results) string {
	t := &table{labels: 1, head: []string{"over the loop", "64 KiB × 1,000", "1 MiB × 100"}}
	for _, p := range []struct{ key, name string }{{"goroutines", "goroutines"}, {"kept", "kept pool"}, {"processes", "started for each call"}} {
		t.add(p.name, ratio(r.get(payloadName(p.key, 65536), "x-loop")), ratio(r.get(payloadName(p.key, 1048576), "x-loop")))
	}
	return t.String()
}

func payloadName(place string, size int) string {
	n := 1000
	if size > 1e6 {
		n = 100
	}
	return fmt.Sprintf("parallel.Payload/place=%s/size=%d/n=%d", place, size, n)
}

var shortSizes = []int{2, 10, 100, 1000}

func shortCalls(r *results) string {
	t := &table{labels: 1, head: []string{"time of a call, and over a call of one"}}
	for _, n := range shortSizes {
		t.head = append(t.head, "n = "+count(n))
	}
	for _, k := range []struct{ key, name string }{
		{"int", "ints"}, {"string", "strings"}, {"time", "times"}, {"own", "with MarshalBinary"},
		{"int/limit=items", "ints, with MaxItems"}, {"int/limit=memory", "ints, with MaxMemoryBytes"},
	} {
		row := []string{k.name}
		for _, n := range shortSizes {
			name := fmt.Sprintf("parallel.ShortCalls/type=%s/n=%d", k.key, n)
			row = append(row, duration(r.get(name, "p50-µs")*1e3)+", "+ratio(r.get(name, "x-one")))
		}
		t.add(row...)
	}
	return t.String()
}

func wrongEstimates(r *results) string {
	t := &table{labels: 1, head: []string{"each of", "2 items", "20 items"}}
	for _, each := range []string{"100µs", "250µs", "1ms", "5ms"} {
		row := []string{strings.NewReplacer("µs", " µs", "ms", " ms").Replace(each)}
		for _, n := range []int{2, 20} {
			row = append(row, ratio(r.get(fmt.Sprintf("parallel.WrongEstimate/each=%s/n=%d", each, n), "x-known")))
		}
		t.add(row...)
	}
	return t.String()
}

// starts is what it takes to start, to call and to replace a worker.
func starts(r *results) string {
	t := &table{labels: 1, head: []string{"", "median", "over a bare process or pipe"}}
	for _, w := range []struct{ what, name, unit string }{
		{"Processes(1), from nothing to the first result", fmt.Sprintf(coldFirst, 1), "x-bare"},
		{"Processes(2), from nothing to the first result", fmt.Sprintf(coldFirst, 2), "x-bare"},
		{"Processes(1), from nothing to Map's return", "parallel.ColdStart/to=return/place=processes/processes=1", "x-bare"},
		{"Processes(2), from nothing to Map's return", "parallel.ColdStart/to=return/place=processes/processes=2", "x-bare"},
		{"a bare process, from nothing to its first byte", bareStart, ""},
		{"Map of one item in a warm pool", warmCall, "x-pipe"},
		{"Spawn and Wait in a warm pool", "parallel.WarmCall/place=kept/func=Spawn", "x-pipe"},
		{"a byte through bare pipes and back", barePing, ""},
		{"SIGKILL of a busy worker to the answer of its replacement", recovery, ""},
		{"the same for an idle worker", "parallel.Recovery/state=idle", ""},
	} {
		over := ""
		if w.unit != "" {
			over = ratio(r.get(w.name, w.unit))
		}
		t.add(w.what, duration(r.get(w.name, "p50-µs")*1e3), over)
	}
	return t.String()
}

// many is what many calls at once cost, and many workers.
func many(r *results) string {
	t := &table{labels: 1, head: []string{"", "2 workers", "200 workers"}}
	perCall := func(name, unit string) string { return duration(r.get(name, unit)) }
	for _, n := range []int{100, 1000, 16000} {
		t.add(count(n)+" Spawns at once, each", perCall(fmt.Sprintf("parallel.Spawns/n=%d", n), "ns/spawn"), "")
	}
	for _, n := range []int{10, 100, 1000} {
		t.add(count(n)+" callers of Map with 5 items, each call", perCall(fmt.Sprintf("parallel.Callers/callers=%d", n), "ns/call"), "")
	}
	t.add("1 caller of Map with 5 items, each call", "", perCall("parallel.ManyWorkers/work=tiny/callers=1", "ns/call"))
	for _, n := range []int{200, 2000} {
		t.add(count(n)+" callers of Map with 5 items, each call", "", perCall(fmt.Sprintf("parallel.ManyWorkers/work=tiny/callers=%d", n), "ns/call"))
	}
	t.add("2,000 waits of 1 ms, over the ideal", "", ratio(r.get("parallel.ManyWorkers/work=blocking", "x-ideal")))
	return t.String()
}

func codecs(r *results) string {
	t := &table{labels: 1, head: []string{"to bytes and back", "parallel", "gob, kept encoder", "gob, new encoder"}}
	took := func(name string) string { return duration(r.get(name, "ns/op")) }
	t.add("a small struct with a string and a slice",
		took("codec.Codec/type=small"), took("codec.Gob/type=small/encoder=kept"), took("codec.Gob/type=small/encoder=fresh"))
	t.add("64 KiB of bytes", took("codec.Codec/type=bytes/n=65536"), took("codec.Gob/type=bytes/n=65536/encoder=kept"), "")
	return t.String()
}

func memory(r *results) string {
	t := &table{labels: 1, head: []string{"", "resident", "its own"}}
	for _, w := range []struct{ what, place string }{{"an idle worker", "kept"}, {"a bare process of the same program", "bare"}} {
		name := "parallel.IdleWorkerMemory/place=" + w.place
		t.add(w.what, megabytes(r.get(name, "resident-bytes/worker")), megabytes(r.get(name, "private-bytes/worker")))
	}
	return t.String()
}

// bad is what is slow, plainly.
func bad(r *results) string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, "- "+format+"\n", args...) }
	line("Payloads of 64 KiB with trivial work take %s times as long in a warm pool as in a loop; of 1 MiB, %s times.",
		digits(r.get(payloadName("kept", 65536), "x-loop")), digits(r.get(payloadName("kept", 1048576), "x-loop")))
	line("`Processes(2)` gives its first result after %s, %s times as long as a bare process takes to say a byte.",
		duration(r.get(fmt.Sprintf(coldFirst, 2), "p50-µs")*1e3), ratio(r.get(fmt.Sprintf(coldFirst, 2), "x-bare")))
	line("With `MaxMemoryBytes` set, 1,000,000 × x\\*2 in a warm pool takes %s times as long as without, since a worker then looks at the clock after each item.",
		ratio(r.get("parallel.Limits/limit=memory/n=1000000", "x-unlimited")))
	line("Items of x\\*2 in a warm pool take %s times as long as on goroutines. Processes add no speed.",
		ratio(r.get(tinyPool, "x-goroutines")))
	line("A pool of 200 workers on %s cores takes %s times as long as the ideal for 2,000 waits of 1 ms.",
		r.about["cores"], ratio(r.get("parallel.ManyWorkers/work=blocking", "x-ideal")))
	line("One call of one item in a warm pool takes %s; on a goroutine such a call is %s.",
		duration(r.get(warmCall, "p50-µs")*1e3), duration(r.get("compare.Goroutines/work=tiny/n=1", "parallel:ns/item")))
	return out.String()
}

// summary is README.md's table.
func summary(r *results) string {
	t := &table{labels: 2, head: []string{"what", "on 2 cores"}}
	t.head[1] = "on " + r.about["cores"] + " cores"
	cell := func(what, format string, args ...any) { t.add(what, fmt.Sprintf(format, args...)) }
	cell("Map of 1,000,000 × x\\*2 on goroutines", "%s of the time of the loop; errgroup takes %s times as long as the loop",
		ratio(r.get("parallel.Ratio/work=tiny/n=1000000", "x-loop")), digits(r.get("compare.Goroutines/work=tiny/n=1000000", "errgroup:x-loop")))
	cell("the same in a warm pool", "%s times the time on goroutines", ratio(r.get(tinyPool, "x-goroutines")))
	cell("10,000 × 100 µs in a warm pool", "%s times the time on goroutines", ratio(r.get("parallel.ProcessRatio/work=100us/n=10000", "x-goroutines")))
	cell("one call of one item in a warm pool", "%s", duration(r.get(warmCall, "p50-µs")*1e3))
	cell("`Processes(2)`, from nothing to the first result", "%s", duration(r.get(fmt.Sprintf(coldFirst, 2), "p50-µs")*1e3))
	cell("64 KiB payloads with trivial work in a warm pool", "%s times the time of the loop", digits(r.get(payloadName("kept", 65536), "x-loop")))
	return t.String()
}
