//go:build booted

package e2e

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/gateway"
)

const (
	atLeast = "(at least: it was not watched)"
	// asMonitor is the beginning of a command that runs as the daemon's user.
	asMonitor = "setpriv --reuid=service-monitor --regid=service-monitor --init-groups --inh-caps=-all --bounding-set=-all "
)

// lostLives are units. To some of them something happens in a gap.
var lostLives = map[string]string{
	"changed.service": diarist(forEver, "Type=exec"),
	"returns.service": diarist(forEver, "Type=exec", "Restart=always", "RestartSec=0"),
	"crashed.service": diarist(forEver, "Type=exec"),
	"quiet.service":   diarist(forEver, "Type=exec"),
	"idle.service":    diarist("/bin/true", "Type=oneshot"),
	"brief.service":   diarist("/bin/true", "Type=oneshot"),
	// Its last restart is cancelled before it begins, but NRestarts counts it.
	"waits.service": diarist(forEver, "Type=exec", "Restart=always", "RestartSec=0", "[Unit]", "After="+lostGate),
}

// lostGate never ends.
const lostGate = "gate.service"

// proven has the counts of a gap that the properties of a unit prove.
type proven struct {
	starts, crashes, restarts int
	ended                     int // runs that ended in any way
	atLeast                   bool
}

// lostProven has what the properties prove about the gap of [bed.lostGap].
var lostProven = map[string]proven{
	"changed.service": {starts: 1, ended: 1, atLeast: true},
	"returns.service": {starts: 3, restarts: 3, ended: 3, atLeast: true},
	"crashed.service": {crashes: 1, ended: 1}, // it still has the same invocation ID
	"quiet.service":   {},
	"idle.service":    {},
	"brief.service":   {atLeast: true}, // systemd has unloaded it again
	"waits.service":   {starts: 1, restarts: 2, ended: 2, atLeast: true},
	"absent.service":  {},
}

var lostUnits = slices.Sorted(maps.Keys(lostProven))

// bootLost boots a machine with units that keep diaries, and a daemon that watches them. Another unit
// refers to the units that systemd must not unload.
func bootLost(t *testing.T, o gateway.Options) *bed {
	t.Helper()
	o.Units = maps.Clone(lostLives)
	o.Units[lostGate] = "[Service]\nType=oneshot\nExecStart=" + forEver + "\n"
	install(t, &o, lostUnits)
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + " changed.service crashed.service quiet.service idle.service waits.service\n"
	b := newBed(t, o)
	b.sh("mkdir " + diaries)
	return b
}

// lostBefore starts the units while the daemon watches, and stops the daemon.
func (b *bed) lostBefore() map[string]unitState {
	b.t.Helper()
	b.sh("systemctl start service-monitor; systemctl start changed returns crashed quiet idle waits")
	b.crashed("changed.service", false)
	b.sh("systemctl start changed; systemctl stop service-monitor")
	return readState(b.t, b.Machine)
}

// lostGap lets things happen to the units while the daemon is stopped.
func (b *bed) lostGap() {
	b.t.Helper()
	b.crashed("changed.service", false)
	b.sh("systemctl start changed")
	b.crashed("changed.service", false)
	b.sh("systemctl start changed brief")
	for range 3 {
		b.crashed("returns.service", true)
	}
	b.crashed("crashed.service", false)

	from := b.cursor()
	b.crashed("waits.service", true)
	b.sh("systemctl start --no-block " + lostGate)
	b.crashed("waits.service", false)
	b.awaitLine([]string{"journalctl", "-q", "-f", "-o", "cat", "--no-tail", "--cursor=" + from, "UNIT=waits.service"}, "restart counter is at 2")
	b.sh("systemctl stop waits " + lostGate)
}

// lostAfter lets things happen while the daemon watches, and stops the daemon.
func (b *bed) lostAfter() map[string]unitState {
	b.t.Helper()
	b.sh("systemctl start service-monitor; systemctl start crashed brief idle; systemctl restart quiet")
	b.crashed("changed.service", false)
	b.crashed("returns.service", true)
	b.crashed("crashed.service", false)
	b.sh("systemctl start changed; systemctl stop service-monitor")
	return readState(b.t, b.Machine)
}

