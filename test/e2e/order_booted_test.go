//go:build booted

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	atBoot  = "[Install]\nWantedBy=multi-user.target\n"
	oneshot = "[Service]\nType=oneshot\nExecStart="
)

// orderLives are the services that are monitored by default. Those that start do so at boot, and some
// run until the machine goes down.
var orderLives = map[string]string{
	"wirepas-gateway.service":     stays,
	"wirepas-sink-ttys1.service":  stays + "ExecStop=/bin/sleep 0.3\n",
	"wirepas-sink-ttys2.service":  "", // this service does not exist
	"edger.connecteddev.service":  stays,
	"edger.endries.service":       stays + "ExecStartPost=/bin/sh -c 'echo >>/run/posts; [ $$(wc -l </run/posts) -gt 2 ]'\nRestart=on-failure\nRestartSec=20ms\n",
	"devmgmt.service":             stays + "ExecStart=\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep infinity; done'\nKillMode=mixed\nTimeoutStopSec=300ms\n",
	"hwcheck.service":             oneshot + "/bin/false\n",
	"provisioning.service":        oneshot + "/bin/sleep 0.1\nRemainAfterExit=yes\n",
	"Node-Configuration.service":  oneshot + "/bin/true\n",
	"setup_cell_connect.service":  oneshot + "/bin/sleep infinity\nTimeoutStartSec=300ms\n",
	"mosquitto.service":           stays + "Restart=always\n",
	"wps_button_monitor.service":  stays + "ExecStop=/bin/false\n",
	"ordered-by-nobody.service":   stays,
	"before-the-bus.service":      "[Unit]\nDefaultDependencies=no\nAfter=systemd-journald.service\nBefore=basic.target\n" + strings.TrimPrefix(stays, "[Unit]\n"),
	"before-the-bus.once.service": "[Unit]\nDefaultDependencies=no\nAfter=systemd-journald.service\nBefore=basic.target\n" + oneshot + "/bin/true\n",
}

// bootOrder boots a machine in which these services are enabled. The daemon monitors them, and is not
// enabled yet.
func bootOrder(t *testing.T, dropIn ...string) *bed {
	t.Helper()
	units := map[string]string{}
	for unit, text := range orderLives {
		if text != "" {
			units[unit] = text + atBoot
		}
	}
	b := bootBed(t, units, slices.Collect(maps.Keys(orderLives)), dropIn...)
	b.sh("systemctl start service-monitor; systemctl stop service-monitor; systemctl -q enable " + strings.Join(slices.Collect(maps.Keys(units)), " "))
	return b
}

