// Package alerts tests the rules and the dashboard that ship with service-monitor-web: with what Prometheus
// would have seen of real services on a real gateway.
package alerts

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A Recording is what was scraped, in the form in which promtool(1) takes it: each series with one value
// for each scrape, whatever the time between two scrapes was.
type Recording struct {
	Scrapes int
	Series  map[string][]float64 // a value that was missing is NaN
}

// Add adds a scrape, in the text format. wants says which metrics are kept. Each series gets these labels.
func (r *Recording) Add(text io.Reader, wants func(metric string) bool, labels ...string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return err
	}
	for name, family := range families {
		if !wants(name) {
			continue
		}
		for _, m := range family.Metric {
			r.put(series(name, m.Label, labels), m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue())
		}
	}
	r.Scrapes++
	return nil
}

// put adds a value of the present scrape.
func (r *Recording) put(series string, value float64) {
	if r.Series == nil {
		r.Series = map[string][]float64{}
	}
	r.Series[series] = append(r.values(series), value)
}

// values returns the values of a series in all scrapes before the present one.
func (r *Recording) values(series string) []float64 {
	values := r.Series[series]
	for len(values) < r.Scrapes {
		values = append(values, math.NaN())
	}
	return values
}

// Of returns the values of a series in all scrapes.
func (r *Recording) Of(series string) []float64 { return r.values(series) }

// Cut returns a recording without the scrapes from one to another. Instead there are more scrapes, in which
// the link is down. Prometheus itself says so.
func (r *Recording) Cut(from, to, more int) *Recording {
	out := &Recording{Scrapes: r.Scrapes - (to - from) + more, Series: map[string][]float64{}}
	for name := range r.Series {
		values, down := r.Of(name), math.NaN()
		if strings.HasPrefix(name, "up{") {
			down = 0
		}
		out.Series[name] = slices.Concat(values[:from], slices.Repeat([]float64{down}, more), values[to:])
	}
	return out
}

// With returns a recording in which a series has another value from a scrape on.
func (r *Recording) With(series string, from int, value float64) *Recording {
	out := &Recording{Scrapes: r.Scrapes, Series: maps.Clone(r.Series)}
	out.Series[series] = slices.Concat(r.Of(series)[:from], slices.Repeat([]float64{value}, r.Scrapes-from))
	return out
}

// series returns the name of a series with its labels.
func series(name string, pairs []*dto.LabelPair, more []string) string {
	var labels []string
	for _, l := range pairs {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	labels = append(labels, more...)
	slices.Sort(labels)
	return name + "{" + strings.Join(labels, ",") + "}"
}

// Write writes the series as a part of a test of promtool, indented by two spaces.
func (r *Recording) Write(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(r.Series)) {
		if _, err := fmt.Fprintf(w, "  - series: '%s'\n    values: '%s'\n", strings.ReplaceAll(name, "'", "''"), notation(r.Of(name))); err != nil {
			return err
		}
	}
	return nil
}

// notation writes values as promtool does: 4+0x3 is a 4 and three more. The first value that is missing is
// stale: so Prometheus marks a series that a scrape does not have any more.
func notation(values []float64) string {
	var words []string
	for at := 0; at < len(values); {
		run := at + 1
		for run < len(values) && same(values[run], values[at]) {
			run++
		}
		n := run - at
		switch missing := math.IsNaN(values[at]); {
		case missing && at > 0:
			words = append(words, "stale")
			if n--; n > 0 {
				words = append(words, "_x"+strconv.Itoa(n))
			}
		case missing:
			words = append(words, "_x"+strconv.Itoa(n))
		default:
			word := strconv.FormatFloat(values[at], 'f', -1, 64)
			if n > 1 {
				word += "+0x" + strconv.Itoa(n-1)
			}
			words = append(words, word)
		}
		at = run
	}
	return strings.Join(words, " ")
}

func same(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }

// Read reads what Write has written.
func Read(text string) (*Recording, error) {
	r := &Recording{Series: map[string][]float64{}}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if quoted, ok := strings.CutPrefix(line, "- series: '"); ok {
			name = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), "''", "'")
			continue
		}
		quoted, ok := strings.CutPrefix(line, "values: '")
		if !ok {
			continue
		}
		values, err := parse(strings.TrimSuffix(quoted, "'"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Series[name] = values
		r.Scrapes = max(r.Scrapes, len(values))
	}
	return r, nil
}

// parse reads values as notation writes them.
func parse(text string) ([]float64, error) {
	var values []float64
	for word := range strings.FieldsSeq(text) {
		word, times, _ := strings.Cut(word, "x")
		n := 1
		if times != "" {
			var err error
			if n, err = strconv.Atoi(times); err != nil {
				return nil, err
			}
		}
		value := math.NaN()
		if number, more := strings.CutSuffix(word, "+0"); word != "_" && word != "stale" {
			if more {
				n++
			}
			var err error
			if value, err = strconv.ParseFloat(number, 64); err != nil {
				return nil, err
			}
		}
		values = append(values, slices.Repeat([]float64{value}, n)...)
	}
	return values, nil
}
