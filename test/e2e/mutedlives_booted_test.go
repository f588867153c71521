//go:build booted

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// TestMutedLives lets random things happen to random units. Now and then the test keeps
// PID 1 from writing into the journal. The journal is not the truth then, so each unit
// writes down its own runs. The counts may be lower than that if the monitor says so, but
// never higher. If the journal is complete, they are equal.
func TestMutedLives(t *testing.T) {
	l := newLives(t, "TestMutedLives")
	for i := range livesUnits {
		name := fmt.Sprintf("life-%02d.service", i)
		if i%3 == 0 {
			name = fmt.Sprintf("glob-%02d.service", i)
		}
		text := l.unit()
		for strings.Contains(text, "Type=forking") { // the result of its main process may come after ExecStopPost=
			text = l.unit()
		}
		l.add(name, writesDown(text))
	}
	named := slices.DeleteFunc(slices.Clone(l.units), func(unit string) bool { return strings.HasPrefix(unit, "glob-") })
	l.boot(append(named, livesGlob))
	if l.version < 252 {
		t.Log("left out on systemd 247: PID 1 spins in such lives (\"Looping too fast\"), and no stop job ever ends")
		return
	}
	l.menu, l.round = mutedMenu(), livesRound/3
	l.sh("mkdir " + diaries + "; systemctl start service-monitor")
	m := muted{lives: l, before: map[string]unitState{}, wrote: map[string]written{}}
	l.live(m.compare)
}

