//go:build booted

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

const configFile = "/etc/service-monitor/config.json"

// TestReload changes the list of services while one of them crashes again and
// again. The daemon must miss none of these crashes. It also monitors itself, so
// its log has the states that systemd shows during a reload.
func TestReload(t *testing.T) {
	const kept, gone, later = "kept.service", "gone.service", "later.service"
	b := bootBed(t, map[string]string{kept: flaps, gone: stays, later: stays}, []string{kept, gone, monitorUnit})
	b.sh("systemctl start service-monitor; systemctl start kept gone")
	b.crash(gone)
	b.awaitCrashes(gone, 1)
	b.awaitCrashes(kept, 5)

	b.configure(t, map[string]any{"monitored_services": []string{kept, later, monitorUnit}})
	b.sh("systemctl reload service-monitor")
	b.awaitLog("", "reloaded the configuration", "services: 3")
	b.awaitLog("", gone+":  no longer monitored")
	b.awaitLog("", later+":  first seen")
	b.sh("systemctl start later")
	b.crash(later)
	b.awaitLog("", later, "Incrementing crash counter -> 1")
	b.awaitCrashes(kept, b.truth()[kept].Crashes+5)
	b.awaitShow("StatusText", "watching 3 services")

	b.wantReloadsByNotify()
	b.wantBadReload(t, later)
	b.sh("systemctl stop kept later; systemctl stop service-monitor")
	b.wantTruth(kept, later)
	b.wantLogged(kept, later)
	state := readState(t, b.Machine)
	if _, ok := state[gone]; ok || len(state) != 3 {
		t.Errorf("the state file has %v, want %s, %s and %s", state, kept, later, monitorUnit)
	}
	text, err := b.ReadFile(stateFile + ".before-removal")
	if err != nil {
		t.Fatal(err)
	}
	if copied := parseState(t, []byte(text)); copied[gone].Crashes != 1 {
		t.Errorf("the copy from before the removal has %+v of %s, want 1 crash", copied[gone], gone)
	}
}

// TestRestoreCounts drops a service by a typo in the list. The service crashes meanwhile.
// Then its counts are restored. They must equal those of the journal again, because the
// monitor reads there what it missed.
func TestRestoreCounts(t *testing.T) {
	const kept, unit, typo = "kept.service", "unit.service", "unti.service"
	b := bootBed(t, map[string]string{kept: stays, unit: stays}, []string{kept, unit})
	b.sh("systemctl start service-monitor; systemctl start kept unit")
	b.crash(unit)
	b.awaitCrashes(unit, 1)

	b.configure(t, map[string]any{"monitored_services": []string{kept, typo}})
	b.sh("systemctl reload service-monitor")
	b.awaitLog("", unit+":  no longer monitored")
	b.sh("systemctl reset-failed unit; systemctl start unit")
	b.crash(unit)
	if out := b.sh("code=0; " + daemonPath + " --restore-counts 2>&1 || code=$?; echo exit code $code"); !strings.Contains(out, "another monitor holds it") || !strings.Contains(out, "exit code 75") {
		t.Errorf("while the monitor runs: %s", out)
	}

	b.configure(t, map[string]any{"monitored_services": []string{kept, unit}})
	b.sh("systemctl stop service-monitor")
	out := b.sh(daemonPath + " --restore-counts")
	if want := `"` + unit + `": starts 1, stops 0, crashes 1 put back from ` + stateFile + ".before-removal"; !strings.Contains(out, want) {
		t.Errorf("put back: %s", out)
	}
	if owner := b.sh("stat -c %U:%G " + stateFile); strings.TrimSpace(owner) != "service-monitor:service-monitor" {
		t.Errorf("the state file belongs to %s", owner)
	}
	b.sh("systemctl start service-monitor")
	b.awaitCrashes(unit, 2)
	b.sh("systemctl stop service-monitor")
	b.wantTruth(kept, unit)
}

