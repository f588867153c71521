//go:build booted

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A refusal keeps a monitor from reading the journal, for a while.
type refusal struct {
	name        string
	begin, end  string
	says        string // why the gap is open
	live        bool   // what happens meanwhile is written to the journal
	again, boot bool   // the monitor is started again, or the machine is rebooted, before the refusal ends
}

// refusing is a journalctl that fails as long as a file exists.
const refusing = "#!/bin/sh\n[ ! -e /run/refuse ] || { echo 'Too many open files' >&2; exit 1; }\nexec /usr/bin/journalctl \"$@\"\n"

// TestOpenGap keeps the monitor from reading the journal when it starts after a gap. It
// watches all the same, says that the gap is open, and counts it exactly as soon as the
// journal can be read.
func TestOpenGap(t *testing.T) {
	t.Parallel() // it mostly waits
	hidden := "mkdir -p /run/systemd/system/service-monitor.service.d; printf '[Service]\\nInaccessiblePaths=/var/log/journal\\n' >/run/systemd/system/service-monitor.service.d/hidden.conf; systemctl daemon-reload"
	for _, tt := range []refusal{
		{name: "journald stalls", begin: "systemctl kill -s STOP systemd-journald", end: "systemctl kill -s CONT systemd-journald", says: "journald does not write"},
		{name: "journalctl fails", begin: "touch /run/refuse", end: "rm /run/refuse", says: "Too many open files", live: true},
		{name: "it fails while the monitor is started again", begin: "touch /run/refuse", end: "rm /run/refuse", says: "Too many open files", live: true, again: true},
		{name: "it fails until after a reboot", begin: "touch /run/refuse", end: "true", says: "Too many open files", live: true, boot: true},
		{
			name: "it may not be read", begin: "gpasswd -d service-monitor systemd-journal >/dev/null",
			end: "gpasswd -a service-monitor systemd-journal >/dev/null; systemctl restart service-monitor", says: "insufficient permissions", live: true,
		},
		{name: "it is hidden", begin: hidden, end: "rm /run/systemd/system/service-monitor.service.d/hidden.conf; systemctl daemon-reload; systemctl restart service-monitor", live: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			units := slices.Sorted(maps.Keys(lively))
			b := bootBed(t, maps.Clone(lively), units)
			b.put(dropIns+"path.conf", "[Service]\nEnvironment=PATH=/opt/refusing:/usr/bin:/bin\n")
			if err := b.WriteFile("/opt/refusing/journalctl", refusing, 0o755); err != nil {
				t.Fatal(err)
			}
			b.sh("systemctl daemon-reload; systemctl start service-monitor; " + allLoops)
			b.awaitCrashes("loop-exit.service", 3)
			b.sh("systemctl stop service-monitor; " + some)
			b.awaitCrashes("loop-exit.service", 8)
			b.sh(noLoops + "; journalctl --sync; " + tt.begin)
			b.sh("systemctl start service-monitor")
			b.wantOpen(tt.says)
			if tt.live {
				b.sh(some)
			}
			if tt.again {
				b.sh("systemctl restart service-monitor; " + some)
				b.wantOpen(tt.says)
			}
			if tt.boot {
				b.sh("systemctl stop service-monitor; " + some)
				reboot(t, b.Machine, b.PowerOff)
				b.sh("systemctl start service-monitor")
			}
			b.sh(tt.end)
			b.awaitProperty("StatusText", "the gap to be closed", func(text string) bool {
				return strings.HasPrefix(text, "watching") && !strings.Contains(text, "gap open")
			})
			b.awaitLine([]string{"sh", "-c", "while " + daemonPath + " status --json | grep -q '\"behind\":true'; do :; done; echo it has caught up"}, "caught up")
			b.sh("systemctl stop service-monitor")
			if text := b.sh(daemonPath + " history --no-pager"); strings.Count(text, "-- journal unreadable ") != 1 || !strings.Contains(text, "; R was read in it later") {
				t.Errorf("the history has not one gap that was closed:\n%s", text)
			}
			b.wantTruth(units...)
			for unit, s := range readState(t, b.Machine) {
				if s.AtLeast || s.Unknown > 0 || s.Life.Opened != "" || s.Life.Gaps != nil {
					t.Errorf("%s: %+v", unit, s)
				}
			}
			if t.Failed() {
				t.Logf("log:\n%s", b.readLog())
			}
		})
	}
}

// wantOpen wants the monitor to be ready, and to say everywhere that a gap is open.
func (b *bed) wantOpen(why string) {
	b.t.Helper()
	b.wantShow("ActiveState", "active")
	b.awaitShow("StatusText", "gap open since")
	b.awaitShow("StatusText", why)
	if text := b.readLog(); !strings.Contains(text, "trying again until the journal can be read") {
		b.t.Errorf("the log file does not say that the gap is open:\n%s", text)
	}
	if text := b.sh(daemonPath + " status || :"); !strings.Contains(text, "THE MONITOR: gap open since") {
		b.t.Errorf("the status does not say that the gap is open:\n%s", text)
	}
	if text := b.sh(daemonPath + " status --json || :"); !strings.Contains(text, `"behind":true`) {
		b.t.Errorf("nobody is told that the counts may be lower than before:\n%s", text)
	}
	for unit, s := range readState(b.t, b.Machine) {
		if s.Life.Opened == "" && !strings.Contains(unit, "*") {
			b.t.Errorf("%s: the state file does not say that the gap is open", unit)
		}
	}
}
