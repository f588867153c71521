package chronicle

import (
	"context"
	"maps"
	"slices"
	"time"

	"service-monitor/pipeline"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// ignore takes events until they end, and writes nothing.
func ignore(ctx context.Context, p *port) error {
	for {
		select {
		case _, ok := <-p.In:
			if !ok {
				return nil
			}
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin begins to open the store.
func (s *Stage) begin() {
	if s.opening == nil && s.store == nil {
		s.opening = pipeline.Aside(s.open)
	}
}

// opened takes the outcome of opening the store.
func (s *Stage) opened(o Opened, now time.Time) {
	if o.Store != nil {
		s.began(o, now)
	} else {
		s.failed(now)
	}
}

// failed notes that the store could not be opened.
func (s *Stage) failed(now time.Time) {
	if s.opening = nil; s.unopened.IsZero() {
		s.unopened = now
	}
	s.openWait = min(max(2*s.openWait, firstOpen), lastOpen)
	s.openAt = now.Add(s.openWait)
	s.skip()
}

// began takes the open store, and records the events that have come until now.
func (s *Stage) began(o Opened, now time.Time) {
	if s.store, s.opening = o.Store, nil; !s.unopened.IsZero() {
		s.disk.OnRecovered(now.Sub(s.unopened))
		s.unopened = time.Time{}
	}
	for name, counts := range o.Has {
		u := &unit{has: counts, is: counts, gone: true, told: true}
		if tally := s.known[name]; tally != nil {
			u.is, u.gone, u.span = Counts(tally), false, SpanOf(tally)
		}
		s.units[name] = u
	}
	s.gone, s.forgetAt = o.Gone, now.Add(again)
	s.since(&o.Clocks, now)
	s.leftOpen(o.Gap)
	s.makeUp(now)
	events := s.early
	s.early, s.known = nil, nil
	s.takeAll(events, now)
}

// takeAll records events, or keeps them until the store is open.
func (s *Stage) takeAll(events []count.Event, now time.Time) {
	if s.store == nil {
		if s.early = append(s.early, events...); len(s.early) > early && s.unopened.IsZero() {
			s.begin()
		}
		if len(s.early) > earliest {
			s.skip()
		}
		return
	}
	for i := range events {
		s.take(&events[i], now)
		s.reading(&events[i], now)
	}
}

// skip drops the early events, but for how the units are after them.
func (s *Stage) skip() {
	if s.skipped == nil { // others share the map
		known := make(map[string]*count.Tally, len(s.known))
		maps.Copy(known, s.known)
		s.known, s.skipped = known, map[string]bool{}
	}
	for i := range s.early {
		e := &s.early[i]
		unit := e.Tally.Unit
		switch e.Kind {
		case classify.Forgotten:
			delete(s.known, unit)
			delete(s.skipped, unit)
			continue
		case classify.Folded: // its glob has its counts now
			delete(s.known, e.Unit)
			delete(s.skipped, e.Unit)
		}
		s.known[unit], s.skipped[unit] = e.Tally, !e.Recovered && e.Life.Pending() == 0 && (e.Life == nil || e.Life.Opened.IsZero())
	}
	s.early = nil
}

// makeUp brings the records together with the counts of units of which events were dropped.
func (s *Stage) makeUp(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(s.skipped)) {
		u := s.units[name]
		if u == nil { // its records begin now
			tally := s.known[name]
			u = &unit{has: Counts(tally), is: Counts(tally), unseen: true, span: SpanOf(tally)}
			s.units[name] = u
		}
		if u.settled = s.skipped[name]; u.settled {
			s.settle(name, u, now)
		} else {
			s.retold[name] = true
		}
	}
	if s.skipped != nil && s.gap.To == store.GapOpened && len(s.unread) == 0 {
		s.closeGap(now) // nobody has noted when that was
	}
	s.skipped = nil
}
