package result

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fill(values map[string][]float64) *Set {
	var s Set
	for _, contestant := range []string{"a", Floor} {
		for _, v := range values[contestant] {
			s.Add("load", "case", "ms", contestant, v)
		}
	}
	return &s
}

func TestFigures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[string][]float64
		want   Figure // of a
	}{
		{"odd", map[string][]float64{"a": {9, 1, 4}, Floor: {2, 1, 8}}, Figure{Median: 4, Min: 1, Max: 9, Ratio: 2, RatioMin: 0.5, RatioMax: 4.5}},
		{"even", map[string][]float64{"a": {1, 2, 4, 8}, Floor: {3}}, Figure{Median: 3, Min: 1, Max: 8, Ratio: 1}},
		{"no floor", map[string][]float64{"a": {5}}, Figure{Median: 5, Min: 5, Max: 5}},
		{"a floor of nothing", map[string][]float64{"a": {5}, Floor: {0}}, Figure{Median: 5, Min: 5, Max: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Load, tt.want.Case, tt.want.Name, tt.want.Contestant = "load", "case", "ms", "a"
			tt.want.Values = tt.values["a"]
			if diff := cmp.Diff(tt.want, fill(tt.values).Figures()[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for _, tt := range []struct{ q, want float64 }{{0, 1}, {0.2, 1}, {0.5, 3}, {0.99, 5}, {1, 5}} {
		if got := Quantile(values, tt.q); got != tt.want {
			t.Errorf("quantile %v is %v, want %v", tt.q, got, tt.want)
		}
	}
	if got := Quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTable(t *testing.T) {
	var s Set
	s.Add("load", "one", "ms", "a", 1.5)
	s.Add("load", "one", "ms", "a", 2.5)
	s.Add("load", "two", "lost", Floor, 0)
	s.Add("load", "one", "ms", Floor, 0.0123)
	var b strings.Builder
	if err := Table(&b, s.Figures()); err != nil {
		t.Fatal(err)
	}
	want := `
load: one
       a                          floor
  ms   2 (1.50 to 2.50) ×162.60   0.0123

load: two
         floor
  lost   0
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJudge(t *testing.T) {
	figures := fill(map[string][]float64{"a": {3, 1, 9}, Floor: {2, 1, 4}}).Figures()
	of := func(v Verdict) []Verdict {
		v.Load, v.Case, v.Contestant = "load", "case", "a"
		if v.Figure == "" {
			v.Figure = "ms"
		}
		return []Verdict{v}
	}
	alone := fill(map[string][]float64{"a": {3}}).Figures()
	if got := Judge(alone, []string{"a"}, []Target{{Load: "load", Figure: "ms", OfFloor: 9}}); !got[0].Missing || got[0].Met {
		t.Errorf("without a floor: got %+v", got[0])
	}
	for _, tt := range []struct {
		name   string
		target Target
		want   []Verdict
	}{
		{"absolute, met", Target{Load: "load", Figure: "ms", AtMost: 3}, of(Verdict{Want: 3, Got: 3, Min: 1, Max: 9, Met: true})},
		{"absolute, not met", Target{Load: "load", Figure: "ms", AtMost: 2.9}, of(Verdict{Want: 2.9, Got: 3, Min: 1, Max: 9})},
		{"of the floor, met", Target{Load: "load", Figure: "ms", OfFloor: 1.5}, of(Verdict{Want: 1.5, Floors: true, Got: 1.5, Min: 1, Max: 2.25, Met: true})},
		{"of the floor, not met", Target{Load: "load", Figure: "ms", OfFloor: 1}, of(Verdict{Want: 1, Floors: true, Got: 1.5, Min: 1, Max: 2.25})},
		{"either, the first", Target{Load: "load", Figure: "ms", AtMost: 3, OfFloor: 1, Either: true}, of(Verdict{Want: 3, Got: 3, Min: 1, Max: 9, Met: true})},
		{"either, the other", Target{Load: "load", Figure: "ms", AtMost: 2, OfFloor: 2, Either: true}, of(Verdict{Want: 2, Floors: true, Got: 1.5, Min: 1, Max: 2.25, Met: true})},
		{"in each round", Target{Load: "load", Figure: "ms", AtMost: 8, Always: true}, of(Verdict{Want: 8, Got: 9, Min: 1, Max: 9})},
		{"of who is judged", Target{Load: "load", Figure: "ms", AtMost: 3, Contestant: "a"}, of(Verdict{Want: 3, Got: 3, Min: 1, Max: 9, Met: true})},
		{"of who is not judged", Target{Load: "load", Figure: "ms", AtMost: 3, Contestant: Floor}, nil},
		{"of who was to be there", Target{Load: "load", Figure: "ms", AtMost: 3, Contestant: "b"}, []Verdict{{Load: "load", Case: "case", Contestant: "b", Figure: "ms", Want: 3, Missing: true}}},
		{"of another case", Target{Load: "load", Case: "other", Figure: "ms", AtMost: 3}, nil},
		{"of another load", Target{Load: "other", Figure: "ms", AtMost: 3}, nil},
		{"of a figure that is not there", Target{Load: "load", Figure: "s", AtMost: 3}, of(Verdict{Figure: "s", Want: 3, Missing: true})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Judge(figures, []string{"a", "b"}, []Target{tt.target})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	var b strings.Builder
	err := Verdicts(&b, []Verdict{
		{Load: "load", Case: "one", Contestant: "a", Figure: "ms", Want: 2, Floors: true, Got: 3, Min: 2.5, Max: 4},
		{Load: "load", Case: "one", Contestant: "a", Figure: "lost", Got: 7},
		{Load: "load", Case: "two", Contestant: "a", Figure: "ms", Want: 4, Got: 3, Min: 3, Max: 3, Met: true},
		{Load: "load", Case: "two", Contestant: "a", Figure: "lost", Met: true},
		{Load: "load", Case: "two", Contestant: "a", Figure: "s", Want: 4, Missing: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `
targets
  load: one   a   ms     ×3 (2.50 to 4)   at most ×2   NOT MET by 50 %
  load: one   a   lost   7                at most 0    NOT MET by 7
  load: two   a   ms     3                at most 4    met, 75 % of it
  load: two   a   lost   0                at most 0    met
  load: two   a   s      -                at most 4    NOT MET: no figure
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJoin(t *testing.T) {
	var a, b Set
	a.Add("load", "case", "ms", "a", 1)
	b.Add("load", "case", "s", "a", 2)
	b.Add("load", "case", "ms", "a", 3)
	a.Join(&b)
	var got []string
	for _, f := range a.Figures() {
		got = append(got, fmt.Sprint(f.Name, f.Values))
	}
	if diff := cmp.Diff([]string{"ms[1 3]", "s[2]"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
