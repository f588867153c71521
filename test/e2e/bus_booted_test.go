//go:build booted

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestGlobs monitors units by a glob: units that run at the start, units that exist but do not run,
// instances of a template, and units that come later.
func TestGlobs(t *testing.T) {
	b := bootBed(t, map[string]string{
		"sink-runs.service": stays, "sink-waits.service": stays, "sink-tty@.service": stays,
		"source.service": stays, "sinkless.service": stays, "sink-odd.socket": "[Socket]\nListenStream=/run/odd\n",
	}, []string{"sink-*.service"})
	b.sh("systemctl start sink-runs sink-tty@1 source; systemctl start service-monitor")
	b.wantShow("StatusText", "watching 3 services, 2 active")
	if err := b.WriteFile("/etc/systemd/system/sink-late.service", stays, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl daemon-reload; systemctl start sink-late sink-waits sink-tty@2 sinkless")
	if err := b.WriteFile("/etc/systemd/system/sink-later.service", stays, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start sink-later") // there was no reload this time
	b.awaitShow("StatusText", "watching 6 services, 6 active")
	for _, unit := range []string{"sink-runs", "sink-late", "sink-later", "sink-waits", "sink-tty@1", "sink-tty@2", "sinkless"} {
		b.crash(unit)
		b.awaitCrashes(unit+".service", 1)
	}
	b.sh("systemctl stop service-monitor")
	b.wantTruth("sink-late.service", "sink-later.service", "sink-waits.service", "sink-tty@2.service")
	state := readState(t, b.Machine)
	// A unit that ran before the monitor watched it was not seen to start.
	for _, unit := range []string{"sink-runs.service", "sink-tty@1.service"} {
		if s := state[unit]; s.Starts != 0 || s.Crashes != 1 || s.FirstSeenRunning != 1 {
			t.Errorf("%s: counted %+v, want 1 crash of a run that had begun before", unit, s)
		}
	}
	var names []string
	for unit := range state {
		names = append(names, unit)
	}
	slices.Sort(names)
	want := "sink-* sink-late sink-later sink-runs sink-tty@1 sink-tty@2 sink-waits" // sink-* has the sums of folded units
	if got := strings.ReplaceAll(strings.Join(names, " "), ".service", ""); got != want {
		t.Errorf("the state file has %s, want %s", got, want)
	}
}

// TestBusRestarts restarts the bus and then PID 1, while nothing happens to the units.
func TestBusRestarts(t *testing.T) {
	const unit = "up.service"
	tests := []struct {
		name string
		line string
		says string
	}{
		{"the bus", "systemctl restart dbus", "connected to the system bus"},
		{"PID 1", "systemctl daemon-reexec", "systemd has a new name on the bus; subscribing again"},
		{"the configuration of PID 1", "systemctl daemon-reload", ""},
		{"the bus again", "systemctl restart dbus", "connected to the system bus"},
	}
	b := bootBed(t, map[string]string{unit: stays}, []string{unit})
	b.sh("systemctl start service-monitor")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			b.sh("systemctl start up")
			crashes := b.truth()[unit].Crashes
			before := b.cursor()
			b.sh(tt.line)
			if tt.says != "" {
				b.awaitLog(before, tt.says)
			}
			b.awaitShow("StatusText", "watching 1 services, 1 active")
			b.wantShow("ActiveState", "active")
			b.wantShow("NRestarts", "0")
			b.crash(unit)
			b.awaitCrashes(unit, crashes+1)
			b.awaitLog(before, unit, "Incrementing crash counter")
		})
	}
	b.sh("systemctl stop service-monitor")
	b.wantTruth(unit)
	b.wantLogged(unit)
}
