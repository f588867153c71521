package result

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table prints figures. Each case of a load has a block. A block has a line for each figure and a
// column for each contestant.
func Table(w io.Writer, figures []Figure) error {
	for len(figures) > 0 {
		first := figures[0]
		inBlock := func(f Figure) bool { return f.Load == first.Load && f.Case == first.Case }
		var block []Figure
		for _, f := range figures {
			if inBlock(f) {
				block = append(block, f)
			}
		}
		figures = slices.DeleteFunc(slices.Clone(figures), inBlock)
		fmt.Fprintf(w, "\n%s: %s\n", first.Load, first.Case)
		if err := write(w, block); err != nil {
			return err
		}
	}
	return nil
}

func write(w io.Writer, block []Figure) error {
	var names, contestants []string
	cells := map[[2]string]string{}
	for _, f := range block {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
		if !slices.Contains(contestants, f.Contestant) {
			contestants = append(contestants, f.Contestant)
		}
		cells[[2]string{f.Name, f.Contestant}] = cell(f)
	}
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(out, "  \t%s\n", strings.Join(contestants, "\t"))
	for _, name := range names {
		fmt.Fprintf(out, "  %s", name)
		for _, contestant := range contestants {
			fmt.Fprintf(out, "\t%s", cells[[2]string{name, contestant}])
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// cell returns "median (min to max) ×ratio".
func cell(f Figure) string {
	text := number(f.Median)
	if f.Min != f.Max {
		text += fmt.Sprintf(" (%s to %s)", number(f.Min), number(f.Max))
	}
	switch {
	case f.Ratio >= 1000: // the floor has next to nothing
		text += " ×>999"
	case f.Ratio > 0:
		text += fmt.Sprintf(" ×%.2f", f.Ratio)
		if f.RatioMin != f.RatioMax {
			text += fmt.Sprintf(" (%.2f to %.2f)", f.RatioMin, f.RatioMax)
		}
	}
	return text
}

// number returns a number with three digits or more.
func number(v float64) string {
	digits := 0
	if v != 0 && math.Abs(v) < 100 {
		digits = min(2-int(math.Floor(math.Log10(math.Abs(v)))), 4)
	}
	if v == math.Trunc(v) {
		digits = 0
	}
	return fmt.Sprintf("%.*f", digits, v)
}
