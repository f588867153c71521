//go:build booted

package e2e

import (
	"strconv"
	"strings"
	"testing"
)

// TestFolded wants a storm to give only a few lines, and all of it to be counted. The monitor has the
// shipped configuration.
func TestFolded(t *testing.T) {
	t.Parallel()
	const unit = "up.service"
	b := bootBed(t, map[string]string{unit: flaps}, nil)
	if err := b.WriteFile("/etc/service-monitor/config.json", `{"monitored_services": ["up.service"]}`, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl start up")
	b.awaitCrashes(unit, 40)
	b.sh("systemctl stop up; systemctl stop service-monitor")
	b.wantTruth(unit)
	b.wantLogged(unit)
	log := b.readLog()
	if lines := strings.Count(log, unit); lines > 100 {
		t.Errorf("%d lines, want about ten of each kind:\n%s", lines, log)
	}
	folded := b.sh("journalctl -q -o json --output-fields=MONITOR_REPEATED MONITOR_UNIT=" + unit + " MESSAGE_ID=" + idCrashed + " | grep -o 'REPEATED\":\"[0-9]*' | cut -d'\"' -f3")
	if n, err := strconv.Atoi(folded); err != nil || n < 25 {
		t.Errorf("the journal has MONITOR_REPEATED=%s, want one entry with 25 or more", folded)
	}
}
