// Package result keeps the figures of a bench and prints them: medians with their spread, and with the
// ratio to the floor.
package result

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"slices"
)

// Floor is the contestant that the others are compared with.
const Floor = "floor"

// A Figure is one figure of one contestant, from all rounds.
type Figure struct {
	Load       string    `json:"load"`
	Case       string    `json:"case"`
	Name       string    `json:"figure"`
	Contestant string    `json:"contestant"`
	Values     []float64 `json:"values"`
	Median     float64   `json:"median"`
	Min        float64   `json:"min"`
	Max        float64   `json:"max"`
	// Ratio is the ratio to the median of the floor. It is 0 if the floor has no median or its
	// median is 0. Its spread is that of the ratios within each round. It is 0 unless every round
	// has both figures.
	Ratio    float64 `json:"ratio,omitempty"`
	RatioMin float64 `json:"ratio_min,omitempty"`
	RatioMax float64 `json:"ratio_max,omitempty"`
}

type key struct{ load, of, name, contestant string }

// A Set is all figures, in the order in which they first came.
type Set struct {
	order  []key
	values map[key][]float64
}

// Add adds what one round has found.
func (s *Set) Add(load, of, name, contestant string, value float64) {
	if s.values == nil {
		s.values = map[key][]float64{}
	}
	k := key{load, of, name, contestant}
	if _, ok := s.values[k]; !ok {
		s.order = append(s.order, k)
	}
	s.values[k] = append(s.values[k], value)
}

// Join adds all that another set has.
func (s *Set) Join(other *Set) {
	for _, k := range other.order {
		for _, v := range other.values[k] {
			s.Add(k.load, k.of, k.name, k.contestant, v)
		}
	}
}

// Figures returns all figures.
func (s *Set) Figures() []Figure {
	all := make([]Figure, 0, len(s.order))
	for _, k := range s.order {
		f := summary(k, s.values[k])
		if k.contestant != Floor {
			f.compare(s.values[key{k.load, k.of, k.name, Floor}])
		}
		all = append(all, f)
	}
	return all
}

// compare fills in the ratios to what the floor has.
func (f *Figure) compare(floors []float64) {
	of := median(floors)
	if of <= 0 {
		return
	}
	f.Ratio = f.Median / of
	if len(floors) != len(f.Values) || slices.Min(floors) <= 0 {
		return
	}
	ratios := make([]float64, len(floors))
	for round, v := range f.Values {
		ratios[round] = v / floors[round]
	}
	f.RatioMin, f.RatioMax = slices.Min(ratios), slices.Max(ratios)
}

func summary(k key, values []float64) Figure {
	return Figure{
		Load: k.load, Case: k.of, Name: k.name, Contestant: k.contestant,
		Values: values, Median: median(values), Min: slices.Min(values), Max: slices.Max(values),
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	switch n := len(sorted); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	default:
		return sorted[n/2]
	}
}

// Quantile returns the smallest value that a part q of all values do not exceed.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// A Report is the result of a bench as JSON.
type Report struct {
	About   map[string]string  `json:"about"`
	Seconds map[string]float64 `json:"seconds"` // how long each load took
	Figures []Figure           `json:"figures"`
	Targets []Verdict          `json:"targets"`
}

// Write writes the report to a file.
func (r Report) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
