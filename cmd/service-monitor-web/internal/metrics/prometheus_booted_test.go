//go:build booted

package metrics

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/test/servers"
)

// A story is what happened on a gateway over 40 days: a service crashes every hour, one gave up, one is in
// a crash loop now, one is not loaded. Two hours before the end the power was cut. The last minutes before
// that are in no record, so the seconds in the present phase of each service fell.
type story struct {
	began time.Time
	blind bool // nobody watches it now
}

// at returns the status at a moment.
func (y story) at(now time.Time) *tell.Status {
	past := now.Sub(y.began)
	hours := uint64(past / time.Hour)
	unproven := time.Duration(0)
	if past > (40*24-2)*time.Hour {
		unproven = 5 * time.Minute
	}
	unit := func(name, state string, crashes uint64, phase count.Phase) *tell.Unit {
		u := looping()
		u.Unit, u.State, u.Changed, u.Life = name, state, now.Add(-time.Minute), &classify.Life{ActiveState: state, Ended: state != "active"}
		u.Starts, u.Crashes, u.LastCrash.Time = crashes+1, crashes, now.Add(-time.Minute)
		u.CrashCauses = []count.CauseCount{{Result: "signal", Crashes: crashes}}
		u.Times = count.Times{Spent: count.Spent{count.Up: past * 9 / 10, count.Down: past / 10}, Phase: phase, At: now}
		u.Times.Spent[phase] -= unproven
		return u
	}
	often, gave, loop, gone := unit("often.service", "active", hours, count.Up), unit("gave.service", "failed", 5, count.Down), unit("loop.service", "active", hours*2, count.Up), missing()
	gave.Life.GivenUp, gave.Life.Retrying = true, true
	for range 3 {
		loop.Add(&store.Record{Kind: store.Crash, Time: now.Add(-time.Second), Delta: store.Counts{Crashes: 1}}, now)
	}
	s := status(often, gave, loop, gone)
	s.Now, s.AsOf, s.Clock.Now = now, now, now
	n := s.Monitor.Counters
	n.Received, n.Refused, n.SaveFailures, n.LogFailures, n.Gaps, n.Recovered, n.Reconnects = hours*100, hours, hours, hours, hours, hours, hours
	n.Written, n.Stalls = map[string]uint64{"state": hours << 20, "log": hours << 10}, map[string]uint64{"bus": hours}
	if n.ClockTrusted, n.GapOpen = true, y.blind; y.blind {
		n.Connected = false
	}
	return s
}

// backfill returns OpenMetrics with the story of a gateway until now: every six hours of its past, and every
// minute of the last three hours.
func (y story) backfill(t *testing.T, instance string, now time.Time) map[string][]string {
	t.Helper()
	families := map[string][]string{}
	for at := y.began; at.Before(now); {
		var b bytes.Buffer
		if err := write(&b, y.at(at), Options{}, openMetrics("1.0.0")); err != nil {
			t.Fatal(err)
		}
		family := ""
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "#") {
				if fields := strings.Fields(line); fields[1] == "TYPE" {
					family = line
				}
				continue
			}
			name, value := line[:strings.LastIndexByte(line, ' ')], line[strings.LastIndexByte(line, ' '):]
			labels := fmt.Sprintf(`{instance=%q,job="service-monitor"`, instance)
			if head, tail, ok := strings.Cut(name, "{"); ok {
				name = head + labels + "," + tail
			} else {
				name += labels + "}"
			}
			families[family] = append(families[family], fmt.Sprintf("%s%s %d", name, value, at.Unix()))
		}
		if lately := now.Add(-3 * time.Hour); at.Before(lately) {
			at = earlier(at.Add(6*time.Hour), lately)
		} else {
			at = at.Add(time.Minute)
		}
	}
	return families
}

func earlier(x, y time.Time) time.Time {
	if x.Before(y) {
		return x
	}
	return y
}

// A server is a Prometheus that has the past of some gateways, and scrapes them.
type server struct {
	*servers.Prometheus
	t     *testing.T
	asked map[string]chan struct{} // gets a token each time a gateway is scraped
}

