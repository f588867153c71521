package chronicle

import (
	"context"
	"time"

	"service-monitor/pipeline"
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

// began takes the open store, and records the events that have come until now.
func (s *Stage) began(o Opened, now time.Time) {
	s.store, s.opening = o.Store, nil
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
	events := s.early
	s.early, s.known = nil, nil
	s.takeAll(events, now)
}

// takeAll records events, or keeps them until the store is open.
func (s *Stage) takeAll(events []count.Event, now time.Time) {
	if s.store == nil {
		s.early = append(s.early, events...)
		return
	}
	for i := range events {
		s.take(&events[i], now)
		s.reading(&events[i], now)
	}
}
