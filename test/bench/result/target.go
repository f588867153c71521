package result

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A Target is a limit for a figure of a contestant, in all cases of a load. The
// limit is a value, or a multiple of the floor's figure.
type Target struct {
	Load, Case, Figure string // an empty Case means every case
	Contestant         string // it must be in all cases; empty for all that are judged
	AtMost             float64
	OfFloor            float64 // 0 if only AtMost counts
	Either             bool    // one of AtMost and OfFloor is enough
	Always             bool    // it must be met in each round, and not only by the median
}

// A Verdict says whether a target was met in one case.
type Verdict struct {
	Load       string  `json:"load"`
	Case       string  `json:"case"`
	Contestant string  `json:"contestant"`
	Figure     string  `json:"figure"`
	Want       float64 `json:"at_most"`
	Floors     bool    `json:"times_floor"`
	Got        float64 `json:"got"`
	Min        float64 `json:"min"` // of all rounds; Min and Max are 0 if they are not known
	Max        float64 `json:"max"`
	Missing    bool    `json:"missing,omitempty"` // the case was run, but has no such figure
	Met        bool    `json:"met"`
}

// Judge compares the figures of contestants with targets. A target has no verdict
// if none of its cases was run.
func Judge(figures []Figure, contestants []string, targets []Target) (verdicts []Verdict) {
	for _, t := range targets {
		for _, c := range contestants {
			if t.Contestant == "" || t.Contestant == c {
				verdicts = append(verdicts, t.judge(figures, c)...)
			}
		}
	}
	return verdicts
}

// judge gives a verdict on each case in which a contestant was or should have been.
func (t Target) judge(figures []Figure, contestant string) (verdicts []Verdict) {
	var cases []string
	found := map[string]Figure{}
	for _, f := range figures {
		if f.Load != t.Load || t.Case != "" && t.Case != f.Case || t.Contestant == "" && f.Contestant != contestant {
			continue
		}
		if !slices.Contains(cases, f.Case) {
			cases = append(cases, f.Case)
		}
		if f.Name == t.Figure && f.Contestant == contestant {
			found[f.Case] = f
		}
	}
	for _, of := range cases {
		f, ok := found[of]
		v := t.verdict(f)
		v.Load, v.Case, v.Contestant, v.Figure = t.Load, of, contestant, t.Figure
		v.Missing = !ok || v.Floors && f.Ratio == 0 && f.Median > 0 // a ratio needs the figure of the floor
		v.Met = v.Met && !v.Missing
		verdicts = append(verdicts, v)
	}
	return verdicts
}

func (t Target) verdict(f Figure) Verdict {
	v := Verdict{Want: t.AtMost, Got: f.Median, Min: f.Min, Max: f.Max}
	if t.OfFloor > 0 && (!t.Either || f.Median > t.AtMost && f.Ratio > 0) {
		v = Verdict{Want: t.OfFloor, Floors: true, Got: f.Ratio, Min: f.RatioMin, Max: f.RatioMax}
	}
	if t.Always {
		v.Got = f.Max
	}
	v.Met = v.Got <= v.Want
	return v
}

// Verdicts prints verdicts.
func Verdicts(w io.Writer, verdicts []Verdict) error {
	fmt.Fprintf(w, "\ntargets\n")
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, v := range verdicts {
		times := ""
		if v.Floors {
			times = "×"
		}
		fmt.Fprintf(out, "  %s: %s\t%s\t%s\t%s\tat most %s%s\t%s\n", v.Load, v.Case, v.Contestant, v.Figure, v.got(times), times, number(v.Want), v.outcome())
	}
	return out.Flush()
}

func (v Verdict) got(times string) string {
	switch {
	case v.Missing:
		return "-"
	case v.Min == v.Max:
		return times + number(v.Got)
	}
	return fmt.Sprintf("%s%s (%s to %s)", times, number(v.Got), number(v.Min), number(v.Max))
}

// outcome says by how much a target was met or missed.
func (v Verdict) outcome() string {
	off := number(v.Got - v.Want)
	if v.Want > 0 {
		off = fmt.Sprintf("%.0f %%", 100*(v.Got/v.Want-1))
	}
	switch {
	case v.Missing:
		return "NOT MET: no figure"
	case !v.Met:
		return "NOT MET by " + off
	case v.Want > 0:
		return fmt.Sprintf("met, %.0f %% of it", 100*v.Got/v.Want)
	}
	return "met"
}
