//go:build booted

package held

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"service-monitor/stages/bus"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
	"service-monitor/test/fakejournal"
)

// before is the boot before the present one.
var before = strings.Repeat("1", 32)

// ran returns the tally of a unit that runs since the boot before, up to a place.
func ran(unit string, place records.Place) *count.Tally {
	return &count.Tally{Unit: unit, State: "active", Starts: 1, Life: &classify.Life{
		ActiveState: "active", SubState: "running", Invocation: decode.Invocation{1}, Entered: 900_000, Begun: 900_000, Ran: true, Cursor: place,
	}}
}

// TestLostBootUnread begins after a reboot. The journal has nothing of the boot before, and cannot be read at once.
//
// The error was: the end of that boot was taken for the end of the present one. It ended the run that goes on, so
// the next crash was not counted.
func TestLostBootUnread(t *testing.T) {
	const unit = "unit.service"
	for breaks := range 3 {
		t.Run(fmt.Sprintf("it fails %d times", breaks), func(t *testing.T) {
			w := newWorld(t)
			w.journal.Write(startOf(unit, 2))
			w.journal.Write(crashOf(unit, 2))
			w.journal.Write(startOf(unit, 3))
			w.runs(unit, 3)
			end := w.journal.End()
			w.journal.Break(breaks, false)
			lost := records.Place("s=1;i=0;b=" + before + ";m=100;t=100;x=0")
			w.watch(0, map[string]*count.Tally{unit: ran(unit, lost)}, unit)
			w.awaitGap(unit, end)
			w.crash(unit)
			w.want(unit, counts{starts: 3, crashes: 2, atLeast: true})
			if tally, _ := w.counted.of(unit); tally.Unknown != 1 {
				t.Errorf("%d unknown ends, want that of the boot before", tally.Unknown)
			}
		})
	}
}

// TestBootsUnread begins after three boots without a monitor. Reading the journal fails when the first two were told.
//
// The error was: the next reading counted their runs, and their ends, once more.
func TestBootsUnread(t *testing.T) {
	const unit = "unit.service"
	for breaks := range 3 {
		t.Run(fmt.Sprintf("it fails %d times", breaks), func(t *testing.T) {
			w := newWorld(t)
			boot := before
			write := func(r fakejournal.Record) records.Place {
				r.Boot, r.Clock = boot, 2_000_000_000_000
				return w.journal.Write(r)
			}
			cursor := write(fakejournal.Record{Fields: []string{"_PID=77", "MESSAGE_ID=" + fakejournal.Mark, "MONITOR_MARK=old"}})
			write(crashOf(unit, 1))
			for i := range byte(3) {
				boot = strings.Repeat(fmt.Sprint(2+i), 32)
				write(startOf(unit, 20+i))
				write(crashOf(unit, 20+i))
				write(startOf(unit, 30+i)) // the end of the boot ends it
			}
			w.journal.Write(startOf(unit, 5))
			w.runs(unit, 5)
			end := w.journal.End()
			w.journal.Break(breaks, true)
			w.watch(0, map[string]*count.Tally{unit: ran(unit, cursor)}, unit)
			w.awaitGap(unit, end)
			w.crash(unit)
			w.want(unit, counts{starts: 8, stops: 3, crashes: 5})
		})
	}
}

// TestAddedUnread begins after a reboot with a longer list of services. The journal has both boots, and cannot be
// read at once. The new unit is counted from now on.
//
// The error was: the end of the boot before ended the run of the new unit.
func TestAddedUnread(t *testing.T) {
	for name, wall := range map[string]time.Time{"the clock goes on": {}, "the clock is set back by the reboot": ahead} {
		t.Run(name, func(t *testing.T) { addedUnread(t, wall) })
	}
}

// ahead is a time that is not yet.
var ahead = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// addedUnread has a wall clock in the boot before.
func addedUnread(t *testing.T, wall time.Time) {
	const unit, added, later = "unit.service", "added.service", "later.service"
	w := newWorld(t)
	in := func(boot string, clock uint64, r fakejournal.Record) records.Place {
		r.Boot, r.Clock, r.Wall = boot, clock, wall
		return w.journal.Write(r)
	}
	cursor := in(before, 1_000_000, fakejournal.Record{Fields: []string{"_PID=77", "MESSAGE_ID=" + fakejournal.Mark, "MONITOR_MARK=old"}})
	for _, of := range []string{unit, added, later} {
		in(before, 2_000_000_000_000, startOf(of, 7))
		w.journal.Write(startOf(of, 8))
		w.runs(of, 8)
	}
	end := w.journal.End()
	w.journal.Break(2, false)
	w.watch(0, map[string]*count.Tally{unit: ran(unit, cursor)}, unit, added)
	w.awaitSeen(added)
	w.lists <- bus.List{Services: []string{unit, added, later}} // by a reload
	w.awaitSeen(later)
	w.awaitGap(unit, end)
	w.awaitGap(later, end)
	for _, of := range []string{added, later} {
		w.crash(of)
		w.await("crashed", of, func(c count.Tally) bool { return c.Crashes == 1 })
	}
	w.want(added, counts{crashes: 1, firstSeen: 1})
	w.want(later, counts{crashes: 1, firstSeen: 1})
}

// TestPassedUnread has many units of a glob come and go while nobody watches. Reading the journal fails when most
// of them were told.
//
// The error was: they were told, and counted, each time anew.
func TestPassedUnread(t *testing.T) {
	const here, glob, jobs = "here.service", "g-*.service", 1500
	w := newWorld(t)
	w.runs(here, 1)
	cursor := w.journal.Write(startOf(here, 1))
	for i := range jobs {
		unit := fmt.Sprintf("g-%d.service", i)
		id := fmt.Sprintf("INVOCATION_ID=%032x", i+1000)
		w.journal.Write(fakejournal.Record{Fields: []string{"_PID=1", "MESSAGE_ID=" + fakejournal.Started, "UNIT=" + unit, id}})
		w.journal.Write(fakejournal.Record{Fields: []string{"_PID=1", "MESSAGE_ID=" + fakejournal.Failed, "UNIT=" + unit, id, "UNIT_RESULT=signal"}})
	}
	end := w.journal.End()
	w.journal.Break(2, true)
	w.watch(0, map[string]*count.Tally{
		here: ran(here, cursor),
		glob: {Unit: glob, State: decode.NotLoaded, Life: &classify.Life{Pattern: true, ActiveState: decode.NotLoaded, SubState: "dead", Ended: true, Cursor: cursor}},
	}, here, glob)
	w.awaitGap(here, end)
	w.stop()
	if starts, crashes := w.counted.sum("g-"); starts != jobs || crashes != jobs {
		t.Errorf("%d starts and %d crashes, want %d of each", starts, crashes, jobs)
	}
}
