//go:build booted

package alerts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const rules = "../../debian/share/rules.yml"

// node are the rules that node_exporter ships for systemd (docs/node-mixin/alerts), to compare.
const node = `groups:
- name: node-exporter
  rules:
  - alert: NodeSystemdServiceFailed
    expr: node_systemd_unit_state{state="failed"} == 1
    for: 5m
    labels: {severity: warning}
  - alert: NodeSystemdServiceCrashlooping
    expr: increase(node_systemd_service_restart_total[5m]) > 2
    for: 15m
    labels: {severity: warning}
`

// A check says whether an alert about a service fires at a scrape. Without a unit, it is about the
// monitor. Each check is a test of promtool of its own.
type check struct {
	scrape int
	alert  string
	unit   string
	fires  bool
}

// promtool wants the checks to hold for a recording, with 15 s between two scrapes. It asks an evaluation
// of PromQL, because the texts of the alerts do not matter here.
func promtool(t *testing.T, r *Recording, checks ...check) {
	t.Helper()
	var text bytes.Buffer
	all, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	compare := filepath.Join(dir, "node.yml")
	if err := os.WriteFile(compare, []byte(node), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&text, "rule_files: [%q, %q]\nevaluation_interval: 15s\ntests:\n- interval: 15s\n  input_series:\n", all, compare)
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&text, "  promql_expr_test:")
	for _, c := range checks {
		labels := fmt.Sprintf("alertname=%q,alertstate=\"firing\",name=%q", c.alert, c.unit)
		fmt.Fprintf(&text, "  - expr: 'count(ALERTS{%s})'\n    eval_time: %ds\n", labels, 15*c.scrape)
		if c.fires {
			fmt.Fprintln(&text, "    exp_samples: [{labels: '{}', value: 1}]")
		}
	}
	file := filepath.Join(dir, "tests.yml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// after returns the first scrape in which a count is this much more than in the first scrape.
func after(t *testing.T, r *Recording, series string, more float64) int {
	t.Helper()
	values := r.Of(series)
	for at, value := range values {
		if value >= values[0]+more {
			return at
		}
	}
	t.Fatalf("%s is never %v more: %v", series, more, values)
	return 0
}

// crashLoop wants the crash loop to be told one evaluation after the third crash and not before, and
// node_exporter's rules to say nothing of it at any time.
func crashLoop(t *testing.T, r *Recording, unit string) {
	t.Helper()
	third := after(t, r, unitSeries("service_monitor_unit_crashes_total", unit), 3)
	checks := []check{{third - 1, "ServiceCrashLoop", unit, false}, {third, "ServiceCrashLoop", unit, true}}
	for at := range r.Scrapes {
		checks = append(checks, check{at, "NodeSystemdServiceFailed", unit, false}, check{at, "NodeSystemdServiceCrashlooping", unit, false})
	}
	promtool(t, r, checks...)
}
