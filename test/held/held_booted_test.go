//go:build booted

// Package held tests what happens to units while the monitor reads the journal. A test can
// hold each read of the journal at any point, and let units change meanwhile. With a real
// journald and a real systemd that takes microseconds, or happens once in a million times.
// The stages that ship run between a fake bus and a fake journal. The tests need root, for a
// /run of their own.
package held

import (
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

func TestMain(m *testing.M) {
	fakejournal.Enter()
	m.Run()
}

// TestOverflowOfAnAudit overflows the buffer for signals during an audit. The audit has asked
// only for the units that had changed. Then a unit changes that had not changed before.
//
// The error was: after reading the journal the monitor did not ask for that unit either. Its
// signals were dropped, and its records in the journal were ignored.
func TestOverflowOfAnAudit(t *testing.T) {
	const busy, quiet = "busy.service", "quiet.service"
	for _, tt := range []struct {
		name      string
		first     state
		meanwhile func(w *world)
		later     func(w *world)
		want      counts
	}{{
		name:  "it runs again",
		first: state{active: "active", sub: "running", result: "success", invocation: 2},
		meanwhile: func(w *world) {
			w.crash(quiet)
			w.start(quiet, 3)
			w.crash(quiet)
			w.start(quiet, 4)
		},
		later: func(*world) {},
		want:  counts{starts: 2, crashes: 2, firstSeen: 1},
	}, {
		// The next audit began to read after this run, so the run was lost for good.
		name:  "a run that is over",
		first: state{active: "failed", sub: "failed", result: "success", invocation: 2},
		meanwhile: func(w *world) {
			w.start(quiet, 3)
			w.crash(quiet)
		},
		later: func(w *world) {
			end := w.journal.End()
			w.start(quiet, 4)
			w.awaitGap(quiet, end)
		},
		want: counts{starts: 2, crashes: 1},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.runs(busy, 1)
			tt.first.entered = w.journal.Now()
			w.becomes(quiet, tt.first)
			w.watch(400*time.Millisecond, nil, busy, quiet)
			w.awaitSeen(busy)
			w.awaitSeen(quiet)
			end, h := w.journal.End(), w.journal.Hold()
			w.reload(busy)
			h.Await() // the audit reads
			w.flood(busy)
			tt.meanwhile(w)
			h.End()
			w.awaitGap(busy, end)
			tt.later(w)
			w.want(quiet, tt.want)
		})
	}
}

// TestCursorsOfTwoBoots begins with a power cut between two saves of boot 2. One unit had
// crashed and was saved first, so its cursor is of boot 2. The cursor of the other unit is
// still of boot 1. Now it is boot 3, and the monitor reads the journal from the older cursor.
//
// The error was: runs of boot 1 were counted again for the unit with the later cursor.
func TestCursorsOfTwoBoots(t *testing.T) {
	t.Run("the journal can be read", func(t *testing.T) { cursorsOfTwoBoots(t, 0) })
	t.Run("it cannot be read at once", func(t *testing.T) { cursorsOfTwoBoots(t, 1) })
}

func cursorsOfTwoBoots(t *testing.T, breaks int) {
	const saved, late = "saved.service", "late.service"
	first, second := strings.Repeat("1", 32), strings.Repeat("2", 32)
	w := newWorld(t)
	in := func(boot string, clock uint64, r fakejournal.Record) records.Place {
		r.Boot, r.Clock = boot, clock
		return w.journal.Write(r)
	}
	ourMark := fakejournal.Record{Fields: []string{"_PID=77", "MESSAGE_ID=" + fakejournal.Mark, "MONITOR_MARK=old"}}
	lateCursor := in(first, 1_000_000, ourMark)
	in(first, 5_000_000, startOf(saved, 1))
	in(first, 6_000_000, crashOf(saved, 1))
	in(first, 7_000_000, startOf(saved, 2))
	in(second, 900_000, startOf(saved, 3))
	savedCursor := in(second, 1_000_000, ourMark)
	in(second, 2_000_000, crashOf(saved, 3))
	in(w.journal.Boot, 900_000, startOf(saved, 4))
	w.becomes(saved, state{"active", "running", "success", 4, 900_000})
	w.becomes(late, state{active: "inactive", sub: "dead", result: "success"})

	end := w.journal.End()
	w.journal.Break(breaks, false)
	w.watch(0, map[string]*count.Tally{
		// The stop is that of run 2, which ended with boot 1.
		saved: {
			Unit: saved, State: "active", Starts: 3, Crashes: 1, Stops: 1,
			CrashCauses: []count.CauseCount{{Result: "signal", Crashes: 1}},
			LastCrash:   &count.Crash{Time: time.Now(), Cause: classify.Cause{Result: "signal"}},
			Life: &classify.Life{
				ActiveState: "active", SubState: "running", Invocation: decode.Invocation{3},
				Entered: 900_000, Begun: 900_000, Ran: true, Cursor: savedCursor,
			},
		},
		late: {Unit: late, State: "inactive", Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true, Cursor: lateCursor}},
	}, saved, late)
	w.awaitGap(saved, end)
	w.want(saved, counts{starts: 4, stops: 1, crashes: 2})
}

