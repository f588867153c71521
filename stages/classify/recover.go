package classify

import (
	"slices"
	"time"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// past adds what the journal has of a time in which the monitor did not watch.
func (d *deduction) past(u decode.Update) {
	l := &d.life
	if !l.Known() {
		if len(u.Runs) == 0 {
			return
		}
		d.base.Time, d.base.Clock = u.Runs[0].Begun, u.Runs[0].Clock
		d.appear()
		d.base.Clock, l.Lossy = 0, u.Lost
	}
	d.base.To, d.base.SubState, d.base.Recovered = l.ActiveState, l.SubState, true
	if u.Cut == "" {
		if d.fill(u); len(l.open()) == 0 {
			d.addRuns(u.Runs, u.NewRuns)
			d.reconcile(u.Restarts)
		}
		return
	}
	if u, later := d.cutGaps(u); !later {
		d.cut(u)
	}
}

// cut adds the end of a boot, which also ended the run of the unit. If the journal lacks
// something, that run may have ended before.
func (d *deduction) cut(u decode.Update) {
	l, how := &d.life, u.Cut
	if u.Lossy {
		how = Unknown
	}
	if l.Running() || l.StartOwed {
		was := d.base
		d.finish(Cause{Result: how}, BootOver)
		d.base = was
	}
	l.Entered, l.StateEntered, l.Begun, l.NRestarts, l.Unexplained = 0, 0, 0, 0, 0 // these begin anew with the next boot
	if l.Lossy = l.Lossy || u.Lossy || u.Lost; u.Cursor != "" {
		l.Cursor, l.RestartsSinceCursor = u.Cursor, 0
	}
}

// gap adds what the journal has from the time before a snapshot, and prepares for what only the
// snapshot shows.
func (d *deduction) gap(u decode.Update) {
	l := &d.life
	was := d.base
	d.base.To, d.base.SubState = l.ActiveState, l.SubState
	for len(l.open()) > 0 {
		d.close(u.Complete, nil)
	}
	d.base.Recovered = true
	runs, later := upTo(u)
	d.addRuns(runs, len(runs))
	d.reconcile(u.Restarts - min(u.Restarts, later))
	l.Cursor, l.RestartsSinceCursor, l.Opened = u.Cursor, u.RestartsSinceCursor-min(u.RestartsSinceCursor, later), time.Time{}
	d.base = was
	d.prove(u)
}

// prove notes what a snapshot proves about the gap before it, beyond the journal.
func (d *deduction) prove(u decode.Update) {
	l := &d.life
	over := l.Ended || !down(&u.Properties) // otherwise the journal lacks its end
	switch {
	case !u.Invocation.IsZero():
		// If the invocation is the same, there was no other.
		d.recorded = u.Complete && !d.lost && u.Invocation == l.Invocation && over
		d.base.AtLeast = d.lost || u.Invocation != l.Invocation || (l.Relived || l.Filled) && !u.Complete
	case u.Complete && !d.lost && !l.Running() && !l.StartOwed:
		d.recorded = true
	default:
		// It is not loaded. If there is such a unit, it may have run and been unloaded.
		d.base.AtLeast = l.Running() || l.StartOwed || u.LoadState != "not-found" || !l.Invocation.IsZero()
	}
}

// upTo returns the runs as they stood at the snapshot, and how many restarts were scheduled after
// it. Later changes show how the run of the snapshot goes on.
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
	case u.SubState == autoRestart && u.Job == 0:
		later = last.Scheduled // a scheduled restart has a job, or has left this state (257)
	case u.NRestarts > last.NRestarts:
		later = last.Scheduled // NRestarts was set to zero after the snapshot, and has grown again
	case last.NRestarts-u.NRestarts <= last.Scheduled:
		later = last.NRestarts - u.NRestarts // otherwise NRestarts was set to zero before
	}
	last.Scheduled -= min(last.Scheduled, later)
	last.NRestarts -= min(last.NRestarts, later)
	return runs, later
}

// reconcile adds restarts that the changes did not show. If a unit has not failed, reset-failed
// sets its NRestarts to zero and announces nothing. So NRestarts may be 1 before and after the next
// restart. These restarts came before the last known run. Later ones are counted with their run.
func (d *deduction) reconcile(restarts uint32) {
	if d.from == "" || d.from != d.life.Cursor {
		return // the number counts from another place
	}
	if counted := d.life.RestartsSinceCursor; counted < restarts {
		d.addRestarts(restarts-counted, RestartLacks, func(n uint32) { d.life.RestartsSinceCursor += n })
	}
}

