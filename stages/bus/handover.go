package bus

import (
	"cmp"
	"context"
	"slices"
	"time"

	"service-monitor/stages/journald/records"
)

// handOver ends a gap for which the journal was read.
func (s *Stage) handOver(ctx context.Context, p *port) error {
	g := &s.gap
	loss := s.loss()
	if loss != "" && loss != s.said && g.from != "" {
		s.log.WithField("why", loss).Warn("the journal lacks some of what happened while nobody watched; counts are at least right")
	}
	s.said = loss
	if s.outage.why != nil {
		s.log.WithField("open_for", time.Since(s.outage.since).Round(time.Second)).Info("the journal was read; the gap is closed")
		s.outage.why = nil
	}
	s.cursor, s.lost = g.mark, false
	return s.finishGap(ctx, p, (g.from != "" || g.partial) && loss == "")
}

// loss is the reason why the journal lacks something of this gap. It is empty if nothing is
// missing.
func (s *Stage) loss() string {
	g := &s.gap
	lost := ""
	if s.lost {
		lost = "what was counted before is lost"
	}
	return cmp.Or(lost, s.silence.why(), g.reader.Loss(), g.lost()) // what lasts is said first
}

// handOpen ends a gap for which the journal could not be read. What happened before the
// snapshots is still unknown, so the gap stays open.
func (s *Stage) handOpen(ctx context.Context, p *port) error {
	if s.cursor == "" {
		s.cursor = s.gap.here
	}
	return s.finishGap(ctx, p, false)
}

// finishGap sends on, for each unit, what was kept of the journal, the snapshot, and the
// changes after it. told says whether the journal had everything.
func (s *Stage) finishGap(ctx context.Context, p *port, told bool) error {
	g, w := &s.gap, s.watch.Load()
	last := g.lastSnapshots()
	out := s.held(last, told)
	if g.partial && told {
		for _, unit := range w.Names() {
			if _, asked := last[unit]; !asked && s.of(unit).known && !g.spoken[unit] {
				out = append(out, Signal{Kind: Unchanged, Unit: unit, Time: time.Now(), Account: Account{Cursor: g.mark}})
			}
		}
	}
	// The journal still has news of a unit if it could not be read, or if something stands behind
	// the mark: that is read again after the next gap. Such a unit is not folded.
	kept := func(unit string) bool { return g.reader == nil || g.kept[unit] != nil }
	gone := s.gone(last)
	for _, unit := range gone {
		signal := Signal{Kind: Missing, Unit: unit, Time: time.Now(), Account: Account{Clock: records.Clock(), Complete: told, New: !kept(unit)}}
		g.relate(&signal, nil)
		s.place(&signal)
		out = append(out, signal)
	}
	switch {
	case s.lost && g.reader == nil: // all of it is still to be read, and apply has said so
		for _, glob := range w.Globs {
			s.globs[glob] = records.Beginning
		}
	case g.reader != nil || len(s.globs) == 0:
		out = append(out, s.patterns(w, cmp.Or(g.mark, g.here))...)
	}
	gone = slices.DeleteFunc(gone, kept)
	s.beginAudit(out, g.partial)
	was := *g
	g = &was
	s.gap, s.left = gap{}, 0
	s.ever, s.retries = true, 0
	if g.reader != nil { // nil and not empty, because clear would keep the memory
		s.cursors, s.passed = nil, nil
		for _, u := range s.units {
			u.late = false
		}
	}
	for _, signal := range out {
		if signal.Kind != Pattern {
			s.meet(signal.Unit, g)
		}
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	p.Nudge()
	return s.fold(ctx, p, gone...)
}

// meet notes that a unit is known from now on. If the journal could not be read, it is read later from a place
// before that, so it must be known up to where the unit is counted: the place of its glob, or where the gap began.
func (s *Stage) meet(unit string, g *gap) {
	u := s.note(unit)
	if !u.known && g.reader == nil && !s.lost {
		s.meetUnread(unit, g.here)
	}
	u.known = true
}

func (s *Stage) meetUnread(unit string, here records.Place) {
	if s.came(unit) {
		s.note(unit).late = true
		return
	}
	s.mark(unit, here)
}

// mark notes where reading the journal begins for a single unit.
func (s *Stage) mark(unit string, place records.Place) {
	if s.cursors == nil {
		s.cursors = make(map[string]records.Place)
	}
	s.cursors[unit] = place
}

// held returns what was held back and is news: the last snapshot of each unit, and the changes
// after it. The changes before the snapshot are in the journal, unless it has nothing of the
// unit and every change was held back.
func (s *Stage) held(last map[string]int, told bool) (out []Signal) {
	g, w := &s.gap, s.watch.Load()
	for i, signal := range g.held {
		unit := signal.Unit
		at, ok := last[unit]
		_, monitored := w.Known(unit)
		all := g.missedNothing(unit) && s.of(unit).known // we held every change of it
		switch {
		case !monitored || !ok || i < at && (signal.Kind != Changed || !all):
			continue
		case i == at:
			g.relate(&signal, g.held[i+1:])
			signal.Muted = glimpse(signal).muted
			signal.Complete = all || told && !signal.Muted
			signal.New = !s.of(unit).known && s.came(unit)
			s.place(&signal)
		}
		out = append(out, signal)
	}
	return out
}

// place adds to a snapshot where to begin reading the journal after the next gap. Where the
// journal could not be read, the snapshot says so, and the next reading begins where this one
// should have begun.
func (s *Stage) place(snapshot *Signal) {
	g := &s.gap
	snapshot.Boot, snapshot.Watched = g.here.Boot(), s.seenUntil()
	if g.reader != nil {
		snapshot.Cursor = g.mark
		return
	}
	snapshot.Unread, snapshot.Cursor, snapshot.Opened = true, g.here, s.outage.since.Round(0).UTC()
	if snapshot.Lost = s.lost; snapshot.New { // its glob is counted up to a later place
		snapshot.From = s.upTo(snapshot.Unit)
	}
}
