// Package count is the counter keeper: it counts the transitions of each unit.
package count

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
	"service-monitor/stages/zone"
)

// A Tally is all that is counted of one unit, a state.
type Tally struct {
	Unit    string
	State   string    // active state, or decode.NotLoaded
	Changed time.Time // when the state was entered, as far as it was observed
	// Each invocation starts once, and its end is a stop, a crash or, where nothing
	// tells which, an unknown end. So always
	// Starts + Before = Stops + Crashes + Unknown + (1 if it is running).
	Starts, Stops, Crashes, Unknown uint64
	// Restarts are those that systemd scheduled.
	Restarts uint64
	// Before balances what was not counted: 1 if it was running when first seen.
	Before int64
	// Causes counts the crashes by result.
	Causes []CauseCount
	// LastCrash is nil when there was none. Like Life, which is nil before the unit is
	// seen, it is shared, and so it is never changed.
	LastCrash *Crash
	Life      *classify.Life
	// ChangedUntrusted is true where Changed is certainly wrong.
	ChangedUntrusted bool
	// Told is true once it was logged that systemd has no such unit.
	Told bool
	// Folded is, of a glob, how many units are in these counters: all that it named and
	// that systemd has unloaded.
	Folded uint64
	// AtLeast is true once something may have happened that was not seen and that
	// the journal could not tell: the counts are lower bounds.
	AtLeast bool
	// Dropped is true in a copy of the state, of a unit that was then removed from it.
	// Restored is true once the counts of all such copies are in these counts.
	Dropped, Restored bool
}

// A CauseCount is the number of crashes with one result.
type CauseCount struct {
	Result  string
	Crashes uint64
}

// A Crash is the end of a run that did not end well.
type Crash struct {
	Time       time.Time
	Cause      classify.Cause
	Invocation string
	// Untrusted is true where Time is certainly wrong.
	Untrusted bool
	// Clock is CLOCK_MONOTONIC then, in µs, of a boot; both are zero where they are
	// not known.
	Clock uint64
	Boot  string
}

// An Event is a transition and the counters after it, a fact.
type Event struct {
	classify.Transition
	// Untrusted is true where Time is certainly wrong: the wall clock had not been
	// set yet.
	Untrusted bool
	// Tally is shared by all who keep it, and so it is never changed.
	Tally *Tally
}

// timeFormat is that of the log file.
const timeFormat = "2006-01-02 15:04:05"

// Stage is the counter keeper.
type Stage struct {
	log   logrus.FieldLogger
	units map[string]*Tally // as they were told
	start Moment
	clock clock
	// recovering are the units of which not all is told yet that was missed.
	recovering map[string]bool
}

// New returns a keeper that continues from what an earlier process counted, and
// begins now.
func New(log logrus.FieldLogger, known map[string]*Tally, now Moment) *Stage {
	units := maps.Clone(known)
	if units == nil {
		units = make(map[string]*Tally)
	}
	return &Stage{log: log, units: units, start: now, clock: newClock(known, now), recovering: make(map[string]bool)}
}

