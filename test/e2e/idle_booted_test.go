//go:build booted

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// wakeups returns how often the daemon's threads have gone to sleep. helper is the second thread, which
// is the Go runtime's sysmon: whenever another thread was awake, sysmon sleeps about ten times for
// a short time before it rests.
func (b *bed) wakeups() (threads, helper int) {
	for i, n := range b.status("task/*/", "voluntary_ctxt_switches") {
		if i == 1 {
			helper = n
		} else {
			threads += n
		}
	}
	return threads, helper
}

// status returns the numbers in a line of the daemon's proc_pid_status(5), or of each of its threads
// in their order.
func (b *bed) status(of, key string) []int {
	b.t.Helper()
	var all []int
	for value := range strings.FieldsSeq(b.sh("cd /proc/" + b.show("MainPID") + "; for f in $(ls -v " + of + "status); do sed -n 's/^" + key + ":[^0-9]*\\([0-9]*\\).*/\\1/p' $f; done")) {
		n, err := strconv.Atoi(value)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		b.t.Fatalf("no %s of the daemon", key)
	}
	return all
}
