package chronicle

import (
	"time"

	"service-monitor/stages/bus/watch"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/zone"
)

// A unit is what the chronicle knows of a unit.
type unit struct {
	has     store.Counts // what its records add up to, with those that wait
	is      store.Counts // its counts with the last event
	settled bool         // has and is should be equal, because no event is being told again
	gone    bool         // the state file does not have it, and no event of it has come
	told    bool         // a record of it is in the store, or waits
	unseen  bool         // the record of kind Seen, with which its counts begin, was dropped
	over    bool         // its last record says that it is forgotten, but it is being told again
	budget  budget
	span    Span          // in which the unit is
	fold    *store.Record // the record that repeated events are joined to
	end     time.Time     // when the fold collects no more
	due     time.Time     // when to write the fold: before end if no event comes
	storm   bool          // each event is joined to a fold
	written int           // how many folds were written in this storm
	gaveUp  time.Time     // when a record of kind GaveUp was made last
}

// take records an event.
func (s *Stage) take(e *count.Event, now time.Time) {
	delete(s.retold, e.Unit)
	if e.Recovered && e.Kind != classify.Forgotten {
		s.retold[e.Tally.Unit] = true // nothing of it is saved until all is told
	}
	switch e.Kind {
	case classify.Folded, classify.Forgotten:
		s.forget(e, now)
		return
	}
	u := s.unitOf(e, now)
	s.folded = store.Counts{}
	u.is, u.gone = Counts(e.Tally), false
	u.settled = !e.Recovered
	switch e.Kind {
	case classify.Moved:
		if u.span.Phase == count.Down && e.Releases() {
			r := s.record(e, store.None)
			u.span = u.span.release(&r)
		}
		if remarkable(e) {
			s.moved(u, e, now)
		}
	case classify.GaveUp:
		s.gaveUp(u, e, now)
	case classify.CaughtUp:
		delta := u.is.Minus(u.has)
		again := e.Recovered || e.Life != nil && e.Life.Pattern && e.Life.Cursor == records.Beginning
		if again && min(delta.Starts, delta.Stops, delta.Crashes, delta.Unknown, delta.Restarts) < 0 {
			u.settled = true // a glob: its units are counted again, so its sum may still grow
			break
		}
		if e.Life.Pending() == 0 && (e.Life == nil || e.Life.Opened.IsZero()) {
			s.settle(e.Unit, u, now)
		} else {
			u.settled = false
		}
	case classify.Started, classify.Stopped, classify.Crashed, classify.UnknownEnd, classify.Restarted:
		s.counted(u, e, now)
	}
}

// remarkable reports whether somebody who reads the history wants to know of a state, although nothing is
// counted: systemd has the unit no more, or again, or it reloads, or is being cleaned.
func remarkable(e *count.Event) bool {
	switch e.To {
	case e.From: // only the sub state has changed
		return false
	case "reloading", "refreshing", "maintenance", decode.NotLoaded:
		return true
	}
	return e.From == decode.NotLoaded
}

// moved records a state, unless there are many. Half of the budget is left for what is counted.
func (s *Stage) moved(u *unit, e *count.Event, now time.Time) {
	if u.storm || !u.budget.rested(now) || !u.budget.spend(now) || !s.all.spend(now) {
		return
	}
	r := s.record(e, store.State)
	r.After = u.has
	s.add(r, now)
}

// unitOf returns what is known of the unit of an event. If the unit is new, a record says with
// which counts it begins.
func (s *Stage) unitOf(e *count.Event, now time.Time) *unit {
	u := s.units[e.Unit]
	if u != nil && (e.Kind != classify.Seen || e.Recovered) {
		return u // it is no new one: the monitor was killed before it saved it, and reads it in the journal again
	}
	if has, gone := s.gone[e.Unit]; gone && e.Recovered {
		delete(s.gone, e.Unit)
		u = &unit{has: has, told: true, over: true}
		s.units[e.Unit] = u
		return u
	}
	if u != nil && u.fold != nil { // the state file has lost the unit, and it begins anew
		s.unfold(e.Unit, u, now)
	}
	r := s.record(e, store.Seen)
	r.Rule, r.Result, r.Code, r.Status, r.From = "", "", 0, 0, ""
	r.After = Counts(e.Tally).Minus(store.Single(kindOf(e.Kind), flags(e)))
	if e.Tally.Folded > 0 {
		r.After = r.After.Minus(s.folded)
	}
	u = &unit{has: r.After, span: running(e.Life)}
	s.units[e.Unit] = u
	if f := s.family(e.Unit); f != nil && !f.spend(now) {
		u.storm = true // so many of its kind come and go that only the sum of the glob is recorded
		u.budget.exhaust(now)
		return u
	}
	s.add(r, now)
	return u
}

