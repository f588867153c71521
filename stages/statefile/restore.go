package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile/format"
)

// A Restored is the result of Restore for one unit that was removed from the state.
type Restored struct {
	Unit    string
	From    []string    // the copies from which counts were put back; none if that was done before
	PutBack count.Tally // what was put back
	Total   count.Tally // what the state has after that
	// Added is true if the unit is monitored again, and the counts were added to new ones.
	Added bool
}

// Restore puts back the counts of units that were removed from the state because they were
// no longer monitored. It takes them from the copies that were kept. No counter goes down.
// Nothing is put back twice, because the state notes for each unit whether it has the
// counts of all copies.
func (f *File) Restore(wanted func(unit string) bool) ([]Restored, Notes, error) {
	units, notes, err := f.Load()
	if err != nil {
		return nil, notes, err
	}
	g := generations{names: []string{f.path}, units: []map[string]*count.Tally{units}}
	for _, path := range f.removed() {
		more, err := g.read(path)
		notes = append(notes, more...)
		if err != nil {
			return nil, notes, err
		}
	}
	var restored []Restored
	changed := false
	for _, unit := range g.all() {
		if !wanted(unit) {
			continue
		}
		if r, ok := g.restore(unit); ok {
			total := r.Total
			units[unit] = &total
			changed = changed || len(r.From) > 0
			restored = append(restored, r)
		}
	}
	if !changed {
		return restored, notes, nil
	}
	return restored, notes, f.Save(units)
}

// generations holds the state and then the copies from before removals, the newest first.
type generations struct {
	names []string
	units []map[string]*count.Tally
}

// read reads as much of a copy as it can. It leaves out a copy of a newer version,
// and what is not a regular file.
func (g *generations) read(path string) (more Notes, err error) {
	c, err := readContent(path)
	switch {
	case errors.Is(err, ErrNewer):
		return Notes{err.Error()}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.As(err, new(*lostError)) || errors.Is(err, files.ErrKind):
		return Notes{err.Error()}, nil
	case err != nil:
		return nil, err
	}
	for unit, r := range c.Doubts {
		if tally, _ := r.Settle(nil); tally == nil {
			delete(c.Units, unit)
		} else {
			c.Units[unit] = tally
		}
	}
	if c.Lost() {
		more = Notes{fmt.Sprintf("not all of %s could be read; --check-state says what", path)}
	}
	g.names, g.units = append(g.names, path), append(g.units, c.Units)
	return more, nil
}

// all returns the units of all copies.
func (g *generations) all() []string {
	units := make(map[string]bool)
	for _, copied := range g.units[1:] {
		for unit := range copied {
			units[unit] = true
		}
	}
	return slices.Sorted(maps.Keys(units))
}

// restore adds the counts that were dropped to those of a unit, from the newest copy to the
// oldest. It stops at counts that include the older ones already.
func (g *generations) restore(unit string) (r Restored, ok bool) {
	now := g.units[0][unit]
	r = Restored{Unit: unit, PutBack: count.Tally{Unit: unit}, Added: now != nil}
	for i := 1; i < len(g.units); i++ {
		if !g.dropped(i, unit) {
			continue
		}
		ok = true
		if now != nil && now.Restored {
			break
		}
		old := g.units[i][unit]
		r.From = append(r.From, g.names[i])
		r.PutBack = r.PutBack.Join(old)
		now = joined(now, old)
	}
	if ok {
		r.Total = *now
		r.Total.Dropped, r.Total.Restored = false, true
	}
	return r, ok
}

// joined returns the counts of a unit together with its older ones.
func joined(now, old *count.Tally) *count.Tally {
	if now == nil {
		return old
	}
	t := now.Join(old)
	t.Restored = old.Restored
	return &t
}

// dropped reports whether copy i was made because this unit was removed, and not another
// one. Copies of earlier versions do not mark the removed units. But counters never go
// down: if they are lower or missing in the next generation, the unit was removed.
func (g *generations) dropped(i int, unit string) bool {
	old, next := g.units[i][unit], g.units[i-1][unit]
	switch {
	case old == nil:
		return false
	case g.marks(i):
		return old.Dropped
	case next == nil:
		return true
	}
	return format.WentDown(old, next)
}

// marks reports whether a copy marks the units that were dropped.
func (g *generations) marks(i int) bool {
	for _, tally := range g.units[i] {
		if tally.Dropped {
			return true
		}
	}
	return false
}
