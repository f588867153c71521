//go:build booted

package e2e

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/journald/records"
	"service-monitor/test/gateway"
)

var (
	livesSeed = flag.Uint64("lives.seed", 0, "live the lives of this `SEED`, if it is not 0")
	livesFor  = flag.Duration("lives.for", time.Minute, "how long the random lives last")
	livesKeep = flag.String("lives.keep", "", "write the journal of lives that failed to this `FILE`")
)

const (
	livesUnits = 14
	livesGlob  = "glob-*.service"
	// livesPassing names units that come and go.
	livesPassing = "pass-*.service"
	// livesAlias is another name of one of the units. That unit is monitored by this name.
	livesAlias = "alias.service"
	// livesNeedy is restarted for ever, unless livesNeeds fails. That fails while the file
	// livesNeeded is there, and then the job of the restart fails as well.
	livesNeedy  = "needy.service"
	livesNeeds  = "needs.service"
	livesNeeded = "/run/needed-fails"

	livesRound = 12 * time.Second
)

// lives are random units, to which random things happen.
type lives struct {
	*bed
	seed    uint64
	r       *rand.Rand
	menu    []happening
	version int           // version of systemd
	round   time.Duration // time between two comparisons of the counts
	units   []string
	texts   map[string]string    // their unit files
	instead *strings.Replacer    // replaces what this version of systemd cannot handle
	alias   string               // what livesAlias names
	passed  int                  // how many units have come and gone
	born    int                  // how many were created in a gap
	events  int                  // how many events were compared
	done    map[string]int       // how often each thing was done
	seen    map[string]time.Time // when each unit was first seen, by its seconds
	booted  time.Duration        // CLOCK_REALTIME minus CLOCK_MONOTONIC
}

// TestLives lets random things happen to random units, to the monitor and to the
// machine. It compares the counts with the journal, by unit and by invocation.
func TestLives(t *testing.T) {
	l := newLives(t, "TestLives")
	for i := range livesUnits {
		name := fmt.Sprintf("life-%02d.service", i)
		if i%3 == 0 {
			name = fmt.Sprintf("glob-%02d.service", i)
		}
		l.add(name, l.unit())
	}
	l.add(livesNeedy, "[Unit]\nStartLimitIntervalSec=0\nRequires="+livesNeeds+"\nAfter="+livesNeeds+
		"\n[Service]\nRestart=on-failure\nRestartSec=100ms\nExecStart=/bin/sh -c 'sleep 0.1; exit 3'\n")
	l.add(livesNeeds, "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'test ! -e "+livesNeeded+"'\n")
	named := slices.DeleteFunc(slices.Clone(l.units), func(unit string) bool { return strings.HasPrefix(unit, "glob-") })
	l.alias, named[0] = named[0], livesAlias
	l.boot(append(named, livesGlob, livesPassing))
	l.sh("ln -s " + l.alias + " /etc/systemd/system/" + livesAlias + "; systemctl daemon-reload")
	l.menu = happenings
	if l.version < 254 {
		l.menu = slices.DeleteFunc(slices.Clone(happenings), func(what happening) bool { return what.name == "soft reboot" })
	}
	l.sh("systemctl start service-monitor")
	l.live(l.compare)
}

func newLives(t *testing.T, test string) *lives {
	seed := *livesSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with: go test -tags booted -run '%s$' ./test/e2e -args -lives.seed=%d -lives.for=%v", test, seed, *livesFor)
	booted := time.Since(time.Unix(0, 0)) - time.Duration(records.Clock())*time.Microsecond
	return &lives{booted: booted, seed: seed, round: livesRound, r: rand.New(rand.NewPCG(seed, 0)), texts: map[string]string{}, done: map[string]int{}, seen: map[string]time.Time{}, bed: &bed{t: t}}
}

func (l *lives) add(unit, text string) {
	l.units, l.texts[unit] = append(l.units, unit), text
}

// boot boots a machine with the units and a monitor that can be kept from reading the journal. The
// monitor is a copy in the machine, because a soft reboot removes what is mounted from the host.
func (l *lives) boot(services []string) {
	t := l.t
	t.Helper()
	l.bed = bootLives(t, l.texts, services, l.r)
	l.avoidSpinning(l.texts)
	l.put("/etc/systemd/system/dbus.service.d/often.conf", "[Unit]\nStartLimitIntervalSec=0\n") // otherwise five restarts in ten seconds end it
	l.put(dropIns+"path.conf", "[Service]\nEnvironment=PATH=/opt/refusing:/usr/bin:/bin\n")
	if err := l.WriteFile("/opt/refusing/journalctl", refusing, 0o755); err != nil {
		t.Fatal(err)
	}
	l.sh("cp " + daemonPath + " /opt/copy; sed -i s:" + daemonPath + ":/opt/copy: /etc/systemd/system/service-monitor.service; systemctl daemon-reload")
	l.configure(t, map[string]any{"monitored_services": services, "audit_interval": 3, "fold_after": 0})
}

