package classify

import (
	"cmp"
	"slices"
	"time"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// A Gap is a time in which something happened to a unit that is not told yet, because the
// journal could not be read. It lies between two states. When the journal is read, its
// runs lead from the one to the other. What came after the gap was watched, and is
// counted already.
type Gap struct {
	// Before is the life up to the gap, and what was told of the gap since.
	Before Life `json:"before"`
	// After is what the snapshot showed that ended the gap, and Boot the boot it was in.
	After decode.Properties `json:"after"`
	Boot  string            `json:"boot,omitzero"`
	// Clock is when that was, CLOCK_MONOTONIC in µs.
	Clock uint64 `json:"clock,omitzero"`
	// Muted is true if the journal lacks what PID 1 says of the unit.
	Muted bool `json:"muted,omitzero"`
}

// mostGaps is how many gaps of a unit may be open. Of more, the oldest is closed with what
// properties prove: a journal that is never readable must not make the state file grow.
const mostGaps = 16

// open returns the gaps of a life, the oldest first.
func (l *Life) open() []Gap {
	if l == nil || l.Gaps == nil {
		return nil
	}
	return *l.Gaps
}

// Pending is how many more starts than ends are still to be told of the open gaps. It is
// negative where more runs have ended in them.
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

// shows is the life as the snapshot shows it that ended the gap.
func (g *Gap) shows() *Life {
	return &Life{
		Invocation: g.After.Invocation, Ran: !down(&g.After),
		Ended: down(&g.After) || g.After.Invocation.IsZero(),
	}
}

// unread takes in a snapshot for which the journal could not be read, and reports
// whether that is all there is to it. If the unit is as it was, nothing has happened to
// it. If it is not, a gap is open, and the life begins anew with the snapshot.
func (t *telling) unread(u decode.Update) bool {
	l := &t.life
	if u.Complete || l.unchanged(u) {
		if l.Opened != u.Opened {
			l.Opened = u.Opened
			t.tell(CaughtUp, NoRule)
		}
		return false
	}
	gaps := slices.Clone(l.open())
	before := *l
	before.Gaps, before.Opened = nil, time.Time{}
	before.Cursor = cmp.Or(before.Cursor, u.From, u.Cursor)
	gaps = append(gaps, Gap{Before: before, After: u.Properties, Boot: u.Boot, Clock: u.Clock, Muted: u.Muted})
	*l = Life{
		Name: alias(u), ActiveState: l.ActiveState, SubState: l.SubState,
		Invocation: u.Invocation, NRestarts: u.NRestarts, Entered: u.Entered, StateEntered: u.Entered, Begun: begun(u),
		Ran: !down(&u.Properties), Ended: down(&u.Properties) || u.Invocation.IsZero(),
		Retrying: retrying(&u.Properties), GivenUp: u.ActiveState == "failed" && !retrying(&u.Properties),
		Cursor: before.Cursor, Since: l.Since, Opened: u.Opened, Gaps: &gaps,
	}
	t.move(u)
	t.tell(CaughtUp, NoRule)
	if len(gaps) > mostGaps {
		t.close(false, nil)
		t.tell(CaughtUp, NoRule)
	}
	return true
}

// unchanged reports whether a snapshot shows the very state that is known. systemd notes
// when a unit enters a state, so no other one can have been between.
func (l *Life) unchanged(u decode.Update) bool {
	return u.Entered != 0 && u.Entered == l.StateEntered && u.Invocation == l.Invocation && u.ActiveState == l.ActiveState && u.SubState == l.SubState
}

// begun is when the invocation that a snapshot shows was announced, at the latest. Where
// it shows none, all that began before it is over.
func begun(u decode.Update) uint64 {
	if u.Invocation.IsZero() {
		return u.Clock
	}
	return u.Entered
}

// fill tells of the open gaps what the first of these runs are.
func (t *telling) fill(u decode.Update) {
	runs := u.Runs[:u.News]
	for len(t.life.open()) > 0 {
		gap := t.life.open()[0]
		n, over := gap.share(runs, u.Boot)
		if !over {
			t.inGap(func(in *telling) { in.relate(runs, len(runs)) })
			return
		}
		t.close(!u.Lossy, runs[:n])
	}
}

// close tells what is still untold of the oldest open gap: what these runs are, and what
// only the snapshot tells that ended the gap. told says whether the journal has told all.
func (t *telling) close(told bool, runs []records.Run) {
	gap := t.life.open()[0]
	u := decode.Update{Kind: decode.Snapshot, Unit: t.base.Unit, Properties: gap.After}
	u.Runs, u.Complete, u.Clock = runs, told && !gap.Muted, gap.Clock
	t.inGap(func(in *telling) {
		in.base.Source = Snapshot
		announced := in.announced(u)
		in.base.Recovered = true
		runs, _ := upTo(u)
		in.relate(runs, len(runs))
		in.base.Recovered = false
		in.prove(u)
		in.miss(u.Invocation)
		in.observe(u)
		in.restarts(u)
		in.follow(u, announced)
	})
	before, rest := t.life.open()[0].Before, slices.Clone(t.life.open()[1:])
	after := &t.life
	if len(rest) > 0 {
		after = &rest[0].Before
	}
	if before.Invocation == after.Invocation { // all restarts behind it are told in two parts
		after.Scheduled += before.Scheduled
	}
	if t.life.Gaps = nil; len(rest) > 0 {
		t.life.Gaps = &rest
	}
	t.life.Filled = true
}

// cutGaps tells of the open gaps that a boot has ended. It reports whether the present
// life is of a later boot.
func (t *telling) cutGaps(u decode.Update) (later bool) {
	for len(t.life.open()) > 0 {
		if t.life.open()[0].Boot != u.Boot {
			t.inGap(func(in *telling) { in.cut(u) })
			return true
		}
		t.close(!u.Lossy, nil)
	}
	return false
}

// inGap tells what happened in the oldest open gap. What is told is about the life before
// that gap, and what is known of the unit afterwards is the present life with it.
func (t *telling) inGap(tell func(in *telling)) {
	present := t.life
	in := telling{life: present.open()[0].Before, facts: t.facts, base: t.base, from: t.from, present: &present}
	in.sub, in.base.AtLeast = in.life.SubState, false
	tell(&in)
	t.facts, t.life = in.facts, *present.with(in.life)
}

// with returns the life with another life before its oldest open gap. What that tells of
// restarts is behind the cursor of all that follows.
func (l *Life) with(before Life) *Life {
	gaps := slices.Clone(l.open())
	next, told := *l, before.Since-gaps[0].Before.Since
	next.Since += told
	for i := range gaps[1:] {
		gaps[1+i].Before.Since += told
	}
	gaps[0].Before = before
	next.Gaps = &gaps
	return &next
}

// share returns how many of these runs, which are of one boot, are of the gap, and
// whether the gap ends with them. The run that the snapshot shows is the last of them.
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
