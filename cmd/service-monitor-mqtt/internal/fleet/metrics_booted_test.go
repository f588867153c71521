//go:build booted

package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"service-monitor/test/servers"
)

const (
	top      = "../../../../"
	examples = top + "debian/mqtt/examples/"
)

// A watcher is a Prometheus that knows the fleet from an exporter. Both have the configuration that ships.
type watcher struct {
	*servers.Prometheus
	f *fleet
}

// shipped returns a file that ships, with some of its text replaced.
func shipped(t *testing.T, file string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			t.Fatalf("%s has no %q", file, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

func (f *fleet) watch() *watcher {
	f.t.Helper()
	config := filepath.Join(f.t.TempDir(), "mqtt-exporter.yaml")
	text := shipped(f.t, examples+"mqtt-exporter.yaml", "127.0.0.1:1883", "127.0.0.1:"+f.broker.port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	port := servers.FreePort(f.t)
	f.exporter("-config", config, "-listen-address", "127.0.0.1", "-listen-port", port, "-log-level", "error")
	rules, err := filepath.Abs(top + "debian/share/rules.yml")
	if err != nil {
		f.t.Fatal(err)
	}
	scrape := shipped(f.t, examples+"prometheus.yml", "127.0.0.1:9641", "127.0.0.1:"+port, "/usr/share/service-monitor/rules.yml", rules)
	w := &watcher{servers.StartPrometheus(f.t, "global: {evaluation_interval: 5s, scrape_timeout: 15s}\n"+scrape, filepath.Join(f.t.TempDir(), "data")), f}
	w.await("count(service_monitor_unit_crashes_total)", float64(len(f.gateways)*services))
	return w
}

// exporter runs the exporter until the test ends. Version 0.1.7 sometimes dies of a null pointer when the broker is
// restarted, so it is started again, as its unit in Debian does (Restart=always). All it has is retained by the broker.
func (f *fleet) exporter(args ...string) {
	f.t.Helper()
	path, err := exec.LookPath("prometheus-mqtt-exporter")
	if err != nil {
		f.t.Fatalf("%v; make deps unpacks it", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, path, args...).Run()
		}
	}()
	f.t.Cleanup(func() { stop(); <-ended })
}

// await waits until an answer is a number.
func (w *watcher) await(query string, want float64) {
	w.f.t.Helper()
	w.wantSoon(func() []string {
		got := -1.0
		for _, r := range w.Query(query) {
			got = number(w.f.t, r)
		}
		if got == want {
			return nil
		}
		return []string{fmt.Sprintf("%s is %v, want %v", query, got, want)}
	})
}

func number(t *testing.T, r servers.Result) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantSoon wants nothing to be wrong any more. On a busy machine a scrape may take too long, or the exporter may
// have been restarted, and then Prometheus has nothing for a moment.
func (w *watcher) wantSoon(wrong func() []string) {
	w.f.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Second) { // nothing tells when an answer changes
		list := wrong()
		if len(list) == 0 {
			return
		}
		if time.Now().After(end) {
			w.f.t.Fatal(strings.Join(list, "\n"))
		}
	}
}

// wantCounts wants Prometheus to have the counts of all services.
func (w *watcher) wantCounts() {
	w.f.t.Helper()
	w.wantSoon(func() (wrong []string) {
		starts, crashes := w.counts("service_monitor_unit_starts_total"), w.counts("service_monitor_unit_crashes_total")
		for _, g := range w.f.gateways {
			for i, c := range g.counts {
				name := g.name + " " + unitName(i)
				if s, n := starts[name], crashes[name]; s != float64(c.Starts) || n != float64(c.Crashes) {
					wrong = append(wrong, fmt.Sprintf("%s: %v starts and %v crashes, want %d and %d", name, s, n, c.Starts, c.Crashes))
				}
			}
		}
		return wrong
	})
}

// counts returns the values of a metric, by gateway and service.
func (w *watcher) counts(metric string) map[string]float64 {
	w.f.t.Helper()
	all := map[string]float64{}
	for _, r := range w.Query(metric) {
		if len(r.Metric) != 4 { // the name of the metric and of the job are the others
			w.f.t.Errorf("other labels: %v", r.Metric)
		}
		all[r.Metric["instance"]+" "+r.Metric["name"]] = number(w.f.t, r)
	}
	return all
}

// wantDashboard wants the dashboard that ships to show the fleet, by gateway. In the storm, every service was left
// in a crash loop.
func (w *watcher) wantDashboard(storm int) {
	w.f.t.Helper()
	all, crashed, in24h := len(w.f.gateways), storm*services, storm*services**crashes
	panels := servers.ReadDashboard(w.f.t, top+"debian/share/dashboard.json")
	want := map[string][]answer{
		"Gateways":                {{1, all}},
		"Silent":                  {{1, 0}},
		"Nobody watches":          {{1, 0}},
		"Services":                {{1, all * services}},
		"Need attention":          {{1, crashed}},
		"Needs attention":         {{crashed, crashed}},
		"Crashes in 24 h":         {{1, in24h}},
		"Health":                  {{all * services, (all-storm)*services + 5*crashed}}, // 1 is running, and 5 a crash loop
		"Crashes per hour":        {{crashed, in24h}},
		"Counts are lower bounds": {{}, {}},
		"Each gateway":            {{all, all * services}, {all, in24h}, {storm, crashed}, {all, all}, {}, {all, 0}}, // no versions, none silent
		"Somebody watches":        {{all, all}},
	}
	w.wantSoon(func() (wrong []string) {
		got := map[string][]answer{}
		for _, p := range panels {
			for _, q := range p.Targets {
				if _, wanted := want[p.Title]; wanted {
					got[p.Title] = append(got[p.Title], w.sum(q.Of(w.f.t, ".*")))
				}
			}
		}
		for title, shown := range want {
			if !slices.Equal(got[title], shown) {
				wrong = append(wrong, fmt.Sprintf("%s shows %v, want %v (how many series, and their sum)", title, got[title], shown))
			}
		}
		return wrong
	})
}

// An answer is how many series there are, and what their values add up to.
type answer struct{ series, sum int }

func (w *watcher) sum(query string) (a answer) {
	for _, r := range w.Query(query) {
		a.series++
		a.sum += int(number(w.f.t, r))
	}
	return a
}

// wantAlerts wants an alert for each service of the storm, by gateway, and no other.
func (w *watcher) wantAlerts(storm []*gateway) {
	w.f.t.Helper()
	w.await(`count(ALERTS{alertstate="firing"})`, float64(len(storm)*services))
	for _, g := range storm {
		w.await(fmt.Sprintf(`count(ALERTS{alertname="ServiceCrashLoop",instance=%q})`, g.name), services)
	}
	quiet := w.f.gateways[len(w.f.gateways)-1]
	quiet.stop()
	w.await(fmt.Sprintf(`count(ALERTS{alertname="MonitorSilent",instance=%q})`, quiet.name), 1)
}
