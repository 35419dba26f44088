package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"os"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The size suits the width of a page on which a README is shown: text keeps about
// the size of the page's own.
const (
	width     = vg.Length(640)
	height    = vg.Length(420)
	titleSize = vg.Length(13)
	textSize  = vg.Length(10.5)
	noteSize  = vg.Length(9)
	margin    = vg.Length(12)
	header    = vg.Length(50) // the title and what it was measured on
	footer    = vg.Length(24) // what the X axis is
)

var (
	gridColor = color.Gray{Y: 0xD8}
	noteColor = color.Gray{Y: 0x60}
)

func init() { plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"} }

// save draws lines and writes the picture to path.
func (f *figure) save(path, format string, lines []line, machine string) error {
	c, err := draw.NewFormattedCanvas(width, height, format)
	if err != nil {
		return err
	}
	if err := f.draw(draw.New(c), lines, machine); err != nil {
		return err
	}
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return err
	}
	return os.WriteFile(path, withFallbackFonts(out.Bytes()), 0o666)
}

// withFallbackFonts names other fonts of the same widths, for readers of an SVG
// who do not have the one that it was made with.
func withFallbackFonts(svg []byte) []byte {
	const family = "font-family:Liberation Sans"
	return bytes.ReplaceAll(svg, []byte(family+";"), []byte(family+",Arial,Helvetica,sans-serif;"))
}

// draw draws all texts but those of the ticks itself: package plot centers an
// axis's label as if the axis were linear.
func (f *figure) draw(c draw.Canvas, lines []line, machine string) error {
	p, err := f.plot(lines)
	if err != nil {
		return err
	}
	c.SetColor(color.White)
	c.Fill(c.Path())

	left := c.Min.X + margin
	title := textStyle(titleSize, black, draw.XLeft)
	title.Font.Weight = xfont.WeightBold
	c.FillText(title, vg.Point{X: left, Y: c.Max.Y - 18}, f.title)
	note := textStyle(noteSize, noteColor, draw.XLeft)
	c.FillText(note, vg.Point{X: left, Y: c.Max.Y - 34}, machine+"; medians; both axes are logarithmic")

	right := margin
	if !f.namesAtStart {
		right = nameGap + nameWidth
	}
	area := draw.Crop(c, margin, -right, footer, -header)
	p.Draw(area)
	data := p.DataCanvas(area)
	x, _ := p.Transforms(&data)
	middle := (x(f.xTicks[0].Value) + x(f.xTicks[len(f.xTicks)-1].Value)) / 2
	c.FillText(textStyle(textSize, black, draw.XCenter), vg.Point{X: middle, Y: c.Min.Y + footer/2}, f.xLabel)
	f.drawNames(c, p, data, lines)
	return nil
}

// plot is the axes and the lines.
func (f *figure) plot(lines []line) (*plot.Plot, error) {
	p := plot.New()
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Scale = plot.LogScale{}
		axis.Tick.Label.Font.Size = textSize
		axis.LineStyle.Width, axis.Tick.LineStyle.Width = 0, 0 // the grid is enough
		axis.Padding = 0
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColor, gridColor
	p.Add(grid)
	for _, l := range backToFront(lines) {
		if err := add(p, l); err != nil {
			return nil, err
		}
	}
	f.setRanges(p)
	return p, nil
}

// setRanges leaves room around the lines, and for the names where they stand
// within the axes.
func (f *figure) setRanges(p *plot.Plot) {
	const room = 1.6
	p.X.Min, p.X.Max = p.X.Min/room, p.X.Max*room
	p.Y.Min, p.Y.Max = p.Y.Min/room, p.Y.Max*room
	if f.namesAtStart {
		p.X.Min /= namesRoom
	}
	p.X.Tick.Marker = plot.ConstantTicks(f.xTicks)
	var ticks plot.ConstantTicks
	for e := math.Ceil(math.Log10(p.Y.Min)); e <= math.Log10(p.Y.Max); e++ {
		ns := math.Pow(10, e)
		ticks = append(ticks, plot.Tick{Value: ns, Label: duration(ns)})
	}
	p.Y.Tick.Marker = ticks
}

// duration writes a power of ten of nanoseconds.
func duration(ns float64) string {
	units := []string{"ns", "µs", "ms", "s"}
	for ns >= 999 && len(units) > 1 {
		ns /= 1000
		units = units[1:]
	}
	return fmt.Sprintf("%.3g %s", ns, units[0])
}

// backToFront is lines with the thick ones last, over the others.
func backToFront(lines []line) []line {
	return slices.SortedStableFunc(slices.Values(lines), func(a, b line) int {
		return cmp.Compare(styleOf(a.peer).width, styleOf(b.peer).width)
	})
}

func add(p *plot.Plot, l line) error {
	s := styleOf(l.peer)
	stroke, dots, err := plotter.NewLinePoints(l.points)
	if err != nil {
		return fmt.Errorf("%s: %w", l.peer, err)
	}
	stroke.LineStyle = draw.LineStyle{Color: s.color, Width: s.width}
	if s.dashed {
		stroke.Dashes = []vg.Length{5, 3}
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: s.color, Radius: 1.2 + 0.8*s.width, Shape: draw.CircleGlyph{}}
	p.Add(stroke, dots)
	return nil
}

func textStyle(size vg.Length, c color.Color, align draw.XAlignment) draw.TextStyle {
	return draw.TextStyle{
		Color:   c,
		Font:    font.From(plot.DefaultFont, size),
		XAlign:  align,
		YAlign:  draw.YCenter,
		Handler: plot.DefaultTextHandler,
	}
}
