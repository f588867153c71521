//go:build booted

package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// These are the MESSAGE_ID of a CRASH line and of a start, see stages/logsink.
const (
	idCrashed = "a9c7ce28cc9d4a2baf64dd96586ff35a"
	idStarted = "1b35bf6905d74330ac38053d362e99b5"
)

// TestStalledJournal stops journald while a unit crashes again and again.
//
// PID 1 writes to journald, too. It waits at most 10 ms for each message (log.c: SO_SNDTIMEO), and
// then the message is lost. So the storm goes on slowly, and the journal is not complete. For that
// reason the unit counts its own runs.
func TestStalledJournal(t *testing.T) {
	t.Parallel() // it mostly waits
	const unit, runs = "storm.service", 50
	b := bootBed(t, map[string]string{unit: "[Unit]\nStartLimitIntervalSec=0\n" +
		"[Service]\nExecStart=/bin/sh /opt/storm\nRestart=on-failure\nRestartSec=0\nStandardOutput=null\nStandardError=null\n"},
		[]string{unit}, "WatchdogSec=2s")
	storm := fmt.Sprintf("echo >>/var/runs\n[ $(wc -l </var/runs) -gt %d ] && exit 0\nexit 9\n", runs)
	if err := b.WriteFile("/opt/storm", storm, 0o755); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl kill -s STOP systemd-journald; systemctl start storm")
	b.awaitLine([]string{"tail", "-n", "+1", "-F", logPath}, unit, "Incrementing stop counter -> 1")
	if n := strings.Count(b.readLog(), unit+": **CRASH** (ExitCode: 9, Signal: none, Result: exit-code)"); n != runs {
		t.Errorf("the log file has %d CRASH lines, want %d", n, runs)
	}
	b.wantShow("ActiveState", "active")
	b.wantShow("NRestarts", "0") // the watchdog did not fire

	b.sh("systemctl kill -s CONT systemd-journald")
	b.awaitLog("", unit, "Incrementing stop counter -> 1")
	b.sh("journalctl --sync")
	if n := b.sh("journalctl -q -o cat MESSAGE_ID=" + idCrashed + " | wc -l"); n != strconv.Itoa(runs) {
		t.Errorf("the journal has %s CRASH lines, want %d", n, runs)
	}
	b.sh("systemctl stop service-monitor")
	if s := readState(t, b.Machine)[unit]; s.Starts != runs+1 || s.Crashes != runs || s.Stops != 1 || s.Restarts != runs {
		t.Errorf("counted %+v, want %d starts, %d crashes, 1 stop", s, runs+1, runs)
	}
}

// TestJournalFields filters the journal by the fields of a crash.
func TestJournalFields(t *testing.T) {
	const unit = "up.service"
	b := bootBed(t, map[string]string{unit: stays}, []string{unit})
	b.sh("systemctl start service-monitor; systemctl start up")
	invocation := b.sh("systemctl show -P InvocationID up")
	b.crash(unit)
	b.awaitLog("", unit, "Incrementing crash counter -> 1")
	b.sh("journalctl --sync")
	out := b.sh("journalctl -q -o json MESSAGE_ID=" + idCrashed + " MONITOR_UNIT=" + unit)
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %q", err, out) // each entry is one line of JSON
	}
	for key, want := range map[string]string{
		"MESSAGE":               unit + ": **CRASH** (ExitCode: none, Signal: 9 (SIGKILL), Result: signal)",
		"PRIORITY":              "3",
		"SYSLOG_IDENTIFIER":     "service-monitor",
		"_SYSTEMD_UNIT":         monitorUnit,
		"MONITOR_UNIT":          unit,
		"MONITOR_RESULT":        "signal",
		"MONITOR_SIGNAL":        "9 (SIGKILL)",
		"MONITOR_EXIT_CODE":     "none",
		"MONITOR_FROM":          "active",
		"MONITOR_TO":            "failed",
		"MONITOR_INVOCATION_ID": invocation,
		"MONITOR_STARTS":        "1",
		"MONITOR_STOPS":         "0",
		"MONITOR_CRASHES":       "1",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}