// TestReloadWithOptions wants a reload to check the same file as the start. One drop-in names it for
// both.
func TestReloadWithOptions(t *testing.T) {
	const other = "/srv/config.json"
	b := bootBed(t, nil, []string{"up.service"})
	options := "[Service]\nEnvironment=\"MONITOR_OPTIONS=--config " + other + " --debug\"\n" // the unit has another Environment= for its sandbox
	if err := b.WriteFile(dropIns+"options.conf", options, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl daemon-reload")
	good, bad := `{"monitored_services": ["up.service", "later.service"]}`, `{"debug": "yes"}`
	for _, text := range []string{`{"monitored_services": ["up.service"]}`, good} {
		if err := b.WriteFile(other, text, 0o644); err != nil {
			t.Fatal(err)
		}
		b.sh("systemctl start service-monitor; systemctl reload service-monitor")
	}
	b.awaitLog("", "later.service:  not loaded")
	before := b.cursor()
	if err := b.WriteFile(other, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("! systemctl reload service-monitor 2>/dev/null")
	b.awaitLog(before, "service-monitor: "+other+":1: debug must be true or false")
	b.wantShow("ActiveState", "active")
	b.sh("echo '" + good + "' >" + other + "; systemctl reload service-monitor")
}

// TestReloadWithoutFile reloads after the configuration file was lost in several ways. The reload must
// fail if the running monitor would refuse it, and the monitored services must stay the same.
func TestReloadWithoutFile(t *testing.T) {
	b := bootBed(t, map[string]string{"up.service": stays}, []string{"up.service"})
	b.sh("systemctl start service-monitor; systemctl start up")
	b.crash("up.service")
	b.awaitCrashes("up.service", 1)
	for _, how := range []string{"rm " + configFile, "ln -s nothing " + configFile, "mkdir " + configFile, "rm -r /etc/service-monitor"} {
		before := b.cursor()
		b.sh("rm -rf " + configFile + "; " + strings.TrimPrefix(how, "rm "+configFile) + "\n! systemctl reload service-monitor 2>/dev/null")
		b.awaitLog(before, "service-monitor: ", "configuration file "+configFile)
		before = b.cursor()
		b.sh("systemctl kill -s HUP service-monitor") // SIGHUP skips the check of ExecReload=
		b.awaitLog(before, "cannot reload the configuration", "configuration file "+configFile)
		b.awaitShow("StatusText", "watching 1 services")
	}
	b.sh("mkdir /etc/service-monitor; echo '{\"monitored_services\": [\"up.service\", \"later.service\"]}' >" + configFile + "; systemctl reload service-monitor")
	b.awaitShow("StatusText", "watching 2 services")
	if n := readState(t, b.Machine)["up.service"].Crashes; n != 1 {
		t.Errorf("%d crashes of up.service, want 1", n)
	}
}

// configure replaces the configuration.
func (b *bed) configure(t *testing.T, config map[string]any) {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.WriteFile(configFile, string(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantReloadsByNotify sends SIGHUP to the daemon, so that systemd learns of the reload only by
// RELOADING=1 and READY=1.
func (b *bed) wantReloadsByNotify() {
	b.t.Helper()
	before := b.cursor()
	b.sh("systemctl kill -s HUP service-monitor")
	b.awaitLog(before, monitorUnit, "active        -> reloading")
	b.awaitLog(before, monitorUnit, "reloading     -> active")
}

// wantBadReload gives the daemon a configuration that it must refuse. Then it crashes a unit, and the
// daemon must count that all the same.
func (b *bed) wantBadReload(t *testing.T, unit string) {
	t.Helper()
	b.configure(t, map[string]any{"monitored_servces": []string{unit}})
	before := b.cursor()
	b.sh("! systemctl reload service-monitor 2>/dev/null")
	b.awaitLog(before, "service-monitor: "+configFile, "monitored_servces")
	b.wantShow("ActiveState", "active")
	before = b.cursor()
	b.sh("systemctl kill -s HUP service-monitor") // SIGHUP skips the check of ExecReload=
	b.awaitLog(before, "cannot reload the configuration", configFile, "monitored_servces")
	b.awaitLog(before, monitorUnit, "reloading     -> active")
	b.wantShow("ActiveState", "active")
	b.sh("systemctl start " + unit)
	crashes := b.truth()[unit].Crashes
	b.crash(unit)
	b.awaitLife(unit, func(life gateway.Tally) bool { return life.Crashes > crashes })
	b.awaitShow("StatusText", "watching 3 services")
	if text := b.readLog(); !strings.Contains(text, "the old one stays in force") {
		t.Error("the log file does not tell of the bad configuration")
	}
}
