package statefile

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format"
	"service-monitor/stages/statefile/format/formattest"
)

// written returns the text that the monitor writes for these units.
func written(t *testing.T, units ...*count.Tally) string {
	t.Helper()
	all := make(map[string]*count.Tally)
	for _, tally := range units {
		all[tally.Unit] = tally
	}
	var text bytes.Buffer
	if err := format.Encode(&text, all); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// loadedOf loads a file with a generation before it; "-" means that there is no such file.
// It returns the units and the notes, with short file names.
func loadedOf(t *testing.T, text, previous string) (map[string]*count.Tally, []string) {
	t.Helper()
	dir := t.TempDir()
	f := open(t, filepath.Join(dir, "s.json"))
	for path, text := range map[string]string{f.path: text, f.path + previousSuffix: previous} {
		if text != "-" {
			put(t, path, text)
		}
	}
	units, notes, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	aside, _ := filepath.Glob(f.path + corruptSuffix + "*")
	if notes == nil && aside != nil || notes != nil && (len(aside) != 1 || read(t, aside[0]) != text) {
		t.Errorf("kept aside %v, with %q", aside, notes)
	}
	if notes != nil {
		same(t, units, loaded(t, f)) // killed before the first save
		if previous != "-" && read(t, f.path+previousSuffix) != previous {
			t.Error("the generation before is another one")
		}
	}
	for i := range notes {
		notes[i] = strings.ReplaceAll(mask(notes[i], dir), "state file DIR/s.json: ", "")
	}
	return units, notes
}

// TestLoadRepairs loads damaged files. Certain records stay, and the rest comes from the
// generation before.
func TestLoadRepairs(t *testing.T) {
	a, b := formattest.Running("a.service", 12), formattest.Running("b.service", 7)
	old := formattest.Running("a.service", 10)
	file := written(t, a, b)
	edited := func(old, new string) string { return strings.Replace(file, old, new, 1) }
	imported := "{" + formattest.Python("a.service", `"active"`, "null", "10", "8", "3", "false") + "}"
	unchecked := func(text string) string {
		var lines []string
		for line := range strings.Lines(text) {
			if !strings.Contains(line, `"checksum"`) {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	const (
		kept  = "not all of state file DIR/s.json could be read; kept as DIR/s.json.corrupt-TIME"
		wrong = `the checksum is wrong, so the record was changed or damaged (to change it by hand, stop the monitor, and remove its "checksum", too)`
	)
	for _, tt := range []struct {
		name, file, previous string
		want                 string
		unseen               string // units that have lost their life
		notes                []string
	}{
		{"good", file, "-", "a active 12/9/2, b active 7/4/2", "", nil},
		{"other white space and order of keys", strings.ReplaceAll(file, "\n", "\t"), "-", "a active 12/9/2, b active 7/4/2", "", nil},
		{"other forms of the same values", edited(`"starts": 12`, `"starts": " 12.0 "`), "-", "a active 12/9/2, b active 7/4/2", "", nil},
		{"edited as the manual says", strings.Replace(unchecked(file), `"restarts": 1`, `"restarts": 2`, 1), "-", "a active 12/9/2, b active 7/4/2", "", nil},
		{"a key of somebody else", edited(`"starts": 12`, `"note": "x", "starts": 12`), "-", "a active 12/9/2, b active 7/4/2", "", nil},

		{"a bit", edited(`"starts": 12`, `"starts": 13`), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": one bit has flipped, from "12" to "13"; the checksum tells what was written, and that is taken (to change it by hand, remove "checksum", too)`}},
		{"a bit in a name", edited(`"a.service"`, `"c.service"`), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": one bit has flipped, from "\"a.service\"" to "\"c.service\""; the checksum tells what was written, and that is taken (to change it by hand, remove "checksum", too)`}},
		{"edited with its checksum", edited(`"starts": 12`, `"starts": 999`), written(t, old), "a active 10/7/2, b active 7/4/2", "",
			[]string{kept, `"a.service": ` + wrong + "; the record in the generation before is taken: starts 10, not 999, stops 7, not 9"}},
		{"edited, nothing before", edited(`"starts": 12`, `"starts": 999`), "-", "a active 999/9/2, b active 7/4/2", "a.service",
			[]string{kept, `"a.service": ` + wrong + "; life does not fit to the counters and is left out"}},
		{"edited, nothing but imported before", edited(`"starts": 12`, `"starts": 2`), imported, "a active 10/9/3, b active 7/4/2", "a.service",
			[]string{kept, `"a.service": ` + wrong + "; starts is taken for 10; crashes is taken for 3; life does not fit to the counters and is left out"}},
		{"null in a checked record", edited(`"starts": 12`, `"starts": null`), written(t, old), "a active 10/7/2, b active 7/4/2", "",
			[]string{kept, `"a.service": starts cannot be null; ` + wrong + "; the record in the generation before is taken: starts 10, not null, stops 7, not 9"}},

		{"null, by the sum", strings.Replace(unchecked(file), `"starts": 12`, `"starts": null`, 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": starts cannot be null; starts is taken for 12`}},
		{"more than there can be, by the sum", strings.Replace(unchecked(file), `"starts": 12`, `"starts": 18446744073709551615`, 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": starts cannot be 18446744073709551615; starts is taken for 12`}},
		{"more causes than there can be", strings.Replace(unchecked(file), `"signal": 2`, `"signal": 18446744073709551615`, 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": crash_causes cannot be an object`}},
		{"more than there can be, in a checked record", written(t, formattest.Running("a.service", 1<<64-1), b), written(t, old), "a active 10/7/2, b active 7/4/2", "",
			[]string{kept, `"a.service": starts cannot be 18446744073709551615; stops cannot be 18446744073709551612; ` + wrong +
				"; the record in the generation before is taken: starts 10, not 18446744073709551615, stops 7, not 18446744073709551612"}},
		{"null of the sum itself", strings.Replace(unchecked(file), `first_seen": 0`, `first_seen": null`, 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": running_when_first_seen cannot be null`}},
		{"two nulls", strings.NewReplacer(`"starts": 12`, `"starts": null`, `"stops": 9`, `"stops": -1`).Replace(unchecked(file)), written(t, old),
			"a active 10/7/2, b active 7/4/2", "",
			[]string{kept, `"a.service": starts cannot be null; stops cannot be -1; starts is taken for 10; stops is taken for 7`}},
		{"null of the Python monitor", strings.Replace(imported, "10", "null", 1), "{" + formattest.Python("a.service", `"active"`, "null", "9", "1", "1", "false") + "}", "a active 9/8/3", "a.service",
			[]string{kept, `"a.service": starts cannot be null; starts is taken for 9`}},
		{"null, nothing before", strings.Replace(imported, "10", "null", 1), "-", "a active 0/8/3", "a.service",
			[]string{kept, `"a.service": starts cannot be null; starts is taken for 0`}},
		{"null, nothing certain before", strings.Replace(imported, "10", "null", 1), "{" + formattest.Python("a.service", `"active"`, "null", "null", "1", "1", "false") + "}", "a active 0/8/3", "a.service",
			[]string{kept, `"a.service": starts cannot be null; starts is taken for 0`}},
		{"no record", `{"a.service": 5}`, imported, "a active 10/8/3", "a.service",
			[]string{kept, `"a.service": 5, not a record; the record in the generation before is taken`}},
		{"no record, nothing before", `{"a.service": 5}`, "-", "", "",
			[]string{kept, `"a.service": 5, not a record; it is left out`}},
		{"a life that is none", strings.Replace(unchecked(file), `"sub_state": "running"`, `"sub_state": 5`, 1), written(t, old), "a active 12/9/2, b active 7/4/2", "a.service",
			[]string{kept, `"a.service": life cannot be an object`}},

		{"cut short", file[:len(file)-100], written(t, old, b), "a active 12/9/2, b active 7/4/2", "",
			[]string{"state file DIR/s.json is damaged: line 57: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; of it, 1 service could be read; " +
				"continuing from the generation before, DIR/s.json.previous, with 1 service",
				`"b.service": the record has no end; the checksum is wrong, so the record was changed or damaged (to change it by hand, stop the monitor, and remove its "checksum", too); the record in the generation before is taken`}},
		{"cut short between two", file[:strings.Index(file, `  "b.service"`)], written(t, old, b), "a active 12/9/2, b active 7/4/2", "",
			[]string{"state file DIR/s.json is damaged: line 32: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; of it, 1 service could be read; " +
				"continuing from the generation before, DIR/s.json.previous, with 1 service"}},
		{"cut short, of the Python monitor", imported[:len(imported)-2], "-", "a active 10/8/3", "a.service",
			[]string{"state file DIR/s.json is damaged: line 1: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; of it, 1 service could be read",
				`"a.service": the record has no end`}},
		{"cut short in a number", imported[:strings.Index(imported, "10")+1], "-", "a active 0/0/0", "a.service",
			[]string{"state file DIR/s.json is damaged: line 1: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; of it, 1 service could be read",
				`"a.service": the record has no end; starts is missing; stops is missing; crashes is missing; starts is taken for 0; stops is taken for 0; crashes is taken for 0`}},
		{"cut short, with the generation before", imported[:len(imported)-2], "{" + formattest.Python("a.service", `"active"`, "null", "9", "8", "3", "false") + "}", "a active 9/8/3", "a.service",
			[]string{"state file DIR/s.json is damaged: line 1: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; " +
				"continuing from the generation before, DIR/s.json.previous, with 1 service",
				`"a.service": the record has no end; the record in the generation before is taken: starts 9, not 10`}},
		{"garbage in the middle", strings.Replace(file, `  "b.service"`, "\x00\x01\n  \"b.service\"", 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{"state file DIR/s.json is damaged: line 32: invalid character '\\x00' looking for beginning of object key string; kept as DIR/s.json.corrupt-TIME; of it, 2 services could be read"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			units, notes := loadedOf(t, tt.file, tt.previous)
			if got := formattest.Counts(units); got != tt.want {
				t.Errorf("units %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.notes, notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			for unit, u := range units {
				if faults := u.Check(); faults != nil || u.Life.Known() == (unit == tt.unseen) {
					t.Errorf("%s has faults %q, life %+v", unit, faults, u.Life)
				}
			}
		})
	}
}

// TestMisnamed flips more than one bit in a name. That cannot be put right, but the
// generation before still has the unit.
func TestMisnamed(t *testing.T) {
	file := written(t, formattest.Running("a.service", 12), formattest.Running("b.service", 7))
	units, notes := loadedOf(t, strings.Replace(file, `"b.service"`, `"b.servkcd"`, 1), file)
	if got, want := formattest.Counts(units), "a active 12/9/2, b active 7/4/2, b.servkcd active 7/4/2"; got != want {
		t.Errorf("%s, want %s (%q)", got, want, notes)
	}
}

// TestNewer wants a file of a newer version to be refused, and flipped bits not to make
// one, as long as another record is certainly of this version.
func TestNewer(t *testing.T) {
	file := written(t, formattest.Running("a.service", 12), formattest.Running("b.service", 7))
	newer := strings.ReplaceAll(file, `"schema": 1`, `"schema": 12`)
	for _, tt := range []struct {
		name, file, previous string
		refused              bool
	}{
		{"of this version", file, "-", false},
		{"of an earlier one", strings.ReplaceAll(file, `"schema": 1,`, ""), file, false},
		{"newer", newer, file, true},
		{"newer with other types", strings.Replace(newer, `"life": {`, `"lives": [], "starts": {"all": 3}, "life": {`, 1), file, true},
		{"newer before a missing one", "-", newer, true},
		{"newer before a good one", file, newer, false},
		{"newer in another form", strings.ReplaceAll(file, `"schema": 1`, `"schema": "2.0"`), "-", true},
		{"newer without checksum", strings.Replace(strings.ReplaceAll(file, `"checksum"`, `"_"`), `"schema": 1`, `"schema": 2`, 1), "-", true},
		{"a bit that flipped", strings.Replace(file, `"schema": 1`, `"schema": 3`, 1), "-", false},
		{"two bits that flipped", strings.Replace(file, `"schema": 1`, `"scxema": 3`, 1), "-", false},
		{"two bits that flipped in the value", strings.Replace(file, `"schema": 1`, `"schema": 7`, 1), "-", false},
		{"the record also has no end", strings.Replace(file, "\"schema\": 1,\n ", "\"schema\": 9,\n!", 1), "-", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.json")
			f := open(t, path)
			for path, text := range map[string]string{path: tt.file, path + previousSuffix: tt.previous} {
				if text != "-" {
					put(t, path, text)
				}
			}
			before := beside(t, path)
			if err := Newer(path); errors.Is(err, ErrNewer) != tt.refused {
				t.Errorf("Newer: %v", err)
			}
			units, _, err := f.Load()
			if errors.Is(err, ErrNewer) != tt.refused || (err == nil) == tt.refused {
				t.Fatalf("Load: %v, %q", err, formattest.Counts(units))
			}
			if !tt.refused {
				return
			}
			if want := "was written by a newer version of the monitor: it has schema "; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "install") {
				t.Errorf("Load: %v", err)
			}
			if diff := cmp.Diff(before, beside(t, path)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if tt.file != "-" && read(t, path) != tt.file {
				t.Error("the file is another one now")
			}
		})
	}
}

// TestManyWrong loads a file with many wrong records, as somebody has edited them. The start
// looks for flipped bits only in a few, and limits the number of notes.
func TestManyWrong(t *testing.T) {
	var units []*count.Tally
	for i := range 300 {
		units = append(units, formattest.Running(fmt.Sprintf("%03d.service", i), uint64(100+i)))
	}
	got, notes := loadedOf(t, strings.ReplaceAll(written(t, units...), `"crashes": 2`, `"crashes": 77`), written(t, units...))
	if len(got) != 300 || len(notes) != mostNotes+2 || !strings.Contains(notes[mostNotes+1], "280 more services") {
		t.Errorf("%d units, notes %d: %q", len(got), len(notes), notes[len(notes)-1])
	}
	for _, tally := range units {
		if got[tally.Unit].Crashes != 2 {
			t.Errorf("%s: %d", tally.Unit, got[tally.Unit].Crashes)
		}
	}
}

// The seconds of a record that is not certain are no lower than in the generation before. A record
// without seconds, from before there were any, begins with none.
func TestLoadSeconds(t *testing.T) {
	unit := func(up time.Duration) *count.Tally {
		u := formattest.Running("a.service", 10)
		u.Times = count.Times{Spent: count.Spent{count.Up: up}, Phase: count.Up, Clock: 7, Boot: "b"}
		return u
	}
	old, is := written(t, unit(time.Hour)), written(t, unit(2*time.Hour))
	none := unit(0)
	none.Times = count.Times{}
	edited := func(old, new string) string { return strings.Replace(is, old, new, 1) }
	for name, tt := range map[string]struct {
		text, before string
		want         time.Duration
	}{
		"as it was written":                {is, old, 2 * time.Hour},
		"lower, but the checksum is wrong": {edited(`"up": 7200`, `"up": 1800`), old, time.Hour},
		"it cannot be read":                {edited(`"up": 7200`, `"up": "much"`), old, time.Hour},
		"none is written":                  {written(t, none), "-", 0},
	} {
		t.Run(name, func(t *testing.T) {
			units, notes := loadedOf(t, tt.text, tt.before)
			if got := units["a.service"].Times.Spent[count.Up]; got != tt.want {
				t.Errorf("up %v, want %v: %q", got, tt.want, notes)
			}
		})
	}
}
