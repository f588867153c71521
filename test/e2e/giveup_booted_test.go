//go:build booted

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

const (
	limitLine     = ":  start limit hit: "
	noRestartLine = ":  systemd could not restart it, "
)

// givenUp are units that systemd gives up in a gap, or seems to give up.
var givenUp = map[string]struct {
	unit, script string
	until        gateway.Tally
	line         string // the line about it, which is once in the log; empty if there is none
}{
	"limit.service": {
		unit:   "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n[Service]\nRestart=on-failure\nRestartSec=0\nExecStart=/bin/false\n",
		script: "systemctl start limit",
		until:  gateway.Tally{Starts: 3, Crashes: 3, Refused: 1},
		line:   limitLine,
	},
	"limit-0.service": {
		unit:   "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n[Service]\nRestart=always\nRestartSec=0\nExecStart=/bin/true\n",
		script: "systemctl start limit-0",
		until:  gateway.Tally{Starts: 3, Stops: 3, Refused: 1},
		line:   limitLine,
	},
	"limit-hand.service": {
		unit:   "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n[Service]\nType=oneshot\nExecStart=/bin/false\n",
		script: "for i in 1 2 3; do systemctl start limit-hand || :; done",
		until:  gateway.Tally{Starts: 2, Crashes: 2, Refused: 1},
		line:   limitLine,
	},
	"gone.service": {
		unit: "[Service]\nType=exec\nRestart=on-failure\nRestartSec=1h\nExecStart=/bin/sleep infinity\n",
		// If systemd were reloaded before it has seen the end of the process, there would be no
		// restart.
		script: "systemctl start gone; systemctl kill -s KILL gone; until systemctl show -P SubState gone | grep -qx auto-restart; do :; done; rm /etc/systemd/system/gone.service; systemctl daemon-reload",
		until:  gateway.Tally{Starts: 1, Crashes: 1, Failed: 1},
		line:   noRestartLine,
	},
	"needs.service": {
		unit: "[Unit]\nRequires=needed.service\nAfter=needed.service\n[Service]\nRestart=on-failure\nExecStart=/bin/false\n",
		// The first start makes the directory, and the second one fails to make it.
		script: "printf '[Service]\nType=oneshot\nExecStart=/bin/mkdir /run/needed\n' >/run/systemd/system/needed.service; systemctl start needs",
		until:  gateway.Tally{Starts: 1, Crashes: 1, Failed: 1},
		line:   noRestartLine,
	},
	"cleaned.service": {
		unit: "[Service]\nType=exec\nStateDirectory=cleaned\nExecStart=/bin/sleep infinity\n",
		script: "systemctl start cleaned; systemctl stop cleaned; systemctl clean --what=state cleaned; systemctl start cleaned; systemctl stop cleaned\n" +
			"mkdir /var/lib/cleaned/busy; mount --bind /var/lib/cleaned/busy /var/lib/cleaned/busy\n" +
			"systemctl clean --what=state cleaned || :; umount /var/lib/cleaned/busy",
		until: gateway.Tally{Starts: 2, Stops: 2},
	},
}

// bootGivenUp boots a machine, and lets all of that happen while the daemon is stopped. The units
// stay loaded, as enabled units do.
func bootGivenUp(t *testing.T) *bed {
	t.Helper()
	units := map[string]string{}
	for name, u := range givenUp {
		units[name] = u.unit
	}
	names := slices.Sorted(maps.Keys(units))
	o := gateway.Options{Units: units}
	install(t, &o, names)
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + " " + strings.Join(names, " ") + "\n"
	b := newBed(t, o)
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	for name, u := range givenUp {
		b.sh(u.script)
		b.awaitLife(name, func(life gateway.Tally) bool {
			return life.Starts == u.until.Starts && life.Stops == u.until.Stops && life.Crashes == u.until.Crashes &&
				life.Refused == u.until.Refused && life.Failed == u.until.Failed && !life.Running
		})
	}
	return b
}

