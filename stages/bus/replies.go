package bus

import (
	"context"
	"fmt"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/journald/records"
)

func (s *Stage) connected(ctx context.Context, p *port, o opening) error {
	if o.err != nil {
		return s.failed(p, o.err)
	}
	s.link = o.link
	s.rules, s.requests, s.queue, s.asked, s.lists, s.crowd.lists = nil, make(map[uint32]request), nil, 0, 0, 0
	for _, u := range s.units {
		u.unasked()
	}
	s.log.Info("connected to the system bus")
	first := !s.met
	if s.met = true; !first {
		s.counters.reconnects.Add(1)
	}
	if !first || s.state.Watches() { // or the gap began with the process
		if err := s.step(ctx, p, catchup.Missed); err != nil {
			return err
		}
	}
	return s.failed(p, s.subscribe())
}

func (s *Stage) replied(ctx context.Context, p *port, it link.Item) error {
	r, ok := s.requests[it.Serial]
	if !ok {
		return nil
	}
	delete(s.requests, it.Serial)
	if it.Nobody {
		// PID 1 is not on the bus yet, or re-executes itself. The bus announces when it is
		// back, and then we ask for everything again.
		return nil
	}
	switch r.member {
	case getAll:
		return s.snapshot(ctx, p, r, it)
	case getProperty:
		if r.property != "" {
			s.silence.learn(r.property, it)
			return nil
		}
		return s.failed(p, s.compareEntered(r, it))
	case listUnits, listUnitFiles:
		*s.waiting(r.again)--
	}
	if it.Err != nil {
		return s.failed(p, fmt.Errorf("cannot call %s: %w", r.member, it.Err))
	}
	switch r.member {
	case "Subscribe":
		s.subscribed = true
	case listUnits:
		s.listed(it, "sssssouso", s.crowd.listing)
	case listUnitFiles:
		s.listed(it, "s", s.crowd.files)
	}
	if (r.member == listUnits || r.member == listUnitFiles) && s.lists+s.crowd.lists == 0 {
		return s.sweep(ctx, p)
	}
	return nil
}

func (s *Stage) snapshot(ctx context.Context, p *port, r request, it link.Item) error {
	s.asked--
	unit := r.unit
	if _, ok := s.watch.Load().Known(unit); !ok {
		return nil // removed by a reload meanwhile
	}
	out := Signal{Kind: Snapshot, Unit: unit, Body: it.Body, Order: it.Order, Time: it.Time, Account: Account{Clock: records.Clock()}}
	if it.Err == nil {
		if done, err := s.named(r, glimpse(out)); !done {
			return s.failed(p, err)
		}
	}
	u := s.note(unit)
	if u.fresh && s.state.Watches() && glimpse(out).invocation != (records.Invocation{}) {
		u.unasked() // it runs already, and PID 1 is about to announce how that began
		return nil
	}
	u.asked, u.present = true, true
	if it.Err != nil {
		s.log.WithFields(logrus.Fields{"unit": unit, "error": it.Err}).Warn("systemd does not show the unit")
		out.Kind, out.Body = Missing, nil
	}
	if s.state.Watches() {
		switch {
		case u.known && out.Kind == Snapshot:
			out.Kind = Checked // every change before it was sent
		case !u.known && s.state.Open() && !s.lost:
			s.meetUnread(unit, records.Here())
		}
		u.known, u.fresh = true, false
	}
	return s.emit(ctx, p, out)
}