// addRuns adds what is new in the first of these runs. The runs before the last known invocation
// are counted already, and so is the part of that one that was seen.
func (d *deduction) addRuns(runs []records.Run, newRuns int) {
	l := &d.life
	known := slices.IndexFunc(runs, func(r records.Run) bool { return r.Invocation == l.Invocation })
	switch {
	case known >= newRuns:
		return
	case known >= 0:
		d.addRun(runs[known])
		runs = runs[known+1 : newRuns]
	default:
		// The journal has lost it, or it was before all of these. Runs whose first
		// record came before it was announced are counted. Its own records may be missing.
		next := slices.IndexFunc(runs[:newRuns], func(r records.Run) bool { return r.Clock >= l.Begun })
		if next < 0 {
			return
		}
		runs = runs[next:newRuns]
	}
	for _, r := range runs {
		d.lost = d.lost || l.Running() || l.StartOwed
		d.miss(r.Invocation) // the journal may lack the end of the run before
		unexplained := l.Unexplained
		if l.Scheduled == 0 {
			unexplained++
		}
		*l = l.next(r.Invocation)
		l.Begun, l.Ran, l.Relived, l.Unexplained = r.Clock, true, true, unexplained
		d.addRun(r)
	}
}

// addRun adds what is new of a run.
func (d *deduction) addRun(r records.Run) {
	l := &d.life
	d.base.Time = r.Begun
	d.addMissing(r)
	d.base.Clock = r.Clock
	d.addStart()
	d.base.Clock = 0
	if !r.Ended.IsZero() {
		d.base.Time = r.Ended
		if !l.Ended {
			d.base.Clock = r.EndClock
			d.finish(Cause{r.Result, r.Code, r.Status}, Record)
			d.base.Cause, d.base.Clock = Cause{}, 0
		}
	}
	for n := d.counted(); n < r.Scheduled; n++ {
		l.Retrying, l.NRestarts, l.Unexplained = true, r.NRestarts, 0
		l.Scheduled++
		d.restart(Record)
	}
	if !r.Refused.IsZero() && !l.GivenUp {
		l.GivenUp = true
		d.base.Time, d.base.Cause = r.Refused, Cause{r.Refusal, r.Code, r.Status}
		d.add(GaveUp, Record)
		d.base.Cause = Cause{}
	}
}

// counted returns how many of the restarts after the last known run are counted already and lie
// after the place where reading the journal began. That place may lie between two of them.
func (d *deduction) counted() uint32 {
	l := &d.life
	if d.from == "" || d.from != l.Cursor {
		return l.Scheduled // what lies before the unit's own cursor is counted, too
	}
	return min(l.Scheduled, l.RestartsSinceCursor)
}

// addMissing adds restarts that are missing from the journal. The record of a restart after this
// run has NRestarts, and so shows how many restarts there were before. A run that was watched is
// left out, because its NRestarts is known.
func (d *deduction) addMissing(r records.Run) {
	l := &d.life
	known := l.NRestarts + r.Scheduled - l.Scheduled
	if !l.Relived || r.Scheduled <= l.Scheduled || r.NRestarts <= known {
		return
	}
	was, lacks := d.base, r.NRestarts-known
	d.base.AtLeast = true
	missed := lacks - min(lacks, l.Unexplained)
	d.base.Missed = true
	d.addRestarts(missed, RestartLacks, nil)
	d.base.Missed = false
	d.addRestarts(lacks-missed, RestartLacks, nil)
	d.base, l.NRestarts, l.Unexplained = was, l.NRestarts+lacks, 0
}

// catchUp notes a new cursor once everything before it is counted.
func (d *deduction) catchUp(u decode.Update) {
	switch {
	case u.Kind == decode.Snapshot:
		d.life.Relived, d.life.Filled = false, false
	case u.Cursor == "" || u.Cursor == d.life.Cursor || len(d.life.open()) > 0:
		return
	default:
		d.life.Cursor, d.life.RestartsSinceCursor, d.life.Opened = u.Cursor, 0, time.Time{}
	}
	if never := u.LoadState == "not-found" && d.life.Invocation.IsZero(); d.life.Lossy && !never {
		d.base.AtLeast = true
	}
	d.base.Cause, d.life.Lossy = Cause{}, false
	d.add(CaughtUp, NoRule)
}
