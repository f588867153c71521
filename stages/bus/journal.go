package bus

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/journald/records"
)

// wanted reports whether a unit is monitored, by the name that PID 1 writes.
func (s *Stage) wanted(name string) bool {
	_, ok := s.watch.Load().Named(name)
	return ok
}

// tell returns what a reader calls with all that it has read.
func (s *Stage) tell(ctx context.Context) func(records.Past) error {
	return func(past records.Past) error { return s.post(ctx, report{past: past}) }
}

func (s *Stage) post(ctx context.Context, r report) error {
	select {
	case s.reports <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Stage) report(ctx context.Context, done, failed catchup.Input, err error) {
	if err != nil {
		done = failed
	}
	_ = s.post(ctx, report{done: done, err: err})
}

// read reads the journal up to now. It has a goroutine of its own, because that may take long.
func (s *Stage) read(ctx context.Context) {
	reader := s.gap.reader
	s.gap.reading = time.Now()
	go func() {
		err := reader.Read(ctx, func() error { return s.post(ctx, report{done: catchup.Reached}) })
		s.report(ctx, catchup.Read, catchup.ReadFailed, err)
	}()
}

// fails notes why the journal cannot be read, and logs it once.
func (s *Stage) fails(why error) {
	if s.outage.why == nil {
		s.outage.since = time.Now()
		s.log.WithField("error", why).Warn("cannot tell what happened while nobody watched; trying again until the journal can be read")
	}
	s.outage.why = why
}

// monitored is the unit that is monitored by the name that PID 1 writes.
func (s *Stage) monitored(name string) string {
	unit, _ := s.watch.Load().Named(name)
	return unit
}

// heard works on what was read in the journal. What lies before the mark is sent on, what lies
// behind it is kept.
func (s *Stage) heard(ctx context.Context, p *port, past records.Past) error {
	if !s.state.Keeps() || past.Cut != "" {
		return s.past(ctx, p, past)
	}
	unit := s.monitored(past.Unit)
	if _, ok := s.watch.Load().Known(unit); !ok && s.appeared(unit) {
		s.watch.Store(s.watch.Load().With(unit))
		s.await(unit)
	}
	s.gap.keep(unit, past)
	return nil
}

// tellKept sends on what was kept of the journal.
func (s *Stage) tellKept(ctx context.Context, p *port) error {
	for unit, w := range s.gap.kept {
		if err := s.past(ctx, p, records.Past{Unit: unit, Runs: w.runs, NewRuns: len(w.runs), Restarts: w.restarts, Place: w.place, Boot: w.place.Boot()}); err != nil {
			return err
		}
	}
	return nil
}

// past sends on what the journal has of units that are known, and of units that appeared in
// the gap and that a glob names. Other units are counted from their first snapshot on.
func (s *Stage) past(ctx context.Context, p *port, past records.Past) error {
	units := []string{s.monitored(past.Unit)}
	if past.Cut != "" {
		units = s.watch.Load().Names()
	}
	if past.At.IsZero() {
		past.At = time.Now()
	}
	if past.Cut == "" {
		s.gap.restarts[units[0]] = past.Restarts
	} else {
		defer s.nextBoot(past.Next)
	}
	for _, unit := range units {
		if !s.concerns(unit, &past) || !s.of(unit).known && !s.untold(&past) {
			continue
		}
		signal := Signal{Kind: Past, Unit: unit, Time: past.At, Account: Account{
			Watched: s.seenUntil(), Runs: past.Runs, NewRuns: past.NewRuns, Cut: past.Cut, Boot: cmp.Or(past.Boot, s.gap.here.Boot()), Lossy: past.Lossy || past.Cut != "" && s.gap.muted(unit), From: s.gap.from, Restarts: past.Restarts, Cursor: past.Next, Last: past.Next.Boot() == s.gap.here.Boot(), Lost: s.lost,
		}}
		if past.Over && !s.of(unit).known && !s.of(unit).there {
			delete(s.gap.restarts, unit)
			for _, r := range past.Runs[:past.NewRuns] {
				s.gap.passed = append(s.gap.passed, digest(r.Invocation))
			}
			if err := s.pass(ctx, p, signal); err != nil {
				return err
			}
			continue
		}
		s.enlist(unit)
		s.note(unit).known, s.gap.spoken[unit] = true, true
		if past.Cut != "" {
			s.counted(unit, past.Next)
		}
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	return nil
}

// counted notes that all of a unit that lies before a place is counted. If reading the journal fails behind it,
// that is not counted once more.
func (s *Stage) counted(unit string, place records.Place) {
	s.note(unit).late = false
	s.mark(unit, place)
}

// nextBoot notes where a boot begins that is read next. Restarts are counted from there on.
func (s *Stage) nextBoot(place records.Place) {
	s.gap.from = place
	clear(s.gap.restarts)
}

// concerns reports whether a past is news for a unit. If the unit is not known, all that
// began before its glob's place is counted already, in the sums of the glob.
func (s *Stage) concerns(unit string, past *records.Past) bool {
	u := s.of(unit)
	if unit == "" || !u.known && (past.Cut != "" || !s.appeared(unit)) {
		return false
	}
	own, single, here := s.cursors[unit], u.known && !u.late, s.gap.here.Boot()
	if !single {
		own = s.upTo(unit)
	}
	switch {
	case own == "":
		return true
	case past.Place == "": // that boot has no record; if the present one is next, no other has, either
		return past.Boot == "" || past.Boot == own.Boot() || own.Boot() != here && past.Next.Boot() == here
	case past.Place.Boot() != own.Boot():
		return !earlier(past.Place, own, here) // earlier boots than the one of the unit's place are counted
	case single, past.Cut != "":
		return true
	}
	_, counted := own.Made()
	first := slices.IndexFunc(past.Runs[:past.NewRuns], func(r records.Run) bool { return r.Clock >= counted })
	if first < 0 {
		return false
	}
	past.Runs, past.NewRuns = past.Runs[first:], past.NewRuns-first
	return true
}

// untold leaves out the runs of an unknown unit that an earlier reading has told already: it failed later, so
// the same is read again. It reports whether any run is left.
func (s *Stage) untold(past *records.Past) bool {
	if len(s.passed) == 0 {
		return true
	}
	n := past.NewRuns
	for n > 0 && s.passed[digest(past.Runs[0].Invocation)] {
		past.Runs, n = past.Runs[1:], n-1
	}
	past.NewRuns = n
	return n > 0
}

// digest is what is kept of an invocation. There may be a hundred thousand, and they are random.
func digest(id records.Invocation) uint64 {
	return binary.LittleEndian.Uint64(id[:8]) ^ binary.LittleEndian.Uint64(id[8:])
}

// enlist begins to watch a unit that only the journal has shown so far. If the unit is there,
// its snapshot is asked for.
func (s *Stage) enlist(unit string) {
	w := s.watch.Load()
	if _, ok := w.Known(unit); ok {
		return
	}
	if s.watch.Store(w.With(unit)); !s.passing(unit) {
		s.await(unit)
	}
}
