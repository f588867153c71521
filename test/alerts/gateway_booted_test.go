//go:build booted

package alerts

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

var record = flag.Bool("record", false, "record a gateway for a quarter of an hour, with a scrape every 15 s, into testdata")

const (
	recorded   = "testdata/gateway.yml"
	daemonPath = "/opt/service-monitor"
	webPath    = "/opt/service-monitor-web"
	labels     = `instance="gw",job="service-monitor"`
)

// The services of the gateway. All but steady wait for trouble.
const (
	waits = "while [ ! -e /run/trouble ]; do sleep .1; done; "
	// loops runs for a while and crashes, again and again. So it is active nearly always.
	loops  = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c '" + waits + "sleep %g; exit 7'\nRestart=on-failure\nRestartSec=100ms\n"
	gives  = "[Service]\nExecStart=/bin/sh -c '" + waits + "exit 1'\nRestart=always\nRestartSec=100ms\n"
	fails  = "[Service]\nExecStart=/bin/sh -c '" + waits + "exit 3'\n"
	stays  = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
	twelve = 12 // how often flaps is restarted
)

// A pace is how long the parts of a recording take.
type pace struct {
	every                                time.Duration // from one scrape to the next
	runs                                 float64       // seconds that the service in the crash loop runs
	calm, trouble, after, stopped, again int           // scrapes
}

var (
	slow = pace{15 * time.Second, 2.9, 4, 20, 4, 11, 6}
	fast = pace{time.Second, .6, 2, 8, 2, 2, 2}
)

// A bed is a gateway that is being recorded.
type bed struct {
	*gateway.Machine
	t *testing.T
	p pace
	Recording
	next   time.Time
	totals map[string]float64 // of the services, which never go down
}

var names = []string{"fails.service", "flaps.service", "gives.service", "loops.service", "steady.service"}

// boot boots a gateway with these services.
func boot(t *testing.T, p pace) *bed {
	t.Helper()
	unit, err := os.ReadFile("../../systemd/service-monitor.service")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile("../../systemd/dbus.conf")
	if err != nil {
		t.Fatal(err)
	}
	config, _ := json.Marshal(map[string]any{"monitored_services": names})
	o := gateway.Options{
		Units: map[string]string{
			"service-monitor.service": strings.ReplaceAll(string(unit), "/usr/bin/service-monitor", daemonPath),
			"fails.service":           fails, "flaps.service": stays, "gives.service": gives, "loops.service": fmt.Sprintf(loops, p.runs), "steady.service": stays,
		},
		Files: map[string]string{"/etc/service-monitor/config.json": string(config), "/etc/dbus-1/system.d/service-monitor.conf": string(policy)},
		Binds: map[string]string{daemonPath: gatewaytest.Build(t, "service-monitor"), webPath: gatewaytest.Build(t, "service-monitor-web")},
		Users: []string{"service-monitor"},
	}
	b := &bed{Machine: gatewaytest.Boot(t, o), t: t, p: p}
	b.sh("systemctl start service-monitor; systemctl start " + strings.Join(names, " "))
	b.next = time.Now()
	return b
}

func (b *bed) sh(lines string) string {
	b.t.Helper()
	out, err := b.Run(b.t.Context(), "sh", "-ec", lines)
	if err != nil {
		b.t.Fatalf("%s: %v", lines, err)
	}
	return out
}

// kept are the metrics that the rules need, and some to look at.
func kept(metric string) bool {
	for _, part := range []string{"_seconds", "signals_", "written_", "systemd_unit_", "clock_", "stage_"} {
		if strings.Contains(metric, part) {
			return strings.HasPrefix(metric, "node_")
		}
	}
	return true
}

// scrape scrapes the gateway when it is time to, and the service in the crash loop is active. A scraper that
// knows nothing of the loop sees it active nearly always, but not in each recording.
func (b *bed) scrape(times int) {
	b.t.Helper()
	for range times {
		time.Sleep(time.Until(b.next))
		b.next = b.next.Add(b.p.every)
		states := b.node()
		ours := b.sh("setpriv --reuid=service-monitor --regid=service-monitor --clear-groups " + webPath + " metrics")
		b.grow(ours)
		text := ours + states + "up 1\n"
		if err := b.Add(strings.NewReader(text), kept, strings.Split(labels, ",")...); err != nil {
			b.t.Fatal(err)
		}
	}
}

