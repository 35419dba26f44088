package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

func TestPictures(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "bench.out")
	if err := os.WriteFile(in, []byte(output), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := run(in, dir, "svg", t.Output()); err != nil {
		t.Fatal(err)
	}
	for name, texts := range map[string][]string{
		"goroutines.svg": {"loop", "conc iter.Map", "1,000", "number of items, n", "Some Processor", "10 ns"},
		"processes.svg":  {"parallel, processes kept", "x*2", "100 µs"},
	} {
		got := svgTexts(t, filepath.Join(dir, name))
		for _, want := range texts {
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("%s has no text %q, only %q", name, want, got)
			}
		}
	}
}

// svgTexts reads the picture as XML, all of it, and returns the texts in it.
func svgTexts(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var texts []string
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
}

func TestNothingToDraw(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "bench.out")
	if err := os.WriteFile(in, []byte("PASS\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := run(in, dir, "svg", t.Output()); err == nil {
		t.Error("no error")
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "*.svg")); made != nil {
		t.Errorf("made %v of nothing", made)
	}
}

func TestDuration(t *testing.T) {
	for ns, want := range map[float64]string{
		0.1: "0.1 ns", 1: "1 ns", 100: "100 ns", 1e3: "1 µs", 1e5: "100 µs", 1e6: "1 ms", 1e9: "1 s", 1e10: "10 s",
	} {
		if got := duration(ns); got != want {
			t.Errorf("%g ns is %q, want %q", ns, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct{ y, want []vg.Length }{
		{[]vg.Length{}, []vg.Length{}},
		{[]vg.Length{50}, []vg.Length{50}},
		{[]vg.Length{20, 50, 60}, []vg.Length{20, 50, 60}},          // apart: nothing moves
		{[]vg.Length{50, 50}, []vg.Length{45, 55}},                  // equal: half of the gap each
		{[]vg.Length{50, 50, 52}, []vg.Length{40.67, 50.67, 60.67}}, // one pushes the next
		{[]vg.Length{0, 0, 90}, []vg.Length{0, 10, 90}},             // the lower edge
		{[]vg.Length{100, 100}, []vg.Length{90, 100}},               // the upper edge
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
