package metrics

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/count"
)

// hostile are texts that break what does not escape them.
var hostile = []string{
	"", "a\nb.service", `quote".service`, `back\slash.service`, "nul\x00.service", "bad\xff\xfe.service", `bad\xff\xfe.service`, "a\r\n# TYPE x counter\nx 1\n", "{}=,", "\u2028ü\ufffd", "x\xc3", strings.Repeat("x", 5000),
}

// Whatever units and results are called, the output can be read, and it has each of them.
func TestHostile(t *testing.T) {
	var units []*tell.Unit
	names := map[string]bool{}
	for _, name := range hostile {
		u := looping()
		u.Unit, u.State, u.Life.ActiveState = name, name, name
		u.CrashCauses = []count.CauseCount{{Result: name, Crashes: 1}, {Result: name, Crashes: 2}}
		units = append(units, u)
		names[printable(name)] = true
	}
	s := status(units...)
	s.Monitor.Version = "\xff\n\""
	s.Monitor.Counters.Stalls = map[string]uint64{"\xff": 1, `\xff`: 2}
	all := told(t, s, Options{SystemdExporter: true})
	if got := all[`stage_stalls_total{stage="\\xff"}`]; got != 3 {
		t.Errorf("%v stalls", got)
	}
	for name := range names {
		if got, ok := all[fmt.Sprintf("unit_crashes_by_result_total{name=%q,result=%q}", name, name)]; !ok || got != 3 {
			t.Errorf("%q crashed %v times", name, got)
		}
		if name != "" && all[fmt.Sprintf("unit_state{name=%q,state=%q}", name, name)] != 1 {
			t.Errorf("%q is in no state", name)
		}
	}
	if got := len(among(all, "unit_starts_total")); got != len(names) {
		t.Errorf("%d names became %d", len(names), got)
	}
}

func FuzzHostile(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, text, text)
	}
	f.Fuzz(func(t *testing.T, name, state, result string) {
		u := looping()
		u.Unit, u.State, u.Life.ActiveState, u.CrashCauses[0].Result = name, state, state, result
		s := status(u, missing(), u)
		all := told(t, s, Options{SystemdExporter: true})
		if got := all[fmt.Sprintf("unit_crashes_total{name=%q}", printable(name))]; got != 5 && name != missing().Unit {
			t.Errorf("%q crashed %v times", name, got)
		}
		h := Handler(func(context.Context) (*tell.Status, error) { return s, nil }, Options{})
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", state)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
