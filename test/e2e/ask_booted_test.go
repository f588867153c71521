//go:build booted

package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAsk asks the monitor what it knows, with and without the right to do so: while it runs, while it
// is stopped, and after a reboot.
func TestAsk(t *testing.T) {
	t.Parallel() // it mostly waits
	const well, dies, waits, gone = "well.service", "dies.service", "waits.service", "gone.service"
	b := bootBed(t, map[string]string{
		well: stays, dies: stays,
		waits: "[Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=1h\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=10min\n",
	}, []string{well, dies, waits, gone})
	const member = "setpriv --reuid=65534 --regid=service-monitor --clear-groups " + daemonPath
	code := func(command string) string { return b.sh(command + " >/dev/null 2>&1 && echo 0 || echo $?") }
	says := func(command string, words ...string) {
		t.Helper()
		text := b.sh(command + " 2>&1 || :")
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%s does not say %q:\n%s", command, word, text)
			}
		}
	}
	if got := code(daemonPath + " history"); got != "66" {
		t.Errorf("before the first start: exit code %s", got)
	}
	b.sh("systemctl start service-monitor; systemctl start well dies waits; systemctl kill -s KILL --kill-who=main dies")
	b.awaitCrashes(dies, 1)
	b.awaitCrashes(waits, 1)
	// While it runs, it is asked, and its files may be older.
	if mode := b.sh("stat -c '%a %U %G' /run/service-monitor/feed"); mode != "660 service-monitor service-monitor" {
		t.Errorf("the feed is %s", mode)
	}
	b.awaitLine([]string{"sh", "-c", "while :; do " + member + " status dies --json; done"}, `"health":"failed"`)
	if text := b.sh(member + " status || :"); strings.Contains(text, "NOT RUNNING") || !strings.Contains(text, "2 of 4 services need attention") {
		t.Error(text)
	}
	// systemd itself is asked what it does next.
	says(member+" status --wide", "exit 1; next try ", "SIGKILL; Restart=no: down until somebody starts it")
	says(member+" why waits", "next try ", "10m after it ended", "at more than 3 starts in 1h")
	if got := code(member + " status well"); got != "0" {
		t.Errorf("status of a service that is well: exit code %s", got)
	}
	says(member+" why well --json", `"restart":"no"`, `"what_next":"if it crashes, it stays down (Restart=no)"`)
	now, err := strconv.ParseInt(b.sh("date +%s"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var asked struct {
		Units []struct {
			Retrying    bool
			NextTry     time.Time `json:"next_try_at"`
			NextSeconds float64   `json:"next_try_seconds"`
			Burst       int       `json:"start_limit_burst"`
			Used        *int      `json:"start_limit_used"`
		}
	}
	if err := json.Unmarshal([]byte(b.sh(member+" status waits --json")), &asked); err != nil || len(asked.Units) != 1 {
		t.Fatalf("%v: %+v", err, asked)
	}
	if u := asked.Units[0]; !u.Retrying || u.Burst != 3 || u.Used != nil || u.NextSeconds > 600 || u.NextTry.Unix() > now+600 || u.NextTry.Unix() < now+600-int64(limit.Seconds()) {
		t.Errorf("%+v at %d", u, now) // an hour ago nobody watched, so what is used is not known
	}
	// The history has what is no start and no end, too.
	b.sh("printf '[Service]\nExecStart=/bin/true\n' >/etc/systemd/system/gone.service; systemctl daemon-reload; systemctl start gone")
	b.awaitLine([]string{"sh", "-c", "while :; do " + member + " history gone --json; done"}, `"kind":"state","from":"unloaded"`)
	b.sh("rm /etc/systemd/system/gone.service; systemctl daemon-reload")
	b.awaitLine([]string{"sh", "-c", "while :; do " + member + " history gone --json; done"}, `"kind":"state","from":"inactive","to":"unloaded"`)
	// If the monitor has lost the bus, it says so first.
	ask := []string{"sh", "-c", "while :; do " + member + " status --json; done"}
	b.sh("systemctl stop dbus.socket dbus")
	b.awaitLine(ask, `"troubles":["bus lost since `)
	says(member+" status", "THE MONITOR: bus lost since ", "need attention")
	says(member+" why well", "the monitor: bus lost since ")
	b.sh("systemctl start dbus.socket dbus")
	b.awaitLine(ask, `"troubles":[]`)
	// Somebody follows, while the monitor and its directory for the socket go and come back.
	b.sh("systemd-run --unit=follows " + member + " history -f --json")
	followed := []string{"journalctl", "-f", "--no-tail", "-o", "cat", "-u", "follows"}
	b.awaitLine(followed, `"unit":"dies.service","kind":"crash"`)
	b.sh("systemctl stop service-monitor")
	b.awaitLine(followed, "the monitor does not run; waiting for it")
	b.sh("systemctl start service-monitor; systemctl restart well")
	b.awaitLine(followed, `"unit":"well.service","kind":"start"`, `"starts":2`)
	b.sh("systemctl kill -s INT follows; while systemctl is-active -q follows; do sleep 0.1; done")
	if n := b.sh("journalctl -o cat -u follows | grep -c 'dies.service\",\"kind\":\"crash\"'"); n != "1" {
		t.Errorf("the crash was shown %s times", n)
	}
	if b.sh("systemctl is-failed follows || :") == "failed" {
		t.Error("an interrupt is a failure")
	}
	b.sh("systemctl stop service-monitor")
	says(member+" history", "dies", "crash 1", "SIGKILL")
	says(member+" status", "2 of 4 services need attention", "THE MONITOR IS NOT RUNNING", "SIGKILL; Restart=no: down until", "systemd has no such unit")
	for command, want := range map[string]string{
		member + " status": "3", member + " status well": "3", member + " status 'd*'": "3", member + " status nobody": "4", member + " history nobody": "4",
		member + " why dies": "0", member + " why well": "0", member + " why gone": "0", member + " why nobody": "4", member + " why": "64", member + " why --crash 7 dies": "4",
		asNobody + daemonPath + " status": "77", asNobody + daemonPath + " history": "77", daemonPath + " status": "3",
	} {
		if got := code(command); got != want {
			t.Errorf("%s: exit code %s, want %s", command, got, want)
		}
	}
	says(member+" why dies", "signal 9 (SIGKILL)", "journalctl _SYSTEMD_INVOCATION_ID=")
	says(member+" why dies --json", `"health":"failed"`, `"signal":9`, `"look_further":[`)
	says(member+" why well", "never crashed")
	says(asNobody+daemonPath+" history", "group service-monitor")

	says("cd /var/tmp; "+daemonPath+" report -o r.tar.gz", "state.json", "history/0000000001.v1", "log/service-monitor.log", "services/dies.service/journal", "this is in r.tar.gz")
	says("cd /var/tmp; "+daemonPath+" report -o r.tar.gz", "file exists", "--output")
	says(asNobody+daemonPath+" report -o /tmp/x.tar.gz 2>&1 || echo ends with $?", "state.json.error", "the report lacks state.json, ", "ends with 77") // which root may read
	says("tar tzf /var/tmp/r.tar.gz", "r/state.json", "r/services/dies.service/properties")
	if list := b.sh(daemonPath + " report --no-lines -o /var/tmp/n.tar.gz"); strings.Contains(list, "dies.service/journal") {
		t.Errorf("lines of a service are in the report:\n%s", list)
	}

	reboot(t, b.Machine, b.PowerOff)
	b.sh("systemctl start service-monitor; systemctl start well")
	says(member+" history --crashes", "crash 1", "SIGKILL")
	b.sh("systemctl stop service-monitor")
	says(member+" history", "not watched", "well", "started")

	sums := map[string]map[string]int64{}
	for line := range strings.Lines(b.sh(member + " history --json")) {
		var e struct {
			Unit, Kind string
			Count      int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if sums[e.Unit] == nil {
			sums[e.Unit] = map[string]int64{}
		}
		sums[e.Unit][e.Kind] += e.Count
	}
	for unit, is := range readState(t, b.Machine) {
		has := sums[unit]
		if int64(is.Starts) != has["start"] || int64(is.Stops) != has["stop"] || int64(is.Crashes) != has["crash"] || int64(is.Unknown) != has["unknown-end"] {
			t.Errorf("%s: the state file has %+v, the history %v", unit, is, has)
		}
	}
}
