package statefile

import (
	"strings"
	"testing"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format/formattest"
)

// TestLoadFolded damages a state file outside of all records. A unit that was folded into its glob after the
// generation before is not taken from there again: its counts would be counted twice.
func TestLoadFolded(t *testing.T) {
	glob := func(folded, starts uint64) *count.Tally {
		return &count.Tally{
			Unit: "job@*.service", State: "unloaded", LoggedUnloaded: true, Folded: folded, Starts: starts, Stops: starts,
			Life: &classify.Life{Pattern: true, ActiveState: "unloaded", SubState: "dead", Ended: true},
		}
	}
	done := &count.Tally{Unit: "job@1.service", State: "inactive", Starts: 7, Stops: 7, Life: &classify.Life{ActiveState: "inactive", SubState: "dead", Ended: true}}
	a := formattest.Running("a.service", 12)
	const left = `"job@1.service": it is left out, because "job@*.service" has the counts of more units now than in the generation before, and so its counts, too`
	for _, tt := range []struct {
		name           string
		file, previous []*count.Tally
		want           string // besides a.service
		said           bool
	}{
		{"folded since", []*count.Tally{a, glob(3, 27)}, []*count.Tally{a, glob(2, 20), done}, ", job@* unloaded 27/27/0", true},
		{"folded since, the first of its glob", []*count.Tally{a, glob(1, 7)}, []*count.Tally{a, done}, ", job@* unloaded 7/7/0", true},
		{"not folded", []*count.Tally{a, glob(2, 20)}, []*count.Tally{a, glob(2, 20), done}, ", job@* unloaded 20/20/0, job@1 inactive 7/7/0", false},
		{"a smaller one was folded", []*count.Tally{a, glob(3, 22)}, []*count.Tally{a, glob(2, 20), done}, ", job@* unloaded 22/22/0, job@1 inactive 7/7/0", false},
		{"the glob is gone, too", []*count.Tally{a}, []*count.Tally{a, glob(2, 20), done}, ", job@* unloaded 20/20/0, job@1 inactive 7/7/0", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.TrimSuffix(written(t, tt.file...), "}\n") // the power failed before the last byte was on the disk
			units, notes := loadedOf(t, file, written(t, tt.previous...))
			if got, want := formattest.Counts(units), "a active 12/9/2"+tt.want; got != want {
				t.Errorf("units %q, want %q", got, want)
			}
			if said := strings.Contains(strings.Join(notes, "\n"), left); said != tt.said {
				t.Errorf("notes %q", notes)
			}
		})
	}
}
