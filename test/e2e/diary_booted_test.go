//go:build booted

package e2e

import (
	"bufio"
	"errors"
	"io/fs"
	"strings"
)

// If there is no journal to compare with, units keep diaries. Each unit writes down when a run
// begins, and the result with which it ends. The end of a run that ends with the machine is not
// in the diary.
const diaries = "/var/diaries"

// diarist returns a unit that keeps a diary. Lines in more go into its [Service].
func diarist(exec string, more ...string) string {
	return "[Unit]\nStartLimitIntervalSec=0\n[Service]\n" +
		"ExecStart=" + exec + "\n" +
		"ExecStartPost=/bin/sh -c 'echo start >>" + diaries + "/%n'\n" + // so that a signal reaches the main process
		"ExecStopPost=/bin/sh -c 'echo $$SERVICE_RESULT >>" + diaries + "/%n'\n" + strings.Join(more, "\n") + "\n"
}

const forEver = "/bin/sleep infinity"

// A diary is what a unit has written down, as counts.
type diary struct{ starts, stops, crashes int }

func (d *diary) add(line string) {
	switch line {
	case "start":
		d.starts++
	case "success":
		d.stops++
	default:
		d.crashes++
	}
}

// since returns what was written down after an earlier reading.
func (d diary) since(before diary) diary {
	return diary{d.starts - before.starts, d.stops - before.stops, d.crashes - before.crashes}
}

// diary reads the diary of a unit. It is empty if the unit never ran.
func (b *bed) diary(unit string) (d diary) {
	b.t.Helper()
	text, err := b.ReadFile(diaries + "/" + unit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		d.add(strings.TrimSpace(line))
	}
	return d
}

func (b *bed) diaries(units ...string) map[string]diary {
	b.t.Helper()
	all := map[string]diary{}
	for _, unit := range units {
		all[unit] = b.diary(unit)
	}
	return all
}

// awaitDiary follows the diary of a unit until it is as wanted.
func (b *bed) awaitDiary(unit string, done func(diary) bool) {
	b.t.Helper()
	ctx, cancel := b.bounded()
	defer cancel()
	cmd := b.Command(ctx, "tail", "-q", "-n", "+1", "-F", diaries+"/"+unit)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	var d diary
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if d.add(lines.Text()); done(d) {
			return
		}
	}
	b.t.Fatalf("%s has written down %+v (%v)", unit, d, ctx.Err())
}

// crashed kills the main process of a unit, and waits until the unit has written that down. If
// systemd restarts the unit, crashed also waits for the next run.
func (b *bed) crashed(unit string, restarted bool) {
	b.t.Helper()
	was := b.diary(unit)
	b.sh("kill -KILL $(systemctl show -P MainPID " + unit + ")") // systemctl kill of systemd 257 would also kill the process that writes
	b.awaitDiary(unit, func(d diary) bool {
		now := d.since(was)
		return now.crashes == 1 && (now.starts == 1 || !restarted)
	})
}

// wantWritten wants the counts between two states to be those that each unit has written into its
// diary since an earlier reading.
func (b *bed) wantWritten(before, after map[string]unitState, since map[string]diary) {
	b.t.Helper()
	for unit, then := range since {
		want, was, is := b.diary(unit).since(then), before[unit], after[unit]
		got := diary{is.Starts - was.Starts, is.Stops - was.Stops, is.Crashes - was.Crashes}
		if got != want {
			b.t.Errorf("%s (-diary +counted)\n- %+v\n+ %+v", unit, want, got)
		}
	}
}
