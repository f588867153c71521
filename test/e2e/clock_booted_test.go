//go:build booted

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestClockOfABoot wants a crash from a gap to be recognized by the clock of the boot, whatever the
// wall clock shows. The test changes the state file as if the wall clock had been in 1970 at
// the crash, then a year ahead, and then set back while no monitor ran.
func TestClockOfABoot(t *testing.T) {
	const unit = "up.service"
	b := bootBed(t, map[string]string{unit: stays}, []string{unit})
	b.sh("systemctl start up; systemctl start service-monitor; systemctl stop service-monitor")
	b.crash(unit)
	b.awaitCrashes(unit, 1)
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	text, err := b.ReadFile(stateFile)
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]struct {
		LastCrash struct {
			Time  time.Time `json:"time"`
			Boot  string    `json:"boot_id"`
			Clock int64     `json:"monotonic_usec"`
		} `json:"last_crash"`
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	crash := state[unit].LastCrash
	boot, uptime := b.sh("cat /proc/sys/kernel/random/boot_id"), b.sh("cut -d. -f1 /proc/uptime")
	seconds, err := strconv.ParseInt(uptime, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if ago := seconds - crash.Clock/1_000_000; crash.Boot != strings.ReplaceAll(boot, "-", "") || ago < 0 || ago > 60 {
		t.Fatalf("last_crash is of boot %s, %d s ago: %s", boot, ago, text)
	}

	in1970 := crash.Time.AddDate(1970-crash.Time.Year(), 0, 0).Format(time.RFC3339Nano)
	text = strings.Replace(text, `"time": "`+crash.Time.Format(time.RFC3339Nano)+`"`, `"untrusted": true, "time": "`+in1970+`"`, 1)
	text = regexp.MustCompile(`;t=[0-9a-f]+`).ReplaceAllStringFunc(text, func(was string) string {
		us, _ := strconv.ParseInt(was[len(";t="):], 16, 64)
		return fmt.Sprintf(";t=%x", time.UnixMicro(us).AddDate(1, 0, 0).UnixMicro())
	})
	text = withoutChecksums(text)
	if err := b.WriteFile(stateFile, text, 0o644); err != nil {
		t.Fatal(err)
	}
	b.sh("chown service-monitor " + stateFile + "; systemctl start service-monitor")
	b.wantShow("StatusText", "watching 1 services, 0 active, last crash "+unit+" just now")
	b.sh("systemctl start up")
	b.awaitShow("StatusText", "watching 1 services, 1 active, last crash "+unit+" just now")
	b.sh("systemctl stop service-monitor")
	log := b.readLog()
	if n := strings.Count(log, " - [WARNING] the clock was set (from: "+strconv.Itoa(time.Now().Year()+1)); n != 1 {
		t.Errorf("%d lines say that the clock was set, want one:\n%s", n, log)
	}
	if strings.Contains(log, "not trusted") {
		t.Errorf("a time of the clock that is right is not trusted:\n%s", log)
	}
}