// lostClear removes the state, so that the next test begins anew. Otherwise at_least would stay set.
func (b *bed) lostClear() {
	b.t.Helper()
	b.sh("systemctl stop " + strings.Join(slices.Collect(maps.Keys(lostLives)), " ") + "; systemctl reset-failed; " +
		asMonitor + "/opt/service-monitor --clear")
}

// TestLostJournal removes the journal while the daemon is stopped. The daemon counts only what the
// properties prove, and says so. After that every count is exact again.
func TestLostJournal(t *testing.T) {
	t.Parallel() // it mostly waits
	tests := []struct {
		name string
		lose string // a command that removes the journal before the daemon starts
		says string
	}{
		{"rotated away", "journalctl -q --rotate --vacuum-size=1", "the journal lacks some"},
		{"deleted", "rm -r /var/log/journal/*; systemctl restart systemd-journald", "the journal lacks some"},
	}
	b := bootLost(t, gateway.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			before := b.lostBefore()
			was := b.diaries(lostUnits...)
			b.lostGap()
			happened := b.diaries(lostUnits...)
			b.sh(tt.lose)
			from := b.cursor()
			b.sh("systemctl start service-monitor; systemctl stop service-monitor")
			b.awaitLog(from, tt.says)
			gap := readState(t, b.Machine)
			for _, unit := range lostUnits {
				wantProved(t, unit, before[unit], gap[unit], lostProven[unit], happened[unit].since(was[unit]))
			}
			b.wantSaidAtLeast(from, gap, before)
			if text := b.readLog(); !strings.Contains(text, atLeast) {
				t.Errorf("the log file does not say %q:\n%s", atLeast, text)
			}

			b.wantWritten(gap, b.lostAfter(), happened)
			b.lostClear()
		})
	}
}

// wantProved wants the counts of a gap to be what the properties prove, and nothing to be counted that
// did not happen.
func wantProved(t *testing.T, unit string, was, is unitState, least proven, happened diary) {
	t.Helper()
	starts, stops, crashes := is.Starts-was.Starts, is.Stops-was.Stops, is.Crashes-was.Crashes
	ends, restarts := is.ends()-was.ends(), is.Restarts-was.Restarts
	switch {
	case starts < least.starts || crashes < least.crashes || ends < least.ended || stops < 0 || restarts < least.restarts:
		t.Errorf("%s: counted %+v after %+v; it is proven %+v", unit, is, was, least)
	case starts > happened.starts || crashes > happened.crashes || stops > happened.stops || ends > happened.stops+happened.crashes || restarts > least.restarts:
		t.Errorf("%s: counted %+v after %+v; what happened is %+v", unit, is, was, happened)
	}
	if is.AtLeast != least.atLeast {
		t.Errorf(`%s: "at_least" is %v, want %v`, unit, is.AtLeast, least.atLeast)
	}
}

// wantSaidAtLeast wants the entry of each start from a gap to say "at least", if the state file says so
// for the unit and the journal does not have that start.
func (b *bed) wantSaidAtLeast(since string, is, was map[string]unitState) {
	b.t.Helper()
	said := map[string]string{}
	// --after-cursor= does not work here: if the entry at the cursor does not match, journalctl
	// leaves out the first entry that does.
	out := b.sh("journalctl --sync; journalctl -q -o json --cursor='" + since + "' MESSAGE_ID=" + idStarted)
	for entries := json.NewDecoder(strings.NewReader(out)); entries.More(); {
		var e map[string]string
		if err := entries.Decode(&e); err != nil {
			b.t.Fatal(err)
		}
		said[e["MONITOR_UNIT"]] = e["MESSAGE"] + e["MONITOR_AT_LEAST"]
	}
	for unit, s := range is {
		line, told := said[unit]
		certain := !s.AtLeast || strings.Contains(line, "(recovered from the journal)")
		if told != (s.Starts > was[unit].Starts) || told && certain == strings.HasSuffix(line, atLeast+"1") {
			b.t.Errorf("%s: said %q of %+v", unit, line, s)
		}
	}
}

