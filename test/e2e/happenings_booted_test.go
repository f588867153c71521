//go:build booted

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A happening is something that may happen to units, the monitor or the machine.
type happening struct {
	name   string
	weight int
	gap    bool // for a while nobody watches, or nobody should rely on what was seen
	do     func(l *lives)
}

func (l *lives) any() string { return pick(l.r, l.units...) }

// named returns a random unit that is monitored by its name, and not by a glob. A unit of a glob that
// has no unit file is folded when systemd unloads it.
func (l *lives) named() string {
	return pick(l.r, slices.DeleteFunc(slices.Clone(l.units), func(unit string) bool { return strings.HasPrefix(unit, "glob-") })...)
}

// freezable is a unit that may be frozen; empty if there is none. Since 255, PID 1 waits for each
// process that it starts until that has called execve(2). In a control group that is frozen it waits
// for ever, and with it the machine. So only a unit for which nothing is started after its main
// process is frozen there.
func (l *lives) freezable() string {
	units := slices.Clone(l.units)
	if l.version >= 255 {
		units = slices.DeleteFunc(units, func(unit string) bool {
			return strings.Count(l.texts[unit], "Exec") != 1 || strings.Contains(l.texts[unit], "RestartForce") || !strings.Contains(l.texts[unit], "\nRestart=no\n")
		})
	}
	if len(units) == 0 {
		return ""
	}
	return pick(l.r, units...)
}

