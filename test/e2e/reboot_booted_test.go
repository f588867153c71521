//go:build booted

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// idEnded is the MESSAGE_ID of a stop, see stages/logsink.
const idEnded = "3769531c6aa04fb699667a9abdce1110"

// idUnknownEnd is the MESSAGE_ID of an end whose cause is unknown.
const idUnknownEnd = "0d5c31d3c0f6475d97a3f83d9956edbe"

// rebootLives are units that a shutdown ends in different ways.
var rebootLives = map[string]string{
	"quick.service": stays,
	"slow.service":  stays + "ExecStart=\nExecStart=/bin/sh -c 'trap \"sleep 0.5; exit 0\" TERM; sleep infinity & wait'\nKillMode=mixed\n",
	"stuck.service": stays + "ExecStart=\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep infinity; done'\nKillMode=mixed\nTimeoutStopSec=300ms\n",
	// Nothing stops it. It is killed with the last processes, when PID 1 no longer writes down
	// what happens.
	"lasts.service":  strings.Replace(stays, "[Unit]\n", "[Unit]\nDefaultDependencies=no\nAfter=basic.target\n", 1),
	"loop.service":   flaps,
	"halted.service": stays,
}

var (
	rebootUnits = slices.Sorted(maps.Keys(rebootLives))
	// rebootEnds are the units that run until the machine goes down, and how they end then: with a
	// stop if empty, and otherwise by a crash with this result.
	rebootEnds = map[string]string{"quick.service": "", "slow.service": "", "stuck.service": "timeout", "lasts.service": ""}
)

// An ending is what the daemon has logged about the end of a run.
type ending struct {
	unit, result     string
	crash, recovered bool
}

// A rebooting is one way in which one or two boots end.
type rebooting struct {
	name    string
	order   string // order of the daemon's unit
	before  string // what happens before the end
	cut     bool   // the power is cut
	between string // another boot between that is "watched" or "unwatched"; empty for none
	unread  string // this lets the monitor read the last boot, which it cannot at first; empty if it can
}

// lastRefused is a journalctl that cannot read the last boot as long as a file exists.
const lastRefused = "#!/bin/sh\ncase \"$*\" in *--lines=1*) ;; *_BOOT_ID=*) [ ! -e /etc/refuse ] || { echo 'Input/output error' >&2; exit 1; } ;; esac\nexec /usr/bin/journalctl \"$@\"\n"

// TestReboots ends the machine in every way. Each run must be counted once. If a
// run lasted until the machine ended, its end must have that as its cause.
func TestReboots(t *testing.T) {
	t.Parallel() // it mostly waits
	const (
		down = "systemctl start halted; systemctl stop halted"
		away = down + "; systemctl stop service-monitor; " + down
	)
	all := strings.Join(rebootUnits, " ")
	tests := []rebooting{
		{name: "the monitor stops before the others", order: "After=" + all, before: down},
		{name: "the monitor stops after the others", order: "Before=" + all, before: down},
		{name: "the monitor stops with the others", before: down},
		{name: "nobody watches", before: away},
		{name: "twice, unwatched in between", before: down, between: "unwatched"},
		{name: "power lost", order: "After=" + all, before: down, cut: true},
		{name: "power lost while nobody watches", before: away, cut: true},
		{name: "power lost twice", order: "Before=" + all, before: down, cut: true, between: "watched"},
		{name: "power lost twice, unwatched in between", before: down, cut: true, between: "unwatched"},
		{name: "twice unwatched, and the last boot cannot be read", before: away, between: "unwatched", unread: "rm /etc/refuse"},
		{name: "power lost twice, and another monitor can read the last boot", before: away, cut: true, between: "unwatched", unread: "systemctl stop service-monitor; rm /etc/refuse; systemctl start service-monitor"},
	}
	b := bootBed(t, rebootLives, rebootUnits)
	b.put(dropIns+"path.conf", "[Service]\nEnvironment=PATH=/opt/refusing:/usr/bin:/bin\n")
	if err := b.WriteFile("/opt/refusing/journalctl", lastRefused, 0o755); err != nil {
		t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl start quick slow stuck lasts loop")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			before := b.cursor()
			runs := b.reboot(tt)
			if tt.unread != "" {
				b.catchUpTwice(tt.unread)
			}
			b.sh("systemctl start service-monitor; systemctl stop loop; systemctl stop service-monitor")
			b.wantTruth(rebootUnits...)
			b.wantEndings(before, runs, tt.cut)
			b.sh("systemctl start service-monitor; systemctl start loop")
		})
	}
	t.Run("power lost, and with it the end of the journal", func(t *testing.T) { (&bed{b.Machine, t}).loseEnd() })
}

// catchUpTwice starts a monitor that can read all boots but the last, and then reads that one.
func (b *bed) catchUpTwice(unread string) {
	b.t.Helper()
	b.sh("touch /etc/refuse; systemctl start service-monitor")
	b.awaitShow("StatusText", "gap open since")
	b.sh(unread)
	b.awaitProperty("StatusText", "the gap to be closed", func(text string) bool {
		return strings.HasPrefix(text, "watching") && !strings.Contains(text, "gap open")
	})
	b.sh("rm -f /etc/refuse")
}

