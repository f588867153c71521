package main

import (
	"fmt"

	"service-monitor/cmd/service-monitor/internal/config"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// history is the open chronicle.
type history struct {
	store chronicle.Store // nil if there is none
	open  *store.Store
	sums  map[string]store.Counts // what its records of each unit add up to
	notes []string                // what people must know about it
}

// openHistory opens the chronicle beside the state file. If that fails, the monitor counts without
// one: losing the history never costs a count.
func openHistory(c config.Config) (h history) {
	if c.History.Size == 0 {
		return h
	}
	dir := chronicle.Beside(c.State.File)
	var sums store.Sums
	open, damages, err := store.Open(dir, int64(c.History.Size), sums.Add)
	for _, d := range damages {
		h.notes = append(h.notes, fmt.Sprintf("the history lacks some records: %s; the counts are not affected", d))
	}
	if err != nil {
		h.notes = append(h.notes, fmt.Sprintf("cannot use the history in %s: %v; monitoring goes on without it until the next start, before which that must be a directory to which the monitor may write", dir, err))
		return h
	}
	h.store, h.open, h.sums = open, open, make(map[string]store.Counts, len(sums.Units))
	for unit, sum := range sums.Units {
		h.sums[unit] = sum.After
	}
	return h
}

func (h history) close() {
	if h.open != nil {
		h.open.Close()
	}
}
