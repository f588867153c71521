//go:build booted

package held

import (
	"fmt"
	"testing"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
	"service-monitor/test/fakejournal"
)

// oldMark is the mark of an earlier monitor.
var oldMark = fakejournal.Record{Fields: []string{"_PID=77", "MESSAGE_ID=" + fakejournal.Mark, "MONITOR_MARK=old"}}

// globTally is the tally of a glob of which all units are counted up to a place.
func globTally(glob string, place records.Place) *count.Tally {
	return &count.Tally{Unit: glob, State: decode.NotLoaded, Life: &classify.Life{Pattern: true, ActiveState: decode.NotLoaded, SubState: "dead", Ended: true, Cursor: place}}
}

// again stops the monitor, which cannot read the journal, and starts another one with what it knew.
func (w *world) again(services ...string) {
	w.t.Helper()
	for _, unit := range services {
		w.await("known, with a gap open", unit, func(c count.Tally) bool { return c.Life.Known() && (c.Life.Pattern || !c.Life.Opened.IsZero()) })
	}
	w.stop()
	saved := make(map[string]*count.Tally)
	for unit, tally := range w.counted.tallies {
		saved[unit] = tally
	}
	w.journal.Break(0, false)
	w.watch(0, saved, services...)
}

// TestPassedWithAWrongClock has a unit of a glob come and go in a boot whose clock is before the place of the glob.
//
// The error was: it was taken for one that the glob has counted.
func TestPassedWithAWrongClock(t *testing.T) {
	const here, glob, job = "here.service", "g-*.service", "g-1.service"
	w := newWorld(t)
	mark := oldMark
	mark.Boot, mark.Clock, mark.Wall = before, 1_000_000, ahead
	cursor := w.journal.Write(mark)
	w.journal.Write(startOf(job, 2))
	w.journal.Write(crashOf(job, 2))
	w.journal.Write(startOf(here, 1))
	w.runs(here, 1)
	end := w.journal.End()
	w.watch(0, map[string]*count.Tally{here: ran(here, cursor), glob: globTally(glob, records.At(before, 1_000_000, ahead))}, here, glob)
	w.awaitGap(here, end)
	w.stop()
	if starts, crashes := w.counted.sum("g-"); starts != 1 || crashes != 1 {
		t.Errorf("%d starts and %d crashes, want one of each", starts, crashes)
	}
}

// TestGapOfALostBoot has an open gap of a boot of which the journal has nothing any more.
//
// The error was: the runs of the next boot were taken for those of the gap, and counted twice.
func TestGapOfALostBoot(t *testing.T) {
	const unit = "unit.service"
	w := newWorld(t)
	w.journal.Write(startOf(unit, 5))
	w.runs(unit, 5)
	end := w.journal.End()
	tally := ran(unit, "s=1;i=0;b="+"22222222222222222222222222222222"+";m=100;t=100;x=0")
	was, second := *tally.Life, decode.Invocation{2}
	tally.Life.Invocation, tally.Life.Opened = second, time.Unix(100, 0)
	tally.Life.Gaps = &[]classify.Gap{{
		Before: was, Boot: before, Clock: 200, Time: time.Unix(200, 0),
		After: decode.Properties{LoadState: "loaded", ActiveState: "active", SubState: "running", Invocation: second, Entered: 150},
	}}
	w.watch(0, map[string]*count.Tally{unit: tally}, unit)
	w.awaitGap(unit, end)
	w.crash(unit)
	w.want(unit, counts{starts: 3, crashes: 1, atLeast: true})
	if tally, _ := w.counted.of(unit); tally.Unknown != 2 {
		t.Errorf("%d unknown ends, want those of both boots", tally.Unknown)
	}
}

