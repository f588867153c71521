//go:build booted

// Package held holds the reading of the journal wherever it wants, and lets
// happen what happens then: what a real journald and a real systemd do in
// microseconds, or once in a million times. Between a fake bus and a fake journal
// stand the stages that ship. It needs root, for a /run of its own.
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
)

// An audit has asked only for the units that had changed. What is held back while
// it reads the journal overflows, and a unit changes that was quiet until then.
//
// It was not asked for behind the journal, either: what it announced was dropped,
// and what the journal has of it was told to nobody.
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
		want:  counts{starts: 2, crashes: 2, before: 1},
	}, {
		// The next audit begins to read behind this run, so it was lost for good.
		name:  "a run that is over",
		first: state{active: "failed", sub: "failed", result: "success", invocation: 2},
		meanwhile: func(w *world) {
			w.start(quiet, 3)
			w.crash(quiet)
		},
		later: func(w *world) {
			end := w.journal.end()
			w.start(quiet, 4)
			w.awaitGap(quiet, end)
		},
		want: counts{starts: 2, crashes: 1},
	}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.runs(busy, 1)
			tt.first.entered = w.journal.now()
			w.becomes(quiet, tt.first)
			w.watch(400*time.Millisecond, nil, busy, quiet)
			w.awaitSeen(busy)
			w.awaitSeen(quiet)
			end, h := w.journal.end(), w.journal.hold()
			w.reload(busy)
			h.await() // the audit reads
			w.flood(busy)
			tt.meanwhile(w)
			h.end()
			w.awaitGap(busy, end)
			tt.later(w)
			w.want(quiet, tt.want)
		})
	}
}

// The power went between two saves of boot 2: the crash of one unit had made the
// first urgent, so its cursor is of boot 2, and that of the other still of boot 1.
// Now it is boot 3, and the journal is read from the older one on.
//
// The runs of boot 1, counted long ago, were told again of the unit that was past
// them, and counted again.
func TestCursorsOfTwoBoots(t *testing.T) {
	const saved, late = "saved.service", "late.service"
	first, second := strings.Repeat("1", 32), strings.Repeat("2", 32)
	w := newWorld(t)
	in := func(boot string, clock uint64, r record) records.Place {
		r.boot, r.clock = boot, clock
		return w.journal.write(r)
	}
	ourMark := record{fields: []string{"_PID=77", "MESSAGE_ID=" + mark, "MONITOR_MARK=old"}}
	lateCursor := in(first, 1_000_000, ourMark)
	in(first, 5_000_000, startOf(saved, 1))
	in(first, 6_000_000, crashOf(saved, 1))
	in(first, 7_000_000, startOf(saved, 2))
	in(second, 900_000, startOf(saved, 3))
	savedCursor := in(second, 1_000_000, ourMark)
	in(second, 2_000_000, crashOf(saved, 3))
	in(w.journal.boot, 900_000, startOf(saved, 4))
	w.becomes(saved, state{"active", "running", "success", 4, 900_000})
	w.becomes(late, state{active: "inactive", sub: "dead", result: "success"})

	end := w.journal.end()
	w.watch(0, map[string]*count.Tally{
		// The stop is the end of boot 1, of which run 2 was.
		saved: {
			Unit: saved, State: "active", Starts: 3, Crashes: 1, Stops: 1,
			Causes:    []count.CauseCount{{Result: "signal", Crashes: 1}},
			LastCrash: &count.Crash{Time: time.Now(), Cause: classify.Cause{Result: "signal"}},
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

// A unit that a glob names appears in a gap, so it was not there before and all
// its runs are to be counted.
//
// The one that its first snapshot showed was taken for one from before anybody
// watched, and those before it were not told.
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
		read  func(w *world, h *hold)
		want  counts
	}{
		{"while the snapshots are asked for", appear, nil, again},
		{"while the journal is read up to them", nil, func(w *world, _ *hold) { appear(w) }, again},
		{"while it is read up to behind them", nil, func(w *world, h *hold) {
			h.pass()
			h.await()
			appear(w)
		}, again},
		// As where its changes did not fit: nobody asked for it.
		{"of which only the journal tells", func(w *world) {
			w.journal.write(startOf(comes, 5))
			w.journal.write(crashOf(comes, 5))
			w.becomes(comes, state{"failed", "failed", "signal", 5, w.journal.now()})
		}, nil, counts{starts: 1, crashes: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.runs(here, 1)
			w.watch(0, nil, here, "g-*.service")
			w.awaitSeen(here)
			end, h := w.journal.end(), w.journal.hold()
			asked, answer := w.bus.Hold("GetAll")
			t.Cleanup(answer)
			w.doubt()
			<-asked
			if tt.asked != nil {
				tt.asked(w)
			}
			answer()
			h.await()
			if tt.read != nil {
				tt.read(w, h)
			}
			h.end()
			w.awaitGap(comes, end)
			w.want(comes, tt.want)
		})
	}
}

// While the journal is read up to behind the snapshots, the bus is lost and comes
// back, which a new list shows: until then nobody looks at the bus.
//
// The new connection's snapshots were asked for at once, and then the journal was
// read up to behind them: what they showed was counted, and counted again.
func TestBusReturnsWhileClosing(t *testing.T) {
	const unit, added = "unit.service", "added.service"
	w := newWorld(t)
	w.runs(unit, 1)
	w.watch(0, nil, unit)
	w.awaitSeen(unit)
	end, h := w.journal.end(), w.journal.hold()
	w.doubt()
	h.await()
	h.pass()
	h.await() // the snapshots are there
	w.bus.Forget()
	w.bus.Drop()
	w.lists <- bus.List{Services: []string{unit, added}}
	w.awaitCall("Subscribe")
	w.crash(unit)
	w.start(unit, 2)
	h.end()
	w.awaitGap(unit, end)
	w.want(unit, counts{starts: 1, crashes: 1, before: 1})
}

// A unit that a reload adds in a gap was not monitored before, so it is counted
// from the gap's end.
//
// What the journal had of the time before was counted.
func TestAddedInAGap(t *testing.T) {
	const unit, added = "unit.service", "added.service"
	w := newWorld(t)
	w.runs(unit, 1)
	w.runs(added, 8)
	w.watch(0, nil, unit)
	w.awaitSeen(unit)
	end, h := w.journal.end(), w.journal.hold()
	w.journal.write(crashOf(added, 8))
	w.journal.write(startOf(added, 9))
	w.runs(added, 9)
	w.bus.Forget()
	w.doubt()
	h.await()
	w.lists <- bus.List{Services: []string{unit, added}}
	w.awaitCall("Subscribe")
	h.end()
	w.awaitGap(added, end)
	w.want(added, counts{before: 1})
}

// At a first start the journal is read from when the mark was left, and just then the
// clock is set: the mark is looked for in all of it.
func TestClockIsSetAtAFirstStart(t *testing.T) {
	const unit = "unit.service"
	w := newWorld(t)
	w.journal.clockSet = true
	w.journal.write(startOf(unit, 1))
	w.runs(unit, 2)
	asked, answer := w.bus.Hold("GetAll")
	t.Cleanup(answer)
	end := w.journal.end()
	w.watch(0, nil, unit)
	<-asked
	w.crash(unit)
	answer()
	w.awaitGap(unit, end)
	w.start(unit, 3)
	w.want(unit, counts{starts: 1})
}
