//go:build booted

package e2e

import (
	"bufio"
	"context"
	"strings"
	"testing"
	"time"

	"service-monitor/test/cases"
	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

const monitorUnit = "service-monitor.service"

// The tests of the daemon's own life monitor these units.
const (
	// stays does nothing for ever. With Type=exec it counts as started only after
	// execve(2), so a signal reaches the service and not the child of PID 1.
	stays = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
	// flaps crashes as often as it is restarted, until it is stopped.
	flaps = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'exit 7'\nRestart=always\nRestartSec=20ms\n"
)

// A bed is a booted machine with the daemon in it.
type bed struct {
	*gateway.Machine
	t *testing.T
}

// bootBed boots a machine with these units and with the daemon, which monitors services. The lines
// in dropIn change the daemon's unit. The daemon is not started.
func bootBed(t *testing.T, units map[string]string, services []string, dropIn ...string) *bed {
	t.Helper()
	o := gateway.Options{Units: units}
	install(t, &o, services, dropIn...)
	// Something must refer to the daemon's unit, as if it were enabled. Otherwise systemd
	// unloads it when it has ended, and forgets how it ended.
	o.Files["/etc/systemd/system/multi-user.target.d/test.conf"] = "[Unit]\nAfter=" + monitorUnit + "\n"
	return newBed(t, o)
}

func newBed(t *testing.T, o gateway.Options) *bed {
	t.Helper()
	b := &bed{gatewaytest.Boot(t, o), t}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := b.Run(context.WithoutCancel(t.Context()), "journalctl", "--no-pager", "-q", "-o", "short-precise", "-u", monitorUnit, "-n", "80")
			t.Logf("the journal of the daemon:\n%s", out)
		}
	})
	return b
}

// sh runs lines of sh(1). All of them must succeed.
func (b *bed) sh(lines string) string {
	b.t.Helper()
	return strings.TrimSpace(must(b.t, b.Machine, "sh", "-ec", lines))
}

// show returns a property of the daemon's unit.
func (b *bed) show(property string) string {
	b.t.Helper()
	return b.sh("systemctl show -P " + property + " " + monitorUnit)
}

// wantShow wants a property of the daemon's unit to have this value.
func (b *bed) wantShow(property, want string) {
	b.t.Helper()
	if got := b.show(property); got != want {
		b.t.Errorf("%s is %q, want %q", property, got, want)
	}
}

// bounded returns a context for waiting, with a time limit.
func (b *bed) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.t.Context(), limit/2)
}

// awaitShow waits for a property of the daemon's unit to contain text.
func (b *bed) awaitShow(property, text string) {
	b.t.Helper()
	b.awaitProperty(property, "it to have "+text, func(value string) bool { return strings.Contains(value, text) })
}

// awaitProperty waits for a property of the daemon's unit. It asks repeatedly, because only a client
// of the bus could follow the property.
func (b *bed) awaitProperty(property, want string, done func(value string) bool) {
	b.t.Helper()
	ctx, cancel := b.bounded()
	defer cancel()
	for {
		seen := b.show(property)
		if done(seen) {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("%s is %q, want %s", property, seen, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// cursor returns the cursor of the last entry in the journal.
func (b *bed) cursor() string {
	b.t.Helper()
	out := b.sh("journalctl --sync; journalctl -q -n 0 --show-cursor")
	_, cursor, ok := strings.Cut(out, "-- cursor: ")
	if !ok {
		b.t.Fatalf("no cursor in %q", out)
	}
	return cursor
}

// awaitLog follows the daemon's entries in the journal after a cursor, or all of them if the cursor
// is empty. It returns the first line that contains all texts.
func (b *bed) awaitLog(since string, texts ...string) string {
	b.t.Helper()
	argv := []string{"journalctl", "-q", "-f", "-o", "cat", "-u", monitorUnit, "--no-tail"}
	if since != "" {
		argv = append(argv, "--after-cursor="+since)
	}
	return b.awaitLine(argv, texts...)
}

// awaitLine runs a command until a line of its output contains all texts. It returns the line.
func (b *bed) awaitLine(argv []string, texts ...string) string {
	b.t.Helper()
	ctx, cancel := b.bounded()
	defer cancel()
	cmd := b.Command(ctx, argv...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if containsAll(lines.Text(), texts) {
			return lines.Text()
		}
	}
	b.t.Fatalf("%q came to no line with %q (%v)", argv, texts, ctx.Err())
	return ""
}

func containsAll(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}

// awaitLife waits until the journal has the wanted counts of a unit.
func (b *bed) awaitLife(unit string, done func(gateway.Tally) bool) {
	b.t.Helper()
	ctx, cancel := b.bounded()
	defer cancel()
	if err := b.Await(ctx, unit, done); err != nil {
		b.t.Fatal(err)
	}
}

// awaitCrashes waits until a unit has crashed n times according to the journal.
func (b *bed) awaitCrashes(unit string, n int) {
	b.t.Helper()
	b.awaitLife(unit, func(life gateway.Tally) bool { return life.Crashes >= n })
}

// crash kills a running unit with SIGKILL.
func (b *bed) crash(unit string) {
	b.t.Helper()
	b.sh("systemctl kill -s KILL " + unit)
}

func (b *bed) truth() map[string]gateway.Tally {
	b.t.Helper()
	truth, err := b.Truth(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return truth
}

// wantTruth wants the state file to have the counts of the journal for these units.
func (b *bed) wantTruth(units ...string) {
	b.t.Helper()
	truth, state := b.truth(), readState(b.t, b.Machine)
	for _, unit := range units {
		got := state[unit].tally(truth[unit])
		if truth[unit].Starts == 0 {
			b.t.Errorf("%s: the journal has nothing of it", unit)
		}
		if !cases.Match(got, truth[unit]) || got.Scheduled != truth[unit].Scheduled {
			b.t.Errorf("%s (-journal +counted)\n- %+v\n+ %+v", unit, truth[unit], got)
		}
	}
}

// readLog returns the daemon's log file.
func (b *bed) readLog() string {
	b.t.Helper()
	text, err := b.ReadFile(logPath)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// wantLogged wants one CRASH line in the log file for each crash in the journal.
func (b *bed) wantLogged(units ...string) {
	b.t.Helper()
	truth, text := b.truth(), b.readLog()
	for _, unit := range units {
		if n := crashLines(b.t, text, unit); n != truth[unit].Crashes {
			b.t.Errorf("%s: %d CRASH lines, want one for each of %d", unit, n, truth[unit].Crashes)
		}
	}
}