// TestAppearsInAGap lets a new unit appear that matches a glob, in a gap. It did not exist before
// the gap, so all its runs must be counted.
//
// The error was: the monitor took the run in the first snapshot for one from before it watched
// the unit, and ignored the runs before it.
func TestAppearsInAGap(t *testing.T) {
	const here, comes = "here.service", "g-comes.service"
	appear := func(w *world) {
		w.start(comes, 5)
		w.crash(comes)
		w.start(comes, 6)
	}
	again := counts{starts: 2, crashes: 1}
	for _, tt := range []struct {
		name  string
		asked func(w *world) // while the snapshots are asked for
		read  func(w *world, h *fakejournal.Hold)
		want  counts
	}{
		{"while the snapshots are asked for", appear, nil, again},
		{"while the journal is read up to them", nil, func(w *world, _ *fakejournal.Hold) { appear(w) }, again},
		{"while it is read up to behind them", nil, func(w *world, h *fakejournal.Hold) {
			h.Pass()
			h.Await()
			appear(w)
		}, again},
		{"while it is read and will be read again", nil, func(w *world, _ *fakejournal.Hold) {
			w.flood(here)
			appear(w)
		}, again},
		// As if its signals had not fitted into the buffer: nobody asked for it.
		{"of which only the journal tells", func(w *world) {
			w.journal.Write(startOf(comes, 5))
			w.journal.Write(crashOf(comes, 5))
			w.becomes(comes, state{"failed", "failed", "signal", 5, w.journal.Now()})
		}, nil, counts{starts: 1, crashes: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.runs(here, 1)
			w.watch(0, nil, here, "g-*.service")
			w.awaitSeen(here)
			end, h := w.journal.End(), w.journal.Hold()
			asked, answer := w.bus.Hold("GetAll")
			t.Cleanup(answer)
			w.doubt()
			<-asked
			if tt.asked != nil {
				tt.asked(w)
			}
			answer()
			h.Await()
			if tt.read != nil {
				tt.read(w, h)
			}
			h.End()
			w.awaitGap(comes, end)
			w.want(comes, tt.want)
		})
	}
}

// TestBusReturnsWhileClosing loses the bus and brings it back while the monitor reads the
// journal up to the time of the snapshots. The monitor notices the loss only at the new list.
//
// The error was: the snapshots of the new connection were asked for at once, and after that the
// journal was read up to them. What they showed was counted twice.
func TestBusReturnsWhileClosing(t *testing.T) {
	const unit, added = "unit.service", "added.service"
	w := newWorld(t)
	w.runs(unit, 1)
	w.watch(0, nil, unit)
	w.awaitSeen(unit)
	end, h := w.journal.End(), w.journal.Hold()
	w.doubt()
	h.Await()
	h.Pass()
	h.Await() // the snapshots have come
	w.bus.Forget()
	w.bus.Drop()
	w.lists <- bus.List{Services: []string{unit, added}}
	w.awaitCall("Subscribe")
	w.crash(unit)
	w.start(unit, 2)
	h.End()
	w.awaitGap(unit, end)
	w.want(unit, counts{starts: 1, crashes: 1, firstSeen: 1})
}

// TestAddedInAGap adds a unit by a reload in a gap. It was not monitored before, so it must be
// counted only from the end of the gap.
//
// The error was: its records from before were counted, too.
func TestAddedInAGap(t *testing.T) {
	const unit, added = "unit.service", "added.service"
	w := newWorld(t)
	w.runs(unit, 1)
	w.runs(added, 8)
	w.watch(0, nil, unit)
	w.awaitSeen(unit)
	end, h := w.journal.End(), w.journal.Hold()
	w.journal.Write(crashOf(added, 8))
	w.journal.Write(startOf(added, 9))
	w.runs(added, 9)
	w.bus.Forget()
	w.doubt()
	h.Await()
	w.lists <- bus.List{Services: []string{unit, added}}
	w.awaitCall("Subscribe")
	h.End()
	w.awaitGap(added, end)
	w.want(added, counts{firstSeen: 1})
}

// TestClockIsSetAtAFirstStart sets the clock at the first start, just when the monitor has
// written its mark. The monitor must then look for the mark in all of the journal, and not
// from the time when it was written.
func TestClockIsSetAtAFirstStart(t *testing.T) {
	const unit = "unit.service"
	w := newWorld(t)
	w.journal.ClockSet = true
	w.journal.Write(startOf(unit, 1))
	w.runs(unit, 2)
	asked, answer := w.bus.Hold("GetAll")
	t.Cleanup(answer)
	end := w.journal.End()
	w.watch(0, nil, unit)
	<-asked
	w.crash(unit)
	answer()
	w.awaitGap(unit, end)
	w.start(unit, 3)
	w.want(unit, counts{starts: 1})
}
