package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
)

var noon = time.Unix(1_750_000_000, 0)

// minutes of the present boot, in µs of CLOCK_MONOTONIC.
func minutes(n uint64) uint64 { return n * 60e6 }

// looping is a service that has crashed five times and runs again, since a minute.
func looping() *tell.Unit {
	return &tell.Unit{Tally: &count.Tally{
		Unit: "sink.service", State: "active", Changed: noon.Add(-time.Minute), Starts: 7, Stops: 1, Crashes: 5, Unknown: 1, Restarts: 4, FirstSeenRunning: 1, AtLeast: true,
		CrashCauses: []count.CauseCount{{Result: "exit-code", Crashes: 3}, {Result: "signal", Crashes: 2}},
		LastCrash:   &count.Crash{Time: noon.Add(-61 * time.Second), Cause: classify.Cause{Result: "signal", Code: 2, Status: 11}},
		Life:        &classify.Life{ActiveState: "active", SubState: "running", Invocation: decode.Invocation{1}},
		Times:       count.Times{Spent: count.Spent{count.Up: 100 * time.Second, count.Down: 1500 * time.Millisecond, count.Unobserved: time.Hour}, Phase: count.Up, Clock: minutes(9), Boot: "b"},
	}}
}

// missing is a service that systemd does not have.
func missing() *tell.Unit {
	return &tell.Unit{Tally: &count.Tally{Unit: "gone.service", State: decode.NotLoaded, LoggedUnloaded: true, Changed: noon.Add(-time.Hour), Life: &classify.Life{ActiveState: decode.NotLoaded, Ended: true}}}
}

// unseen is a service that another monitor counted, and that this one did not see yet.
func unseen() *tell.Unit {
	return &tell.Unit{Tally: &count.Tally{Unit: "old.service", State: "active", Starts: 3, Stops: 2}}
}

func status(units ...*tell.Unit) *tell.Status {
	return &tell.Status{
		Now: noon, AsOf: noon, Clock: tell.Clock{Now: noon, Boot: "b", Since: minutes(10)}, Units: units,
		Monitor: feed.Monitor{Version: "1.2.3", Counters: &feed.Counters{
			Connected: true, Reconnects: 2, Received: 300, Refused: 4, Recovered: 5, Gaps: 6, SaveFailures: 7, LogFailures: 8,
			Stalls: map[string]uint64{"bus": 9, "persist": 0}, Written: map[string]uint64{"state": 1 << 40, "log": 0}, ClockTrusted: true,
		}},
	}
}

// parse reads the text format. It returns each value by its name and its labels.
func parse(t *testing.T, text io.Reader) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	return values(t, families)
}

// values returns the values of all series. None may be there twice: Prometheus would refuse all of them.
func values(t *testing.T, families map[string]*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			series := strings.TrimPrefix(name, "service_monitor_") + "{" + strings.Join(labels, ",") + "}"
			if _, ok := all[series]; ok {
				t.Errorf("%s is there twice", series)
			}
			all[series] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

func told(t *testing.T, s *tell.Status, o Options) map[string]float64 {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s, o); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(b.Bytes()) {
		t.Errorf("not UTF-8: %q", &b)
	}
	return parse(t, &b)
}

// among returns the values whose names contain a text.
func among(all map[string]float64, text string) map[string]float64 {
	some := map[string]float64{}
	for name, value := range all {
		if strings.Contains(name, text) {
			some[name] = value
		}
	}
	return some
}

