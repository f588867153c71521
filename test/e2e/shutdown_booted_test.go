//go:build booted

package e2e

import (
	"strings"
	"testing"
)

// TestShutdownSeen shuts the machine down while the monitor still watches. The
// monitor must distinguish a stop by the shutdown from a stop before it.
func TestShutdownSeen(t *testing.T) {
	const by, before = "by-shutdown.service", "before.service"
	b := bootBed(t, map[string]string{
		by: "[Unit]\nAfter=lingers.service\n" + stays, before: stays,
		// The bus and the monitor can stop only after this unit.
		"lingers.service": "[Unit]\nAfter=dbus.service service-monitor.service\n" + stays + "ExecStop=/bin/sleep 0.3\n",
	}, []string{by, before})
	b.sh("systemctl start service-monitor; systemctl start lingers by-shutdown before; systemctl stop before")
	b.awaitLog("", before, "Incrementing stop counter")
	if err := b.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if err := b.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	stops := b.sh("journalctl -b -1 -q -o json --output-fields=MONITOR_UNIT,MONITOR_RESULT,MONITOR_RECOVERED MESSAGE_ID=3769531c6aa04fb699667a9abdce1110")
	for _, want := range []string{`"MONITOR_UNIT":"` + by + `"`, `"MONITOR_RESULT":"shutdown"`, `"MONITOR_RESULT":"success"`} {
		if !strings.Contains(stops, want) {
			t.Errorf("no %s among the stops:\n%s", want, stops)
		}
	}
	if strings.Contains(stops, "MONITOR_RECOVERED") {
		t.Errorf("not seen, but recovered:\n%s", stops)
	}
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	b.wantTruth(by, before)
}
