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
		Monitor: feed.Monitor{Version: "1.2.3", Troubles: []string{}, Counters: &feed.Counters{
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