// live lets things happen, and compares now and then.
func (l *lives) live(compare func()) {
	t := l.t
	t.Helper()
	for end := time.Now().Add(*livesFor); time.Now().Before(end) && !t.Failed(); {
		for round := time.Now().Add(l.round); time.Now().Before(round); {
			l.happen()
		}
		compare()
	}
	gaps := 0
	for _, what := range l.menu {
		if what.gap {
			gaps += l.done[what.name]
		}
	}
	t.Logf("seed %d: %d starts and ends compared, across %d gaps: %v", l.seed, l.events, gaps, l.done)
	if t.Failed() {
		for _, unit := range l.units {
			t.Logf("%s:\n%s", unit, l.texts[unit])
		}
		if *livesKeep != "" {
			journal := must(t, l.Machine, "journalctl", "-q", "-o", "short-precise")
			if err := os.WriteFile(*livesKeep, []byte(journal), 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}

// avoidSpinning changes units for systemd 247. Its PID 1 spins for ever if a stop job waits for a
// unit with RestartSec=0, or on a busy machine for one with 1ms.
func (l *lives) avoidSpinning(texts map[string]string) {
	l.t.Helper()
	var err error
	if l.version, err = l.Version(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	l.instead = strings.NewReplacer()
	if l.version >= 252 {
		return
	}
	l.instead = strings.NewReplacer("RestartSec=0\n", "RestartSec=20ms\n")
	for unit, text := range texts {
		texts[unit] = l.instead.Replace(text)
		l.put("/etc/systemd/system/"+unit, texts[unit])
	}
}

// bootLives boots a machine. From its second boot on, the monitor and some of the units start at
// boot.
func bootLives(t *testing.T, texts map[string]string, services []string, r *rand.Rand) *bed {
	t.Helper()
	o := gateway.Options{Units: maps.Clone(texts)}
	install(t, &o, services)
	var early []string
	for _, unit := range slices.Sorted(maps.Keys(texts)) {
		// systemd is ready when it has nothing to do. A unit that crashes for ever would keep it busy.
		if strings.Contains(texts[unit], "Restart=no") || strings.Contains(texts[unit], "exec sleep infinity") && strings.HasSuffix(texts[unit], "'\n\n") && r.IntN(2) == 0 {
			early = append(early, unit)
		}
	}
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + "\n"
	b := newBed(t, o)
	// This is written after the first boot, because the monitor had to see all units before they
	// started.
	wants := "[Unit]\nWants=" + strings.Join(append(early, monitorUnit), " ") + "\n"
	if err := b.WriteFile("/etc/systemd/system/multi-user.target.d/later.conf", wants, 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// unit writes a random unit.
func (l *lives) unit() string {
	r := l.r
	kind := pick(r, "simple", "simple", "exec", "oneshot", "forking", "notify")
	restart := pick(r, "no", "on-failure", "always", "on-success", "on-abnormal", "on-abort", "always")
	if kind == "oneshot" && (restart == "always" || restart == "on-success") {
		restart = "on-failure" // systemd refuses other values
	}
	run := pick(r, "exec sleep infinity", "exit 0", "exit 3", "sleep 0.05; exit 1", "sleep 0.1; exit 0", "sleep 0.3; kill -9 $$$$", "kill -TERM $$$$", "kill -ABRT $$$$")
	start := "/bin/sh -c '" + run + "'"
	var more []string
	switch kind {
	case "oneshot":
		start = "/bin/sh -c '" + pick(r, "exit 0", "exit 1", "sleep 0.05", "kill -9 $$$$") + "'"
	case "forking":
		start = "/bin/sh -c '(" + run + ") & :'"
	case "notify":
		start = "/bin/sh -c '" + pick(r, "systemd-notify --ready; "+run, run) + "'"
		more = append(more, "NotifyAccess=all")
	}
	if r.IntN(3) == 0 {
		more = append(more, "StateDirectory=%N")
	}
	if r.IntN(4) == 0 {
		more = append(more, pick(r, "RemainAfterExit=yes", "ExecStartPre=/bin/sh -c 'exit $$(($$(date +%%N | cut -c9) %% 2))'",
			"ExecStopPost=/bin/sleep 0.05", "ExecStop=/bin/false", "ExecCondition=/bin/sh -c 'exit $$(($$(date +%%N | cut -c9) %% 2))'",
			"SuccessExitStatus=3 SIGABRT", "EnvironmentFile=/no/such/file", "RestartPreventExitStatus=1", "RestartForceExitStatus=0", "TimeoutStartSec=150ms", "RuntimeMaxSec=100ms"))
		if kind == "oneshot" {
			// systemd refuses to load this: "which isn't allowed for Type=oneshot services".
			more = slices.DeleteFunc(more, func(line string) bool { return line == "RestartForceExitStatus=0" })
		}
	}
	limit := "StartLimitIntervalSec=0"
	if r.IntN(4) == 0 {
		limit = "StartLimitIntervalSec=2\nStartLimitBurst=" + pick(r, "2", "4")
	}
	if kind != "oneshot" && r.IntN(4) == 0 { // unknown, and ignored, before 254
		more = append(more, "RestartMode=direct")
	}
	return fmt.Sprintf("[Unit]\n%s\n[Service]\nType=%s\nRestart=%s\nRestartSec=%s\nTimeoutStartSec=1s\nTimeoutStopSec=300ms\nLimitCORE=0\nExecStart=%s\n%s\n",
		limit, kind, restart, pick(r, "0", "0", "20ms", "100ms", "500ms"), start, strings.Join(more, "\n"))
}
