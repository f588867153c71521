package result

import (
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
		{"odd", map[string][]float64{"a": {9, 1, 4}, Floor: {2, 1, 8}}, Figure{Median: 4, Min: 1, Max: 9, Ratio: 2}},
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
	figures := fill(map[string][]float64{"a": {3, 1, 9}, Floor: {2}}).Figures()
	for _, tt := range []struct {
		name   string
		target Target
		want   []Verdict
	}{
		{"absolute, met", Target{Load: "load", Figure: "ms", AtMost: 3}, []Verdict{{Want: 3, Got: 3, Met: true}}},
		{"absolute, not met", Target{Load: "load", Figure: "ms", AtMost: 2.9}, []Verdict{{Want: 2.9, Got: 3}}},
		{"of the floor, met", Target{Load: "load", Figure: "ms", OfFloor: 1.5}, []Verdict{{Want: 1.5, Floors: true, Got: 1.5, Met: true}}},
		{"of the floor, not met", Target{Load: "load", Figure: "ms", OfFloor: 1}, []Verdict{{Want: 1, Floors: true, Got: 1.5}}},
		{"in each round", Target{Load: "load", Figure: "ms", AtMost: 8, Always: true}, []Verdict{{Want: 8, Got: 9}}},
		{"of another case", Target{Load: "load", Case: "other", Figure: "ms", AtMost: 3}, nil},
		{"of another figure", Target{Load: "load", Figure: "s", AtMost: 3}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.want {
				tt.want[i].Load, tt.want[i].Case, tt.want[i].Figure = "load", "case", "ms"
			}
			if diff := cmp.Diff(tt.want, Judge(figures, "a", []Target{tt.target})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
