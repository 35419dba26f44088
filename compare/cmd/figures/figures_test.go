package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCurrent holds that the documents and the pictures say what has been measured, and
// all of it: neither was changed without the other.
func TestCurrent(t *testing.T) {
	measured, err := os.ReadFile("../../measured.txt")
	if err != nil {
		t.Fatal(err)
	}
	var warnings strings.Builder
	files, err := documents("../../..", measured, &warnings)
	if err != nil || warnings.Len() > 0 {
		t.Fatal(err, warnings.String())
	}
	for path, want := range files {
		if got, _ := os.ReadFile(path); string(got) != string(want) {
			t.Errorf("%s is not what has been measured: run go run ./cmd/figures in compare", path)
		}
	}
}

// TestSections holds that docs/performance.md has all that there is.
func TestSections(t *testing.T) {
	text, err := os.ReadFile("../../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range sections {
		if name != "readme" && !strings.Contains(string(text), begin+name+" -->") {
			t.Errorf("docs/performance.md has no %s", name)
		}
	}
}

// TestVersions holds README.md's versions of the peers to go.mod's.
func TestVersions(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if p.module == "" || p.module == "python" {
			continue
		}
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", p.module).Output()
		if err != nil {
			t.Fatal(p.module, err)
		}
		if want := strings.TrimSpace(string(out)); !strings.Contains(string(text), want) {
			t.Errorf("README.md does not have %s", want)
		}
	}
}

// output has what several runs of go test -bench can have in them: repetitions, a
// benchmark that was skipped, and results that a log message has spoilt.
const output = `date: 2026-01-02
cores: 2
goos: linux
pkg: example.com/parallel/compare
cpu: Some Processor
BenchmarkGoroutines/work=tiny/n=10-2   	 100	 2.5 a:ns/item	 1.5 a:x-loop
BenchmarkGoroutines/work=tiny/n=10-2   	 100	 4.5 a:ns/item	 3.5 a:x-loop
BenchmarkGoroutines/work=tiny/n=10-2   	2026/01/02 [ERR] a log
    1000	 50.0 ns/item
BenchmarkOther-2   	 100	 two ns/op
--- SKIP: BenchmarkGoroutines/work=blocking-2
PASS
pkg: example.com/parallel
BenchmarkGoroutines/work=tiny/n=10     	 100	 7 a:ns/item
`

func TestRead(t *testing.T) {
	var warnings strings.Builder
	r := read(strings.NewReader(output), &warnings)
	if w := warnings.String(); strings.Count(w, "\n") != 2 || !strings.Contains(w, "line 8:") || !strings.Contains(w, "line 10:") {
		t.Errorf("warnings %q, want lines 8 and 10", w)
	}
	if r.about["cpu"] != "Some Processor" || r.workers() != 2 {
		t.Errorf("%v", r.about)
	}
	const name = "Goroutines/work=tiny/n=10"
	if a, b := r.get("compare."+name, "a:ns/item"), r.get("compare."+name, "a:x-loop"); a != 3.5 || b != 2.5 {
		t.Errorf("medians %g and %g, want 3.5 and 2.5", a, b)
	}
	if v := r.get("parallel."+name, "a:ns/item"); v != 7 || len(r.missing) != 0 {
		t.Errorf("%g, missing %v", v, r.missing)
	}
	if v := r.get("parallel."+name, "a:x-loop"); !math.IsNaN(v) || !slices.Equal(r.missing, []string{"parallel." + name + " a:x-loop"}) {
		t.Errorf("%g, missing %v", v, r.missing)
	}
}

func TestBlocks(t *testing.T) {
	file := "go: 1\n"
	for _, c := range commands {
		file += "\n" + commandMark + c.String() + "\ncommit: a\nBenchmarkX 1 1 " + c.bench + "\n"
	}
	kept := "go: 1\n"
	for _, c := range commands {
		kept += block([]byte(file), c)
	}
	if kept != file {
		t.Errorf("blocks of\n%s\nare\n%s", file, kept)
	}
	if b := block([]byte(file), command{dir: ".", bench: "Other"}); b != "" {
		t.Errorf("there is %q of a command that was not run", b)
	}
	r := read(strings.NewReader("commit: a\npkg: x/one\ncommit: b\npkg: y\ncommit: a\npkg: one\nBenchmarkX 1 2 u\nBenchmarkX 1 4 u\nBenchmarkY 1 4 u\nBenchmarkY 1 4.1 u\n"), t.Output())
	if r.about["commit"] != "a, b" || r.spread("one.X", "u") != "2.0 to 4.0" || r.spread("one.Y", "u") != "" {
		t.Errorf("%v, spread %q and %q", r.about, r.spread("one.X", "u"), r.spread("one.Y", "u"))
	}
}

