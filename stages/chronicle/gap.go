package chronicle

import (
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

// reading notes whether the journal can be read, as the life of a unit shows it. A gap is opened
// with the first unit that cannot be caught up with, and closed with the last one that is. So one
// record tells of the opening, and one of the closing.
func (s *Stage) reading(e *count.Event, now time.Time) {
	switch {
	case e.Kind == classify.Folded || e.Kind == classify.Forgotten:
		delete(s.unread, e.Unit)
		return
	case e.Life == nil || e.Life.Pattern: // a glob is not caught up with, its units are
		return
	case e.Life.Opened.IsZero():
		delete(s.unread, e.Unit)
	default:
		s.unread[e.Unit] = true
	}
	if s.gap.To == store.GapOpened && e.AtLeast {
		s.gap.Flags |= store.AtLeast
	}
	// Facts that are read in the journal still have the gap in their life, and a snapshot decides.
	if e.Recovered || e.Kind != classify.CaughtUp && e.Kind != classify.Seen {
		return
	}
	switch {
	case !e.Life.Opened.IsZero():
		s.openGap(e, now)
	case e.Kind == classify.CaughtUp && len(s.unread) == 0:
		s.closeGap(now)
	}
}

// openGap records that the journal cannot be read, unless that is recorded already. A monitor that
// was killed may find a gap in the state file of which the chronicle has the opening or all.
func (s *Stage) openGap(e *count.Event, now time.Time) {
	since := e.Life.Opened
	if s.gap.To == store.GapOpened || since.UnixMicro() == s.gap.Time.UnixMicro() || !s.own.spend(now) {
		return
	}
	s.gap = store.Record{Kind: store.Gap, Time: zone.Local(since), To: store.GapOpened}
	if e.Untrusted {
		s.gap.Flags = store.Untrusted
	}
	m := s.moment(now)
	if ago := m.Time.Sub(since).Microseconds(); ago >= 0 && uint64(ago) < m.Clock { // otherwise the clock was set meanwhile
		s.gap.Monotonic, s.gap.Boot = m.Clock-uint64(ago), s.boot
	}
	s.add(s.gap, now)
}

// closeGap records that the journal was read, and whether it had all that happened in the gap.
func (s *Stage) closeGap(now time.Time) {
	if s.gap.To != store.GapOpened {
		return
	}
	s.gap.To, s.gap.Until = store.GapClosed, zone.Local(now)
	s.gap.Monotonic, s.gap.Boot = s.moment(now).Clock, s.boot
	s.add(s.gap, now)
}

// leftOpen takes over the last gap of an earlier process. If it is open, it is closed once all
// units are caught up with that the state file says are not.
func (s *Stage) leftOpen(last store.Record) {
	s.gap = last
	for name, tally := range s.known {
		if l := tally.Life; l != nil && !l.Opened.IsZero() {
			s.unread[name] = true
		}
	}
}
