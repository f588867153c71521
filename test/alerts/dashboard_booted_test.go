//go:build booted

package alerts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"service-monitor/test/servers"
)

const (
	dashboard = "../../debian/share/dashboard.json"
	each      = "Each gateway" // a table, which says at last whether a gateway is silent
)

// query returns the query of a number of the dashboard, for all gateways, or the last query of a table.
func query(t *testing.T, title string) string {
	t.Helper()
	for _, p := range servers.ReadDashboard(t, dashboard) {
		if p.Title == title && (p.Type == "stat" || title == each) {
			return p.Targets[len(p.Targets)-1].Of(t, ".*")
		}
	}
	t.Fatalf("the dashboard has no number %q", title)
	return ""
}

// shows wants the numbers of the dashboard to be these at a scrape. unknown is one without data.
func shows(t *testing.T, r *Recording, scrape int, want map[string]float64) {
	t.Helper()
	var text bytes.Buffer
	fmt.Fprint(&text, "evaluation_interval: 15s\ntests:\n- interval: 15s\n  input_series:\n")
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&text, "  promql_expr_test:")
	for title, value := range want {
		fmt.Fprintf(&text, "  - expr: '%s'\n    eval_time: %ds\n", query(t, title), 15*scrape)
		of := "{}"
		if title == each {
			of = `{instance="gw"}`
		}
		if value != unknown {
			fmt.Fprintf(&text, "    exp_samples: [{labels: '%s', value: %v}]\n", of, value)
		}
	}
	file := filepath.Join(t.TempDir(), "tests.yml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const unknown = -1

// without returns a recording without the series that have this text in their names.
func (r *Recording) without(text string) *Recording {
	out := &Recording{Scrapes: r.Scrapes, Series: map[string][]float64{}}
	for name := range r.Series {
		if !strings.Contains(name, text) {
			out.Series[name] = r.Of(name)
		}
	}
	return out
}

// TestDashboardUnknown wants the dashboard to show no number where nobody knows it. A 0 would be green.
func TestDashboardUnknown(t *testing.T) {
	r := recording(t)
	blind := first(t, r, "service_monitor_bus_connected{"+labels+"}", 0)
	bad := map[string]float64{"Gateways": 1, "Silent": 0, "Nobody watches": 0, "Services": 5, "Need attention": 3, "Gave up": 1}
	for _, tt := range []struct {
		name   string
		r      *Recording
		scrape int
		want   map[string]float64
	}{
		{"all is well", r, 1, map[string]float64{"Gateways": 1, "Silent": 0, "Nobody watches": 0, "Services": 5, "Need attention": 0, "Gave up": 0, "Crashes in 24 h": 0, each: 0}},
		{"some are not", r, blind - 1, bad},
		{"--no-unit-states", r.without("_unit_health{").without("_unit_state{"), blind - 1, with(bad, "Need attention", unknown)},
		{"the monitor is stopped", r, blind, map[string]float64{"Gateways": 1, "Silent": 0, "Nobody watches": 1, "Services": 5, "Need attention": unknown, "Gave up": unknown}},
		{"the gateway does not answer", r.Cut(4, 5, 2*minute), 4 + minute, map[string]float64{
			"Gateways": 0, "Silent": 1, each: 1, "Nobody watches": unknown, "Services": unknown, "Need attention": unknown, "Gave up": unknown, "Crashes in 24 h": unknown,
		}},
		{"nothing is scraped", &Recording{Scrapes: 1}, 0, map[string]float64{"Silent": unknown, "Nobody watches": unknown, "Need attention": unknown, "Gave up": unknown}},
	} {
		t.Run(tt.name, func(t *testing.T) { shows(t, tt.r, tt.scrape, tt.want) })
	}
}

func with(all map[string]float64, title string, value float64) map[string]float64 {
	out := map[string]float64{title: value}
	for other, is := range all {
		if other != title {
			out[other] = is
		}
	}
	return out
}

// TestDashboardSilent wants the dashboard to call the same gateways silent as the alert does.
func TestDashboardSilent(t *testing.T) {
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	alert := regexp.MustCompile(`(?s)alert: MonitorSilent\n    expr: >-\n(.*?)    for:`).FindSubmatch(text)
	if alert == nil {
		t.Fatal("there is no such alert")
	}
	want := strings.Join(strings.Fields(string(alert[1])), " ")
	if got := regexp.MustCompile(`\{instance=~"\.\*"\}|,instance=~"\.\*"`).ReplaceAllString(query(t, "Silent"), ""); !strings.Contains(got, "("+want+")") {
		t.Errorf("%s\ndoes not ask for\n%s", got, want)
	}
}
