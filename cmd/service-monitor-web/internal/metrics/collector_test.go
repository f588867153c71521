package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
)

// itself are the metrics of the monitor in status.
var itself = map[string]float64{
	`build_info{monitor="1.2.3",version="9"}`: 1, "bus_connected{}": 1, "troubles{}": 0, "bus_reconnects_total{}": 2, "signals_received_total{}": 300, "signals_refused_total{}": 4,
	"events_recovered_total{}": 5, "gaps_total{}": 6, "gap_open{}": 0, "save_failures_total{}": 7, "log_write_failures_total{}": 8, "clock_trusted{}": 1,
	`stage_stalls_total{stage="bus"}`: 9, `stage_stalls_total{stage="persist"}`: 0, `written_bytes_total{file="state"}`: 1 << 40, `written_bytes_total{file="log"}`: 0,
}

func counts(unit string, starts, stops, crashes, unknown, restarts, atLeast float64) map[string]float64 {
	all := map[string]float64{}
	for name, value := range map[string]float64{
		"starts_total": starts, "stops_total": stops, "crashes_total": crashes, "unknown_ends_total": unknown, "restarts_total": restarts, "at_least": atLeast,
	} {
		all[fmt.Sprintf("unit_%s{name=%q}", name, unit)] = value
	}
	return all
}

var (
	counted = join(counts("sink.service", 7, 1, 5, 1, 4, 1), map[string]float64{
		`unit_crashes_by_result_total{name="sink.service",result="exit-code"}`: 3, `unit_crashes_by_result_total{name="sink.service",result="signal"}`: 2,
		`unit_last_change_timestamp_seconds{name="sink.service"}`: 1_750_000_000 - 60, `unit_last_crash_timestamp_seconds{name="sink.service"}`: 1_750_000_000 - 61,
	})
	present = join(map[string]float64{
		`unit_state_seconds_total{name="sink.service",state="up"}`: 157, `unit_state_seconds_total{name="sink.service",state="down"}`: 1.5,
		`unit_state_seconds_total{name="sink.service",state="stopped"}`: 0, `unit_state_seconds_total{name="sink.service",state="unobserved"}`: 3600,
		`unit_gave_up{name="sink.service"}`: 0,
	})
	perState = join(
		one("unit_state", "sink.service", "state", "active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating", "maintenance", "unloaded"),
		one("unit_health", "sink.service", "health", "running", "exited-ok", "stopped", "starting", "crash-loop", "failed", "gave-up", "not-loaded", "unknown"),
	)
)

// Everything that is known is told, and nothing else.
func TestTold(t *testing.T) {
	down := status(looping())
	down.Monitor, down.Stopped = feed.Monitor{}, noon.Add(-time.Minute)
	lost := status(looping())
	lost.Monitor.Counters.Connected = false
	older := status(looping())
	older.Monitor.Counters, older.Monitor.Troubles = nil, nil
	trouble := status()
	trouble.Monitor.Troubles = []string{"cannot save state since 12:00:07", "cannot write the history since 12:00:09"}
	notLoaded := join(counts("gone.service", 0, 0, 0, 0, 0, 0), map[string]float64{`unit_last_change_timestamp_seconds{name="gone.service"}`: 1_750_000_000 - 3600, `unit_gave_up{name="gone.service"}`: 0},
		one("unit_state", "gone.service", "state", "unloaded", states...), one("unit_health", "gone.service", "health", "not-loaded", healths...))
	for _, tt := range []struct {
		name string
		s    *tell.Status
		o    Options
		want map[string]float64
	}{
		{"no unit", status(), Options{}, itself},
		{"a unit that runs", status(looping()), Options{}, join(itself, counted, present, perState)},
		{"a unit that systemd does not have", status(missing()), Options{}, join(itself, notLoaded)},
		{"a unit that nobody has seen", status(unseen()), Options{}, join(itself, counts("old.service", 3, 2, 0, 0, 0, 0))},
		{"without states", status(looping()), Options{NoUnitStates: true}, join(itself, counted, present)},
		{"the monitor is down", down, Options{}, join(map[string]float64{`build_info{monitor="",version="9"}`: 1, "bus_connected{}": 0}, counted)},
		{"the bus is lost", lost, Options{}, join(itself, map[string]float64{"bus_connected{}": 0}, counted)},
		{"the disk hangs", trouble, Options{}, join(itself, map[string]float64{"troubles{}": 2})},
		{"an older monitor", older, Options{}, join(map[string]float64{`build_info{monitor="1.2.3",version="9"}`: 1}, counted, present, perState)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Version = "9"
			if diff := cmp.Diff(tt.want, told(t, tt.s, tt.o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// If the monitor was killed and has not caught up, it has counted more than is known. No counter of a unit is
// told then, because it would go down.
func TestBehind(t *testing.T) {
	s := status(looping(), missing())
	s.Behind = true
	all := told(t, s, Options{SystemdExporter: true})
	for series := range all {
		name, _, _ := strings.Cut(series, "{")
		if strings.HasSuffix(name, "_total") && strings.Contains(series, "name=") {
			t.Errorf("%s", series)
		}
	}
	if got := among(all, "unit_health"); len(got) == 0 || len(among(all, "unit_at_least")) == 0 {
		t.Errorf("%v tell too little", all)
	}
}

// A time is told only if the clock was right, or if the monotonic clock of this boot makes it right.
func TestUntrustedTimes(t *testing.T) {
	u := looping()
	u.ChangedUntrusted, u.LastCrash.Untrusted = true, true
	if got := among(told(t, status(u), Options{}), "timestamp"); len(got) > 0 {
		t.Error(got)
	}
	u.LastCrash.Boot, u.LastCrash.Clock = "b", minutes(8)
	want := map[string]float64{`unit_last_crash_timestamp_seconds{name="sink.service"}`: 1_750_000_000 - 120}
	if diff := cmp.Diff(want, among(told(t, status(u), Options{}), "timestamp")); diff != "" {
		t.Error(diff)
	}
	u.LastCrash.Boot = "another"
	if got := among(told(t, status(u), Options{}), "timestamp"); len(got) > 0 {
		t.Error(got)
	}
}

// A phase that ended unseen before the last scrape lets no seconds go down.
func TestSecondsNeverGoDown(t *testing.T) {
	up := `unit_state_seconds_total{name="sink.service",state="up"}`
	before := told(t, status(looping()), Options{})[up]
	u := looping()
	ended := minutes(10) - 2e6 // before noon, and nobody had said so
	u.Times.Spent[count.Up] += time.Duration(ended-u.Times.Clock) * time.Microsecond
	u.Times.Phase, u.Times.Clock = count.Down, ended
	s := status(u)
	s.Now, s.AsOf, s.Clock.Since = noon.Add(15*time.Second), noon.Add(15*time.Second), minutes(10)+15e6
	s.Clock.Now = s.Now
	after := told(t, s, Options{})
	if after[up] < before {
		t.Errorf("%v s up, and then %v", before, after[up])
	}
	if down := after[`unit_state_seconds_total{name="sink.service",state="down"}`]; down != 1.5+17-3 {
		t.Errorf("%v s down", down)
	}
}
