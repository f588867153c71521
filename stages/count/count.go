// Package count is the counter keeper. It counts the transitions of each unit.
package count

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
	"service-monitor/stages/zone"
)

// timeFormat is that of the log file.
const timeFormat = "2006-01-02 15:04:05"

// Stage is the counter keeper.
type Stage struct {
	log   logrus.FieldLogger
	units map[string]*Tally // the last tally of each unit, shared with its event
	start Moment
	proof Moment // until then, an earlier process is known to have watched
	clock clock
	// recovering are the units whose missed time is not counted completely yet.
	recovering map[string]bool
	counters   counters
}

// New returns a keeper that continues from what an earlier process counted. It begins now.
func New(log logrus.FieldLogger, known map[string]*Tally, now Moment) *Stage {
	units := maps.Clone(known)
	if units == nil {
		units = make(map[string]*Tally)
	}
	s := &Stage{log: log, units: units, start: now, proof: lastProof(known, now.Boot), clock: newClock(known, now), recovering: make(map[string]bool)}
	s.counters.show(&s.clock, nil)
	return s
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
			s.counters.show(&s.clock, events)
			p.Nudge() // first, because the log sink must run before those that Nudge wakes: the last to wake runs first
			if err := p.Send(ctx, events...); err != nil {
				return err
			}
		case q := <-p.Probes:
			events = nil // free the room that a storm took, as the stream does
			q.Answer(pipeline.Answer{Status: s.status(s.start.at(time.Now()))})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count counts a transition and appends its event. If other tallies have changed, their events come
// first.
func (s *Stage) count(events []Event, t classify.Transition, now time.Time) []Event {
	e := Event{Transition: t}
	past := t.Recovered || t.InGap // its time says nothing about the present clock
	if t.Recovered && t.Boot != "" && s.start.Boot != "" && t.Boot != s.start.Boot {
		e.Clock = 0 // for everybody else it is of the present boot
	}
	if past {
		today := s.start.at(now).Time
		e.Untrusted = !s.clock.trusts(t.Time) || s.clock.trusts(today) && t.Time.After(today.Add(slack))
	} else {
		e.Clock = cmp.Or(t.Clock, s.start.at(t.Time).Clock)
		// If a sandbox hides the boot id, the journal still has it.
		if s.start.Boot == "" {
			s.start.Boot = t.Life.Cursor.Boot()
		}
		events = append(events, s.set(Moment{t.Time.Round(0), e.Clock, s.start.Boot})...)
		e.Untrusted = !s.clock.trusts(t.Time)
	}
	at := s.momentOf(&e, t.Clock)
	e.Time = t.Time.Round(0) // from here on, it is only the wall clock
	var was Tally
	if known := s.units[t.Unit]; known != nil {
		was = *known
	}
	if t.Kind == classify.Folded {
		return append(events, s.fold(e, at)...)
	}
	is := step(was, e, s.start.Boot)
	is.Times.spend(&e, was.Life, at, s.provenTo(&e, at))
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

// momentOf returns when an event happened. Its wall clock is zero if that is certainly wrong.
func (s *Stage) momentOf(e *Event, clock uint64) Moment {
	m := Moment{e.Time.Round(0), e.Clock, s.start.Boot}
	if e.Recovered && e.Boot != "" {
		m.Clock, m.Boot = clock, e.Boot
	}
	if e.Untrusted {
		m.Time = time.Time{}
	}
	return m
}

// provenTo returns until when everything of a unit was seen before an event at a moment.
func (s *Stage) provenTo(e *Event, at Moment) Moment {
	switch {
	case e.Source == classify.Change && !e.Recovered:
		return at
	case e.Watched == 0:
		return s.proof
	}
	return Moment{Clock: e.Watched, Boot: s.start.Boot}
}

// fold adds the counts of a unit that is over to those of its glob. The first event is of the unit,
// the second of the glob. Both have the tally of the glob, so whoever saves only one of them loses
// nothing and counts nothing twice.
func (s *Stage) fold(e Event, at Moment) []Event {
	unit, sum := s.units[e.Unit], Tally{Unit: e.Glob, State: decode.NotLoaded, Changed: e.Time, LoggedUnloaded: true}
	if known := s.units[e.Glob]; known != nil {
		sum = *known
	}
	delete(s.units, e.Unit)
	if unit != nil {
		sum.add(unit, s.start.Boot)
		sum.Times.Spent.add(unit.Times.SpentAt(at))
	}
	s.units[e.Glob], e.Tally = &sum, &sum
	t := classify.Transition{Kind: classify.CaughtUp, Unit: e.Glob, Time: e.Transition.Time, To: decode.NotLoaded, Recovered: e.Recovered, Life: sum.Life}
	return []Event{e, {Transition: t, Untrusted: e.Untrusted, Tally: &sum}}
}

// set notes a moment at which something happened. If the clock was set back before that, the
// times of some units are no longer trusted. An event of each such unit carries this and nothing
// else. A unit that is still recovering gets it with its next event.
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