// writesDown changes a unit so that it writes down each of its runs, however it ends. The unit gets
// enough time for that.
func writesDown(text string) string {
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		switch {
		case strings.HasPrefix(line, "EnvironmentFile="): // such a unit never runs anything, so it cannot write
			continue
		case strings.HasPrefix(line, "TimeoutStopSec="):
			line = "TimeoutStopSec=20s"
		case line == "[Service]":
			line += "\nExecStartPre=-/bin/sh -c 'read up _ </proc/uptime; echo $$INVOCATION_ID - $$up >>" + diaries + "/%n'"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\nExecStopPost=-/bin/sh -c 'read up _ </proc/uptime; echo $$INVOCATION_ID $$SERVICE_RESULT $$up >>" + diaries + "/%n'\n"
}

// written has the runs that a unit has written down. Open runs ended with the machine.
type written struct{ starts, stops, crashes, open int }

func (l *lives) written(unit string) (w written) {
	l.t.Helper()
	text, err := l.ReadFile(diaries + "/" + unit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	const running = "-"
	results := map[string]string{} // by invocation
	for line := range strings.Lines(text) {
		var id, result string
		if _, err := fmt.Sscan(line, &id, &result); err != nil {
			l.t.Fatalf("%s wrote %q: %v", unit, line, err)
		}
		if was := results[id]; was == "" || was == running {
			results[id] = result
		}
	}
	for _, result := range results {
		w.starts++
		switch result {
		case running:
			w.open++
		case "success", "exec-condition":
			w.stops++
		default:
			w.crashes++
		}
	}
	return w
}

// muted are lives whose journal may be incomplete.
type muted struct {
	*lives
	before map[string]unitState // at the last comparison
	wrote  map[string]written
}

// spoilers are the happenings after which the journal is not the truth.
var spoilers = []string{"log level", "log target", "journald stall with lives", "reboot"}

// kept returns how often something was kept out of the journal.
func (m *muted) kept() (n int) {
	for _, name := range spoilers {
		n += m.done[name]
	}
	return n
}

func (m *muted) compare() {
	t := m.t
	t.Helper()
	spoiled := m.kept() > m.done["compared, spoiled"]
	m.done["compared, spoiled"] = m.kept()
	m.rest()
	m.settle()
	state := readState(t, m.Machine)
	for _, unit := range m.units {
		failed := t.Failed()
		is, w, was, wrote := state[unit], m.written(unit), m.before[unit], m.wrote[unit]
		short := is.Starts < w.starts || is.Crashes < w.crashes || is.Stops < w.stops
		switch {
		case is.Starts > w.starts || is.Crashes > w.crashes || is.Stops > w.stops+w.open || is.Starts != is.ends():
			t.Errorf("%s: counted more than there was (-written +counted)\n- %+v\n+ %+v", unit, w, is)
		case short && !is.AtLeast:
			t.Errorf("%s: counted less than there was, and does not say so (-written +counted)\n- %+v\n+ %+v", unit, w, is)
		case !spoiled:
			got := written{is.Starts - was.Starts, is.Stops - was.Stops, is.Crashes - was.Crashes, 0}
			want := written{w.starts - wrote.starts, w.stops - wrote.stops, w.crashes - wrote.crashes, 0}
			if got != want || is.AtLeast != was.AtLeast {
				t.Errorf("%s: nothing was kept out of the journal (-written +counted)\n- %+v\n+ %+v at least: %v", unit, want, got, is.AtLeast)
			}
		}
		if t.Failed() && !failed {
			m.show(unit)
		}
		m.events += w.starts - wrote.starts + w.stops - wrote.stops + w.crashes - wrote.crashes
		m.wrote[unit] = w
	}
	m.before = state
	if spoiled { // otherwise the state would already say "at least", and a new loss would not show
		m.sh(asMonitor + "/opt/copy --clear; rm -f " + diaries + "/*")
		m.before, m.wrote = map[string]unitState{}, map[string]written{}
	}
	m.sh("systemctl start service-monitor")
}

// show logs what the unit has written since the last clearing, and what the journal has of it
// and of the monitor's own starts and gaps.
func (m *muted) show(unit string) {
	m.t.Helper()
	m.t.Logf("%s wrote, with the seconds since boot:\n%s", unit, m.sh("cat "+diaries+"/"+unit+" || true"))
	m.t.Logf("the journal has:\n%s", m.sh("journalctl -q -o short-monotonic | grep -F -e "+unit+" -e "+monitorUnit+" -e ' gap ' -e '-- Boot' | tail -100"))
}

// calm is a unit that systemd does not restart.
func (l *lives) calm() string {
	calm := slices.DeleteFunc(slices.Clone(l.units), func(unit string) bool { return !strings.Contains(l.texts[unit], "\nRestart=no\n") })
	if len(calm) == 0 {
		return l.any()
	}
	return pick(l.r, calm...)
}

// mutedMenu returns what may happen in TestMutedLives. Only the main process of a unit is killed, and
// not the process that writes the run down. The rate limit of journald is not here. To set it,
// journald must be restarted, and then it forgets what it has suppressed, so nothing shows that loss.
// TestFloods and TestRateLimit test the losses that something shows.
func mutedMenu() (menu []happening) {
	ordinary := slices.Clone(ordinary)
	// After reset-failed, clean makes PID 1 write that the failed run has succeeded. If PID 1 wrote
	// nothing before, nobody can know that this is wrong.
	ordinary = slices.DeleteFunc(ordinary, func(what happening) bool { return what.name == "transient unit" || what.name == "clean" })
	for i, what := range ordinary {
		if what.name == "kill" {
			ordinary[i].do = func(l *lives) {
				l.try("systemctl kill --kill-who=main -s %s %s", pick(l.r, "KILL", "KILL", "TERM", "SEGV", "HUP", "USR1", "ABRT"), l.any())
			}
		}
		if what.name == "freeze" {
			ordinary[i].do = func(l *lives) {
				if unit := l.freezable(); unit != "" {
					l.try("systemctl freeze %[1]s; systemctl thaw %[1]s", unit)
				}
			}
		}
		if what.name == "reset-failed" {
			// While a run ends, reset-failed makes it a success for everybody but the unit, which has
			// written the failure down already.
			ordinary[i].do = func(l *lives) { l.try("systemctl stop %[1]s; systemctl reset-failed %[1]s", l.calm()) }
		}
	}
	menu = ordinary
	for _, what := range happenings {
		if slices.Contains([]string{"daemon-reload", "daemon-reexec", "dbus restart", "monitor reload", "monitor SIGKILL", "reboot"}, what.name) {
			menu = append(menu, what)
		}
	}
	some := func(l *lives) {
		for range l.r.IntN(10) {
			pick(l.r, ordinary...).do(l)
		}
	}
	return append(menu, []happening{
		{"monitor stop", 3, true, func(l *lives) {
			l.try("systemctl stop service-monitor")
			some(l)
			l.try("systemctl start service-monitor")
		}},
		{"log level", 4, true, func(l *lives) {
			l.mute(some, "systemctl log-level "+pick(l.r, "notice", "warning", "err", "emerg"), "systemctl log-level info")
		}},
		{"log target", 4, true, func(l *lives) {
			l.mute(some, "systemctl log-target "+pick(l.r, "kmsg", "console", "null"), "systemctl log-target "+pick(l.r, "journal", "journal-or-kmsg"))
		}},
		{"journald stall with lives", 1, true, func(l *lives) {
			l.mute(some, "systemctl kill -s STOP systemd-journald", "systemctl kill -s CONT systemd-journald")
		}},
	}...)
}

// mute keeps PID 1's records out of the journal for a while. A gap may lie inside that
// time, or be the same time, or overlap its begin or its end.
func (l *lives) mute(some func(l *lives), begin, end string) {
	stop, start := pick(l.r, "systemctl stop service-monitor", "systemctl kill -s KILL service-monitor"), "systemctl start service-monitor"
	for _, line := range pick(l.r,
		[]string{stop, begin, end, start}, []string{stop, begin, start, end}, []string{begin, stop, start, end},
		[]string{begin, stop, end, start}, []string{begin, end, stop, start}, []string{begin, end},
	) {
		l.try("%s", line)
		some(l)
	}
}
