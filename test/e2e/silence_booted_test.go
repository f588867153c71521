//go:build booted

package e2e

import (
	"strings"
	"testing"
)

// TestKeptOut keeps records of PID 1, or the monitor's own marks, out of the journal. The monitor must
// notice that when it starts after a gap, and say so. Its start must not wait for marks that cannot
// come. If a unit ran in the gap and is unloaded again, its counts are lower bounds.
func TestKeptOut(t *testing.T) {
	t.Parallel() // it mostly waits
	const gone, up, crashed = "gone.service", "up.service", "crashed.service"
	journald := func(lines string) string {
		return "mkdir -p /etc/systemd/journald.conf.d; printf '[Journal]\\n" + lines + "\\n' >/etc/systemd/journald.conf.d/out.conf; systemctl restart systemd-journald"
	}
	unit := func(line string) string {
		return "printf '[Service]\\n" + line + "\\n' >" + dropIns + "out.conf; systemctl daemon-reload"
	}
	for _, tt := range []struct{ name, begin, says string }{
		{"log level", "systemctl log-level warning", "systemctl log-level info"},
		{"log level, a bare one", "systemctl log-level notice", "systemctl log-level info"},
		{"log target kmsg", "systemctl log-target kmsg", "systemctl log-target"},
		{"log target console", "systemctl log-target console", "systemctl log-target"},
		{"MaxLevelStore=", journald("MaxLevelStore=warning"), "MaxLevelStore=warning"},
		{"MaxLevelStore= as a number", journald("MaxLevelStore=3"), "MaxLevelStore=3"},
		{"Storage=none", journald("Storage=none"), "Storage=none"},
		{"LogNamespace=", unit("LogNamespace=mon"), "LogNamespace="},
		{"LogLevelMax= of the monitor", unit("LogLevelMax=warning"), "LogLevelMax="},
		{"machine id", "umount /etc/machine-id || true; echo 0123456789abcdef0123456789abcdef >/etc/machine-id", "machine id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bootBed(t, map[string]string{
				gone: "[Service]\nType=oneshot\nExecStart=/bin/true\n", up: stays, crashed: stays,
			}, []string{gone, up, crashed})
			b.sh("systemctl start service-monitor; systemctl start gone up crashed; systemctl stop service-monitor; " + tt.begin)
			b.sh("systemctl start gone; systemctl start gone; systemctl kill -s KILL crashed")
			begun := b.sh("cat /proc/uptime | cut -d. -f1")
			b.sh("systemctl start service-monitor")
			ready := b.sh("cat /proc/uptime | cut -d. -f1")
			b.wantShow("ActiveState", "active")
			if strings.Contains(b.show("StatusText"), "gap open") {
				t.Errorf("the gap is open: %q", b.show("StatusText"))
			}
			text := b.readLog()
			if !strings.Contains(text, "the journal lacks some") || !strings.Contains(text, tt.says) {
				t.Errorf("the log file does not say %q (started at %s, ready at %s):\n%s", tt.says, begun, ready, text)
			}
			b.sh("systemctl stop service-monitor")
			state := readState(t, b.Machine)
			if s := state[gone]; !s.AtLeast || s.Crashes != 0 {
				t.Errorf("%s: %+v", gone, s)
			}
			if s := state[up]; s.AtLeast || s.Starts != 1 || s.ends() != 0 {
				t.Errorf("%s: %+v", up, s)
			}
			if s := state[crashed]; s.Crashes != 1 || s.Stops != 0 || s.Unknown != 0 {
				t.Errorf("%s: %+v", crashed, s)
			}
		})
	}
}

