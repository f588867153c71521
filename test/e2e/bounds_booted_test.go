//go:build booted

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// ended are units whose properties do not show clearly how they ended.
var ended = map[string]struct{ unit, script string }{
	"wait-clean.service": {
		"Type=exec\nStateDirectory=wait-clean\nRestart=on-failure\nRestartSec=1h\nExecStart=/bin/sleep infinity\n",
		"systemctl start wait-clean; systemctl kill -s KILL wait-clean; await wait-clean auto-restart; systemctl stop wait-clean\n" +
			"mount --bind /var/lib/wait-clean /var/lib/wait-clean; systemctl clean --what=state wait-clean || :; umount /var/lib/wait-clean",
	},
	"reset-clean.service": {
		"Type=exec\nStateDirectory=reset-clean\nExecStart=/bin/sleep infinity\n",
		"systemctl start reset-clean; systemctl kill -s KILL reset-clean; await reset-clean failed; systemctl reset-failed reset-clean; systemctl clean --what=state reset-clean",
	},
	"reset.service": {
		"ExecStart=/bin/false\n",
		"systemctl start reset; await reset failed; systemctl reset-failed reset",
	},
	"wait-stop.service": {
		"Restart=always\nRestartSec=1h\nExecStart=/bin/true\n",
		"systemctl start wait-stop; await wait-stop auto-restart; systemctl stop wait-stop",
	},
	"wait-reset.service": {
		"Restart=always\nRestartSec=1h\nExecStart=/bin/false\n",
		"systemctl start wait-reset; await wait-reset auto-restart; systemctl reset-failed wait-reset; systemctl stop wait-reset",
	},
	"stop.service": {
		"Type=exec\nStateDirectory=stop\nExecStart=/bin/sleep infinity\n",
		"systemctl start stop; systemctl stop stop",
	},
	"crash.service": {
		"StateDirectory=crash\nExecStart=/bin/false\n",
		"systemctl start crash; await crash failed",
	},
}

// TestBoundsWithoutJournal loses the journal after a gap. The monitor must not count more than has
// happened: without a proof, the end of a run is neither a stop nor a crash.
func TestBoundsWithoutJournal(t *testing.T) {
	t.Parallel() // it mostly waits
	o := gateway.Options{Units: map[string]string{}}
	names := slices.Sorted(maps.Keys(ended))
	for name, u := range ended {
		o.Units[name] = "[Unit]\nStartLimitIntervalSec=0\n[Service]\n" + u.unit
	}
	install(t, &o, names)
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + " " + strings.Join(names, " ") + "\n"
	b := newBed(t, o)
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	for _, name := range names {
		b.sh("await() { until systemctl show -P SubState $1 | grep -qx $2; do :; done; }\n" + ended[name].script)
	}
	truth := b.truth()
	b.sh("journalctl -q --rotate --vacuum-size=1; systemctl start service-monitor; systemctl stop service-monitor")
	state := readState(t, b.Machine)
	for _, name := range names {
		got, want := state[name], truth[name]
		if got.Starts != 1 || got.Stops > want.Stops || got.Crashes > want.Crashes {
			t.Errorf("%s (-journal +counted)\n- %+v\n+ %+v", name, want, got)
		}
	}
	for name, proven := range map[string][2]int{"stop.service": {1, 0}, "crash.service": {0, 1}} {
		if got := [2]int{state[name].Stops, state[name].Crashes}; got != proven {
			t.Errorf("%s: %v stops and crashes, want %v: its properties prove that", name, got, proven)
		}
	}
}