// forget records that the unit is gone, or is no longer monitored.
func (s *Stage) forget(e *count.Event, now time.Time) {
	u := s.units[e.Unit]
	if u == nil {
		s.folded = store.Counts{}
		return
	}
	s.folded = u.is
	if !u.told { // it has no records, and needs none
		delete(s.folding, e.Unit)
		delete(s.units, e.Unit)
		return
	}
	if u.fold != nil {
		s.unfold(e.Unit, u, now)
	}
	if delete(s.units, e.Unit); u.over {
		return
	}
	r := s.record(e, store.Forgotten)
	r.After = u.has
	s.add(r, now)
}

// counted records an event that is counted, unless it is in the chronicle already.
func (s *Stage) counted(u *unit, e *count.Event, now time.Time) {
	r := s.record(e, kindOf(e.Kind))
	u.span = u.span.next(&r)
	times := int64(e.Times())
	lacks := *u.is.Of(r.Kind) - *u.has.Of(r.Kind) - times
	if lacks < 0 {
		if times += lacks; times <= 0 {
			return
		}
		lacks = 0 // the chronicle has some of them already
	}
	if lacks > 0 {
		var d store.Counts
		*d.Of(r.Kind) = lacks
		s.untold(e.Unit, u, d, now)
	}
	if r.Delta = store.Single(r.Kind, r.Flags).Times(times); times > 1 {
		r.Kind, r.Flags, r.Until = store.Many, r.Flags&^store.Missed, r.Time
	}
	s.put(u, r, now)
}

// settle makes the records of a unit add up to its counts.
func (s *Stage) settle(name string, u *unit, now time.Time) {
	if delta := u.is.Minus(u.has); delta != (store.Counts{}) {
		s.untold(name, u, delta, now)
	}
}

// untold records counts for which there was no event.
func (s *Stage) untold(name string, u *unit, delta store.Counts, now time.Time) {
	r := store.Record{Kind: store.Many, Flags: store.Untold, Time: zone.Local(now), Until: zone.Local(now), Monotonic: s.moment(now).Clock, Boot: s.boot, Unit: name, Delta: delta}
	if watch.IsGlob(name) { // it has taken over the counts of units that are gone
		r.Flags = 0
	}
	s.put(u, r, now)
}

// put adds a record of a unit to those that wait, or to the unit's fold.
func (s *Stage) put(u *unit, r store.Record, now time.Time) {
	u.has = u.has.Plus(r.Delta)
	r.After, u.over = u.has, false
	if u.storm && u.fold == nil && u.budget.rested(now) {
		u.storm, u.written = false, 0
	}
	if !u.storm && u.budget.spend(now) && s.all.spend(now) {
		s.add(r, now)
		return
	}
	u.storm = true
	u.budget.exhaust(now)
	if u.fold == nil {
		u.fold, u.end = &store.Record{Kind: store.Many, Time: r.Time, Unit: r.Unit}, now.Add(period(u.written))
		s.folding[r.Unit] = u
	}
	if u.due = now.Add(pause); u.end.Before(u.due) {
		u.due = u.end
	}
	if s.soonest.IsZero() || u.due.Before(s.soonest) {
		s.soonest = u.due
	}
	join(u.fold, &r)
}

// join joins a record to a fold.
func join(fold, r *store.Record) {
	fold.Flags |= r.Flags &^ store.Missed
	fold.Until, fold.Monotonic, fold.Boot = r.Time, r.Monotonic, r.Boot
	fold.Up, fold.Down = fold.Up+r.Up, fold.Down+r.Down
	fold.Delta, fold.After = fold.Delta.Plus(r.Delta), r.After
	if r.Invocation != [16]byte{} {
		fold.Invocation = r.Invocation
	}
	if r.Result != "" && (r.Kind == store.Crash || fold.Result == "") {
		fold.Result, fold.Code, fold.Status = r.Result, r.Code, r.Status
	}
}

// unfold writes the fold of a unit.
func (s *Stage) unfold(name string, u *unit, now time.Time) {
	u.fold.After = u.has // an earlier record may have been dropped
	s.add(*u.fold, now)
	u.fold, u.written = nil, u.written+1
	delete(s.folding, name)
}

// gaveUp records that systemd gave up. In a storm that is recorded as often as folds are.
func (s *Stage) gaveUp(u *unit, e *count.Event, now time.Time) {
	switch {
	case u.fold != nil && now.Sub(u.gaveUp) < period(u.written):
		return
	case u.fold != nil:
		s.unfold(e.Unit, u, now)
	case !u.storm && !u.budget.spend(now):
		return
	}
	r := s.record(e, store.GaveUp)
	r.After, u.gaveUp = u.has, now
	s.add(r, now)
}