// TestLossIsRemembered begins after a reboot. What happened before it is lost, and the present boot cannot be read
// by the first monitor.
//
// The error was: the next monitor began with the present boot, so it called the counts complete.
func TestLossIsRemembered(t *testing.T) {
	const unit = "unit.service"
	w := newWorld(t)
	w.journal.Write(startOf(unit, 5))
	w.runs(unit, 5)
	end := w.journal.End()
	tally := &count.Tally{Unit: unit, State: "inactive", Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true, Cursor: "s=1;i=0;b=" + records.Place(before) + ";m=100;t=100;x=0"}}
	w.journal.BreakPresent(1 << 20)
	w.watch(0, map[string]*count.Tally{unit: tally}, unit)
	w.again(unit)
	w.awaitGap(unit, end)
	w.want(unit, counts{starts: 1, atLeast: true})
}

// TestLostStateUnread begins with a state that was lost. The first monitor can read all boots but the present one.
//
// The error was: the next monitor counted all of them once more.
func TestLostStateUnread(t *testing.T) {
	const unit = "unit.service"
	w := newWorld(t)
	for boot := range byte(2) {
		for run := range byte(2) {
			for _, r := range []fakejournal.Record{startOf(unit, 20+2*boot+run), crashOf(unit, 20+2*boot+run)} {
				r.Boot, r.Clock = fmt.Sprintf("%032d", 1+boot), 2_000_000_000_000
				w.journal.Write(r)
			}
		}
	}
	w.journal.Write(startOf(unit, 5))
	w.runs(unit, 5)
	end := w.journal.End()
	tally := &count.Tally{Unit: unit, State: "inactive", Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true, Cursor: records.Beginning}}
	w.journal.BreakPresent(1 << 20)
	w.watch(0, map[string]*count.Tally{unit: tally}, unit)
	w.again(unit)
	w.awaitGap(unit, end)
	w.want(unit, counts{starts: 5, crashes: 4, atLeast: true})
}

// TestCutOfABootWithoutRecords has two units that are counted up to places in two boots. Nothing happened in the
// rest of the first boot.
//
// The error was: its end was taken for the end of the other unit's run in the second boot.
func TestCutOfABootWithoutRecords(t *testing.T) {
	const old, unit, first = "old.service", "unit.service", "22222222222222222222222222222222"
	w := newWorld(t)
	in := func(boot string, r fakejournal.Record) records.Place {
		r.Boot, r.Clock = boot, 1_000_000
		return w.journal.Write(r)
	}
	cursor := in(first, oldMark)
	in(before, crashOf(unit, 1))
	w.journal.Write(startOf(unit, 5))
	w.runs(unit, 5)
	end := w.journal.End()
	w.watch(0, map[string]*count.Tally{
		old:  {Unit: old, State: "inactive", Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true, Cursor: cursor}},
		unit: ran(unit, records.At(before, 500_000, time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC))),
	}, old, unit)
	w.awaitGap(unit, end)
	w.want(unit, counts{starts: 2, crashes: 1})
}

// TestBeginningIsGone has a monitor that could read all but the present boot. Before the next one reads that, its first
// entries are removed.
//
// The error was: the counts were called complete.
func TestBeginningIsGone(t *testing.T) {
	const unit = "unit.service"
	w := newWorld(t)
	mark := oldMark
	mark.Boot, mark.Clock = before, 1_000_000
	cursor := w.journal.Write(mark)
	w.journal.Write(startOf(unit, 4))
	w.journal.Write(crashOf(unit, 4))
	w.journal.Write(startOf(unit, 5))
	w.runs(unit, 5)
	w.journal.BreakPresent(1 << 20)
	w.watch(0, map[string]*count.Tally{unit: {Unit: unit, State: "inactive", Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true, Cursor: cursor}}}, unit)
	w.await("known, with a gap open", unit, func(c count.Tally) bool { return c.Life.Known() && !c.Life.Opened.IsZero() })
	w.journal.Restart(w.journal.Boot, w.journal.Entries()[3:])
	w.again(unit)
	w.await("caught up with", unit, func(c count.Tally) bool { return c.Life.Opened.IsZero() })
	w.want(unit, counts{starts: 1, atLeast: true})
}