// reboot ends one or two boots. It returns the invocations that ran until then, with their units.
func (b *bed) reboot(r rebooting) (runs map[string]string) {
	b.t.Helper()
	b.put(dropIns+"order.conf", "[Unit]\n"+r.order+"\n")
	b.sh("systemctl daemon-reload; " + r.before)
	runs = map[string]string{}
	if r.between != "" {
		b.end(r, runs, r.between == "watched")
	}
	b.end(r, runs, r.unread == "")
	return runs
}

// end ends the boot, and begins one in which the daemon is started or not.
func (b *bed) end(r rebooting, runs map[string]string, watched bool) {
	b.t.Helper()
	wants := "[Unit]\nWants=loop.service"
	for unit := range rebootEnds {
		wants += " " + unit
		runs[b.sh("systemctl show -P InvocationID "+unit)] = unit
	}
	if watched {
		wants += " " + monitorUnit
	}
	b.put("/etc/systemd/system/multi-user.target.d/wants.conf", wants+"\n")
	off := b.PowerOff
	if r.cut {
		// Unlike a real power cut, this one loses what is on its way to journald. The
		// monitor must not have saved anything that is lost there.
		b.sh("systemctl kill -s STOP service-monitor || :; journalctl --sync")
		off = b.PowerCut
	}
	if err := off(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.PowerOn(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// put writes a file of the machine, which may be on or off.
func (b *bed) put(path, text string) {
	b.t.Helper()
	if err := b.WriteFile(path, text, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// loseEnd cuts the power when the state file is on the disk, and the journal is not yet
// (journald.conf(5), SyncIntervalSec=).
func (b *bed) loseEnd() {
	b.t.Helper()
	const crashes, stops = "quick.service", "halted.service"
	b.sh("systemctl stop loop")
	file := b.sh("journalctl --sync; echo /var/log/journal/*/system.journal")
	journal, err := b.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	n := b.truth()[crashes].Crashes
	b.crash(crashes)
	b.awaitCrashes(crashes, n+1)
	b.sh("systemctl start quick; systemctl restart halted; systemctl stop halted; systemctl restart service-monitor")
	before := readState(b.t, b.Machine)
	if err := b.PowerCut(); err != nil {
		b.t.Fatal(err)
	}
	b.put(file, journal)
	if err := b.PowerOn(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.sh("systemctl start service-monitor; systemctl stop loop; systemctl stop service-monitor")
	after := readState(b.t, b.Machine)
	for _, unit := range rebootUnits {
		want, got := before[unit], after[unit]
		if _, ends := rebootEnds[unit]; ends {
			want.Starts, want.Stops = want.Starts+1, want.Stops+1 // of this boot, and with the power
		}
		if unit != "loop.service" && (got.Starts != want.Starts || got.Stops != want.Stops || got.Crashes != want.Crashes) {
			b.t.Errorf("%s (-want +counted)\n- %+v\n+ %+v", unit, want, got)
		}
	}
}

// wantEndings wants the log since a cursor to have the end of each of these runs
// once, with the end of the machine as its cause. No other end may have that cause.
func (b *bed) wantEndings(since string, runs map[string]string, cut bool) {
	b.t.Helper()
	got := b.endings(since)
	for invocation, unit := range runs {
		ends := got[invocation]
		if len(ends) != 1 {
			b.t.Errorf("%s: its end was logged %d times: %+v", unit, len(ends), ends)
			continue
		}
		is := ends[0]
		want := ending{unit, rebootEnds[unit], true, is.recovered}
		switch {
		case cut:
			want = ending{unit, "power-loss", false, true}
		case want.result == "" && is.result == "success" && !is.recovered:
			want = is // it happened to be a stop
		case want.result == "":
			want = ending{unit, "shutdown", false, is.recovered}
		}
		if is != want {
			b.t.Errorf("%s (-want +logged)\n- %+v\n+ %+v", unit, want, is)
		}
	}
	for invocation, ends := range got {
		for _, e := range ends {
			// The loop may have been in any state.
			if runs[invocation] == "" && e.unit != "loop.service" && (e.result != "success" || e.crash) {
				b.t.Errorf("%s had ended before, but was logged as %+v", invocation, e)
			}
		}
	}
}

// endings returns what the daemon has logged about the ends of runs, by invocation.
func (b *bed) endings(since string) map[string][]ending {
	b.t.Helper()
	got := map[string][]ending{}
	out := b.sh(fmt.Sprintf("journalctl --sync; journalctl -q -o json --cursor='%s' MESSAGE_ID=%s MESSAGE_ID=%s", since, idEnded, idCrashed))
	for entries := json.NewDecoder(strings.NewReader(out)); entries.More(); {
		var e map[string]string
		if err := entries.Decode(&e); err != nil {
			b.t.Fatal(err)
		}
		id := e["MONITOR_INVOCATION_ID"]
		got[id] = append(got[id], ending{e["MONITOR_UNIT"], e["MONITOR_RESULT"], e["MESSAGE_ID"] == idCrashed, e["MONITOR_RECOVERED"] == "1"})
	}
	return got
}
