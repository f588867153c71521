package statefile

import (
	"fmt"
	"maps"
	"slices"

	"service-monitor/stages/bus/watch"
	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format"
)

// folded reports whether a unit that only the generation before has was folded into its glob since. The glob has its
// counts then, so to take it from there would count them twice. A finding says so, for the record of the unit may
// also be what is damaged, and the glob may have grown by another unit.
func (l *loading) folded(unit string) bool {
	if l.content == nil {
		return false
	}
	for _, glob := range slices.Sorted(maps.Keys(l.content.Units)) {
		is := l.content.Units[glob]
		if !watch.IsGlob(glob) || glob == unit || l.content.Doubts[glob] != nil || !watch.Match([]string{glob}, unit) {
			continue
		}
		was := l.previous.Units[glob]
		if was == nil {
			was = &count.Tally{}
		}
		if is.Folded > was.Folded && contains(was, is, l.previous.Units[unit]) {
			text := fmt.Sprintf("it is left out, because %q has the counts of more units now than in the generation before, and so its counts, too", glob)
			l.findings = append(l.findings, format.Finding{Unit: unit, Text: text, Lost: true})
			return true
		}
	}
	return false
}

// contains reports whether the counts of a glob have grown by at least those of a unit. Otherwise that unit was not
// folded into it.
func contains(was, is, unit *count.Tally) bool {
	return is.Starts >= was.Starts+unit.Starts && is.Stops >= was.Stops+unit.Stops && is.Crashes >= was.Crashes+unit.Crashes &&
		is.Unknown >= was.Unknown+unit.Unknown && is.Restarts >= was.Restarts+unit.Restarts
}
