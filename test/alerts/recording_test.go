package alerts

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func all(string) bool { return true }

// What was recorded can be read again, with what was missing in some scrapes.
func TestRecording(t *testing.T) {
	var r Recording
	for _, text := range []string{
		"# TYPE a_total counter\na_total{name=\"x\"} 4\n", "a_total{name=\"x\"} 4\nb 0.5\n", "b 0.5\nc{name=\"it's\"} 1\n", "a_total{name=\"x\"} 1e15\n",
	} {
		if err := r.Add(strings.NewReader(text), all, `instance="gw"`); err != nil {
			t.Fatal(err)
		}
	}
	missing := math.NaN()
	want := map[string][]float64{
		`a_total{instance="gw",name="x"}`: {4, 4, missing, 1e15},
		`b{instance="gw"}`:                {missing, .5, .5, missing},
		`c{instance="gw",name="it's"}`:    {missing, missing, 1, missing},
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	const text = "  - series: 'a_total{instance=\"gw\",name=\"x\"}'\n    values: '4+0x1 stale 1000000000000000'\n"
	if !strings.HasPrefix(b.String(), text) {
		t.Errorf("no %s in\n%s", text, &b)
	}
	again, err := Read(b.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.Series, cmpopts.EquateNaNs()); diff != "" || again.Scrapes != 4 {
		t.Errorf("%d scrapes %s", again.Scrapes, diff)
	}
	if diff := cmp.Diff([]float64{missing, .5, 7, 7}, r.With(`b{instance="gw"}`, 2, 7).Of(`b{instance="gw"}`), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
	cut := r.Cut(1, 2, 3)
	if diff := cmp.Diff([]float64{4, missing, missing, missing, missing, 1e15}, cut.Of(`a_total{instance="gw",name="x"}`), cmpopts.EquateNaNs()); diff != "" || cut.Scrapes != 6 {
		t.Errorf("%d scrapes %s", cut.Scrapes, diff)
	}
}
