package main

import (
	"fmt"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/statefile"
)

// endHistory ends a history that an earlier monitor has kept beside the state file, for a monitor that keeps none.
// What it counts from now on is not in there. If that fails, it counts all the same, and the note says what is wrong then.
func endHistory(stateFile string) statefile.Notes {
	dir := chronicle.Beside(stateFile)
	if err := store.End(dir); err != nil {
		return statefile.Notes{fmt.Sprintf("cannot end the history in %s: %v; monitoring goes on, and so do the counts, but status, history and why show what is in there as if it went on; remove it, or let the monitor write there", dir, err)}
	}
	return nil
}

// openHistory returns a function that opens the chronicle beside the state file; nil if there is to be
// none. If that fails, the monitor counts without one until it can: losing the history never costs a count.
func (m *monitor) openHistory() func() chronicle.Opened {
	c := m.running.Config
	if c.History.Size == 0 {
		return nil
	}
	return func() (o chronicle.Opened) {
		dir := chronicle.Beside(c.State.File)
		var sums store.Sums
		open, damages, err := store.Open(dir, int64(c.History.Size), sums.Add)
		if err != nil {
			m.log.WithError(err).Errorf("cannot use the history in %s; that must be a directory to which the monitor may write; monitoring goes on, and so do the counts", dir)
			return o
		}
		for _, d := range damages {
			m.log.Errorf("the history lacks some records: %s; the counts are not affected", d)
		}
		open.Meter(&m.written.history)
		o.Store, o.Has = open, make(map[string]store.Counts, len(sums.Units))
		o.Gone, o.Clocks, o.Gap = sums.Gone, sums.Clocks, sums.Gap
		for unit, sum := range sums.Units {
			o.Has[unit] = sum.After
		}
		return o
	}
}
