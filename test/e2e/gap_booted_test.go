//go:build booted

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/cases"
	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// lively are units that start and end by themselves, and some that wait to be started or killed.
var lively = map[string]string{
	"loop-exit.service":   "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'exit 7'\nRestart=always\nRestartSec=20ms\n",
	"loop-clean.service":  "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/true\nRestart=always\nRestartSec=20ms\n",
	"loop-signal.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'kill -9 $$$$'\nRestart=on-failure\nRestartSec=0\n",
	"stays.service":       "[Service]\nExecStart=/bin/sleep infinity\n",
	"returns.service":     "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=0\n",
	"once.service":        "[Service]\nType=oneshot\nExecStart=/bin/true\n",
	"limited.service":     "[Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=30\n[Service]\nExecStart=/bin/false\nRestart=on-failure\nRestartSec=0\n",
}

const (
	allLoops = "systemctl --no-block start loop-exit loop-clean loop-signal stays returns"
	noLoops  = "systemctl stop loop-exit loop-clean loop-signal"
	some     = "systemctl start once; systemctl kill -s KILL returns; systemctl restart stays; systemctl kill -s SEGV stays; systemctl reset-failed stays; systemctl start stays; systemctl start limited || true"
)

// A gap is a time in which the monitor does not watch, or should not rely on what it has seen.
type gap struct {
	name string
	do   func(t *testing.T, m *gateway.Machine)
}

func shell(lines ...string) func(*testing.T, *gateway.Machine) {
	return func(t *testing.T, m *gateway.Machine) {
		t.Helper()
		must(t, m, "sh", "-ec", strings.Join(lines, "\n"))
	}
}

var gaps = []gap{
	{"stopped for a while", shell("systemctl stop service-monitor", some, "systemctl start service-monitor")},
	{"killed under load", shell("for i in 1 2 3 4 5 6; do systemctl kill -s KILL service-monitor; systemctl start returns once; systemctl kill -s KILL returns; systemctl start service-monitor || true; done; systemctl reset-failed service-monitor; systemctl start service-monitor")},
	{"bus restarted", shell("for i in 1 2 3; do systemctl restart dbus; systemctl start once; systemctl kill -s KILL returns; done")},
	{"daemon-reexec", shell("for i in 1 2 3; do systemctl daemon-reexec; systemctl kill -s KILL returns; done")},
	{"daemon-reload", shell("for i in 1 2 3; do systemctl daemon-reload; systemctl kill -s KILL returns; done")},
	{"rebooted", func(t *testing.T, m *gateway.Machine) { reboot(t, m, m.PowerOff) }},
	{"power cut", func(t *testing.T, m *gateway.Machine) {
		// Records on their way to journald are lost. The monitor must not have saved them.
		must(t, m, "systemctl", "kill", "-s", "STOP", "service-monitor")
		reboot(t, m, m.PowerCut)
	}},
}

func reboot(t *testing.T, m *gateway.Machine, off func() error) {
	t.Helper()
	must(t, m, "journalctl", "--sync") // this power cut loses nothing that was written
	if err := off(); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, m, "systemctl", "start", "service-monitor")
}

// TestGaps wants the counts after each gap to be those of the journal.
func TestGaps(t *testing.T) {
	for _, g := range gaps {
		t.Run(g.name, func(t *testing.T) {
			units := slices.Sorted(maps.Keys(lively))
			o := gateway.Options{Units: maps.Clone(lively)}
			install(t, &o, units)
			m := gatewaytest.Boot(t, o)
			must(t, m, "systemctl", "start", "service-monitor")
			must(t, m, "sh", "-c", allLoops)
			g.do(t, m)
			must(t, m, "sh", "-c", allLoops)
			must(t, m, "sh", "-c", noLoops)
			// The last run may have ended too late for the first stop.
			must(t, m, "sh", "-c", "systemctl start service-monitor; systemctl restart service-monitor; systemctl stop service-monitor")
			compareWithJournal(t, m, units)
		})
	}
}

func compareWithJournal(t *testing.T, m *gateway.Machine, units []string) {
	t.Helper()
	truth, err := m.Truth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := readState(t, m)
	events := 0
	for _, unit := range units {
		got, want := state[unit].tally(truth[unit]), truth[unit]
		events += want.Starts
		if !cases.Match(got, want) || got.Scheduled != want.Scheduled {
			t.Errorf("%s (-journal +counted)\n- %+v\n+ %+v", unit, want, got)
		}
	}
	t.Logf("%d starts compared", events)
	if t.Failed() {
		text, _ := m.ReadFile(logPath)
		t.Logf("log:\n%s", text)
	}
}

// A unit that is monitored by an alias has its own name in the journal.
func TestGapOfAnAlias(t *testing.T) {
	const alias, own = "alias.service", "own.service"
	b := bootBed(t, map[string]string{own: flaps}, []string{alias})
	b.sh("ln -s own.service /etc/systemd/system/alias.service; systemctl daemon-reload; systemctl start service-monitor; systemctl start own")
	b.awaitLog("", alias, "Incrementing crash counter -> 3")
	b.sh("systemctl kill -s KILL service-monitor")
	b.awaitCrashes(own, b.truth()[own].Crashes+5)
	b.sh("systemctl start service-monitor; systemctl stop own; systemctl restart service-monitor; systemctl stop service-monitor")
	truth, state := b.truth()[own], readState(t, b.Machine)[alias]
	if got := state.tally(truth); !cases.Match(got, truth) || got.Scheduled != truth.Scheduled || state.AtLeast {
		t.Errorf("(-journal +counted, at least: %v)\n- %+v\n+ %+v", state.AtLeast, truth, got)
	}
}
