package bus

import (
	"context"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
)

// handOn sends a change on. Changes before a unit's first snapshot are dropped: the snapshot is
// younger than they are.
func (s *Stage) handOn(ctx context.Context, p *port, it link.Item) error {
	if it.Unit == watch.Shutdown {
		s.ending = hasJob(it, s.ending)
		return nil
	}
	u := s.note(it.Unit)
	if !u.asked && watch.Match(s.watch.Load().Globs, it.Unit) {
		s.watch.Store(s.watch.Load().With(it.Unit))
		switch {
		case s.watched(it.Unit):
			u.fresh = true
		case (s.state.Reads() || s.state.Settles()) && !s.state.Again() && s.came(it.Unit):
			return s.appearInGap(ctx, p, u, it)
		default:
			s.await(it.Unit)
			return s.failed(p, s.askSnapshots())
		}
	}
	if u.fresh && s.state.Watches() {
		if err := s.appear(ctx, p, it.Unit); err != nil || s.link == nil {
			return err
		}
	}
	if !u.present && s.state.Watches() {
		return nil
	}
	if u.present && s.gap.partial {
		s.await(it.Unit) // nothing had happened to it, so nobody asked for its snapshot
	}
	u.unchanged, u.there, u.round = false, true, s.crowd.round
	return s.emit(ctx, p, s.changed(it))
}

func (s *Stage) changed(it link.Item) Signal {
	return Signal{Kind: Changed, Unit: it.Unit, Body: it.Body, Buffer: it.Buffer, Order: it.Order, Time: it.Time, Account: Account{Ending: s.ending}}
}

// appear notes that a unit announces the first change that ever happens to it.
func (s *Stage) appear(ctx context.Context, p *port, unit string) error {
	u := s.note(unit)
	if s.state.Open() && !u.known {
		if err := s.send(ctx, p, s.unread(unit)); err != nil {
			return err
		}
		s.meetUnread(unit, s.crowd.listed)
	}
	u.asked, u.known, u.present, u.there, u.fresh = true, true, true, true, false
	if s.crowd.grows() {
		return s.failed(p, s.askLoaded(true))
	}
	return nil
}

// appearInGap does the same in a gap for which the journal is being read already. The unit was
// not loaded when the snapshots were taken, and what happened to it before is in the journal. Its
// snapshot is not asked for: that would be younger than what is read, and the journal would have
// to be read again. This would never end while units come.
func (s *Stage) appearInGap(ctx context.Context, p *port, u *unit, it link.Item) error {
	u.asked, u.present, u.there, u.unchanged, u.round = true, true, true, false, s.crowd.round
	s.gap.hold(s.absent(it.Unit))
	return s.emit(ctx, p, s.changed(it))
}
