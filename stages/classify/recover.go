package classify

import (
	"slices"
	"time"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// past tells what the journal has of a time when nobody watched.
func (t *telling) past(u decode.Update) {
	l := &t.life
	if !l.Known() {
		if len(u.Runs) == 0 {
			return
		}
		t.base.Time, t.base.Clock = u.Runs[0].Begun, u.Runs[0].Clock
		t.appear()
		t.base.Clock = 0
	}
	t.base.To, t.base.SubState, t.base.Recovered = l.ActiveState, l.SubState, true
	if u.Cut == "" {
		if t.fill(u); len(l.open()) == 0 {
			t.relate(u.Runs, u.News)
			t.reconcile(u.Restarts)
		}
		return
	}
	if !t.cutGaps(u) {
		t.cut(u)
	}
}

// cut tells that a boot has ended, and with it what ran in it. Where the journal lacks
// something, what it takes to have run may have ended before.
func (t *telling) cut(u decode.Update) {
	l, how := &t.life, u.Cut
	if u.Lossy {
		how = Unknown
	}
	if l.Running() || l.StartOwed {
		was := t.base
		t.finish(Cause{Result: how}, BootOver)
		t.base = was
	}
	l.Entered, l.Begun, l.NRestarts, l.Unexplained = 0, 0, 0, 0 // in the next boot, all begin again
}

// gap tells what the journal has from before a snapshot, and prepares for what
// only the snapshot tells.
func (t *telling) gap(u decode.Update) {
	l := &t.life
	was := t.base
	t.base.To, t.base.SubState = l.ActiveState, l.SubState
	for len(l.open()) > 0 {
		t.close(u.Complete, nil)
	}
	t.base.Recovered = true
	runs, later := upTo(u)
	t.relate(runs, len(runs))
	t.reconcile(u.Restarts - min(u.Restarts, later))
	l.Cursor, l.Since, l.Opened = u.Cursor, u.Since-min(u.Since, later), time.Time{}
	t.base = was
	t.prove(u)
}

// prove says what a snapshot proves of the gap before it, beyond what the journal has told.
func (t *telling) prove(u decode.Update) {
	l := &t.life
	over := l.Ended || !down(&u.Properties) // or else its end should be in the journal
	switch {
	case !u.Invocation.IsZero():
		// As long as it is the same invocation there was no other.
		t.recorded = u.Complete && !t.lost && u.Invocation == l.Invocation && over
		t.base.AtLeast = t.lost || u.Invocation != l.Invocation || (l.Relived || l.Filled) && !u.Complete
	case u.Complete && !t.lost && !l.Running() && !l.StartOwed:
		t.recorded = true
	default:
		// Not loaded now; it may have run and been unloaded, if there is such a unit.
		t.base.AtLeast = l.Running() || l.StartOwed || u.LoadState != "not-found" || !l.Invocation.IsZero()
	}
}

// upTo returns the runs as they stood at the snapshot, and how many restarts were
// scheduled later. How its own run goes on, the changes after it tell.
func upTo(u decode.Update) (runs []records.Run, later uint32) {
	n := len(u.Runs) - 1
	if n < 0 || u.Runs[n].Invocation != u.Invocation {
		return u.Runs, 0
	}
	runs = slices.Clone(u.Runs)
	last := &runs[n]
	switch {
	case !down(&u.Properties):
		later = last.Scheduled
		*last = records.Run{Invocation: last.Invocation, Begun: last.Begun, Clock: last.Clock}
	case !retrying(&u.Properties):
	case u.NRestarts > last.NRestarts:
		later = last.Scheduled // NRestarts was zeroed after the snapshot, and counted up again
	case last.NRestarts-u.NRestarts <= last.Scheduled:
		later = last.NRestarts - u.NRestarts // and otherwise it was zeroed before
	}
	last.Scheduled -= min(last.Scheduled, later)
	last.NRestarts -= min(last.NRestarts, later)
	return runs, later
}

// reconcile tells of restarts that were missed. The changes of a unit do not show
// each: reset-failed zeroes NRestarts of a unit that has not failed and announces
// nothing, so the next restart may leave it at 1, where it was. They were scheduled
// before the last known run: those after it are told with it.
func (t *telling) reconcile(restarts uint32) {
	if t.from == "" || t.from != t.life.Cursor {
		return // it was not counted from there
	}
	for t.life.Since < restarts {
		t.life.Since++
		t.tell(Restarted, RestartLacks)
	}
}

// relate tells the first of these runs. Those before the last known invocation,
// and what was told of that one, are counted already.
func (t *telling) relate(runs []records.Run, tell int) {
	l := &t.life
	known := slices.IndexFunc(runs, func(r records.Run) bool { return r.Invocation == l.Invocation })
	switch {
	case known >= tell:
		return
	case known >= 0:
		t.relive(runs[known])
		runs = runs[known+1 : tell]
	default:
		// The journal has lost it, or it was before all of these. What was received
		// before it was announced is counted; journald may have left out its records.
		next := slices.IndexFunc(runs[:tell], func(r records.Run) bool { return r.Clock >= l.Begun })
		if next < 0 {
			return
		}
		runs = runs[next:tell]
	}
	for _, r := range runs {
		t.lost = t.lost || l.Running() || l.StartOwed
		t.miss(r.Invocation) // or the journal lacks the end of the one before
		unexplained := l.Unexplained
		if l.Scheduled == 0 {
			unexplained++
		}
		*l = l.next(r.Invocation)
		l.Begun, l.Ran, l.Relived, l.Unexplained = r.Clock, true, true, unexplained
		t.relive(r)
	}
}

// relive tells what is new of a run.
func (t *telling) relive(r records.Run) {
	l := &t.life
	t.base.Time = r.Begun
	t.lapse(r)
	t.tellStart()
	if !r.Ended.IsZero() {
		t.base.Time = r.Ended
		if !l.Ended {
			t.base.Clock = r.EndClock
			t.finish(Cause{r.Result, r.Code, r.Status}, Record)
			t.base.Cause, t.base.Clock = Cause{}, 0
		}
	}
	for n := t.behind(); n < r.Scheduled; n++ {
		l.Retrying, l.NRestarts, l.Unexplained = true, r.NRestarts, 0
		t.restart(Record)
	}
	if !r.Refused.IsZero() && !l.GivenUp {
		l.GivenUp = true
		t.base.Time, t.base.Cause = r.Refused, Cause{r.Refusal, r.Code, r.Status}
		t.tell(GaveUp, Record)
		t.base.Cause = Cause{}
	}
}

// behind is how many restarts after the last known run were told of that are behind
// the place from which the journal is read: it may lie between two of them.
func (t *telling) behind() uint32 {
	l := &t.life
	if t.from == "" || t.from != l.Cursor {
		return l.Scheduled // what lies before the unit's own cursor was told, too
	}
	return min(l.Scheduled, l.Since)
}

// lapse tells of restarts before a run that the journal lacks: what it has of the
// one after that run says how many there have been. Of a run that was watched it is
// known what NRestarts was.
func (t *telling) lapse(r records.Run) {
	l := &t.life
	known := l.NRestarts + r.Scheduled - l.Scheduled
	if !l.Relived || r.Scheduled <= l.Scheduled || r.NRestarts <= known {
		return
	}
	was, lacks := t.base, r.NRestarts-known
	t.base.AtLeast = true
	for i := range lacks {
		t.base.Missed = i+l.Unexplained < lacks
		t.tell(Restarted, RestartLacks)
	}
	t.base, l.NRestarts, l.Unexplained = was, l.NRestarts+lacks, 0
}

// catchUp notes a new cursor, once all that lies before it is told.
func (t *telling) catchUp(u decode.Update) {
	switch {
	case u.Kind == decode.Snapshot:
		t.life.Relived, t.life.Filled = false, false
	case u.Cursor == "" || u.Cursor == t.life.Cursor || len(t.life.open()) > 0:
		return
	default:
		t.life.Cursor, t.life.Since, t.life.Opened = u.Cursor, 0, time.Time{}
	}
	t.base.Cause = Cause{}
	t.tell(CaughtUp, NoRule)
}