// try runs a line that may fail, since a start of a failing unit fails. The line may
// also hang: if PID 1 re-executes itself, a systemctl(1) that waits for a job never
// learns that the job has ended.
func (l *lives) try(format string, args ...any) {
	_, err := l.Run(l.t.Context(), "timeout", "10", "sh", "-c", fmt.Sprintf(format, args...)+"; true")
	if status := new(exec.ExitError); errors.As(err, &status) && status.ExitCode() == 124 {
		return
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// back starts the monitor again, by hand or by its restart.
func (l *lives) back() {
	if l.r.IntN(2) == 0 {
		l.try("systemctl start service-monitor")
	}
}

// ordinary has what may happen to units.
var ordinary = []happening{
	{"start", 30, false, func(l *lives) { l.try("systemctl --no-block start %s %s", l.any(), l.any()) }},
	{"start and wait", 8, false, func(l *lives) { l.try("systemctl start %s", l.any()) }},
	{"stop", 12, false, func(l *lives) { l.try("systemctl --no-block stop %s", l.any()) }},
	{"restart", 12, false, func(l *lives) { l.try("systemctl --no-block restart %s", l.any()) }},
	{"kill", 20, false, func(l *lives) {
		l.try("systemctl kill -s %s %s", pick(l.r, "KILL", "KILL", "TERM", "SEGV", "HUP", "USR1", "ABRT"), l.any())
	}},
	{"reset-failed", 6, false, func(l *lives) { l.try("systemctl reset-failed %s", pick(l.r, l.any(), "")) }},
	{"clean", 3, false, func(l *lives) { l.try("systemctl stop %[1]s; systemctl clean --what=state %[1]s", l.any()) }},
	{"freeze", 3, false, func(l *lives) {
		if unit := l.freezable(); unit != "" {
			l.try("systemctl freeze %[1]s; %[2]s systemctl thaw %[1]s", unit, pick(l.r, "", "systemctl kill -s KILL "+l.any()+";"))
		}
	}},
	{"transient unit", 4, false, func(l *lives) {
		l.passed++
		l.try("systemd-run --quiet --collect --unit=pass-%d sh -c '%s'", l.passed, pick(l.r, "exit 0", "exit 3", "sleep .2", "kill -9 $$"))
	}},
}

var happenings = append(ordinary, []happening{
	{"daemon-reload", 3, true, func(l *lives) { l.try("systemctl daemon-reload") }},
	{"daemon-reexec", 2, true, func(l *lives) { l.try("systemctl daemon-reexec") }},
	{"dbus restart", 2, true, func(l *lives) { l.try("systemctl restart dbus") }},
	{"time zone", 1, false, func(l *lives) {
		l.try("ln -sf /usr/share/zoneinfo/%s /etc/localtime", pick(l.r, "UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin"))
	}},
	{"alias gone", 1, true, func(l *lives) { l.try("rm -f /etc/systemd/system/" + livesAlias + "; systemctl daemon-reload") }},
	{"alias back", 1, true, func(l *lives) {
		l.try("ln -sf %s /etc/systemd/system/"+livesAlias+"; systemctl daemon-reload", l.alias)
	}},
	{"unit file gone", 3, true, func(l *lives) { l.without(l.named(), "rm -f /etc/systemd/system/%[1]s") }},
	{"unit file masked", 2, true, func(l *lives) { l.without(l.any(), "ln -sf /dev/null /etc/systemd/system/%[1]s") }},
	{"unit file bad", 2, true, func(l *lives) { l.without(l.any(), "echo '[Service]' >/etc/systemd/system/%[1]s") }},
	{"born in a gap", 1, true, func(l *lives) {
		name := fmt.Sprintf("glob-born-%d.service", l.born)
		l.born++
		text := l.instead.Replace(l.unit())
		l.try("systemctl stop service-monitor")
		l.put("/etc/systemd/system/"+name, text)
		l.units, l.texts[name] = append(l.units, name), text
		l.try("systemctl daemon-reload; systemctl --no-block start %s", name)
		for range l.r.IntN(6) {
			pick(l.r, ordinary...).do(l)
		}
		l.try("systemctl start service-monitor")
	}},
	{"journal unreadable", 2, true, func(l *lives) {
		l.try("touch /run/refuse; systemctl %s service-monitor", pick(l.r, "restart", "kill -s KILL", "stop"))
		for range l.r.IntN(12) {
			pick(l.r, ordinary...).do(l)
		}
		l.try("systemctl start service-monitor")
		for range l.r.IntN(12) {
			pick(l.r, ordinary...).do(l)
		}
		l.try("%s; rm -f /run/refuse", pick(l.r, "true", "true", "systemctl restart service-monitor", "systemctl stop service-monitor"))
	}},
	{"journald stall", 1, true, func(l *lives) {
		// Some of what PID 1 writes meanwhile may be lost, so nothing happens to the units.
		l.try("systemctl %s service-monitor", pick(l.r, "stop", "kill -s KILL"))
		for range l.r.IntN(6) {
			pick(l.r, ordinary...).do(l)
		}
		l.rest()
		l.sh("journalctl --sync; systemctl kill -s STOP systemd-journald")
		l.try("systemctl start service-monitor; %s", pick(l.r, "true", "systemctl restart service-monitor", "systemctl kill -s KILL service-monitor"))
		l.sh("systemctl kill -s CONT systemd-journald")
		l.back()
	}},
	{"restart job fails", 3, true, func(l *lives) {
		l.try("systemctl --no-block start %s; touch %s", livesNeedy, livesNeeded)
		for range l.r.IntN(6) {
			pick(l.r, ordinary...).do(l)
		}
		l.try("rm -f %s; systemctl --no-block %s %s", livesNeeded, pick(l.r, "start", "stop", "restart"), livesNeedy)
	}},
	{"soft reboot", 1, true, func(l *lives) { l.softReboot() }},
	{"journal rotation", 1, false, func(l *lives) { l.try("journalctl --rotate") }},
	{"monitor reload", 2, false, func(l *lives) { l.try("systemctl reload service-monitor") }},
	{"monitor SIGKILL", 4, true, func(l *lives) { l.try("systemctl kill -s KILL service-monitor"); l.back() }},
	{"monitor stop", 2, true, func(l *lives) {
		l.try("systemctl stop service-monitor")
		for range l.r.IntN(12) {
			pick(l.r, ordinary...).do(l)
		}
		l.try("systemctl start service-monitor")
	}},
	{"reboot", 1, true, func(l *lives) { l.reboot(l.PowerOff) }},
	{"power cut", 1, true, func(l *lives) {
		// Unlike a real power cut, this one loses what is on its way to journald. The
		// monitor must not have saved anything that is lost there.
		l.try("systemctl kill -s STOP service-monitor; journalctl --sync")
		l.reboot(l.PowerCut)
	}},
}...)

func (l *lives) reboot(off func() error) {
	if err := off(); err != nil {
		l.t.Fatal(err)
	}
	if err := l.PowerOn(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// softReboot lets systemd begin anew. The kernel, the boot and the journal stay as they are. Mounts
// from the host are gone. A command that ends with the old system gives no answer, so each command
// has a time limit.
func (l *lives) softReboot() {
	l.t.Helper()
	ctx, cancel := l.bounded()
	defer cancel()
	ask := func(argv ...string) string {
		brief, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		out, _ := l.Run(brief, argv...) // an error means only that nobody answered
		return strings.TrimSpace(out)
	}
	count := func() int {
		n, _ := strconv.Atoi(ask("systemctl", "show", "-P", "SoftRebootsCount"))
		return n
	}
	before := count()
	ask("systemctl", "soft-reboot")
	for count() <= before || !slices.Contains([]string{"running", "degraded"}, ask("systemctl", "is-system-running")) {
		select {
		case <-ctx.Done():
			l.t.Fatal("the machine does not come back from a soft reboot")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// rest stops all units. systemd does not restart a unit that was stopped. A start that is still queued
// may cancel a stop, so rest tries twice. Since systemd 257 a frozen unit refuses a stop.
func (l *lives) rest() {
	l.t.Helper()
	all := strings.Join(l.units, " ")
	stop := "timeout 60 systemctl stop " + all + " 'pass-*.service'"
	// If a unit died while it was frozen, or is being frozen, systemd 257 refuses to do anything with
	// it, even to thaw it. The unit does not start any more either.
	each := "for u in " + all + "; do timeout 60 systemctl stop $u || case $(systemctl show -P FreezerState $u) in frozen*|freezing*) ;; *) exit 1;; esac; done"
	l.sh(stop + " || " + stop + " || { timeout 5 systemctl thaw " + all + " || :; " + each + "; }")
}

// without lets things happen while a unit has no valid unit file.
func (l *lives) without(unit, spoil string) {
	file := "/etc/systemd/system/" + unit
	l.try(spoil+"; systemctl daemon-reload", unit)
	for range l.r.IntN(6) {
		pick(l.r, ordinary...).do(l)
	}
	// mv puts the whole file there at once. A unit of a glob that has no unit file would be folded.
	l.put(file+".new", l.texts[unit])
	l.try("mv -f %[1]s.new %[1]s; systemctl daemon-reload", file)
}

// happen does one of the things that may happen.
func (l *lives) happen() {
	sum := 0
	for _, what := range l.menu {
		sum += what.weight
	}
	n := l.r.IntN(sum)
	for _, what := range l.menu {
		if n -= what.weight; n < 0 {
			l.done[what.name]++
			what.do(l)
			return
		}
	}
}
