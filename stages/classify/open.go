package classify

import (
	"cmp"
	"slices"
	"time"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// A Gap is a time in which something happened to a unit while the journal could not be read, so
// that it is not counted yet. It lies between two states. Once the journal is read, its runs lead
// from the one state to the other. What came after the gap was watched, and is counted already.
type Gap struct {
	// Before is the life up to the gap, and with what was counted of the gap since.
	Before Life `json:"before"`
	// After is the snapshot that ended the gap. Boot is the boot of that snapshot.
	After decode.Properties `json:"after"`
	Boot  string            `json:"boot,omitzero"`
	// Clock is when the snapshot was read, CLOCK_MONOTONIC in µs, and Time is when that was by the wall clock.
	Clock uint64    `json:"clock,omitzero"`
	Time  time.Time `json:"time,omitzero"`
	// Muted is true if the journal lacks what PID 1 says about the unit.
	Muted bool `json:"muted,omitzero"`
}

// mostGaps is how many gaps of a unit may be open. If there are more, the oldest is closed with
// what its snapshot proves: the state file must not grow while the journal cannot be read.
const mostGaps = 16

// open returns the gaps of a life, the oldest first.
func (l *Life) open() []Gap {
	if l == nil || l.Gaps == nil {
		return nil
	}
	return *l.Gaps
}

// Pending is the number of starts minus the number of ends that are still to be counted in the
// open gaps. It is negative if more runs ended in them than began.
func (l *Life) Pending() int64 {
	var n int64
	for _, g := range l.open() {
		if g.shows().Running() {
			n++
		}
		if g.Before.Running() {
			n--
		}
	}
	return n
}

// shows returns the life as the snapshot after the gap shows it.
func (g *Gap) shows() *Life {
	return &Life{
		Invocation: g.After.Invocation, Ran: !down(&g.After),
		Ended: down(&g.After) || g.After.Invocation.IsZero(),
	}
}

// unread works on a snapshot for which the journal could not be read, and reports whether the
// step ends here. If the unit is as it was, nothing has happened to it. If it is not, a gap is
// opened, and the life begins anew with the snapshot.
func (d *deduction) unread(u decode.Update) bool {
	l := &d.life
	if u.Complete || l.unchanged(u) {
		if l.Opened != u.Opened {
			l.Opened = u.Opened
			d.add(CaughtUp, NoRule)
		}
		return false
	}
	gaps := slices.Clone(l.open())
	before := *l
	before.Gaps, before.Opened = nil, time.Time{}
	before.Cursor = cmp.Or(before.Cursor, u.From, u.Cursor)
	gaps = append(gaps, Gap{Before: before, After: u.Properties, Boot: u.Boot, Clock: u.Clock, Time: u.Time.Round(0).UTC(), Muted: u.Muted})
	*l = Life{
		Name: alias(u), ActiveState: l.ActiveState, SubState: l.SubState,
		Invocation: u.Invocation, NRestarts: u.NRestarts, Entered: u.Entered, StateEntered: u.Entered, Begun: begun(u),
		Ran: !down(&u.Properties), Ended: down(&u.Properties) || u.Invocation.IsZero(),
		Retrying: retrying(&u.Properties), GivenUp: u.ActiveState == "failed" && !retrying(&u.Properties),
		Cursor: before.Cursor, RestartsSinceCursor: l.RestartsSinceCursor, Opened: u.Opened, Gaps: &gaps,
	}
	d.move(u)
	d.add(CaughtUp, NoRule)
	if len(gaps) > mostGaps {
		d.close(false, nil)
		d.life = *d.life.from(gaps[0])
		d.add(CaughtUp, NoRule)
	}
	return true
}

// from returns a life of which the journal is read from the end of a closed gap on: what was before that is counted.
func (l *Life) from(closed Gap) *Life {
	next, gaps := *l, slices.Clone(l.open())
	if closed.Boot == "" || closed.Time.IsZero() {
		return &next
	}
	place := records.At(closed.Boot, closed.Clock, closed.Time)
	for i := range gaps {
		gaps[i].Before.Cursor, gaps[i].Before.RestartsSinceCursor = place, uncounted
	}
	next.Cursor, next.RestartsSinceCursor, next.Gaps = place, uncounted, &gaps
	return &next
}

// unchanged reports whether a snapshot shows the state that is known already. systemd notes when
// a unit enters a state, so there was no other state in between.
func (l *Life) unchanged(u decode.Update) bool {
	return u.Entered != 0 && u.Entered == l.StateEntered && u.Invocation == l.Invocation && u.ActiveState == l.ActiveState && u.SubState == l.SubState
}

// begun returns the latest time at which the invocation of a snapshot can have been announced. If
// the snapshot has no invocation, all runs that began before the snapshot are over.
func begun(u decode.Update) uint64 {
	if u.Invocation.IsZero() {
		return u.Clock
	}
	return u.Entered
}

// fill adds what the new runs show of the open gaps.
func (d *deduction) fill(u decode.Update) {
	runs := u.Runs[:u.NewRuns]
	for len(d.life.open()) > 0 {
		gap := d.life.open()[0]
		n, over := gap.share(runs, u.Boot)
		if !over {
			d.inGap(func(in *deduction) { in.addRuns(runs, len(runs)) })
			return
		}
		d.close(!u.Lossy, runs[:n])
	}
}

// close adds what is still missing of the oldest open gap: these runs, and what only the snapshot
// after the gap shows. complete says whether the journal had everything.
func (d *deduction) close(complete bool, runs []records.Run) {
	gap := d.life.open()[0]
	u := decode.Update{Kind: decode.Snapshot, Unit: d.base.Unit, Properties: gap.After}
	u.Runs, u.Complete, u.Clock = runs, complete && !gap.Muted, gap.Clock
	d.inGap(func(in *deduction) {
		in.base.Source = Snapshot
		announced := in.announced(u)
		in.base.Recovered = true
		runs, _ := upTo(u)
		in.addRuns(runs, len(runs))
		if in.base.Recovered = false; !gap.Time.IsZero() { // an earlier version did not save it
			in.base.Time = gap.Time
		}
		in.prove(u)
		in.miss(u.Invocation)
		in.observe(u)
		in.restarts(u)
		in.follow(u, announced)
	})
	before, rest := d.life.open()[0].Before, slices.Clone(d.life.open()[1:])
	after := &d.life
	if len(rest) > 0 {
		after = &rest[0].Before
	}
	after.Lossy = after.Lossy || before.Lossy
	if before.Invocation == after.Invocation { // its restarts were counted in two parts
		after.Scheduled += before.Scheduled
		if gap.After.ActiveState == "failed" { // before, nobody knew
			after.GivenUp = before.GivenUp
		}
	}
	if d.life.Gaps = nil; len(rest) > 0 {
		d.life.Gaps = &rest
	}
	d.life.Filled = true
}

// cutGaps closes the open gaps that lie before the end of a boot. It reports whether the present
// life is of a later boot. Otherwise it returns the end of the boot that the present life is of.
func (d *deduction) cutGaps(u decode.Update) (of decode.Update, later bool) {
	for len(d.life.open()) > 0 {
		if gap := d.life.open()[0]; gap.Boot != u.Boot {
			d.inGap(func(in *deduction) { in.cut(u) })
			if !u.Last || gap.Boot == u.Cursor.Boot() {
				return u, true
			}
			// The present boot is next, so the journal has nothing of the gap's boot any more.
			u.Boot, u.Lossy = gap.Boot, true
		}
		d.close(!u.Lossy, nil)
	}
	return u, false
}

// inGap deduces what happened in the oldest open gap. The facts follow the life before that gap.
// Each fact carries the present life, with the changed gap in it.
func (d *deduction) inGap(deduce func(in *deduction)) {
	present := d.life
	in := deduction{life: present.open()[0].Before, facts: d.facts, base: d.base, from: d.from, boot: d.boot, present: &present}
	in.sub, in.base.AtLeast = in.life.SubState, false
	deduce(&in)
	d.facts, d.life = in.facts, *present.with(in.life)
}

// with returns the life with another life before its oldest open gap. All that follows has the same cursor. If
// that life counts more restarts, these also lie after the cursor of everything that follows.
func (l *Life) with(before Life) *Life {
	gaps := slices.Clone(l.open())
	next, more := *l, before.RestartsSinceCursor-gaps[0].Before.RestartsSinceCursor
	next.Cursor, next.RestartsSinceCursor = before.Cursor, next.RestartsSinceCursor+more
	for i := range gaps[1:] {
		b := &gaps[1+i].Before
		b.Cursor, b.RestartsSinceCursor = before.Cursor, b.RestartsSinceCursor+more
	}
	gaps[0].Before = before
	next.Gaps = &gaps
	return &next
}

// share returns how many of these runs belong to the gap, and whether the gap ends with them. The
// runs are of one boot. The run that the snapshot shows is the last one of the gap.
func (g *Gap) share(runs []records.Run, boot string) (n int, over bool) {
	if !g.After.Invocation.IsZero() {
		if i := slices.IndexFunc(runs, func(r records.Run) bool { return r.Invocation == g.After.Invocation }); i >= 0 {
			return i + 1, true
		}
	}
	if boot != g.Boot {
		return len(runs), false
	}
	later := slices.IndexFunc(runs, func(r records.Run) bool { return r.Clock > g.Clock })
	if later < 0 {
		return len(runs), false
	}
	return later, true
}
