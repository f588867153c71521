package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"service-monitor/test/bench/plot"
	"service-monitor/test/bench/result"
)

// plotted are the figures that get a plot.
var plotted = []struct{ load, figure, file, over string }{
	{loadUnits, cpuPerEvent, "cpu-by-units", "watched units"},
	{loadUnits, latency50, "latency-by-units", "watched units"},
	{loadUnits, latency99, "latency-p99-by-units", "watched units"},
	{loadUnits, rss, "rss-by-units", "watched units"},
	{loadUnits, anonymous, "memory-by-units", "watched units"},
	{loadUnits, ready, "ready-by-units", "watched units"},
	{loadRates, cpuPerEvent, "cpu-by-events", "events per second"},
	{loadRates, latency50, "latency-by-events", "events per second"},
	{loadRates, latency99, "latency-p99-by-events", "events per second"},
}

// plots writes the plots of what was measured.
func (b *bench) plots() error {
	figures := b.results.Figures()
	for _, p := range plotted {
		drawing := plot.Plot{Title: p.figure + " by " + p.over, X: p.over, Y: p.figure}
		for _, c := range b.contestants {
			if points := curve(figures, p.load, p.figure, c.name); len(points) > 0 {
				drawing.Curves = append(drawing.Curves, plot.Curve{Name: c.name, Points: points})
			}
		}
		if len(drawing.Curves) == 0 {
			continue
		}
		if err := draw(drawing, filepath.Join(b.out, p.file+".svg")); err != nil {
			return err
		}
	}
	return nil
}

// curve returns the points of one figure of a contestant. The name of a case is its X.
func curve(figures []result.Figure, load, name, contestant string) (points []plot.Point) {
	for _, f := range figures {
		if f.Load == load && f.Name == name && f.Contestant == contestant {
			x, _ := strconv.ParseFloat(f.Case, 64) // it was printed from a number
			points = append(points, plot.Point{X: x, Y: f.Median, Min: f.Min, Max: f.Max})
		}
	}
	slices.SortFunc(points, func(a, b plot.Point) int { return cmp.Compare(a.X, b.X) })
	return points
}

func draw(p plot.Plot, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.Write(f); err != nil {
		return err
	}
	return f.Close()
}
