package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// draw returns the polylines and the texts of a plot, which must be well-formed.
func draw(t *testing.T, p Plot) (lines, texts []string) {
	t.Helper()
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	in := ""
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return lines, texts
		}
		if err != nil {
			t.Fatalf("%v in %s", err, b.String())
		}
		switch token := token.(type) {
		case xml.StartElement:
			in = token.Name.Local
			for _, a := range token.Attr {
				if in == "polyline" && a.Name.Local == "points" {
					lines = append(lines, a.Value)
				}
			}
		case xml.CharData:
			if in == "text" && strings.TrimSpace(string(token)) != "" {
				texts = append(texts, string(token))
			}
		}
	}
}

func TestWrite(t *testing.T) {
	points := func(ys ...float64) (all []Point) {
		for i, y := range ys {
			all = append(all, Point{X: []float64{10, 100, 1000}[i], Y: y, Min: y, Max: y})
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		curves []Curve
		lines  []string
		texts  string
	}{
		{"decades", []Curve{{"a & b", points(1, 10, 100)}, {"c", points(10, 10, 10)}},
			[]string{"70.0,350.0 290.0,195.0 510.0,40.0", "70.0,195.0 290.0,195.0 510.0,195.0"}, "t|10|100|1000|1|10|100|x|y|a & b|c"},
		{"one value", []Curve{{"a", points(10)}}, []string{"70.0,350.0"}, "t|10|100|10|100|x|y|a"},
		{"what cannot be drawn", []Curve{{"a", points(0, 10)}}, []string{"510.0,350.0"}, "t|10|100|10|100|x|y|a"},
		{"nothing", nil, nil, "t|1|10|1|10|x|y"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, texts := draw(t, Plot{Title: "t", X: "x", Y: "y", Curves: tt.curves})
			if got, want := strings.Join(lines, "|"), strings.Join(tt.lines, "|"); got != want {
				t.Errorf("lines %s, want %s", got, want)
			}
			if got := strings.Join(texts, "|"); got != tt.texts {
				t.Errorf("texts %s, want %s", got, tt.texts)
			}
		})
	}
}