// TestGivenUp wants the monitor to read from the journal why systemd has given a unit up. A failed
// systemctl clean does not count as that.
func TestGivenUp(t *testing.T) {
	t.Parallel() // it mostly waits
	b := bootGivenUp(t)
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	b.wantTruth(slices.Sorted(maps.Keys(givenUp))...)
	log := b.readLog()
	for name, u := range givenUp {
		for _, line := range []string{limitLine, noRestartLine} {
			want := 0
			if line == u.line {
				want = 1
			}
			if n := strings.Count(log, name+line); n != want {
				t.Errorf("%s: the log has %d lines with %q, want %d", name, n, line, want)
			}
		}
	}
	for unit, said := range map[string]string{
		"gone.service":  "Failed to schedule restart job: Unit gone.service not found.",
		"needs.service": "Dependency failed for needs.service.",
	} {
		if !containsAll(lineWith(t, log, unit+noRestartLine), []string{`(recovered from the journal); systemd says: "` + said + `"`}) {
			t.Errorf("the log does not quote what systemd says of %s: %s", unit, said)
		}
	}
	// The commands that the log line proposes must work.
	if said := b.sh("journalctl -q _PID=1 UNIT='gone.service'"); !strings.Contains(said, "Unit gone.service not found.") {
		t.Errorf("systemd does not say why it could not restart gone.service:\n%s", said)
	}
	if err := b.WriteFile("/etc/systemd/system/gone.service", givenUp["gone.service"].unit, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl daemon-reload; systemctl start 'gone.service'; systemctl is-active gone")
	b.sh("rmdir /run/needed; systemctl daemon-reload; systemctl start 'needs.service'")
	b.sh("systemctl reset-failed limit; systemctl start limit")
}

// TestGivenUpQuotes wants the line about a failed restart to quote systemd if the monitor watched
// the restart. The advice in the line must work.
func TestGivenUpQuotes(t *testing.T) {
	t.Parallel() // it mostly waits
	const unit, file = "quoted.service", "/etc/systemd/system/quoted.service"
	text := givenUp["gone.service"].unit
	b := bootBed(t, map[string]string{unit: text}, []string{unit})
	b.sh("systemctl start service-monitor; systemctl start quoted")
	for i, tt := range []struct{ breaks, said, advice, mends string }{
		{"rm " + file, "Failed to schedule restart job: Unit quoted.service not found.", "put it back, ", "cp /run/quoted " + file},
		{"ln -sf /dev/null " + file, "Failed to schedule restart job: Unit quoted.service is masked.", "it is masked (", "rm " + file + "; cp /run/quoted " + file},
		{"sed -i /ExecStart/d " + file, "Failed to schedule restart job: Unit quoted.service has a bad unit file setting.", "mend it, ", "cp /run/quoted " + file},
		{`printf '[Unit]\nRequires=nothing.service\n' >>` + file, "Failed to schedule restart job: Unit nothing.service not found.", "mend that, ", "cp /run/quoted " + file},
	} {
		before := b.cursor()
		b.crash(unit)
		b.awaitCrashes(unit, i+1)
		b.sh("cp " + file + " /run/quoted; " + tt.breaks + "; sed -i s/RestartSec=1h/RestartSec=50ms/ " + file + " || :; systemctl daemon-reload")
		line := b.awaitLog(before, unit+noRestartLine, tt.advice, `; systemd says: "`+tt.said+`"`)
		b.sh(tt.mends)
		_, advice, _ := strings.Cut(line, tt.advice)
		advice, _, _ = strings.Cut(advice, ")")
		b.sh(strings.ReplaceAll(advice, ", ", "; ") + "; systemctl is-active quoted")
	}
	b.sh("systemctl stop service-monitor")
	b.wantTruth(unit)
}

// lineWith returns the line of a log that contains text.
func lineWith(t *testing.T, log, text string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Errorf("the log has no line with %q", text)
	return ""
}

// TestGivenUpWithoutJournal has no journal, so the monitor knows only the properties. If these do not
// prove a crash, it counts none. A failed systemctl clean leaves the result of a crash.
func TestGivenUpWithoutJournal(t *testing.T) {
	t.Parallel() // it mostly waits
	b := bootGivenUp(t)
	b.sh("journalctl -q --rotate --vacuum-size=1; systemctl start service-monitor; systemctl stop service-monitor")
	state, log := readState(t, b.Machine), b.readLog()
	for name, crashes := range map[string]int{"limit.service": 1, "limit-0.service": 0, "limit-hand.service": 1, "gone.service": 1, "cleaned.service": 0} {
		if state[name].Crashes != crashes {
			t.Errorf("%s: %d crashes, want %d: %+v", name, state[name].Crashes, crashes, state[name])
		}
	}
	if state["cleaned.service"].Unknown != 1 {
		t.Errorf("cleaned.service: want 1 unknown end: %+v", state["cleaned.service"])
	}
	if n := strings.Count(log, "limit-0.service"+limitLine); n != 1 {
		t.Errorf("limit-0.service: %d start limits, want 1:\n%s", n, log)
	}
	if strings.Contains(log, "cleaned.service"+limitLine) || strings.Contains(log, noRestartLine) {
		t.Errorf("the log has more than is proven:\n%s", log)
	}
}
