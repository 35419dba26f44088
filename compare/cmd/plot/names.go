package main

import (
	"cmp"
	"image/color"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	nameHeight = vg.Length(14)
	nameGap    = vg.Length(18) // from a line to its name
	nameWidth  = vg.Length(94) // where names stand outside of the axes
	namesRoom  = 32            // within them: the factor by which the X axis grows
)

// drawNames writes each peer's name beside an end of its line, which is easier to
// read than a legend. A stroke joins the two, since names make room for each
// other.
func (f *figure) drawNames(c draw.Canvas, p *plot.Plot, data draw.Canvas, lines []line) {
	end := func(l line) plotter.XY { return l.points[len(l.points)-1] }
	side, align := vg.Length(1), draw.XLeft
	if f.namesAtStart {
		end = func(l line) plotter.XY { return l.points[0] }
		side, align = -1, draw.XRight
	}
	lines = slices.SortedStableFunc(slices.Values(lines), func(a, b line) int {
		return cmp.Compare(end(a).Y, end(b).Y)
	})
	toX, toY := p.Transforms(&data)
	ys := make([]vg.Length, len(lines))
	for i, l := range lines {
		ys[i] = toY(end(l).Y)
	}
	spread(ys, nameHeight, data.Min.Y+nameHeight, data.Max.Y-nameHeight/2)
	for i, l := range lines {
		s, x, y := styleOf(l.peer), toX(end(l).X), toY(end(l).Y)
		name := textStyle(textSize, darker(s.color), align)
		if s.width == thick {
			name.Font.Weight = xfont.WeightBold
		}
		stroke := draw.LineStyle{Color: s.color, Width: 0.8}
		c.StrokeLine2(stroke, x+side*6, y, x+side*(nameGap-2), ys[i])
		c.FillText(name, vg.Point{X: x + side*nameGap, Y: ys[i]}, s.name)
	}
}

// darker is c for text, which is thinner than a line.
func darker(c color.NRGBA) color.NRGBA {
	part := func(v uint8) uint8 { return uint8(int(v) * 7 / 10) }
	return color.NRGBA{R: part(c.R), G: part(c.G), B: part(c.B), A: c.A}
}

// spread moves ascending positions so that they are at least gap apart and within
// lo and hi, as little as that takes. In terms of y[i] - i*gap it is a regression
// under the condition that nothing descends: neighbours that are out of order
// share their mean.
func spread(y []vg.Length, gap, lo, hi vg.Length) {
	type block struct {
		sum vg.Length
		n   int
	}
	mean := func(b block) vg.Length { return b.sum / vg.Length(b.n) }
	var blocks []block
	for i := range y {
		b := block{y[i] - vg.Length(i)*gap, 1}
		for len(blocks) > 0 && mean(blocks[len(blocks)-1]) > mean(b) {
			last := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			b = block{b.sum + last.sum, b.n + last.n}
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		at := max(lo, min(mean(b), hi-vg.Length(len(y)-1)*gap))
		for range b.n {
			y[i] = at + vg.Length(i)*gap
			i++
		}
	}
}