func TestFill(t *testing.T) {
	r := read(strings.NewReader(output), io.Discard)
	sections["test"] = func(r *results) string { return r.about["cpu"] + "\n" }
	defer delete(sections, "test")
	const mark = begin + "test -->\n"
	got, err := fill([]byte("a\n"+mark+"old\n"+end+"b\n"+mark+end+"c\n"), r)
	if want := "a\n" + mark + "Some Processor\n" + end + "b\n" + mark + "Some Processor\n" + end + "c\n"; err != nil || string(got) != want {
		t.Errorf("%v, %q, want %q", err, got, want)
	}
	for _, bad := range []string{mark, begin + "test\n" + end, begin + "nothing -->\n" + end} {
		if got, err := fill([]byte(bad), r); err == nil {
			t.Errorf("%q is filled: %q", bad, got)
		}
	}
}

func TestMissing(t *testing.T) {
	var missing missingError
	_, err := documents("../../..", []byte(output), io.Discard)
	if !errors.As(err, &missing) || len(missing) < 100 {
		t.Errorf("%d figures are missing of nearly all: %.200v", len(missing), err)
	}
}

func TestText(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.126: "0.13", 0.999: "1.00", 1.045: "1.04", 4: "4.0", 9.96: "10", 12.4: "12", 126: "130", 12345: "12,000", 1999999: "2,000,000"} {
		if got := ratio(x); got != want {
			t.Errorf("ratio %g is %s, want %s", x, got, want)
		}
	}
	for ns, want := range map[float64]string{1.25: "1.3 ns", 990: "990 ns", 999: "1.0 µs", 45_000: "45 µs", 2.34e6: "2.3 ms", 5.1e9: "5.1 s", 2e13: "20,000 s"} {
		if got := duration(ns); got != want {
			t.Errorf("%g ns is %s, want %s", ns, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0 %", 0.00002: "0.0020 %", 0.0196: "2 %", 1: "100 %", math.NaN(): none} {
		if got := percent(x); got != want {
			t.Errorf("%g is %s, want %s", x, got, want)
		}
	}
	if got, want := (&table{labels: 1, head: []string{"a", "b"}, rows: [][]string{{"c", "1"}}}).String(), "| a | b |\n|---|--:|\n| c | 1 |\n"; got != want {
		t.Errorf("table\n%s, want\n%s", got, want)
	}
}

func TestSVG(t *testing.T) {
	p := &picture{
		title: "a < b", yMax: 1, xMax: 1,
		xTicks: []tick{{0, "zero"}},
	}
	p.add(line{"one & all", "a", []point{{0, 0.5}, {1, math.NaN()}}}, 0.1)
	p.add(line{"nothing", "b", []point{{0, math.NaN()}}}, 0.1)
	p.add(line{"high", "c", []point{{0, 3}, {1, 0}}}, 0.1)
	if p.yMax != 3.1 || p.yMin != -0.1 {
		t.Errorf("the axis is from %g to %g", p.yMin, p.yMax)
	}
	svg := p.svg()
	var texts []string
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
	for _, want := range []string{"a < b", "one & all", "high", "zero"} {
		if !slices.Contains(texts, want) {
			t.Errorf("the picture has no text %q, only %q", want, texts)
		}
	}
	if slices.Contains(texts, "nothing") || regexp.MustCompile(`NaN|Inf`).Match(svg) {
		t.Errorf("the picture has what is not there:\n%s", svg)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct{ y, want []float64 }{
		{[]float64{}, []float64{}},
		{[]float64{50}, []float64{50}},
		{[]float64{20, 50, 60}, []float64{20, 50, 60}},          // apart: nothing moves
		{[]float64{50, 50}, []float64{45, 55}},                  // equal: half of the gap each
		{[]float64{50, 50, 52}, []float64{40.67, 50.67, 60.67}}, // one pushes the next
		{[]float64{0, 0, 90}, []float64{0, 10, 90}},             // the lower edge
		{[]float64{100, 100}, []float64{90, 100}},               // the upper edge
	} {
		y := slices.Clone(c.y)
		spread(y, 10, 0, 100)
		for i := range y {
			if d := y[i] - c.want[i]; d < -0.01 || d > 0.01 {
				t.Errorf("spread(%v) = %v, want %v", c.y, y, c.want)
				break
			}
		}
	}
}
