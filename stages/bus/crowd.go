package bus

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/bus/wire"
	"service-monitor/stages/journald/records"
)

// watched reports whether units of this name were watched already, whoever comes by it: then
// all that happens to one is announced.
func (s *Stage) watched(unit string) bool { return s.state.Watches() && s.came(unit) }

// absent returns the snapshot of a unit that was not loaded when the lists were made.
func (s *Stage) absent(unit string) Signal {
	_, listed := s.crowd.listed.Made()
	return Signal{Kind: Missing, Unit: unit, Time: time.Now(), Account: Account{Clock: listed, Watched: s.seenUntil()}}
}

// unread returns the same for a unit that has come since then, while a gap is open. The unit may
// have run in that gap, too.
func (s *Stage) unread(unit string) Signal {
	signal := s.absent(unit)
	signal.New, signal.Boot, signal.From, signal.Cursor = true, s.crowd.listed.Boot(), s.upTo(unit), s.crowd.listed
	signal.Unread, signal.Opened = true, s.outage.since.Round(0).UTC()
	return signal
}

// passing reports whether a unit has gone, and only a glob names it. It may be called from any
// goroutine.
func (s *Stage) passing(unit string) bool {
	there := s.crowd.there.Load()
	return there != nil && !(*there)[unit] && s.watch.Load().Pattern(unit) != ""
}

// askLists asks PID 1 which units match a glob: those that have a unit file, and those that it
// has loaded. PID 1 takes long to look for unit files, and they change only with a reload.
//
// again is true if the loaded units are known already. Then an unknown unit that announces a
// change is new.
func (s *Stage) askLists(again bool) error {
	s.crowd.files = make(map[string]bool)
	return errors.Join(s.askLoaded(again), s.askList(listUnitFiles, again))
}

// askLoaded asks PID 1 which units that match a glob are loaded.
func (s *Stage) askLoaded(again bool) error {
	s.crowd.listing, s.crowd.came, s.crowd.asked = make(map[string]bool), 0, records.Here()
	if s.crowd.round++; !again {
		s.crowd.listed = s.crowd.asked
	}
	return s.askList(listUnits, again)
}

func (s *Stage) askList(list string, again bool) error {
	globs := s.watch.Load().Globs
	if len(globs) == 0 {
		return nil
	}
	*s.waiting(again)++
	return s.ask(request{member: list, again: again}, link.Systemd, link.ManagerPath, link.ManagerInterface, []string{}, globs)
}

// waiting is the counter of the lists that have not come yet.
func (s *Stage) waiting(again bool) *int {
	if again {
		return &s.crowd.lists
	}
	return &s.lists
}

