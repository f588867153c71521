package gatewaytest

import (
	"strconv"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// Wakeups returns how often the threads of a unit's main process have gone to sleep. helper is the second thread,
// which is the Go runtime's sysmon: whenever another thread was awake, sysmon sleeps about ten times for a short time
// before it rests.
func Wakeups(t testing.TB, m *gateway.Machine, unit string) (threads, helper int) {
	t.Helper()
	for i, n := range Status(t, m, unit, "task/*/", "voluntary_ctxt_switches") {
		if i == 1 {
			helper = n
		} else {
			threads += n
		}
	}
	return threads, helper
}

// Status returns the numbers in a line of proc_pid_status(5) of a unit's main process. If of is "task/*/", they are
// those of each of its threads, in their order.
func Status(t testing.TB, m *gateway.Machine, unit, of, key string) (all []int) {
	t.Helper()
	out, err := m.Run(t.Context(), "sh", "-ec", "cd /proc/$(systemctl show -P MainPID "+unit+"); for f in $(ls -v "+of+"status); do sed -n 's/^"+key+":[^0-9]*\\([0-9]*\\).*/\\1/p' $f; done")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for value := range strings.FieldsSeq(out) {
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		t.Fatalf("no %s of %s", key, unit)
	}
	return all
}
