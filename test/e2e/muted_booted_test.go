//go:build booted

package e2e

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

// TestLogLevelMax watches three kinds of units: the journal has no record of some,
// only the crashes of others, and everything of another.
func TestLogLevelMax(t *testing.T) {
	t.Parallel() // it mostly waits
	o := gateway.Options{Units: map[string]string{}}
	levels := map[string]string{"all": "", "crashes": "LogLevelMax=warning", "nothing": "LogLevelMax=err"}
	var kept, services []string
	for level, line := range levels {
		o.Units["lives-"+level+".service"] = diarist(forEver, "Type=exec", line)
		o.Units["returns-"+level+".service"] = diarist(forEver, "Type=exec", "Restart=always", "RestartSec=0", line)
		o.Units["quiet-"+level+".service"] = diarist(forEver, "Type=exec", line)
		o.Units["brief-"+level+".service"] = diarist("/bin/true", "Type=oneshot", line)
		kept = append(kept, "lives-"+level+".service")
	}
	services = slices.Sorted(maps.Keys(o.Units))
	install(t, &o, services)
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + " " + strings.Join(kept, " ") + "\n"
	b := newBed(t, o)
	b.sh("mkdir " + diaries + "; systemctl start service-monitor")
	for level := range levels {
		b.sh("systemctl start lives-" + level + " returns-" + level + " quiet-" + level)
	}
	b.sh("systemctl stop service-monitor")
	before, was := readState(t, b.Machine), b.diaries(services...)

	for level := range levels {
		unit := "lives-" + level + ".service"
		b.crashed(unit, false)
		b.sh("systemctl start " + unit + "; systemctl stop " + unit + "; systemctl start " + unit)
		b.crashed(unit, false)
		b.crashed("returns-"+level+".service", true)
		b.crashed("returns-"+level+".service", true)
		b.sh("systemctl start brief-" + level)
	}
	happened := b.diaries(services...)
	from := b.cursor()
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	gap := readState(t, b.Machine)
	for unit, want := range map[string]proven{
		"lives-all.service":       {starts: 2, crashes: 2, ended: 3},
		"lives-crashes.service":   {starts: 1, crashes: 2, ended: 2, atLeast: true}, // the stop between the crashes is not in the journal
		"lives-nothing.service":   {starts: 1, crashes: 1, ended: 2, atLeast: true},
		"returns-all.service":     {starts: 2, crashes: 2, ended: 2, restarts: 2},
		"returns-crashes.service": {starts: 2, crashes: 2, ended: 2, restarts: 2, atLeast: true},
		"returns-nothing.service": {starts: 2, ended: 2, restarts: 2, atLeast: true},
		"quiet-all.service":       {},
		"quiet-crashes.service":   {},
		"quiet-nothing.service":   {},
		"brief-all.service":       {starts: 1, ended: 1},
		"brief-crashes.service":   {atLeast: true},
		"brief-nothing.service":   {atLeast: true},
	} {
		wantProved(t, unit, before[unit], gap[unit], want, happened[unit].since(was[unit]))
	}
	b.wantSaidAtLeast(from, gap, before)

	b.sh("systemctl start service-monitor")
	for level := range levels {
		b.sh("systemctl start lives-" + level + " brief-" + level + "; systemctl stop quiet-" + level)
		b.crashed("lives-"+level+".service", false)
		b.crashed("returns-"+level+".service", true)
	}
	b.sh("systemctl stop service-monitor")
	b.wantWritten(gap, readState(t, b.Machine), happened)
}

// TestRateLimit makes a storm, so that journald drops records of PID 1. The storm
// goes on until journald reports the loss.
func TestRateLimit(t *testing.T) {
	t.Parallel() // it mostly waits
	const storm, quiet = "storm.service", "quiet.service"
	const enough = 20 // crashes, whose records are more than journald lets through
	o := gateway.Options{
		Units: map[string]string{
			storm: diarist("/bin/sh -c 'test -e /var/over || exit 9'", "Restart=on-failure", "RestartSec=0"),
			quiet: diarist(forEver, "Type=exec"),
		},
		Files: map[string]string{
			// journald lets more than this through if there is more room on the disk. On a busy
			// machine the storm is slow, and so the interval is long.
			"/etc/systemd/journald.conf.d/lost.conf": "[Journal]\nRateLimitIntervalSec=10s\nRateLimitBurst=5\n",
		},
	}
	install(t, &o, []string{storm, quiet})
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + " " + storm + "\n"
	b := newBed(t, o)
	b.sh("mkdir " + diaries + "; touch /var/over; systemctl start service-monitor; systemctl start storm quiet; systemctl stop service-monitor; rm /var/over")
	before, was := readState(t, b.Machine), b.diaries(storm, quiet)

	b.sh("systemctl start storm --no-block")
	b.awaitDiary(storm, func(d diary) bool { return d.since(was[storm]).crashes >= enough })
	from := b.cursor() // a loss of before may be that of the boot
	b.awaitLine([]string{"journalctl", "-q", "-f", "-o", "cat", "--no-tail", "--cursor=" + from, "_COMM=systemd-journal"}, "Suppressed ", " init.scope")
	b.sh("touch /var/over")
	b.awaitDiary(storm, func(d diary) bool { return d.since(was[storm]).stops == 1 })
	restarts, err := strconv.Atoi(b.sh("systemctl show -P NRestarts storm"))
	if err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl stop service-monitor")
	if text := b.readLog(); !strings.Contains(text, "the journal lacks some") || !strings.Contains(text, atLeast) {
		t.Errorf("the log file does not say what is lacking:\n%s", text)
	}
	gap, happened := readState(t, b.Machine), b.diaries(storm, quiet)
	least := proven{starts: restarts - 1, ended: restarts - 1, restarts: restarts, atLeast: true} // the last restart might have been cancelled
	wantProved(t, storm, before[storm], gap[storm], least, happened[storm].since(was[storm]))
	wantProved(t, quiet, before[quiet], gap[quiet], proven{}, diary{})

	b.sh("rm /var/over; systemctl start service-monitor; systemctl start storm --no-block")
	b.awaitDiary(storm, func(d diary) bool { return d.since(happened[storm]).crashes >= enough })
	b.sh("touch /var/over")
	b.awaitDiary(storm, func(d diary) bool { return d.since(happened[storm]).stops == 1 })
	b.sh("systemctl restart quiet; systemctl stop service-monitor")
	b.wantWritten(gap, readState(t, b.Machine), happened)
}
