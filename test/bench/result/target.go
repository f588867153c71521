package result

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// A Target is where a figure of a contestant is to arrive, in all cases of a load:
// at most so much, or at most so many times the floor's.
type Target struct {
	Load, Case, Figure string // an empty Case is every one
	AtMost             float64
	OfFloor            float64 // 0 where AtMost counts
	Always             bool    // in each round, not by the median
}

// A Verdict is what has become of a target in one case.
type Verdict struct {
	Load   string  `json:"load"`
	Case   string  `json:"case"`
	Figure string  `json:"figure"`
	Want   float64 `json:"at_most"`
	Floors bool    `json:"times_floor"`
	Got    float64 `json:"got"`
	Met    bool    `json:"met"`
}

// Judge compares the figures of a contestant with targets. A target of which there
// is no figure has no verdict.
func Judge(figures []Figure, contestant string, targets []Target) (verdicts []Verdict) {
	for _, t := range targets {
		for _, f := range figures {
			if f.Contestant != contestant || f.Load != t.Load || f.Name != t.Figure || t.Case != "" && t.Case != f.Case {
				continue
			}
			v := Verdict{Load: f.Load, Case: f.Case, Figure: f.Name, Want: t.AtMost, Got: f.Median}
			if t.OfFloor > 0 {
				v.Want, v.Floors, v.Got = t.OfFloor, true, f.Ratio
			}
			if t.Always {
				v.Got = f.Max
			}
			v.Met = v.Got <= v.Want
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

// Verdicts prints them.
func Verdicts(w io.Writer, verdicts []Verdict) error {
	fmt.Fprintf(w, "\ntargets\n")
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, v := range verdicts {
		met, times := "met", ""
		if !v.Met {
			met = "NOT MET"
		}
		if v.Floors {
			times = "×"
		}
		fmt.Fprintf(out, "  %s: %s\t%s\t%s%s\tat most %s%s\t%s\n", v.Load, v.Case, v.Figure, times, number(v.Got), times, number(v.Want), met)
	}
	return out.Flush()
}
