package format

import (
	"strconv"
	"strings"
	"testing"

	"service-monitor/stages/statefile/format/formattest"
)

// TestEdited corrects counters as the manual says: change them, and remove the checksum. What is written is taken as
// it is, and the counts balance all the same, also after the next save.
func TestEdited(t *testing.T) {
	file := written(t, formattest.Running("a.service", 12)) // 12 starts, 9 stops, 2 crashes, and it is running
	from := strings.Index(file, `    "checksum"`)
	file = file[:from] + file[from+strings.Index(file[from:], "\n")+1:]
	for _, tt := range []struct {
		name    string
		changes []string
		want    string // its counts and running_when_first_seen
		causes  int    // how many crashes have a cause; 0 if last_crash is left out, too
	}{
		{"nothing", nil, "a active 12/9/2 0", 2},
		{"more starts", []string{`"starts": 12`, `"starts": 99`}, "a active 99/9/2 -87", 2},
		{"fewer starts", []string{`"starts": 12`, `"starts": 0`}, "a active 0/9/2 12", 2},
		{"stops", []string{`"stops": 9`, `"stops": 8`}, "a active 12/8/2 -1", 2},
		{"more crashes", []string{`"crashes": 2`, `"crashes": 3`}, "a active 12/9/3 1", 2},
		{"fewer crashes", []string{`"crashes": 2`, `"crashes": 1`, `"signal": 2`, `"signal": 1`}, "a active 12/9/1 -1", 1},
		{"fewer crashes than causes", []string{`"crashes": 2`, `"crashes": 1`}, "a active 12/9/1 -1", 0},
		{"all of them", []string{`"starts": 12`, `"starts": 5`, `"stops": 9`, `"stops": 1`, `"crashes": 2`, `"crashes": 3`}, "a active 5/1/3 0", 2},
	} {
		c := Parse([]byte(strings.NewReplacer(tt.changes...).Replace(file)))
		a := c.Units["a.service"]
		if got := formattest.Counts(c.Units) + " " + strconv.FormatInt(a.FirstSeenRunning, 10); got != tt.want || a.Check() != nil || !a.Life.Known() {
			t.Errorf("%s: %s, want %s; %q", tt.name, got, tt.want, a.Check())
		}
		caused := 0
		for _, cause := range a.CrashCauses {
			caused += int(cause.Crashes)
		}
		if caused != tt.causes || (a.LastCrash != nil) != (tt.causes > 0) || c.Lost() != (tt.causes == 0) {
			t.Errorf("%s: %d crashes have a cause, last crash %v, findings %q", tt.name, caused, a.LastCrash, linesOf(c.Findings, true))
		}
		if again := Parse([]byte(written(t, a))); again.Findings != nil || again.Units["a.service"].Check() != nil {
			t.Errorf("%s, saved: %q", tt.name, linesOf(again.Findings, true))
		}
	}
}