// Run counts transitions until they end.
func (s *Stage) Run(ctx context.Context, p *pipeline.Port[classify.Transition, Event]) error {
	var events []Event
	for {
		select {
		case transitions, ok := <-p.In:
			if !ok {
				return nil
			}
			events = events[:0]
			for now := time.Now(); len(transitions) > 0; transitions = transitions[1:] {
				events = s.count(events, transitions[0], now)
			}
			p.Nudge() // first: of those who are woken, the last runs first, and the log sink is to
			if err := p.Send(ctx, events...); err != nil {
				return err
			}
		case q := <-p.Probes:
			events = nil // with the room for a storm's, as the stream does
			q.Answer(pipeline.Answer{Status: s.status(s.start.at(time.Now()))})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count counts a transition, and appends the event of it, after those of other units
// whose tallies it has changed.
func (s *Stage) count(events []Event, t classify.Transition, now time.Time) []Event {
	e := Event{Transition: t}
	if t.Recovered {
		today := s.start.at(now).Time
		e.Untrusted = !s.clock.trusts(t.Time) || s.clock.trusts(today) && t.Time.After(today.Add(slack))
	} else {
		e.Clock = cmp.Or(t.Clock, s.start.at(t.Time).Clock)
		// Where a sandbox hides the boot id, the journal tells it.
		if s.start.Boot == "" {
			s.start.Boot = t.Life.Cursor.Boot()
		}
		events = append(events, s.set(Moment{t.Time.Round(0), e.Clock, s.start.Boot})...)
		e.Untrusted = !s.clock.trusts(t.Time)
	}
	e.Time = t.Time.Round(0) // from here on, it is of the wall clock
	var was Tally
	if known := s.units[t.Unit]; known != nil {
		was = *known
	}
	if t.Kind == classify.Folded {
		return append(events, s.fold(e)...)
	}
	is := step(was, e, s.start.Boot)
	e.Tally, s.units[t.Unit] = &is, &is
	if t.Recovered {
		s.recovering[t.Unit] = true
	} else {
		delete(s.recovering, t.Unit)
	}
	if t.Kind == classify.Forgotten {
		delete(s.units, t.Unit)
	}
	return append(events, e)
}

// fold puts the counters of a unit that is over to those of its glob. The first event is
// of the unit, the second of the glob. Both have the tally of the glob: whoever saves
// the one without the other loses nothing, and counts nothing twice.
func (s *Stage) fold(e Event) []Event {
	unit, sum := s.units[e.Unit], Tally{Unit: e.Glob, State: decode.NotLoaded, Changed: e.Time, Told: true}
	if known := s.units[e.Glob]; known != nil {
		sum = *known
	}
	delete(s.units, e.Unit)
	if unit != nil {
		sum.add(unit, s.start.Boot)
	}
	s.units[e.Glob], e.Tally = &sum, &sum
	t := classify.Transition{Kind: classify.CaughtUp, Unit: e.Glob, Time: e.Transition.Time, To: decode.NotLoaded, Recovered: e.Recovered, Life: sum.Life}
	return []Event{e, {Transition: t, Untrusted: e.Untrusted, Tally: &sum}}
}

// add adds the counters of a unit that is over.
func (t *Tally) add(unit *Tally, boot string) {
	t.Folded++
	t.Starts, t.Stops, t.Crashes, t.Unknown = t.Starts+unit.Starts, t.Stops+unit.Stops, t.Crashes+unit.Crashes, t.Unknown+unit.Unknown
	t.Restarts, t.Before, t.AtLeast = t.Restarts+unit.Restarts, t.Before+unit.Before, t.AtLeast || unit.AtLeast
	for _, c := range unit.Causes {
		t.Causes = addCause(t.Causes, c.Result, c.Crashes)
	}
	if t.LastCrash.before(unit.LastCrash, boot) {
		t.LastCrash = unit.LastCrash
	}
}

// set takes in a moment at which something happened. Where the clock was set
// back since, the times of some units are no longer trusted: their events say
// that nothing but this is new. What a unit is still to be told of a gap, it is
// told with its times.
func (s *Stage) set(m Moment) (events []Event) {
	from, set := s.clock.take(m)
	if !set {
		return nil
	}
	local := func(t time.Time) string { return zone.Local(t).Format(timeFormat) }
	s.log.WithFields(logrus.Fields{"from": local(from), "to": local(m.Time)}).WithTime(m.Time).Warn("the clock was set")
	if m.Time.After(from) || !s.clock.trusts(m.Time) {
		return nil
	}
	for _, unit := range slices.Sorted(maps.Keys(s.units)) {
		tally := *s.units[unit]
		if !tally.doubt(m.Time) {
			continue
		}
		s.units[unit] = &tally
		if !s.recovering[unit] {
			t := classify.Transition{Kind: classify.CaughtUp, Unit: unit, Time: m.Time, To: tally.State, Life: tally.Life}
			events = append(events, Event{Transition: t, Tally: &tally})
		}
	}
	return events
}

// step counts the transition of an event, in a boot.
func step(tally Tally, t Event, boot string) Tally {
	tally.Unit, tally.Life, tally.AtLeast = t.Unit, t.Life, tally.AtLeast || t.AtLeast
	switch t.Kind {
	case classify.Seen:
		tally.enter(t)
		// An imported state file may hold counters that do not balance.
		tally.Before = int64(tally.ends()) - int64(tally.Starts)
		if t.Life.Running() {
			tally.Before++
		}
	case classify.Moved:
		tally.enter(t)
	case classify.CaughtUp:
		if tally.State == "" { // a glob, of which this is the first that is known
			tally.enter(t)
		}
	case classify.Started:
		tally.Starts++
	case classify.Stopped:
		tally.Stops++
	case classify.Crashed:
		tally.Crashes++
		tally.Causes = addCause(tally.Causes, t.Cause.Result, 1)
		tally.lastCrash(t, boot)
	case classify.UnknownEnd:
		tally.Unknown++
	case classify.Restarted:
		tally.Restarts++
		if t.Missed {
			tally.Starts++
			tally.Unknown++
		}
	}
	tally.Told = tally.State == decode.NotLoaded
	return tally
}

// ends is how many runs have ended, however they did.
func (t *Tally) ends() uint64 { return t.Stops + t.Crashes + t.Unknown }

// lastCrash takes a crash in. One that is told of an open gap may be older than the last
// one that is known.
func (t *Tally) lastCrash(e Event, boot string) {
	crash := &Crash{Time: e.Time, Cause: e.Cause, Invocation: e.Invocation.String(), Untrusted: e.Untrusted, Clock: e.Clock}
	if e.Clock > 0 {
		crash.Boot = boot
	}
	if !e.Recovered || !crash.before(t.LastCrash, boot) {
		t.LastCrash = crash
	}
}

// enter takes the new state in. A unit that is found in the state that an
// imported file tells of has not changed.
func (t *Tally) enter(into Event) {
	if into.To != t.State || t.Changed.IsZero() {
		t.State, t.Changed, t.ChangedUntrusted = into.To, into.Time, into.Untrusted
	}
}

// addCause returns causes with more crashes. It is a new slice, because
// tallies that share the old one are on their way.
func addCause(causes []CauseCount, result string, crashes uint64) []CauseCount {
	causes = slices.Clone(causes)
	for i := range causes {
		if causes[i].Result == result {
			causes[i].Crashes += crashes
			return causes
		}
	}
	return append(causes, CauseCount{result, crashes})
}

// status says how the services are, for people.
func (s *Stage) status(now Moment) string {
	if len(s.units) == 0 {
		return "" // the bus says why
	}
	watched, active := 0, 0
	last := new(Tally)
	for _, tally := range s.units {
		if tally.Life == nil || !tally.Life.Pattern {
			watched++
		}
		switch tally.State {
		case "active", "reloading", "refreshing": // refreshing is new in systemd 257
			active++
		}
		if last.LastCrash.before(tally.LastCrash, now.Boot) {
			last = tally
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "watching %d services, %d active", watched, active)
	if last.Crashes > 0 {
		b.WriteString(", last crash " + last.Unit)
		if age, ok := s.clock.age(last.LastCrash, now); ok {
			b.WriteString(" " + ago(age))
		}
	}
	return b.String()
}

// ago says how long something is past, roughly: the status is sent again with
// each round in which it reads differently.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}
