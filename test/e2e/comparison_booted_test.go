//go:build booted

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"service-monitor/test/cases"
	"service-monitor/test/gateway"
)

// compare lets all come to rest, and compares the counts with the journal.
func (l *lives) compare() {
	t := l.t
	t.Helper()
	l.rest()
	l.settle()
	truth, state := l.truth(), readState(t, l.Machine)
	for _, unit := range l.units {
		is := state[l.monitoredAs(unit)]
		got, want := is.tally(truth[unit]), truth[unit]
		if !cases.Match(got, want) || got.Scheduled != want.Scheduled || is.AtLeast || is.Unknown > 0 {
			t.Errorf("%s (-journal +counted, at least: %v, unknown: %d)\n- %+v\n+ %+v", unit, is.AtLeast, is.Unknown, want, got)
		}
		l.compareSeconds(unit, is)
		l.events += want.Starts + want.Stops + want.Crashes
	}
	if t.Failed() {
		t.Logf("folded into %s: %+v", livesGlob, state[livesGlob])
	}
	l.comparePassing(truth, state)
	l.compareInvocations()
	l.sh("systemctl start service-monitor")
}

// compareSeconds wants the seconds of a unit to add up to the time since it was first seen, whatever
// happened since the last comparison.
func (l *lives) compareSeconds(unit string, is unitState) {
	l.t.Helper()
	s := is.Seconds
	all := time.Duration((s.Up + s.Down + s.Stopped + s.Unobserved) * float64(time.Second))
	first := s.Since.Add(-all)
	if s.Since.IsZero() { // all boots of the machine have the clock of the machine below
		first = time.UnixMicro(s.Clock).Add(l.booted - all)
	}
	was, known := l.seen[unit]
	if !known {
		l.seen[unit] = first
		return
	}
	if first.Sub(was).Abs() > 200*time.Millisecond || s.Phase == "" {
		l.t.Errorf("%s: the seconds %+v say that it was first seen at %v, and before they said %v", unit, s, first, was)
	}
}

// settle lets the monitor learn all that it missed, and save it. If journald is too slow for a
// start, the gap stays open, and the monitor tries again.
func (l *lives) settle() {
	l.t.Helper()
	l.sh("systemctl start service-monitor; systemctl restart service-monitor")
	l.awaitProperty("StatusText", "the gap to be closed", func(text string) bool { return !strings.Contains(text, "gap open") })
	l.sh("systemctl stop service-monitor")
}

// monitoredAs returns the name by which a unit is monitored.
func (l *lives) monitoredAs(unit string) string {
	if unit == l.alias {
		return livesAlias
	}
	return unit
}

// comparePassing compares the counts of all units that come and go, loaded or folded.
func (l *lives) comparePassing(truth map[string]gateway.Tally, state map[string]unitState) {
	l.t.Helper()
	type sum struct {
		starts, stops, crashes, unknown int
		atLeast                         bool
	}
	var want, got sum
	for unit, life := range truth {
		if strings.HasPrefix(unit, "pass-") {
			want.starts, want.stops, want.crashes = want.starts+life.Starts, want.stops+life.Stops, want.crashes+life.Crashes
		}
	}
	for unit, s := range state {
		if strings.HasPrefix(unit, "pass-") {
			got.starts, got.stops, got.crashes = got.starts+s.Starts, got.stops+s.Stops, got.crashes+s.Crashes
			got.unknown, got.atLeast = got.unknown+s.Unknown, got.atLeast || s.AtLeast
		}
	}
	if got != want {
		l.t.Errorf("units that passed (-journal +counted)\n- %+v\n+ %+v", want, got)
	}
	l.events += want.starts + want.stops + want.crashes
}

// compareInvocations wants the monitor to have logged each invocation in the journal of PID 1 once. It
// may log one again only with the note that it read it in the journal.
func (l *lives) compareInvocations() {
	l.t.Helper()
	begun := l.entries("UNIT", "INVOCATION_ID", "_PID=1", "UNIT=%s")
	logged := l.entries("MONITOR_UNIT", "MONITOR_INVOCATION_ID", "MESSAGE_ID="+idStarted, "MONITOR_UNIT=%s")
	for _, unit := range l.units {
		for id, recovered := range logged[l.monitoredAs(unit)] {
			live := 0
			for _, r := range recovered {
				if !r {
					live++
				}
			}
			if begun[unit][id] == nil || live > 1 {
				l.t.Errorf("%s: the start of %s was logged %d times, %d of them as it happened; PID 1 has it %d times", unit, id, len(recovered), live, len(begun[unit][id]))
			}
		}
	}
}

// entries reads the journal. It returns for each unit and invocation whether each entry is about a
// recovered event.
func (l *lives) entries(unitField, idField string, matches ...string) map[string]map[string][]bool {
	l.t.Helper()
	argv := []string{"journalctl", "-q", "-o", "json", "--output-fields=" + unitField + "," + idField + ",MONITOR_RECOVERED"}
	for _, match := range matches {
		if !strings.Contains(match, "%s") {
			argv = append(argv, match)
			continue
		}
		for _, unit := range append(l.units, livesAlias) {
			argv = append(argv, fmt.Sprintf(match, unit))
		}
	}
	found := map[string]map[string][]bool{}
	for entries := json.NewDecoder(strings.NewReader(must(l.t, l.Machine, argv...))); entries.More(); {
		var e map[string]any
		if err := entries.Decode(&e); err != nil {
			l.t.Fatal(err)
		}
		unit, _ := e[unitField].(string)
		id, _ := e[idField].(string)
		if id == "" {
			continue
		}
		if found[unit] == nil {
			found[unit] = map[string][]bool{}
		}
		found[unit][id] = append(found[unit][id], e["MONITOR_RECOVERED"] == "1")
	}
	return found
}