// again shuts the machine down and boots it.
func (b *bed) again() {
	b.t.Helper()
	if err := b.PowerOff(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.PowerOn(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// TestOrder boots the machine and shuts it down. The monitor must see the starts and stops of all units
// that are ordered after it. It must count the other units, too.
func TestOrder(t *testing.T) {
	t.Parallel() // it mostly waits
	b := bootOrder(t)
	b.sh("systemctl -q enable service-monitor")
	for range 2 {
		b.again()
		// The unit crashes until then. systemd may say between two of its runs that the boot is over.
		b.awaitLine([]string{"journalctl", "-q", "-b", "-f", "-o", "cat", "--no-tail", "UNIT=edger.endries.service"}, "Started edger.endries.service")
	}
	b.sh("systemctl stop service-monitor")
	ordered := shippedServices(t)
	begun, told := b.invocations("-b -1 _PID=1", "UNIT", "INVOCATION_ID"), b.tellings()
	for unit, text := range orderLives {
		if text == "" {
			continue
		}
		if len(begun[unit]) == 0 {
			t.Errorf("%s did not start at boot", unit)
		}
		for id := range begun[unit] {
			got := told[id]
			t.Logf("%s: %v", unit, got)
			if want := []string{"start", "end"}; slices.Contains(ordered, unit) && !slices.Equal(got, want) {
				t.Errorf("%s: %s was logged as %q, want %q", unit, id, got, want)
			}
			if strings.HasPrefix(unit, "before-the-bus.") && !slices.Contains(got, "start, recovered") {
				t.Errorf("%s: %s was logged as %q, though nobody could see it start", unit, id, got)
			}
		}
	}
	b.wantTruth(slices.DeleteFunc(slices.Collect(maps.Keys(orderLives)), func(unit string) bool { return orderLives[unit] == "" })...)
}

// shippedServices returns the services of the shipped configuration.
func shippedServices(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../debian/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Services []string `json:"monitored_services"`
	}
	if err := json.Unmarshal(text, &c); err != nil || len(c.Services) == 0 {
		t.Fatalf("%v in %s", err, text)
	}
	for _, unit := range c.Services {
		if _, ok := orderLives[unit]; !ok {
			t.Fatalf("%s is monitored by default, but lives no life here", unit)
		}
	}
	return c.Services
}

// invocations reads the journal. It returns for each unit how many entries each invocation has.
func (b *bed) invocations(matches, unitField, idField string) map[string]map[string]int {
	b.t.Helper()
	found := map[string]map[string]int{}
	b.eachEntry(matches, func(e map[string]any) {
		unit, _ := e[unitField].(string)
		if id, _ := e[idField].(string); id != "" {
			if found[unit] == nil {
				found[unit] = map[string]int{}
			}
			found[unit][id]++
		}
	})
	return found
}

// tellings returns what the daemon has logged about each invocation, in order.
func (b *bed) tellings() map[string][]string {
	b.t.Helper()
	told := map[string][]string{}
	b.eachEntry(fmt.Sprintf("MESSAGE_ID=%s MESSAGE_ID=%s MESSAGE_ID=%s", idStarted, idEnded, idCrashed), func(e map[string]any) {
		what := "end"
		if e["MESSAGE_ID"] == idStarted {
			what = "start"
		}
		if e["MONITOR_RECOVERED"] == "1" {
			what += ", recovered"
		}
		id, _ := e["MONITOR_INVOCATION_ID"].(string)
		told[id] = append(told[id], what)
	})
	return told
}

func (b *bed) eachEntry(matches string, take func(e map[string]any)) {
	b.t.Helper()
	out := b.sh("journalctl --sync; journalctl -q -o json " + matches)
	for entries := json.NewDecoder(strings.NewReader(out)); entries.More(); {
		var e map[string]any
		if err := entries.Decode(&e); err != nil {
			b.t.Fatal(err)
		}
		take(e)
	}
}

// TestOrderHoldsNobodyUp boots machines on which the monitor does not become ready. The units that are
// ordered after it must start soon all the same.
func TestOrderHoldsNobodyUp(t *testing.T) {
	const waits = "wirepas-gateway.service"
	t.Run("it takes for ever", func(t *testing.T) {
		t.Parallel() // it mostly waits
		b := bootOrder(t)
		b.put(dropIns+"slow.conf", "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/go ]; do sleep 0.1; done'\n")
		b.sh("systemctl -q enable service-monitor")
		b.again() // it waits until systemd says that the boot is over
		b.wantShow("ActiveState", "activating")
		b.sh("systemctl is-active -q " + waits)
		if held := b.heldUp(waits); held < 14 || held > 60 {
			t.Errorf("%s had to wait for %d s, want JobRunningTimeoutSec=, 15", waits, held)
		}
		b.sh("touch /run/go")
		b.awaitShow("ActiveState", "active")
		b.crash(waits)
		b.awaitLog("", waits, "Incrementing crash counter -> 1")
		b.sh("systemctl stop service-monitor")
		b.wantTruth(waits)
	})
	t.Run("there is no bus", func(t *testing.T) {
		t.Parallel()
		b := bootOrder(t)
		b.sh("systemctl -q enable service-monitor; ln -s /dev/null /etc/systemd/system/dbus.socket; ln -s /dev/null /etc/systemd/system/dbus.service")
		b.again()
		b.sh("systemctl is-active -q " + waits)
		if held := b.heldUp(waits); held > 30 {
			t.Errorf("%s had to wait for %d s", waits, held)
		}
		b.awaitLog("", "no system bus", "tried 4 times")
	})
}

// heldUp returns how many seconds after basic.target systemd began to start a unit.
func (b *bed) heldUp(unit string) int {
	b.t.Helper()
	var far, began int
	at := b.sh("systemctl show -P ActiveEnterTimestampMonotonic basic.target; systemctl show -P InactiveExitTimestampMonotonic " + unit)
	if _, err := fmt.Sscan(at, &far, &began); err != nil {
		b.t.Fatalf("%v in %q", err, at)
	}
	return (began - far) / 1_000_000
}
