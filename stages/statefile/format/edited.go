package format

import (
	"maps"
	"slices"
)

// misfit says that what is known of the crashes cannot be true of their number.
const misfit = "crash_causes and last_crash do not fit to the counters and are left out"

// edited makes the counts balance in the records from which somebody has removed the checksum to correct a counter.
// The counters stay as they are written, so running_when_first_seen has to make up for the change, as it does for
// counts of another monitor. Causes of more crashes than there were cannot be kept.
func (p *parser) edited() {
	for _, unit := range slices.Sorted(maps.Keys(p.plain)) {
		t := p.Units[unit]
		if p.Doubts[unit] != nil || p.plain[unit].Checksum != "" || !t.Life.Known() {
			continue
		}
		if n := t.Balancing(); n != t.FirstSeenRunning {
			t.FirstSeenRunning = n
			p.find(unit, false, "%s is taken for %d, so that the counts balance", firstSeenKey, n)
		}
		without := *t
		if without.CrashCauses, without.LastCrash = nil, nil; !fits(*t) && fits(without) {
			*t = without
			p.find(unit, true, misfit)
		}
	}
}
