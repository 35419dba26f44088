package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
)

// The picture is narrow and its letters are large, so that they can be read where a page
// is 360 pixels wide and shows it at four fifths of its size.
const (
	width, height = 400.0, 330.0
	left, right   = 42.0, 300.0 // of the area of the axes; names stand to its right
	top, bottom   = 52.0, 284.0
	nameHeight    = 15.0
)

// style has the colours of Okabe and Ito, which stay apart for colour-blind eyes, made
// darker on white and lighter on black. A reader that knows no @media shows the light
// ones.
const style = `text{font:12px -apple-system,"Segoe UI","Liberation Sans",Arial,Helvetica,sans-serif;fill:#1f2328}
.paper{fill:#fff}.title{font-size:14px;font-weight:bold}.note{font-size:11px;fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:.7}.line{fill:none;stroke-width:1.6}.lead{fill:none;stroke-width:.8}
.mid{text-anchor:middle}.end{text-anchor:end}
.a{stroke:#0a62a8;fill:#0a62a8}.b{stroke:#6b4fa0;fill:#6b4fa0}.c{stroke:#8f6200;fill:#8f6200}
.d{stroke:#b8430a;fill:#b8430a}.e{stroke:#00754f;fill:#00754f}.f{stroke:#2f86c9;fill:#2f86c9}.z{stroke:#59636e;fill:#59636e}
.line.a{stroke-width:3.2}.line.z,.line.f{stroke-dasharray:5 3}text.a{font-weight:bold}text{stroke:none!important}.line,.lead{fill:none!important}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.paper{fill:#0d1117}.note{fill:#9198a1}.grid{stroke:#3d444d}
.a{stroke:#58a6ff;fill:#58a6ff}.b{stroke:#bfa5f5;fill:#bfa5f5}.c{stroke:#e3b341;fill:#e3b341}
.d{stroke:#ff8a5c;fill:#ff8a5c}.e{stroke:#3fc68a;fill:#3fc68a}.f{stroke:#8cc8ff;fill:#8cc8ff}.z{stroke:#9198a1;fill:#9198a1}}
`

func (p *picture) x(v float64) float64 { return left + (v-p.xMin)/(p.xMax-p.xMin)*(right-left) }
func (p *picture) y(v float64) float64 { return bottom - (v-p.yMin)/(p.yMax-p.yMin)*(bottom-top) }

// svg draws p.
func (p *picture) svg() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img">
<title>%s</title>
<style>
%s</style>
<rect class="paper" width="100%%" height="100%%"/>
`, width*1.4, height*1.4, width, height, html.EscapeString(p.title), html.EscapeString(style))
	text(&out, "title", 10, 20, p.title)
	text(&out, "note", 10, 37, p.note)
	for _, t := range p.xTicks {
		stroke(&out, "grid", point{p.x(t.at), top}, point{p.x(t.at), bottom})
		text(&out, "mid", p.x(t.at), bottom+16, t.label)
	}
	for _, t := range p.yTicks {
		stroke(&out, "grid", point{left, p.y(t.at)}, point{right, p.y(t.at)})
		text(&out, "end", left-5, p.y(t.at)+4, t.label)
	}
	text(&out, "mid", (left+right)/2, bottom+36, p.xLabel)
	for _, l := range p.lines {
		points := make([]point, len(l.points))
		for i, at := range l.points {
			points[i] = point{p.x(at.x), p.y(at.y)}
		}
		stroke(&out, "line "+l.class, points...)
		for _, at := range points {
			fmt.Fprintf(&out, `<circle class="%s" cx="%.1f" cy="%.1f" r="2.2"/>`+"\n", l.class, at.x, at.y)
		}
	}
	p.names(&out)
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// names writes each line's name beside its end, which is easier to read than a legend.
// A stroke joins the two, since names make room for each other.
func (p *picture) names(out io.Writer) {
	end := func(l line) float64 { return p.y(l.points[len(l.points)-1].y) }
	lines := slices.SortedStableFunc(slices.Values(p.lines), func(a, b line) int { return cmp.Compare(end(a), end(b)) })
	ys := make([]float64, len(lines))
	for i, l := range lines {
		ys[i] = end(l)
	}
	spread(ys, nameHeight, top, bottom)
	for i, l := range lines {
		from := p.x(l.points[len(l.points)-1].x)
		stroke(out, "lead "+l.class, point{from + 3, end(l)}, point{right + 4, ys[i]})
		text(out, l.class, right+7, ys[i]+4, l.name)
	}
}

func text(out io.Writer, class string, x, y float64, s string) {
	fmt.Fprintf(out, `<text class="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, x, y, html.EscapeString(s))
}

func stroke(out io.Writer, class string, points ...point) {
	fmt.Fprintf(out, `<path class="%s" d="`, class)
	for i, at := range points {
		fmt.Fprintf(out, "%c%.1f %.1f", "ML"[min(i, 1)], at.x, at.y)
	}
	fmt.Fprintln(out, `"/>`)
}

// spread moves ascending positions so that they are at least gap apart and within
// lo and hi, as little as that takes. In terms of y[i] - i*gap it is a regression
// under the condition that nothing descends: neighbours that are out of order
// share their mean.
func spread(y []float64, gap, lo, hi float64) {
	type block struct {
		sum float64
		n   int
	}
	mean := func(b block) float64 { return b.sum / float64(b.n) }
	var blocks []block
	for i := range y {
		b := block{y[i] - float64(i)*gap, 1}
		for len(blocks) > 0 && mean(blocks[len(blocks)-1]) > mean(b) {
			last := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			b = block{b.sum + last.sum, b.n + last.n}
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		at := max(lo, min(mean(b), hi-float64(len(y)-1)*gap))
		for range b.n {
			y[i] = at + float64(i)*gap
			i++
		}
	}
}