// TestResetInAGap lets units fail in a gap, and the journal has no record of that gap. One
// unit is reset, so systemd shows success for it. The monitor must not count that as a stop.
func TestResetInAGap(t *testing.T) {
	t.Parallel() // it mostly waits
	const reset, stopped = "reset.service", "stopped.service"
	b := bootBed(t, map[string]string{reset: stays, stopped: stays}, []string{reset, stopped})
	// Something must refer to them, or systemd forgets how they ended.
	b.put("/etc/systemd/system/multi-user.target.d/refer.conf", "[Unit]\nAfter="+reset+" "+stopped+"\n")
	b.sh("systemctl daemon-reload; systemctl start service-monitor; systemctl start reset stopped; systemctl stop service-monitor")
	b.sh("mkdir -p /etc/systemd/journald.conf.d; printf '[Journal]\\nStorage=none\\n' >/etc/systemd/journald.conf.d/out.conf; systemctl restart systemd-journald")
	b.sh("systemctl kill -s KILL reset; until systemctl is-failed reset; do :; done; systemctl reset-failed reset; systemctl stop stopped")
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	state := readState(t, b.Machine)
	if s := state[reset]; s.Unknown != 1 || s.Stops != 0 || s.Crashes != 0 || !s.AtLeast {
		t.Errorf("%s: %+v", reset, s)
	}
	if s := state[stopped]; s.Stops != 1 || s.Unknown != 0 {
		t.Errorf("%s: %+v", stopped, s)
	}
	if t.Failed() {
		t.Log(b.readLog())
	}
}

// TestKeptOutForAWhile silences PID 1 for a part of a gap. When the monitor asks PID 1, it
// writes as usual again. Only the journal shows that it was silent.
func TestKeptOutForAWhile(t *testing.T) {
	t.Parallel() // it mostly waits
	const gone, up = "gone.service", "up.service"
	const stop, lives = "systemctl stop service-monitor", "systemctl start gone; systemctl start gone"
	for _, tt := range []struct{ name, script string }{
		{"log level, in the gap", stop + "; systemctl log-level err; " + lives + "; systemctl log-level info"},
		{"log level, from before the gap", "systemctl log-level notice; " + stop + "; " + lives + "; systemctl log-level info"},
		{"log target, in the gap", stop + "; systemctl log-target console; " + lives + "; systemctl log-target journal-or-kmsg"},
		{"log target, from before the gap", "systemctl log-target kmsg; " + stop + "; " + lives + "; systemctl log-target journal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bootBed(t, map[string]string{gone: "[Service]\nType=oneshot\nExecStart=/bin/true\n", up: stays}, []string{gone, up})
			b.sh("systemctl start service-monitor; systemctl start gone up; " + tt.script)
			b.sh("systemctl start service-monitor; systemctl stop service-monitor")
			state, log := readState(t, b.Machine), b.readLog()
			if s := state[gone]; !s.AtLeast || s.Starts < 1 || s.Starts > 3 || s.Crashes != 0 {
				t.Errorf("%s: %+v", gone, s)
			}
			if s := state[up]; s.AtLeast || s.Starts != 1 || s.ends() != 0 {
				t.Errorf("%s: %+v", up, s)
			}
			if !strings.Contains(log, "systemd was told to write less into it for a while") {
				t.Errorf("the log file does not say why:\n%s", log)
			}
			// What comes next is exact again.
			was := state[gone]
			b.sh(lives + "; systemctl start service-monitor; systemctl stop service-monitor")
			is := readState(t, b.Machine)[gone]
			if is.Starts != was.Starts+2 || is.Stops != was.Stops+2 || is.Unknown != was.Unknown {
				t.Errorf("%s: %+v after %+v", gone, is, was)
			}
		})
	}
}

// TestMutedUntilTheReboot lets units crash before the machine goes down. The journal has no
// record of them, and neither has the next boot. The monitor must not count these ends as
// stops. It must not count one for the unit that still ran either, because nothing proves it.
func TestMutedUntilTheReboot(t *testing.T) {
	t.Parallel() // it mostly waits
	const up, muted, still = "up.service", "muted.service", "still.service"
	b := bootBed(t, map[string]string{up: stays, still: stays, muted: stays + "LogLevelMax=err\n"}, []string{up, muted, still})
	b.sh("systemctl start service-monitor; systemctl start up muted still; systemctl stop service-monitor")
	b.sh("systemctl log-level err; systemctl kill -s KILL up muted; until systemctl is-failed up && systemctl is-failed muted; do :; done")
	reboot(t, b.Machine, b.PowerOff)
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	state := readState(t, b.Machine)
	for _, unit := range []string{up, muted, still} {
		if s := state[unit]; s.Starts != 1 || s.Stops != 0 || s.Crashes > 0 || s.Unknown != 1 || !s.AtLeast {
			t.Errorf("%s: %+v", unit, s)
		}
	}
	if t.Failed() {
		t.Log(b.readLog())
	}
}
