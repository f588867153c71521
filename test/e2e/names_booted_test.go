//go:build booted

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/cases"
)

// TestAliasGoes takes an alias away while its unit runs. The unit goes on, and so does the
// counting, also when the monitor is started again.
func TestAliasGoes(t *testing.T) {
	const alias, own = "alias.service", "own.service"
	b := bootBed(t, map[string]string{own: stays}, []string{alias})
	b.sh("ln -s own.service /etc/systemd/system/alias.service; systemctl daemon-reload; systemctl start service-monitor; systemctl start own")
	b.crash(own)
	b.awaitLog("", alias, "Incrementing crash counter -> 1")
	b.sh("systemctl start own; rm /etc/systemd/system/alias.service; systemctl daemon-reload")
	b.crash(own)
	b.awaitLog("", alias, "Incrementing crash counter -> 2")
	b.sh("systemctl start own; systemctl restart service-monitor")
	b.crash(own)
	b.awaitLog("", alias, "Incrementing crash counter -> 3")
	b.sh("systemctl start own; systemctl stop own; systemctl stop service-monitor")
	truth, state := b.truth()[own], readState(t, b.Machine)[alias]
	if got := state.tally(truth); !cases.Match(got, truth) || state.AtLeast || state.FirstSeenRunning != 0 {
		t.Errorf("(-journal +counted)\n- %+v\n+ %+v, %+v\n%s", truth, got, state, b.readLog())
	}
}

// TestAliasIsMasked masks a unit that is monitored by an alias while it runs. For systemd, the alias is
// then the name of a masked unit.
func TestAliasIsMasked(t *testing.T) {
	const alias, own = "alias.service", "own.service"
	b := bootBed(t, map[string]string{own: stays}, []string{alias})
	b.sh("ln -s own.service /etc/systemd/system/alias.service; systemctl daemon-reload; systemctl start service-monitor; systemctl start own")
	b.sh("ln -sf /dev/null /etc/systemd/system/own.service; systemctl daemon-reload")
	b.crash(own)
	b.awaitLog("", alias, "Incrementing crash counter -> 1")
	b.sh("rm /etc/systemd/system/own.service")
	b.put("/etc/systemd/system/own.service", stays)
	b.sh("systemctl daemon-reload; systemctl start own")
	b.awaitLog("", alias, "Incrementing start counter -> 2")
	b.sh("ln -sf /dev/null /etc/systemd/system/own.service; systemctl daemon-reload; systemctl restart service-monitor; systemctl stop own; systemctl stop service-monitor")
	truth, state := b.truth()[own], readState(t, b.Machine)[alias]
	if got := state.tally(truth); !cases.Match(got, truth) || state.AtLeast || state.FirstSeenRunning != 0 {
		t.Errorf("(-journal +counted)\n- %+v\n+ %+v, %+v\n%s", truth, got, state, b.readLog())
	}
}

// TestAliasComes gives a running unit a second name. The monitor watches it by that name.
// The unit was already running when the monitor first saw it, so that is no start.
func TestAliasComes(t *testing.T) {
	const alias, own = "alias.service", "own.service"
	b := bootBed(t, map[string]string{own: stays}, []string{alias})
	b.sh("systemctl start service-monitor; systemctl start own; ln -s own.service /etc/systemd/system/alias.service; systemctl daemon-reload")
	b.awaitLog("", alias, "-> active")
	b.crash(own)
	b.awaitLog("", alias, "Incrementing crash counter -> 1")
	b.sh("systemctl start own; systemctl stop own")
	// Now alias.service is a unit of its own. The unit that it named before is not watched any more.
	b.sh("systemctl start own; rm /etc/systemd/system/alias.service")
	b.put("/etc/systemd/system/alias.service", stays)
	b.sh("systemctl daemon-reload")
	b.awaitLog("", "a unit of its own", alias)
	b.sh("systemctl start alias; systemctl stop own")
	b.crash(alias)
	b.awaitLog("", alias, "Incrementing crash counter -> 2")
	b.sh("systemctl stop service-monitor")
	s := readState(t, b.Machine)[alias]
	if s.Starts != 3 || s.Stops != 1 || s.Crashes != 2 || s.Unknown != 0 || s.FirstSeenRunning != 0 || s.AtLeast {
		t.Errorf("counted %+v\n%s", s, b.readLog())
	}
}

