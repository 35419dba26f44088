package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A table is written in Markdown. Numbers, which are all columns but the first labels,
// stand on the right.
type table struct {
	labels int // columns of text on the left
	head   []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var out strings.Builder
	row := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	row(t.head)
	out.WriteString("|")
	for i := range t.head {
		if i < t.labels {
			out.WriteString("---|")
		} else {
			out.WriteString("--:|")
		}
	}
	out.WriteString("\n")
	for _, cells := range t.rows {
		row(cells)
	}
	return out.String()
}

const none = "–" // a figure that there is not

// ratio writes how many times something is: two decimals below 2, since goals are
// there, and two digits above.
func ratio(x float64) string {
	switch {
	case math.IsNaN(x):
		return none
	case x > 0.1 && x < 2:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return digits(x)
}

// digits writes two significant digits of x, with commas.
func digits(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	if x == 0 {
		return "0"
	}
	unit := func(x float64) float64 { return math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-1) }
	rounded := math.Round(x/unit(x)) * unit(x)
	if last := unit(rounded); last < 1 {
		return strconv.FormatFloat(rounded, 'f', int(math.Round(-math.Log10(last))), 64)
	}
	return count(int(math.Round(rounded)))
}

// count writes a whole number with commas.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// duration writes nanoseconds in the unit that suits them.
func duration(ns float64) string {
	for _, unit := range []string{"ns", "µs", "ms"} {
		if ns < 995 || math.IsNaN(ns) {
			return digits(ns) + " " + unit
		}
		ns /= 1000
	}
	return digits(ns) + " s"
}

// percent writes a share.
func percent(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	if x < 0.0095 {
		return digits(100*x) + " %"
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}

// megabytes writes bytes.
func megabytes(n float64) string { return digits(n/1e6) + " MB" }
