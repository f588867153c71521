//go:build booted

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"service-monitor/test/gateway/gatewaytest"
)

const (
	idleFor     = 10 * time.Second
	idleWakeups = 10 // during idleFor; a timer that was stopped may still wake the daemon once
	// idleMemory is the limit in kB for anonymous memory alone. Nearly all pages of the program's file
	// are mapped as well. They are in the page cache, which drops them if memory is short.
	idleMemory = 2816
)

// TestIdle measures wakeups and memory of the daemon while nothing happens.
func TestIdle(t *testing.T) {
	t.Parallel() // it mostly waits
	units := map[string]string{}
	for i := range 12 {
		units[fmt.Sprintf("idle-%d.service", i)] = stays
	}
	names := slices.Sorted(maps.Keys(units))
	b := bootBed(t, units, names, "WatchdogSec=0")
	b.sh("systemctl start " + strings.Join(names, " ") + "; systemctl start service-monitor")
	b.awaitLine([]string{"tail", "-F", "-n", "+1", stateFile}, names[11])       // the last write of the start
	b.sh("until grep -aqs started " + stateDir + "/chronicle/*.v1; do :; done") // and the first one of the history
	before, helper := b.wakeups()
	<-time.After(idleFor) // the measurement
	after, helperAfter := b.wakeups()
	memory, file := b.status("", "RssAnon")[0], b.status("", "RssFile")[0]
	t.Logf("idle for %v: %d wake-ups, and %d of the helper thread; %d kB resident, and %d kB of files", idleFor, after-before, helperAfter-helper, memory, file)
	if after-before > idleWakeups {
		t.Errorf("%d wake-ups in %v, want at most %d", after-before, idleFor, idleWakeups)
	}
	if memory > idleMemory {
		t.Errorf("%d kB of anonymous memory, want at most %d", memory, idleMemory)
	}
}

// wakeups returns how often the daemon's threads have gone to sleep, see gatewaytest.Wakeups.
func (b *bed) wakeups() (threads, helper int) {
	b.t.Helper()
	return gatewaytest.Wakeups(b.t, b.Machine, monitorUnit)
}

// status returns the numbers in a line of the daemon's proc_pid_status(5), see gatewaytest.Status.
func (b *bed) status(of, key string) []int {
	b.t.Helper()
	return gatewaytest.Status(b.t, b.Machine, monitorUnit, of, key)
}
