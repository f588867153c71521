package classify

import (
	"slices"
	"time"

	"service-monitor/stages/bus/history"
	"service-monitor/stages/decode"
)

// recover tells of the runs that the journal has from before the snapshot.
// Those before the last known invocation, and what was told of that one, are
// counted already.
func (t *telling) recover(u decode.Update) {
	l := &t.life
	if u.Cursor == "" {
		return
	}
	t.base.To, t.base.SubState, t.base.Recovered = l.ActiveState, l.SubState, true
	runs := before(u)
	known := slices.IndexFunc(runs, func(r history.Run) bool { return r.Invocation == l.Invocation })
	if known >= 0 {
		t.relive(runs[known])
		runs = runs[known+1:]
	} else if u.Cut != "" && (l.Running() || l.Untold) {
		t.end(Cause{Result: u.Cut})
		t.base.Cause = Cause{}
	} else if len(runs) > 0 {
		t.gap(runs[0].Invocation) // the journal has lost its end
	}
	for _, r := range runs {
		*l = Life{
			ActiveState: l.ActiveState, SubState: l.SubState, NRestarts: l.NRestarts, Cursor: l.Cursor,
			Invocation: r.Invocation, Ran: true, Untold: true,
		}
		t.relive(r)
	}
	t.base.Time, t.base.To, t.base.SubState, t.base.Recovered = u.Time, u.State(), u.SubState, false
}

// before returns the runs up to the snapshot. How the last of them goes on, the
// snapshot and the changes after it say.
func before(u decode.Update) []history.Run {
	last := slices.IndexFunc(u.Runs, func(r history.Run) bool { return r.Invocation == u.Invocation })
	if last < 0 {
		// It has not run since it was loaded, or PID 1 may not write of it.
		later := slices.IndexFunc(u.Runs, func(r history.Run) bool { return r.Begun.After(u.Time) })
		if later < 0 {
			return u.Runs
		}
		return u.Runs[:later]
	}
	runs := slices.Clone(u.Runs[:last+1])
	r := &runs[last]
	r.Ended = time.Time{}
	// Restarts that were scheduled after the snapshot. More than there are means
	// that NRestarts was zeroed since they were scheduled.
	if later := r.NRestarts - u.NRestarts; later <= r.Scheduled {
		r.Scheduled -= later
	}
	return runs
}

// relive tells what is new of a run.
func (t *telling) relive(r history.Run) {
	t.base.Time = r.Begun
	t.tellStart()
	if !r.Ended.IsZero() && !t.life.Ended {
		t.base.Time = r.Ended
		t.end(Cause{r.Result, r.Code, r.Status})
		t.base.Cause = Cause{}
	}
	for t.life.Scheduled < r.Scheduled {
		t.life.Scheduled++
		t.tell(Restarted)
	}
}

// catchUp notes the new cursor, once all that lies before it is told.
func (t *telling) catchUp(u decode.Update) {
	if u.Cursor != "" && u.Cursor != t.life.Cursor {
		t.life.Cursor = u.Cursor
		t.tell(CaughtUp)
	}
}