// TestLostBoot reboots a machine that loses its journal at each reboot. It is certain that a run from
// before has ended, but not how.
func TestLostBoot(t *testing.T) {
	t.Parallel() // it mostly waits
	b := bootLost(t, gateway.Options{Files: map[string]string{
		"/etc/systemd/journald.conf.d/lost.conf": "[Journal]\nStorage=volatile\n",
	}})
	want := map[string]proven{
		"changed.service": {starts: 1, ended: 1, atLeast: true},
		"returns.service": {starts: 1, ended: 1, atLeast: true},
		"crashed.service": {atLeast: true},
		"quiet.service":   {ended: 1, atLeast: true},
		"idle.service":    {atLeast: true},
		"brief.service":   {atLeast: true},
		"waits.service":   {atLeast: true},
		"absent.service":  {},
	}
	tests := []struct {
		name   string
		before string
		off    func() error
		late   bool // the clock was ahead when the state was saved
	}{
		{"shut down while nobody watches", "systemctl stop service-monitor; systemctl start brief", b.PowerOff, false},
		{"power lost while nobody watches", "systemctl stop service-monitor; systemctl start brief", b.PowerCut, false},
		{"power lost", "systemctl restart service-monitor", b.PowerCut, false}, // so that the daemon has saved all that it knows
		{"the clock is set back", "systemctl stop service-monitor; systemctl start brief", b.PowerOff, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bed{b.Machine, t}
			b.sh("systemctl start service-monitor; systemctl start changed returns crashed quiet idle")
			b.crashed("crashed.service", false)
			b.crashed("returns.service", true)
			b.sh("systemctl restart service-monitor")
			before, was := readState(t, b.Machine), b.diaries(lostUnits...)
			b.sh(tt.before)
			if err := tt.off(); err != nil {
				t.Fatal(err)
			}
			if tt.late {
				text, err := b.ReadFile(stateFile)
				if err != nil {
					t.Fatal(err)
				}
				b.put(stateFile, withoutChecksums(cursorTime.ReplaceAllString(text, ";t=7ffffffffffff;")))
			}
			if err := b.PowerOn(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.sh("systemctl start changed returns; systemctl start service-monitor; systemctl stop service-monitor")
			gap, now := readState(t, b.Machine), b.diaries(lostUnits...)
			for _, unit := range lostUnits {
				happened := now[unit].since(was[unit])
				happened.stops += want[unit].ended // at a power cut the units have no time to write the ends down
				wantProved(t, unit, before[unit], gap[unit], want[unit], happened)
			}
			b.wantEnds(map[string]string{"changed.service": "unknown", "returns.service": "unknown", "quiet.service": "unknown"})

			b.wantWritten(gap, b.lostAfter(), now)
			b.lostClear()
		})
	}
}

// cursorTime returns the wall clock time in a cursor.
var cursorTime = regexp.MustCompile(`;t=[0-9a-f]+;`)

// wantEnds wants exactly one unknown end with this result to be logged in this boot for each of these
// units, and none for other units.
func (b *bed) wantEnds(want map[string]string) {
	b.t.Helper()
	got := map[string]string{}
	out := b.sh("journalctl --sync; journalctl -q -b -o json MESSAGE_ID=" + idUnknownEnd)
	for entries := json.NewDecoder(strings.NewReader(out)); entries.More(); {
		var e map[string]string
		if err := entries.Decode(&e); err != nil {
			b.t.Fatal(err)
		}
		got[e["MONITOR_UNIT"]] += e["MONITOR_RESULT"]
	}
	if !maps.Equal(got, want) {
		b.t.Errorf("unknown ends (-want +logged)\n- %v\n+ %v", want, got)
	}
}
