// Package plot draws curves as SVG. Both axes are logarithmic, because the numbers of units go
// from a dozen to ten thousand.
package plot

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A Point is a point of a curve, with the spread of its value.
type Point struct{ X, Y, Min, Max float64 }

// A Curve is named points, by X.
type Curve struct {
	Name   string
	Points []Point
}

// A Plot has curves over one axis. Values that are not above 0 are not drawn.
type Plot struct {
	Title, X, Y string
	Curves      []Curve
}

// Sizes, in pixels.
const (
	width, height = 640, 400
	left, right   = 70, 130
	top, bottom   = 40, 50
)

var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

// An axis maps values to pixels.
type axis struct{ low, high, from, to float64 } // exponents of ten, and pixels

func (a axis) at(v float64) float64 {
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// Write draws the plot.
func (p Plot) Write(w io.Writer) error {
	x, y := p.axes()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="24" font-size="15">%s</text>`+"\n", left, escape(p.Title))
	for e := x.low; e <= x.high; e++ {
		at := x.at(math.Pow(10, e))
		line(&b, at, y.from, at, y.to, "#ddd", 1)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, height-bottom+18, power(e))
	}
	for e := y.low; e <= y.high; e++ {
		at := y.at(math.Pow(10, e))
		line(&b, x.from, at, x.to, at, "#ddd", 1)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-6, at+4, power(e))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-10, escape(p.X))
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, escape(p.Y))
	for i, c := range p.Curves {
		c.draw(&b, x, y, i)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// axes span all points, in whole powers of ten.
func (p Plot) axes() (x, y axis) {
	x, y = axis{math.Inf(1), math.Inf(-1), left, width - right}, axis{math.Inf(1), math.Inf(-1), height - bottom, top}
	for _, c := range p.Curves {
		for _, pt := range c.Points {
			x.include(pt.X)
			y.include(pt.Min)
			y.include(pt.Max)
		}
	}
	x.round()
	y.round()
	return x, y
}

func (a *axis) include(v float64) {
	if v > 0 {
		a.low, a.high = min(a.low, math.Floor(math.Log10(v))), max(a.high, math.Ceil(math.Log10(v)))
	}
}

// round gives an axis a span, even if it has one value or none.
func (a *axis) round() {
	if a.low > a.high {
		a.low, a.high = 0, 1
	}
	if a.low == a.high {
		a.high++
	}
}

// draw draws one curve, with a whisker for the spread of each point.
func (c Curve) draw(b *strings.Builder, x, y axis, i int) {
	color := colors[i%len(colors)]
	var path []string
	for _, pt := range c.Points {
		if pt.X <= 0 || pt.Min <= 0 {
			continue
		}
		at, value := x.at(pt.X), y.at(pt.Y)
		path = append(path, fmt.Sprintf("%.1f,%.1f", at, value))
		line(b, at, y.at(pt.Min), at, y.at(pt.Max), color, 1)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", at, value, color)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), color)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", width-right+12, top+14+18*i, color, escape(c.Name))
}

func line(b *strings.Builder, x1, y1, x2, y2 float64, color string, size int) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%d"/>`+"\n", x1, y1, x2, y2, color, size)
}

func power(e float64) string { return fmt.Sprintf("%g", math.Pow(10, e)) }

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