// itself are the metrics of the monitor in status.
var itself = map[string]float64{
	`build_info{monitor="1.2.3",version="9"}`: 1, "bus_connected{}": 1, "bus_reconnects_total{}": 2, "signals_received_total{}": 300, "signals_refused_total{}": 4,
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

func join(parts ...map[string]float64) map[string]float64 {
	all := map[string]float64{}
	for _, part := range parts {
		for name, value := range part {
			all[name] = value
		}
	}
	return all
}

// one returns a metric that is 1 for one value and 0 for each other one.
func one(name, unit, label, is string, values ...string) map[string]float64 {
	all := map[string]float64{}
	for _, value := range append(values, is) {
		labels := []string{fmt.Sprintf("name=%q", unit), fmt.Sprintf("%s=%q", label, value)}
		slices.Sort(labels)
		all[name+"{"+strings.Join(labels, ",")+"}"] = 0
		if value == is {
			all[name+"{"+strings.Join(labels, ",")+"}"] = 1
		}
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
	older.Monitor.Counters = nil
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

// A time is told only if the clock was right, or if the monotonic clock of this boot makes it right.
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

// These are the names and the labels of systemd_exporter 0.7.
func TestSystemdExporter(t *testing.T) {
	state := func(is string) map[string]float64 {
		all := map[string]float64{}
		for key, value := range one("systemd_unit_state", "sink.service", "state", is, "active", "activating", "deactivating", "inactive", "failed") {
			all[strings.Replace(key, "}", `,type="service"}`, 1)] = value
		}
		return all
	}
	const labels = `{name="sink.service",type="service"}`
	restarts := map[string]float64{`systemd_service_restart_total{name="sink.service"}`: 4}
	failed := looping()
	failed.State, failed.Life = "failed", &classify.Life{ActiveState: "failed", Ended: true}
	reloading := looping()
	reloading.State, reloading.Life = "reloading", &classify.Life{ActiveState: "reloading", Invocation: decode.Invocation{1}}
	down := status(looping())
	down.Monitor = feed.Monitor{}
	for _, tt := range []struct {
		name string
		s    *tell.Status
		want map[string]float64
	}{
		{"active", status(looping()), join(restarts, state("active"), map[string]float64{"systemd_unit_start_time_seconds" + labels: 1_750_000_000 - 60, "systemd_unit_active_enter_time_seconds" + labels: 1_750_000_000 - 60})},
		{"failed", status(failed), join(restarts, state("failed"), map[string]float64{"systemd_unit_start_time_seconds" + labels: 0, "systemd_unit_inactive_enter_time_seconds" + labels: 1_750_000_000 - 60})},
		{"reloading", status(reloading), join(restarts, one("", "", "", ""), map[string]float64{"systemd_unit_start_time_seconds" + labels: 0})},
		{"not loaded", status(missing()), map[string]float64{}},
		{"not seen", status(unseen()), map[string]float64{}},
		{"the monitor is down", down, restarts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "reloading" { // it is none of the states that systemd_exporter has
				delete(tt.want, `{="",name=""}`)
				for key := range state("active") {
					tt.want[key] = 0
				}
			}
			if diff := cmp.Diff(tt.want, among(told(t, tt.s, Options{SystemdExporter: true}), "systemd_")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := among(told(t, status(looping()), Options{}), "systemd_"); len(got) > 0 {
		t.Errorf("nobody asked for %v", got)
	}
}

// A scraper gets the format that it asks for.
func TestHandler(t *testing.T) {
	h := Handler(func(context.Context) (*tell.Status, error) { return status(looping(), missing()), nil }, Options{Version: "9", SystemdExporter: true})
	get := func(accept string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	want := told(t, status(looping(), missing()), Options{Version: "9", SystemdExporter: true})
	const (
		plain = "text/plain; version=0.0.4; charset=utf-8"
		open  = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	)
	for accept, kind := range map[string]string{
		"": plain, "*/*": plain, "text/html": plain, "text/plain;version=0.0.4": plain, "\xff;;,=q": plain,
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5":                                                                             open,
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1":                 open,
		"application/openmetrics-text;version=0.0.1":                                                                                                            strings.Replace(open, "1.0.0", "0.0.1", 1),
		"application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.5":                                                                       plain,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1": open,
	} {
		answer := get(accept)
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || !strings.HasPrefix(got, kind) {
			t.Errorf("%q: %d %s, want %s", accept, answer.StatusCode, got, kind)
			continue
		}
		body, _ := io.ReadAll(answer.Body)
		if strings.HasPrefix(kind, "application/openmetrics-text") {
			body = asText(t, body)
		}
		got := parse(t, bytes.NewReader(body))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", accept, diff)
		}
	}
}

// asText returns OpenMetrics as the text format, from which it differs in its last line and in the names
// of counters in their heads.
func asText(t *testing.T, body []byte) []byte {
	t.Helper()
	body, whole := bytes.CutSuffix(body, []byte("# EOF\n"))
	if !whole {
		t.Error("the last line is missing")
	}
	var lines []byte
	counters := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		fields := strings.Fields(line)
		if fields[1] == "TYPE" && fields[3] == "counter" {
			counters[fields[2]] = true
		}
		if fields[0] == "#" && strings.HasSuffix(fields[2], "_total") {
			t.Errorf("a counter has its suffix in %q", line)
		}
		if fields[1] == "TYPE" && counters[fields[2]] {
			line = strings.Replace(line, fields[2], fields[2]+"_total", 1)
		}
		if fields[1] == "HELP" {
			continue // it comes before the type, and has the other name
		}
		lines = append(lines, line...)
	}
	if len(counters) == 0 {
		t.Error("no counters")
	}
	return lines
}

// Without a status there are no metrics, not even false ones.
func TestHandlerWithoutStatus(t *testing.T) {
	h := Handler(func(context.Context) (*tell.Status, error) { return nil, errors.New("no state file") }, Options{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "no state file\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

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