// sweep is called when all lists have come. A unit that is on none of them is not loaded, and
// is folded. In a gap that has to wait until the gap is over.
func (s *Stage) sweep(ctx context.Context, p *port) error {
	there := s.crowd.listing
	maps.Copy(there, s.crowd.files)
	s.crowd.there.Store(&there)
	var gone []string
	for _, unit := range s.watch.Load().Names() {
		u := s.note(unit)
		if u.there = there[unit] || s.watch.Load().Pattern(unit) == ""; !u.there && u.round < s.crowd.round {
			gone = append(gone, unit)
		}
	}
	if !s.state.Watches() || s.state.Open() || s.crowd.dropped || len(gone) == 0 && s.knowsGlobs() {
		return nil
	}
	for _, signal := range s.patterns(s.watch.Load(), s.crowd.asked) {
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	return s.fold(ctx, p, gone...)
}

// knowsGlobs reports whether all globs were in force before the lists were asked for. A reload
// may have added one. From then on all that happens to its units is announced.
func (s *Stage) knowsGlobs() bool {
	return !slices.ContainsFunc(s.watch.Load().Globs, func(glob string) bool { _, ok := s.globs[glob]; return !ok })
}

// fold says that units have gone that only a glob names, and forgets them.
func (s *Stage) fold(ctx context.Context, p *port, gone ...string) error {
	w := s.watch.Load()
	for _, unit := range gone {
		delete(s.units, unit)
		delete(s.cursors, unit)
		if err := s.send(ctx, p, s.unloaded(unit)); err != nil {
			return err
		}
	}
	s.watch.Store(w.Without(gone...))
	return nil
}

func (s *Stage) unloaded(unit string) Signal {
	return Signal{Kind: Unloaded, Unit: unit, Time: time.Now(), Account: Account{Glob: s.watch.Load().Pattern(unit)}}
}

// pass sends on the past of a unit that came and went in the gap.
func (s *Stage) pass(ctx context.Context, p *port, past Signal) error {
	over := s.unloaded(past.Unit)
	over.Recovered = true
	if err := s.send(ctx, p, past); err != nil {
		return err
	}
	return s.send(ctx, p, over)
}

// gone returns the known units that only a glob names, and that were neither on the lists nor
// asked for since.
func (s *Stage) gone(asked map[string]int) (units []string) {
	w := s.watch.Load()
	for _, unit := range w.Names() {
		if _, ok := asked[unit]; !ok && s.of(unit).known && !s.of(unit).there && w.Pattern(unit) != "" {
			units = append(units, unit)
		}
	}
	return units
}

// names returns the units whose snapshots are worth asking for. To ask for a unit that is not
// there would make systemd load it.
func (s *Stage) names() (units []string) {
	w := s.watch.Load()
	for _, unit := range w.Names() {
		if s.of(unit).there || w.Pattern(unit) == "" {
			units = append(units, unit)
		}
	}
	return units
}

// patterns returns a signal for each glob, which says up to which place its units are counted.
func (s *Stage) patterns(w *watch.Set, place records.Place) (out []Signal) {
	for _, glob := range w.Globs {
		s.globs[glob] = place
		out = append(out, pattern(glob, place))
	}
	return out
}

// beginGlobs says, if the saved state was lost, that nothing is counted yet of the units of new globs. That has to be
// saved with sums that have nothing in them: if reading the journal fails later, all is read once more.
func (s *Stage) beginGlobs(ctx context.Context, p *port, old []string) error {
	for _, glob := range s.watch.Load().Globs {
		if !s.lost || slices.Contains(old, glob) {
			continue
		}
		if err := s.send(ctx, p, pattern(glob, records.Beginning)); err != nil {
			return err
		}
	}
	return nil
}

func pattern(glob string, place records.Place) Signal {
	return Signal{Kind: Pattern, Unit: glob, Time: time.Now(), Account: Account{Cursor: place}}
}

// listed adds the units of a reply to a list. The reply is an array of structs. Each begins
// with a name or with the path of a unit file, and rest is the signature of what follows.
func (s *Stage) listed(it link.Item, rest string, in map[string]bool) {
	w := s.watch.Load()
	var units []string
	r := wire.NewReader(it.Body, it.Order)
	for end := r.Array(8); r.More(end); {
		r.Align(8)
		name := path.Base(string(r.String()))
		for i := range len(rest) {
			r.Skip([]byte{rest[i]})
		}
		template := strings.Contains(name, "@.")
		if r.Err() != nil || template || !watch.Match(w.Globs, name) {
			continue
		}
		if in[name] = true; !s.of(name).asked {
			units = append(units, name)
			s.await(name)
			s.note(name).fresh = s.watched(name)
		}
	}
	s.watch.Store(w.With(units...))
}

// appeared reports whether everything counts that the journal has of an unknown unit. It does
// if a glob has named the unit since the last gap: then it would have been seen if it had been
// there. It also does if the saved state was lost.
func (s *Stage) appeared(unit string) bool { return s.lost || s.came(unit) }

// came reports whether a glob that was in force at the last gap names a unit.
func (s *Stage) came(unit string) bool {
	for glob := range s.globs {
		if watch.Match([]string{glob}, unit) {
			return true
		}
	}
	return false
}

// upTo is up to where a unit is known that is not watched. Any glob may have counted it that
// names it: the list may have another order now, or names the unit itself.
func (s *Stage) upTo(unit string) (place records.Place) {
	here := records.Boot()
	for glob, known := range s.globs {
		if watch.Match([]string{glob}, unit) && (place == "" || earlier(place, known, here)) {
			place = known
		}
	}
	return place
}
