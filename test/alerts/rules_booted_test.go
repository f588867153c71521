//go:build booted

package alerts

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// minute is how many scrapes a minute has.
const minute = 4

func recording(t *testing.T) *Recording {
	t.Helper()
	text, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// first returns the first scrape in which a series has a value.
func first(t *testing.T, r *Recording, series string, value float64) int {
	t.Helper()
	for at, is := range r.Of(series) {
		if is == value {
			return at
		}
	}
	t.Fatalf("%s is never %v", series, value)
	return 0
}

func state(unit, state string) string {
	return fmt.Sprintf("service_monitor_unit_state{%s,name=%q,state=%q}", labels, unit, state)
}

// since returns checks that an alert fires from one scrape on, and not in the scrape before.
func since(scrape int, alert, unit string) []check {
	return []check{{scrape - 1, alert, unit, false}, {scrape, alert, unit, true}}
}

// never returns checks that an alert never fires.
func never(r *Recording, alert, unit string) (checks []check) {
	for at := range r.Scrapes {
		checks = append(checks, check{at, alert, unit, false})
	}
	return checks
}

// TestRulesOnGateway runs the rules on what was recorded of a real gateway. Each alert fires when it should.
func TestRulesOnGateway(t *testing.T) {
	r := recording(t)
	crashLoop(t, r, "loops.service")
	var checks []check
	add := func(more []check) { checks = append(checks, more...) }

	add(since(first(t, r, unitSeries("service_monitor_unit_gave_up", "gives.service"), 1), "ServiceGaveUp", "gives.service"))
	failed := first(t, r, state("fails.service", "failed"), 1)
	add(since(failed+2*minute, "ServiceFailed", "fails.service"))
	add(since(failed, "ServiceCrashed", "fails.service"))
	add(since(failed+5*minute, "NodeSystemdServiceFailed", "fails.service"))
	add(never(r, "ServiceFailed", "gives.service"))
	starts := unitSeries("service_monitor_unit_starts_total", "flaps.service")
	add(since(after(t, r, starts, 11), "ServiceFlapping", "flaps.service"))
	add(never(r, "ServiceFlapping", "loops.service"))

	blind := first(t, r, "service_monitor_bus_connected{"+labels+"}", 0)
	add(since(blind+2*minute, "MonitorBlind", ""))
	add([]check{{blind - 1, "ServiceFailed", "fails.service", true}, {blind, "ServiceFailed", "fails.service", false}})
	for _, alert := range []string{"MonitorGapOpen", "MonitorCannotSave", "MonitorCannotLog", "MonitorInTrouble", "MonitorSilent", "MonitorAbsent"} {
		add(never(r, alert, ""))
	}
	for _, alert := range []string{"ServiceCrashLoop", "ServiceGaveUp", "ServiceFailed", "ServiceFlapping", "ServiceCrashed", "ServiceCrashedWhileUnreachable"} {
		add(never(r, alert, "steady.service"))
	}
	for _, unit := range names {
		add(never(r, "ServiceCrashedWhileUnreachable", unit))
	}
	promtool(t, r, checks...)
}

// TestRulesUnreachable cuts the link of the same gateway before the trouble, until after it. What crashed
// meanwhile is told when the link is back, although no scrape has seen it happen: after the next evaluation,
// and a little later if the link was down for less than ten minutes.
func TestRulesUnreachable(t *testing.T) {
	for down, told := range map[int]int{7 * minute: 4 * minute, 2 * 60 * minute: minute} {
		t.Run(fmt.Sprintf("for %d minutes", down/minute), func(t *testing.T) {
			whole := recording(t)
			from := first(t, whole, unitSeries("service_monitor_unit_gave_up", "gives.service"), 1)
			to := whole.Scrapes - 6 // the monitor runs again
			r := whole.Cut(from, to, down)
			back := from + down
			var checks []check
			for unit, crashed := range map[string]bool{"loops.service": true, "gives.service": true, "fails.service": true, "flaps.service": false, "steady.service": false} {
				checks = append(checks, check{back - 1, "ServiceCrashedWhileUnreachable", unit, false}, check{back + told, "ServiceCrashedWhileUnreachable", unit, crashed})
			}
			if down > 15*minute {
				checks = append(checks, since(from+5*minute, "MonitorSilent", "")...)
				checks = append(checks, since(from+10*minute, "MonitorAbsent", "")...)
				checks = append(checks, check{back + minute, "MonitorSilent", "", false}, check{back + 1, "ServiceCrashLoop", "loops.service", false})
			}
			promtool(t, r, checks...)
		})
	}
	t.Run("nothing crashed", func(t *testing.T) {
		r := recording(t).Cut(1, 2, 2*60*minute)
		var checks []check
		for _, unit := range names {
			checks = append(checks, check{1 + 2*60*minute + 1, "ServiceCrashedWhileUnreachable", unit, false})
		}
		promtool(t, r, checks...)
	})
}

// TestRulesItself changes what the monitor told of itself.
func TestRulesItself(t *testing.T) {
	const at = 4
	own := func(name string) string { return "service_monitor_" + name + "{" + labels + "}" }
	r := recording(t)
	promtool(t, r.With(own("save_failures_total"), at, 1), since(at, "MonitorCannotSave", "")...)
	promtool(t, r.With(own("log_write_failures_total"), at, 1), since(at, "MonitorCannotLog", "")...)
	long := r.Cut(r.Scrapes, r.Scrapes, 0)
	promtool(t, long.With(own("gap_open"), 3, 1), since(3+10*minute, "MonitorGapOpen", "")...)
	// A disk hangs: no write fails.
	hangs := long.With(own("troubles"), 0, 0).With(own("troubles"), 3, 2)
	promtool(t, hangs, append(since(3+10*minute, "MonitorInTrouble", ""), never(hangs, "MonitorCannotSave", "")...)...)
	// The file for node_exporter was written at the beginning, and not any more.
	file := `node_textfile_mtime_seconds{file="/var/lib/prometheus/node-exporter/service-monitor.prom",` + labels + `}`
	promtool(t, r.Cut(r.Scrapes, r.Scrapes, 30*minute).With(file, 0, 0), since(15*minute+1, "MonitorFileOld", "")...)
	// Another job is one, too.
	fleet := "up{" + strings.Replace(labels, "service-monitor", "service-monitor-fleet", 1) + "}"
	promtool(t, r.With(fleet, at, 0), since(at+5*minute, "MonitorSilent", "")...)
	// Nobody scrapes it any more: Prometheus has no value of up either.
	gone := r.Cut(at, at, 60*minute)
	promtool(t, gone.With("up{"+labels+"}", at, math.NaN()), since(at+5*minute, "MonitorSilent", "")...)
}

// TestRulesExact has three crashes, each seen by another scrape, and what increase() would take for a crash
// loop: two crashes between the first two scrapes of a service.
func TestRulesExact(t *testing.T) {
	young := &Recording{Scrapes: 10, Series: map[string][]float64{unitSeries("service_monitor_unit_crashes_total", "a"): {0, 2, 2, 2, 2, 2, 2, 2, 2, 2}}}
	promtool(t, young, never(young, "ServiceCrashLoop", "a")...)
	steady := &Recording{Scrapes: 10, Series: map[string][]float64{unitSeries("service_monitor_unit_crashes_total", "a"): {7, 7, 8, 8, 9, 9, 10, 10, 10, 10}}}
	promtool(t, steady, since(6, "ServiceCrashLoop", "a")...)
}

// TestRulesFlapping has a service that is started every minute, and ends well. That is flapping, unless it is
// a oneshot that a timer starts, which has exited well between its runs. Who tells no health does not tell
// the two apart.
func TestRulesFlapping(t *testing.T) {
	health := func(word string) string {
		return fmt.Sprintf("service_monitor_unit_health{health=%q,%s,name=%q}", word, labels, "a")
	}
	number := unitSeries("service_monitor_unit_health_number", "a") // behind a broker
	for _, tt := range []struct {
		name   string
		health map[string]float64
		flaps  bool
	}{
		{"a daemon", map[string]float64{health("running"): 1, health("exited-ok"): 0}, true},
		{"a daemon behind a broker", map[string]float64{number: 1}, true},
		{"a oneshot", map[string]float64{health("running"): 0, health("exited-ok"): 1}, false},
		{"a oneshot behind a broker", map[string]float64{number: 2}, false},
		{"--no-unit-states", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Recording{Scrapes: 100, Series: map[string][]float64{unitSeries("service_monitor_unit_crashes_total", "a"): make([]float64, 100)}}
			for at := range r.Scrapes {
				starts := unitSeries("service_monitor_unit_starts_total", "a")
				r.Series[starts] = append(r.Series[starts], float64(at/minute))
				for series, value := range tt.health {
					r.Series[series] = append(r.Series[series], value)
				}
			}
			if tt.flaps {
				promtool(t, r, since(11*minute, "ServiceFlapping", "a")...)
			} else {
				promtool(t, r, never(r, "ServiceFlapping", "a")...)
			}
		})
	}
}

// TestRulesAreValid wants promtool to find no fault in the rules.
func TestRulesAreValid(t *testing.T) {
	out, err := exec.Command("promtool", "check", "rules", "--lint-fatal", rules).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SUCCESS") {
		t.Errorf("%v\n%s", err, out)
	}
}
