//go:build booted

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/bus"
	"service-monitor/test/cases"
	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
	"service-monitor/test/recording"
)

var record = flag.Bool("record", false, "record the signals of cases that have no recording")

const (
	unitFile   = "../../systemd/service-monitor.service"
	orderFile  = "../../systemd/service-monitor.service.d/order.conf"
	busPolicy  = "../../systemd/dbus.conf"
	dropIns    = "/etc/systemd/system/service-monitor.service.d/"
	stateFile  = "/var/lib/service_monitor/service_states.json"
	policyPath = "/etc/dbus-1/system.d/service-monitor.conf"
	daemonPath = "/opt/service-monitor"
	logPath    = "/var/log/service-monitor/service-monitor.log"
)

// install puts the daemon into a machine as the package does, except for the paths below /usr,
// because a machine has the host's /usr. Lines in more go into [Service]. They must not change
// the sandbox: a test that needs more rights has a drop-in for them, with the reason.
func install(t *testing.T, o *gateway.Options, services []string, more ...string) {
	t.Helper()
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	_, sandbox, _ := strings.Cut(string(unit), "# The sandbox.")
	for _, line := range more {
		if key, _, ok := strings.Cut(line, "="); ok && strings.Contains(sandbox, "\n"+key+"=") {
			t.Fatalf("%s would change the sandbox", line)
		}
	}
	order, err := os.ReadFile(orderFile)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile(busPolicy)
	if err != nil {
		t.Fatal(err)
	}
	// The tests follow the log line by line.
	config, err := json.Marshal(map[string]any{"monitored_services": services, "fold_after": 0})
	if err != nil {
		t.Fatal(err)
	}
	if o.Units == nil {
		o.Units = map[string]string{}
	}
	if o.Files == nil {
		o.Files = map[string]string{}
	}
	// The test must run the same program as the unit.
	o.Units["service-monitor.service"] = strings.ReplaceAll(string(unit), "/usr/bin/service-monitor", daemonPath)
	o.Files[dropIns+"order.conf"] = string(order)
	o.Files[dropIns+"test.conf"] = "[Service]\n" + strings.Join(more, "\n")
	o.Files["/etc/service-monitor/config.json"] = string(config)
	o.Files[policyPath] = string(policy)
	o.Binds = map[string]string{daemonPath: binary}
	o.Users = []string{"service-monitor"}
}

func must(t *testing.T, m *gateway.Machine, argv ...string) string {
	t.Helper()
	out, err := m.Run(t.Context(), argv...)
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return out
}

func readState(t *testing.T, m *gateway.Machine) map[string]unitState {
	t.Helper()
	text, err := m.ReadFile(stateFile)
	if err != nil {
		t.Fatal(err)
	}
	state := parseState(t, []byte(text))
	if m.Leader() != 0 { // otherwise the machine is off
		must(t, m, "sh", "-c", "$(ls /opt/copy "+daemonPath+" 2>/dev/null | head -1) check-state "+stateFile+" >&2")
	}
	return state
}

// TestCases runs all cases in a booted machine, with the daemon in its unit and as its user. It
// compares the counts of the daemon with the journal.
func TestCases(t *testing.T) {
	all := cases.All()
	var o gateway.Options
	cases.Install(&o, all)
	var services []string
	for _, c := range all {
		services = append(services, slices.Collect(maps.Keys(c.Want))...)
	}
	install(t, &o, services)
	m := gatewaytest.Boot(t, o)
	version, err := m.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = cases.Known(all, version)
	must(t, m, "systemctl", "start", "service-monitor")
	stopRecording := startRecording(t, m, services)
	if err := cases.RunAll(t.Context(), m, all); err != nil {
		t.Error(err)
	}
	must(t, m, "systemctl", "stop", "service-monitor")
	truth, err := m.Truth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := readState(t, m)
	text, err := m.ReadFile(logPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		compare(t, c, truth, state)
		wantGivenUp(t, c, truth, text)
	}
	save(t, version, all, truth, stopRecording())
	if t.Failed() {
		t.Logf("log:\n%s", text)
	}
}

// startRecording records the signals of the machine, if that is wanted. It runs on the host and
// uses the socket of the machine's bus.
func startRecording(t *testing.T, m *gateway.Machine, services []string) (stop func() []bus.Signal) {
	t.Helper()
	if !*record {
		return func() []bus.Signal { return nil }
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", fmt.Sprintf("unix:path=/proc/%d/root/run/dbus/system_bus_socket", m.Leader()))
	var signals []bus.Signal
	n := pipelinetest.NewNotifier(0)
	g := pipeline.New(n)
	lists := pipeline.Source(g, "once", pipelinetest.PlayAt(pipelinetest.Cue[bus.List]{Message: bus.List{Services: services}}))
	sent := pipeline.Add(g, "bus", lists, bus.New(logrus.StandardLogger(), nil, 0, 0))
	pipeline.Sink(g, "recorder", sent, pipelinetest.Collect(&signals))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	n.Await("READY=1")
	return func() []bus.Signal {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return signals
	}
}

// save writes a recording for each case that has none. A recording has the first snapshot of each
// unit, all changes, and the records of the journal.
func save(t *testing.T, version int, all []cases.Case, truth map[string]gateway.Tally, signals []bus.Signal) {
	t.Helper()
	if !*record || t.Failed() {
		return
	}
	for _, c := range all {
		file := recordingOf(version, c)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		seen := map[string]bool{}
		r := recording.Recording{Truth: map[string]gateway.Tally{}}
		for _, s := range signals {
			_, ours := c.Want[s.Unit]
			if first := s.Kind == bus.Snapshot && !seen[s.Unit]; !ours || !first && s.Kind != bus.Changed {
				continue
			}
			seen[s.Unit] = true
			r.Signals = append(r.Signals, s)
			r.Truth[s.Unit] = truth[s.Unit]
		}
		if err := recording.Save(file, r); err != nil {
			t.Error(err)
		}
	}
}