// TestBornInAGap creates units while the monitor is down. Only a glob names them. The
// monitor must count their whole lives.
func TestBornInAGap(t *testing.T) {
	const old, born, dead = "g-old.service", "g-born.service", "g-dead.service"
	for _, how := range []string{"systemctl stop service-monitor", "systemctl kill -s KILL service-monitor; systemctl stop service-monitor"} {
		b := bootBed(t, map[string]string{old: stays}, []string{"g-*.service"})
		b.sh("systemctl start service-monitor; systemctl start g-old; systemctl restart service-monitor; " + how)
		for _, unit := range []string{born, dead} {
			b.put("/etc/systemd/system/"+unit, flaps)
		}
		b.sh("systemctl daemon-reload; systemctl start g-born g-dead")
		b.awaitCrashes(born, 3)
		b.awaitCrashes(dead, 3)
		b.sh("systemctl stop g-born g-dead; systemctl start g-born; rm /etc/systemd/system/g-dead.service; systemctl daemon-reload; systemctl reset-failed g-dead || true")
		b.sh("systemctl start service-monitor; systemctl stop g-born; systemctl stop service-monitor")
		b.wantTruth(old, born)
		truth, sum := b.truth()[dead], readState(t, b.Machine)["g-*.service"]
		if got := sum.tally(truth); !cases.Match(got, truth) || sum.Folded != 1 || sum.AtLeast {
			t.Errorf("%s, which is gone (-journal +counted)\n- %+v\n+ %+v, %+v", dead, truth, got, sum)
		}
		if t.Failed() {
			t.Log(b.readLog())
		}
	}
}

// TestPassingUnits lets instances come and go: while the monitor watches, while it is down, and again
// under the same names. The sums of their glob must have exactly their counts.
func TestPassingUnits(t *testing.T) {
	const pattern = "pass@*.service"
	b := bootBed(t, map[string]string{
		"pass@.service": "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'case %i in *3) exit 3;; esac'\n",
		"stay@.service": stays,
	}, []string{pattern, "stay@*.service"})
	run := func(from, to int) {
		t.Helper()
		b.sh(fmt.Sprintf("for i in $(seq %d %d); do systemctl start pass@$i || true; done", from, to))
	}
	b.sh("systemctl start service-monitor; systemctl start stay@1")
	run(1, 150)
	b.sh("systemctl stop service-monitor")
	run(100, 220)
	b.sh("systemctl start service-monitor")
	run(215, 240)
	b.sh("systemctl restart service-monitor; systemctl stop service-monitor")

	truth, state := b.truth(), readState(t, b.Machine)
	want, got := 0, state[pattern]
	crashes := 0
	for unit, life := range truth {
		if strings.HasPrefix(unit, "pass@") {
			want, crashes = want+life.Starts, crashes+life.Crashes
		}
	}
	if got.Starts != want || got.Crashes != crashes || got.Stops != want-crashes || got.AtLeast || got.Unknown != 0 {
		t.Errorf("counted %+v, want %d starts, %d crashes", got, want, crashes)
	}
	if units := slices.Sorted(maps.Keys(state)); !slices.Equal(units, []string{pattern, "stay@*.service", "stay@1.service"}) {
		t.Errorf("the state file has %q", units)
	}
	if t.Failed() {
		t.Log(b.readLog())
	}
}

// TestFileIsAway takes the file of a glob's unit away, and puts it back. When the file is gone, the
// counts of the unit are folded into the sums of the glob. Later runs count for the unit again.
// Together they must be what the journal has.
func TestFileIsAway(t *testing.T) {
	const unit, pattern, file = "g-a.service", "g-*.service", "/etc/systemd/system/g-a.service"
	b := bootBed(t, map[string]string{unit: stays}, []string{pattern})
	b.sh("systemctl start service-monitor; for i in 1 2 3; do systemctl start g-a; systemctl stop g-a; done")
	b.sh("rm " + file + "; systemctl daemon-reload; systemctl restart service-monitor")
	b.put(file, stays)
	b.sh("systemctl daemon-reload; systemctl start g-a; systemctl stop g-a; systemctl stop service-monitor")

	truth, state := b.truth()[unit], readState(t, b.Machine)
	own, sum := state[unit], state[pattern]
	if starts, stops := own.Starts+sum.Starts, own.Stops+sum.Stops; starts != truth.Starts || stops != truth.Stops || sum.Folded != 1 || own.AtLeast || sum.AtLeast {
		t.Errorf("(-journal +counted)\n- %+v\n+ %+v\n+ %+v", truth, own, sum)
	}
	if t.Failed() {
		t.Log(b.readLog())
	}
}
