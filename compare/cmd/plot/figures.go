package main

import (
	"image/color"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// A figure is one picture.
type figure struct {
	name   string // of the file
	title  string
	xLabel string
	xTicks []plot.Tick

	// x says where a sample belongs, if it is in this picture at all.
	x func(sample) (at float64, ok bool)

	// The peers' names stand where their lines lie apart: at the end of the lines,
	// outside the axes, or at their start, within them.
	namesAtStart bool
}

var figures = []figure{
	{
		name:   "goroutines",
		title:  "Time per item of mapping n ints with x*2",
		xLabel: "number of items, n",
		xTicks: []plot.Tick{
			{Value: 1, Label: "1"},
			{Value: 10, Label: "10"},
			{Value: 1e2, Label: "100"},
			{Value: 1e3, Label: "1,000"},
			{Value: 1e4, Label: "10,000"},
			{Value: 1e5, Label: "100,000"},
			{Value: 1e6, Label: "1,000,000"},
		},
		x: func(s sample) (float64, bool) {
			if s.benchmark != "Goroutines" || s.keys["work"] != "tiny" {
				return 0, false
			}
			n, err := strconv.Atoi(s.keys["n"])
			return float64(n), err == nil
		},
	},
	{
		name:   "processes",
		title:  "Time per item of mapping in worker processes",
		xLabel: "what an item costs by itself (x*2: about 1 ns, not drawn to scale)",
		xTicks: []plot.Tick{
			{Value: tiny, Label: "x*2"},
			{Value: 1e3, Label: "1 µs"},
			{Value: 1e4, Label: "10 µs"},
			{Value: 1e5, Label: "100 µs"},
			{Value: 1e6, Label: "1 ms"},
		},
		x: func(s sample) (float64, bool) {
			cost, err := time.ParseDuration(s.keys["cost"])
			if s.benchmark != "Processes" || err != nil {
				return 0, false
			}
			return max(tiny, float64(cost.Nanoseconds())), true
		},
		namesAtStart: true,
	},
}

// tiny is where an item that costs next to nothing is drawn. In its true place,
// at a nanosecond, half of the picture would be empty.
const tiny = 1e2

// A style is how a peer is drawn.
type style struct {
	name   string // for the reader
	color  color.NRGBA
	width  vg.Length
	dashed bool
}

// The colours are those of Okabe and Ito, which stay apart for colour-blind eyes,
// without their yellow, which is too pale for a line on white.
var (
	black     = color.NRGBA{A: 255}
	gray      = color.NRGBA{R: 0x77, G: 0x77, B: 0x77, A: 255}
	orange    = color.NRGBA{R: 0xE6, G: 0x9F, B: 0x00, A: 255}
	sky       = color.NRGBA{R: 0x56, G: 0xB4, B: 0xE9, A: 255}
	green     = color.NRGBA{R: 0x00, G: 0x9E, B: 0x73, A: 255}
	blue      = color.NRGBA{R: 0x00, G: 0x72, B: 0xB2, A: 255}
	vermilion = color.NRGBA{R: 0xD5, G: 0x5E, B: 0x00, A: 255}
	purple    = color.NRGBA{R: 0xCC, G: 0x79, B: 0xA7, A: 255}
)

const (
	thin  = vg.Length(1.4)
	thick = vg.Length(3.2)
)

var styles = map[string]style{
	"loop":     {"loop", black, thin, true},
	"static":   {"static chunks", gray, thin, true},
	"parallel": {"parallel.Map", blue, thick, false},
	"conc":     {"conc iter.Map", orange, thin, false},
	"errgroup": {"errgroup", vermilion, thin, false},
	"pond":     {"pond", green, thin, false},
	"ants":     {"ants", purple, thin, false},
	"lo":       {"lo/parallel", sky, thin, false},
	"rill":     {"rill OrderedMap", green, thin, true},
	"pargo":    {"pargo Range", orange, thin, true},

	"goroutines":      {"parallel, goroutines", gray, thin, true},
	"parallel-kept":   {"parallel, processes kept", blue, thick, false},
	"parallel-cold":   {"parallel, cold start", blue, thin, true},
	"netrpc":          {"net/rpc, one by one", orange, thin, true},
	"netrpc-chunks":   {"net/rpc, chunks by hand", orange, thin, false},
	"goplugin":        {"go-plugin, one by one", vermilion, thin, true},
	"goplugin-chunks": {"go-plugin, chunks by hand", vermilion, thin, false},
	"python-pool":     {"Python Pool", green, thin, false},
	"python-executor": {"Python executor", purple, thin, false},
}

// styleOf is the style of a peer, if need be one that says that it has none.
func styleOf(peer string) style {
	if s, ok := styles[peer]; ok {
		return s
	}
	return style{peer, gray, thin, false}
}
