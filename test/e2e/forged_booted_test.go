//go:build booted

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// These are MESSAGE_ID of the journal, see stages/journald/records.
const (
	idMark    = "fbd34845a7fc4586bceb996e68af7052"
	idFailed  = "d9b373ed55a64feb8242e02dbe79a49c"
	idStopped = "d93fb3c9c24d451a97cea615ce59c00b"
)

// TestLiesInTheJournal forges records of PID 1 and of journald in a gap. Any user may write such
// records.
func TestLiesInTheJournal(t *testing.T) {
	const up = "up.service"
	b := bootBed(t, map[string]string{up: stays}, []string{up}, "Restart=no")
	forge := func(fields ...string) {
		t.Helper()
		b.sh("printf '" + strings.Join(fields, `\n`) + `\nMESSAGE=forged\n' | ` + asNobody + "logger --journald")
	}
	b.sh("systemctl start up; systemctl start service-monitor")
	b.crash(up)
	b.awaitLog("", up, "Incrementing crash counter")
	b.sh("systemctl stop service-monitor; systemctl start up")
	for i, ids := range [][]string{{idMark}, {idFailed}, {idMark, idFailed}, {idFailed, idMark}} {
		fields := []string{"_PID=1", "UNIT=" + up, "UNIT_RESULT=signal", fmt.Sprintf("INVOCATION_ID=%032x", i+1)}
		for _, id := range ids {
			fields = append(fields, "MESSAGE_ID="+id)
		}
		forge(fields...)
	}
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	if s := readState(t, b.Machine)[up]; s.Starts != 1 || s.Crashes != 1 {
		t.Errorf("counted %+v, want 1 start and 1 crash", s)
	}

	// The last record before the power cut must not say that journald stops.
	b.sh("systemctl start service-monitor; systemctl kill -s KILL service-monitor")
	b.awaitLife(monitorUnit, func(life gateway.Tally) bool { return life.Crashes == 1 })
	forge("MESSAGE_ID=" + idStopped)
	b.sh("journalctl --sync")
	if err := b.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if err := b.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; journalctl --sync")
	if result := b.sh("journalctl -b -q -o cat --output-fields=MONITOR_RESULT MONITOR_UNIT=" + up + " | sort -u"); result != "power-loss" {
		t.Errorf("the end of the run is recovered as %q, want power-loss", result)
	}
}