// scraper starts a Prometheus. It ends with the test.
func scraper(t *testing.T, gateways map[string]story) *server {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	families := map[string][]string{}
	var targets strings.Builder
	s := &server{t: t, asked: map[string]chan struct{}{}}
	for name, y := range gateways {
		asked := make(chan struct{}, 2)
		s.asked[name] = asked
		for family, lines := range y.backfill(t, name, time.Now().Add(-time.Minute)) {
			families[family] = append(families[family], lines...)
		}
		metrics := Handler(func(context.Context) (*tell.Status, error) { return y.at(time.Now()), nil }, Options{Version: "9"})
		gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case asked <- struct{}{}:
			default:
			}
			if metrics.ServeHTTP(w, r); w.Header().Get("Content-Type") != string(openMetrics("1.0.0"))+"; escaping=underscores" {
				t.Errorf("a scraper that says %q gets %q", r.Header.Get("Accept"), w.Header().Get("Content-Type"))
			}
		}))
		t.Cleanup(gateway.Close)
		fmt.Fprintf(&targets, "  - targets: [%q]\n    labels: {instance: %q}\n", gateway.Listener.Addr(), name)
	}
	var past strings.Builder
	for family, lines := range families {
		fmt.Fprintf(&past, "%s\n%s\n", family, strings.Join(lines, "\n"))
	}
	past.WriteString("# EOF\n")
	data := filepath.Join(dir, "data")
	if out, err := exec.Command("promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=1000h", file("past", past.String()), data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	config := "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: service-monitor\n  static_configs:\n" + targets.String()
	s.Prometheus = servers.StartPrometheus(t, config, data)
	return s
}

// scraped waits until the answer of each gateway is stored: then Prometheus asks that gateway once more.
func (s *server) scraped() {
	for _, asked := range s.asked {
		<-asked
		<-asked
	}
}

// TestDashboardQueries runs every query of the dashboard in a real Prometheus. It has two gateways, on which
// everything has happened that the dashboard shows, so each query has an answer.
func TestDashboardQueries(t *testing.T) {
	began := time.Now().Add(-40 * 24 * time.Hour)
	s := scraper(t, map[string]story{"gateway-1": {began: began}, "gateway-2": {began: began, blind: true}})
	s.scraped()
	if up := s.Query("up == 1"); len(up) != 2 {
		t.Fatalf("the gateways are not scraped: %v", up)
	}
	for instances, fleet := range map[string]bool{"gateway-1|gateway-2": true, "gateway-1": false} {
		for _, p := range servers.ReadDashboard(t, dashboardFile) {
			for _, q := range p.Targets {
				expr := q.Of(t, instances)
				var got []servers.Result
				if now := seconds(time.Now()); q.Instant {
					got = s.Ask("/api/v1/query", url.Values{"query": {expr}, "time": {fmt.Sprintf("%.3f", now)}})
				} else {
					got = s.Ask("/api/v1/query_range", url.Values{"query": {expr}, "end": {fmt.Sprintf("%.3f", now)}, "start": {fmt.Sprintf("%.3f", now-3600)}, "step": {"60"}})
				}
				if len(got) == 0 {
					t.Errorf("%s has nothing for %s", p.Title, expr)
				}
				seen := false
				for _, r := range got {
					seen = seen || r.Metric["instance"] == "gateway-2"
				}
				if seen && !fleet {
					t.Errorf("%s shows another gateway: %v", p.Title, got)
				}
			}
		}
	}
	s.figures()
}

// figures wants some panels to show what has happened.
func (s *server) figures() {
	s.t.Helper()
	for title, want := range map[string]string{
		"Gateways 0": "map[]=1", "Nobody watches 0": "map[]=0", "Services 0": "map[]=4", "Gave up 0": "map[]=1", "Need attention 0": "map[]=3",
		"Silent 0": "map[]=0", "Each gateway 5": "map[instance:gateway-1]=0",
		"Causes 0": "map[result:signal]=3", "Availability 0": "map[instance:gateway-1 name:often.service]=0.9", "Availability 1": "map[instance:gateway-1 name:often.service]=0.9",
	} {
		var got []string
		for _, p := range servers.ReadDashboard(s.t, dashboardFile) {
			for i, q := range p.Targets {
				if fmt.Sprint(p.Title, " ", i) != title {
					continue
				}
				for _, r := range s.Query(q.Of(s.t, "gateway-1")) {
					value := fmt.Sprint(r.Value[1])
					if len(value) > 5 {
						var f float64
						fmt.Sscan(value, &f)
						value = fmt.Sprintf("%.2g", f)
					}
					got = append(got, fmt.Sprintf("%v=%s", r.Metric, value))
				}
			}
		}
		if !strings.Contains(strings.Join(got, "\n"), want) {
			s.t.Errorf("%s: no %s in %v", title, want, got)
		}
	}
}