// grow wants no counter of a service to have gone down, not even when the monitor was stopped meanwhile.
func (b *bed) grow(text string) {
	b.t.Helper()
	if b.totals == nil {
		b.totals = map[string]float64{}
	}
	for line := range strings.Lines(text) {
		series, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(series, "service_monitor_unit_") || !strings.Contains(series, "_total{") {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil || value < b.totals[series] {
			b.t.Errorf("%s was %v and is %s", series, b.totals[series], number)
		}
		b.totals[series] = value
	}
}

// node returns what node_exporter tells of the same services while the crash loop is active: it asks systemd
// for these properties, the restarts only with --collector.systemd.enable-restarts-metrics.
func (b *bed) node() string {
	b.t.Helper()
	for {
		var states, restarts strings.Builder
		active := false
		out := b.sh("systemctl show -p Id,ActiveState,NRestarts " + strings.Join(names, " "))
		for unit := range strings.SplitSeq(strings.TrimSpace(out), "\n\n") {
			is := map[string]string{}
			for line := range strings.Lines(unit) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				is[key] = value
			}
			for _, state := range []string{"activating", "active", "deactivating", "failed", "inactive"} {
				value := 0
				if state == is["ActiveState"] {
					value = 1
				}
				fmt.Fprintf(&states, "node_systemd_unit_state{name=%q,state=%q,type=\"simple\"} %d\n", is["Id"], state, value)
			}
			fmt.Fprintf(&restarts, "node_systemd_service_restart_total{name=%q} %s\n", is["Id"], is["NRestarts"])
			active = active || is["Id"] == "loops.service" && is["ActiveState"] == "active"
		}
		if active {
			return states.String() + restarts.String()
		}
	}
}

// live lets everything happen that the rules are about.
func (b *bed) live() {
	b.t.Helper()
	b.scrape(b.p.calm)
	b.sh("touch /run/trouble")
	for range b.p.trouble {
		b.sh(fmt.Sprintf("for i in $(seq %d); do systemctl restart flaps; done", (twelve+b.p.trouble-1)/b.p.trouble))
		b.scrape(1)
	}
	b.sh("rm /run/trouble")
	b.scrape(b.p.after)
	b.sh("systemctl stop service-monitor; systemctl kill -s KILL loops")
	b.scrape(b.p.stopped)
	b.sh("systemctl start service-monitor")
	b.scrape(b.p.again)
}

// wantTruth wants the last scrape to have the counts of the journal.
func (b *bed) wantTruth() {
	b.t.Helper()
	truth, err := b.Truth(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, name := range names {
		for metric, want := range map[string]int{"starts": truth[name].Starts, "stops": truth[name].Stops, "crashes": truth[name].Crashes, "restarts": truth[name].Scheduled, "unknown_ends": 0} {
			if got := b.last("service_monitor_unit_"+metric+"_total", name); got != float64(want) {
				b.t.Errorf("%s: %v %s, but %d in the journal", name, got, metric, want)
			}
		}
	}
	if n := truth["loops.service"].Crashes; n < 4 {
		b.t.Errorf("the crash loop has only %d crashes", n)
	}
}

// last returns the last value of a metric of a service.
func (b *bed) last(metric, name string) float64 {
	return b.Of(unitSeries(metric, name))[b.Scrapes-1]
}

func unitSeries(metric, name string) string {
	return fmt.Sprintf("%s{%s,name=%q}", metric, labels, name)
}

// TestRecord records a gateway, and wants the counts to be those of the journal. promtool(1) must
// understand the recording, and see the crash loop in it.
func TestRecord(t *testing.T) {
	p := fast
	if *record {
		p = slow
	}
	b := boot(t, p)
	b.live()
	b.wantTruth()
	active := b.Of(fmt.Sprintf("node_systemd_unit_state{%s,name=%q,state=%q,type=%q}", labels, "loops.service", "active", "simple"))
	if slices.Contains(active, 0) {
		t.Errorf("a scrape saw the crash loop down: %v", active)
	}
	crashLoop(t, &b.Recording, "loops.service")
	for _, phase := range []string{"up", "down"} {
		if series := fmt.Sprintf("service_monitor_unit_state_seconds_total{name=%q,state=%q}", "loops.service", phase); b.totals[series] == 0 {
			t.Errorf("%s is 0", series)
		}
	}
	if !*record || t.Failed() {
		return
	}
	var text strings.Builder
	version, _ := b.Version(t.Context())
	fmt.Fprintf(&text, "# Recorded by go test -tags booted -run TestRecord ./test/alerts -record, with systemd %d: a scrape every 15 s.\n", version)
	if err := b.Write(&text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recorded, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
