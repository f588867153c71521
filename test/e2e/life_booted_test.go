//go:build booted

package e2e

import (
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// TestHang lets the log sink hang in a write to standard output, as with a pager that nobody uses any
// more. The status must name the stage, and the watchdog must restart the daemon.
func TestHang(t *testing.T) {
	t.Parallel() // it mostly waits
	const before, trigger, reader = "before.service", "trigger.service", "reader.service"
	b := bootBed(t, map[string]string{
		before: stays, trigger: stays,
		// This holds the pipe open and never reads.
		reader: "[Service]\nType=exec\nExecStartPre=/bin/sh -c 'mkfifo -m 666 /run/pipe || :'\n" +
			"ExecStart=/bin/sh -c 'exec sleep infinity 0<>/run/pipe'\n",
	}, []string{before, trigger}, "WatchdogSec=1s", "StandardOutput=file:/run/pipe", "StandardError=journal",
		"[Unit]", "StartLimitIntervalSec=0")
	b.sh("systemctl start reader; systemctl start service-monitor; systemctl start before")
	b.crash(before)
	b.awaitLog("", before, "Incrementing crash counter -> 1")

	b.sh("! dd if=/dev/zero of=/run/pipe bs=4096 oflag=nonblock 2>/dev/null") // fills the pipe
	b.sh("systemctl start trigger")
	b.awaitLog("", "stage does not answer", "stage: logsink")
	b.awaitShow("StatusText", "stage logsink does not answer")
	b.awaitLife(monitorUnit, func(life gateway.Tally) bool { return life.Last.Result == "watchdog" })

	// The kernel drops what is in a pipe when nobody holds it open any more.
	b.sh("systemctl restart reader; systemctl start service-monitor; systemctl start before")
	b.crash(before)
	b.awaitCrashes(before, 2)
	b.sh("systemctl stop service-monitor")
	b.wantTruth(before, trigger)
}

// TestStatus follows the daemon through its life by its notifications to systemd.
func TestStatus(t *testing.T) {
	const up, down, absent = "up.service", "down.service", "absent.service"
	b := bootBed(t, map[string]string{up: stays, down: stays}, []string{up, down, absent})
	b.sh("systemctl start up; systemctl start service-monitor")
	// The test need not wait: at READY=1 the daemon knows this.
	b.wantShow("StatusText", "watching 3 services, 1 active")
	for _, line := range []string{
		up + ":  first seen    -> active        (SubState: running)",
		down + ":  first seen    -> inactive      (SubState: dead)",
		absent + ":  not loaded",
	} {
		if !strings.Contains(b.readLog(), line) {
			t.Errorf("no %q in the log of a daemon that is ready:\n%s", line, b.readLog())
		}
	}
	b.sh("systemctl start down")
	b.awaitShow("StatusText", "watching 3 services, 2 active")
	b.crash(up)
	b.awaitShow("StatusText", "watching 3 services, 1 active, last crash up.service just now")
	b.sh("systemctl stop service-monitor")
	b.wantShow("StatusText", "saving and stopping")
	b.sh("systemctl start service-monitor")
	b.wantShow("StatusText", "watching 3 services, 1 active, last crash up.service just now")
}

// TestStop stops the daemon in several ways, right after a burst of changes. All that happened before
// the stop must be counted, logged and saved.
func TestStop(t *testing.T) {
	const fails, victim = "fails.service", "victim.service"
	b := bootBed(t, map[string]string{
		fails:  "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n",
		victim: stays,
	}, []string{fails, victim}, "Restart=no")
	tests := []struct {
		name string
		stop string
	}{
		{"systemctl stop", "systemctl stop service-monitor"},
		{"SIGTERM", "systemctl kill -s TERM service-monitor"},
		{"SIGINT", "systemctl kill -s INT service-monitor"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			b.sh("systemctl start service-monitor; systemctl start victim")
			b.sh("systemctl kill -s KILL victim; for i in 1 2 3 4 5 6 7 8 9 10; do systemctl start fails || :; done; " + tt.stop)
			b.awaitLife(monitorUnit, func(life gateway.Tally) bool { return life.Stops == i+1 })
			b.wantShow("ActiveState", "inactive")
			b.wantShow("Result", "success")
			b.wantShow("ExecMainCode", "1") // CLD_EXITED
			b.wantShow("ExecMainStatus", "0")
			b.wantTruth(fails, victim)
			b.wantLogged(fails, victim)
		})
	}
}

// TestRestart restarts the daemon by hand and by a failure of the daemon, while nothing happens to the
// units.
func TestRestart(t *testing.T) {
	const up, crashed = "up.service", "crashed.service"
	b := bootBed(t, map[string]string{up: stays, crashed: stays}, []string{up, crashed}, "RestartSec=0")
	b.sh("systemctl start service-monitor; systemctl start up crashed")
	b.crash(crashed)
	b.awaitLog("", crashed, "Incrementing crash counter -> 1")
	b.sh("systemctl restart service-monitor")
	b.wantTruth(up, crashed)
	b.sh("systemctl restart service-monitor; systemctl stop up; systemctl start crashed")
	b.awaitLog("", crashed, "Incrementing start counter -> 2")
	b.sh("systemctl restart service-monitor")
	b.crash(crashed)
	b.sh("systemctl stop service-monitor")
	b.wantTruth(up, crashed)
	b.wantLogged(up, crashed)
}
