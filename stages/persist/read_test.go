package persist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// inZone makes a zone the local one.
func inZone(t *testing.T, zone *time.Location) {
	t.Helper()
	was := location
	location = func() *time.Location { return zone }
	t.Cleanup(func() { location = was })
}

// checksumOf is that which a record gets.
func checksumOf(t *testing.T, unit string, r record) string {
	t.Helper()
	text, err := newSealer().seal(unit, &r)
	if err != nil {
		t.Fatal(err)
	}
	return string(checksumIn(text))
}

// written is what the monitor writes of units.
func written(t *testing.T, units ...*count.Tally) string {
	t.Helper()
	all := make(map[string]*count.Tally)
	for _, tally := range units {
		all[tally.Unit] = tally
	}
	var text bytes.Buffer
	if err := encode(&text, all); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// running is a unit that this monitor has seen: its counts balance.
func running(unit string, starts uint64) *count.Tally {
	return &count.Tally{
		Unit: unit, State: "active", Changed: time.Date(2025, 7, 7, 10, 15, 23, 0, time.Local), Starts: starts, Stops: starts - 3, Crashes: 2, Restarts: 1,
		Causes:    []count.CauseCount{{Result: "signal", Crashes: 2}},
		LastCrash: &count.Crash{Time: time.Date(2025, 7, 7, 10, 15, 22, 0, time.UTC), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "01"},
		Life:      &classify.Life{ActiveState: "active", SubState: "running", Invocation: decode.Invocation{1}, Ran: true},
	}
}

// told are the findings that matter, or all, as lines.
func told(findings []Finding, all bool) (lines []string) {
	for _, f := range findings {
		if f.Lost || all {
			lines = append(lines, f.String())
		}
	}
	return lines
}

// python is a unit in a file of the Python monitor.
func python(name, state, time, starts, stops, crashes, unloaded string) string {
	return fmt.Sprintf(`%q: {"last_state": %s, "last_change_time": %s, "starts": %s, "stops": %s, "crashes": %s, "logged_unloaded": %s}`,
		name, state, time, starts, stops, crashes, unloaded)
}

// counts are those of a file, short.
func counts(units map[string]*count.Tally) string {
	var parts []string
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		u := units[unit]
		parts = append(parts, fmt.Sprintf("%s %s %d/%d/%d", strings.TrimSuffix(unit, ".service"), u.State, u.Starts, u.Stops, u.Crashes))
	}
	return strings.Join(parts, ", ")
}

// TestForms reads what people and other programs write for a value: what means one
// thing without doubt is that, and a counter that cannot be read takes nothing with it.
func TestForms(t *testing.T) {
	unit := func(starts string) string {
		return "{" + python("a.service", `"active"`, `"2025-07-07 10:15:23"`, starts, "9", "3", "false") + "}"
	}
	for _, tt := range []struct {
		starts string
		want   uint64
		odd    bool // it is said by --check-state
		bad    bool
	}{
		{"12", 12, false, false},
		{"0", 0, false, false},
		{"18446744073709551615", 1<<64 - 1, false, false},
		{"12.0", 12, true, false},
		{"12.", 12, true, false},
		{"012", 12, true, false},
		{"+12", 12, true, false},
		{"1e3", 1000, true, false},
		{"1.2E+1", 12, true, false},
		{"1200e-2", 12, true, false},
		{"9007199254740993.0", 1<<53 + 1, true, false},
		{`"12"`, 12, true, false},
		{`" 12\n"`, 12, true, false},
		{`"12.00"`, 12, true, false},
		{`"\u0031\u0032"`, 12, true, false},
		{"-0", 0, true, false},
		{"0e999", 0, true, false},
		{"null", 0, false, true},
		{"true", 0, false, true},
		{"[12]", 0, false, true},
		{`{"n": 12}`, 0, false, true},
		{`""`, 0, false, true},
		{`"twelve"`, 0, false, true},
		{`"0x12"`, 0, false, true},
		{`"1_000"`, 0, false, true},
		{`"1,000"`, 0, false, true},
		{"12x", 0, false, true},
		{"NaN", 0, false, true},
		{"Infinity", 0, false, true},
		{"-1", 0, false, true},
		{"-12.0", 0, false, true},
		{`"-3"`, 0, false, true},
		{"12.5", 0, false, true},
		{"1e-1", 0, false, true},
		{"1e20", 0, false, true},
		{"1e999999999", 0, false, true},
		{"18446744073709551616", 0, false, true},
		{strings.Repeat("0", 99), 0, false, false},
		{strings.Repeat("0", 99) + ".0", 0, false, true},
	} {
		c := parse([]byte(unit(tt.starts)))
		a := c.units["a.service"]
		if a == nil || a.Starts != tt.want || a.Stops != 9 || a.Crashes != 3 || a.State != "active" || a.Changed.IsZero() {
			t.Errorf("%s: %+v, want %d", tt.starts, a, tt.want)
		}
		if c.broken != nil || c.lost() != tt.bad || (c.doubts["a.service"] != nil) != tt.bad {
			t.Errorf("%s: broken %v, findings %q, want it to be bad %v", tt.starts, c.broken, told(c.findings, true), tt.bad)
		}
		if lines := strings.Join(told(c.findings, true), "\n"); (tt.odd || tt.bad) && !strings.HasPrefix(lines, `"a.service": starts `) {
			t.Errorf("%s: it is not said: %q", tt.starts, lines)
		}
	}
}

// TestTolerance reads what people wrote, unit by unit and value by value.
func TestTolerance(t *testing.T) {
	a := python("a.service", `"active"`, `"2025-07-07 10:15:23"`, "12", "9", "3", "false")
	b := python("b.service", `"active"`, `"2025-07-07 10:15:23"`, "12", "9", "3", "false")
	const both = "a active 12/9/3, b active 12/9/3"
	life := func(life string) string {
		return "{" + strings.TrimSuffix(a, "}") + `, "restarts": 2, ` + life + "}}"
	}
	for _, tt := range []struct {
		name     string
		text     string
		want     string
		findings []string // all of them; those that are no loss begin with a blank
	}{
		{"as it was", "{" + a + ", " + b + "}", both, nil},
		{"BOM, CRLF", "\uFEFF{" + a + ",\r\n" + b + "}\r\n", both, nil},
		{"comment", `{"_comment": "gateway 12", ` + a + ", " + b + "}", both, nil},
		{"comments", `{"//": 5, "//x": {"starts": 1}, "_x": [1], ` + a + ", " + b + `, "_": null}`, both, nil},
		{"comment in a record", "{" + strings.TrimSuffix(a, "}") + `, "_why": "by hand", "//": 1, "more": {"starts": 7}}}`, "a active 12/9/3", nil},
		{"a service with an underscore", "{" + strings.ReplaceAll(a, "a.service", "_a.service") + "}", "_a active 12/9/3", nil},
		{"a comma too many", "{" + a + ",\n" + b + ",\n}", both, nil},
		{"a comma too many in a record", "{" + strings.TrimSuffix(a, "}") + ",}," + b + "}", both, nil},
		{"a comma too few", "{" + a + "\n" + b + "}", both, nil},
		{"record is a number", "{" + a + `, "b.service": 5}`, "a active 12/9/3", []string{`"b.service": 5, not a record`}},
		{"record is null", `{"b.service": null, ` + a + "}", "a active 12/9/3", []string{`"b.service": null, not a record`}},
		{"record is a list", `{"b.service": [1], ` + a + "}", "a active 12/9/3", []string{`"b.service": a list, not a record`}},
		{"record is of another file", `{"monitored_services": ["a.service"], ` + a + "}", "a active 12/9/3",
			[]string{`"monitored_services": a list, not a record`}},
		{"escape sequence", `{"\u001b[2J": 5, ` + a + "}", "a active 12/9/3", []string{`"\x1b[2J": 5, not a record`}},
		{"a flipped bit in a name", "{" + a + `, "` + "\xe1" + `.service": {"starts": 5}}`, "a active 12/9/3",
			[]string{`"\"\xe1.service\"" cannot be the name of a service`}},
		{"a counter is missing", "{" + strings.Replace(a, `"starts": 12, `, "", 1) + "," + b + "}", "a active 0/9/3, b active 12/9/3",
			[]string{`"a.service": starts is missing`}},
		{"no counters at all", `{"a.service": {}}`, "a  0/0/0",
			[]string{`"a.service": starts is missing`, `"a.service": stops is missing`, `"a.service": crashes is missing`}},
		{"a key in another case", "{" + strings.Replace(a, `"stops"`, `"Stops"`, 1) + "}", "a active 12/0/3", []string{`"a.service": stops is missing`}},
		{"a state that is none", "{" + strings.Replace(a, `"active"`, "5", 1) + "," + b + "}", "a  12/9/3, b active 12/9/3",
			[]string{`"a.service": last_state cannot be 5`}},
		{"no state", "{" + strings.Replace(a, `"active"`, "null", 1) + "}", "a  12/9/3", []string{` "a.service": last_state is written as null`}},
		{"a time that is none", "{" + strings.Replace(a, `"2025-07-07 10:15:23"`, `"yesterday"`, 1) + "}", "a active 12/9/3",
			[]string{`"a.service": last_change_time cannot be "yesterday"`}},
		{"a time that is a number", "{" + strings.Replace(a, `"2025-07-07 10:15:23"`, `1751883323`, 1) + "}", "a active 12/9/3",
			[]string{`"a.service": last_change_time cannot be 1751883323`}},
		{"flags in other forms", "{" + strings.Replace(a, "false", `"False"`, 1) + "," + strings.Replace(b, "false", "0", 1) + "}", both,
			[]string{` "a.service": logged_unloaded is written as "False"`, ` "b.service": logged_unloaded is written as 0`}},
		{"a flag that is none", "{" + strings.Replace(a, "false", `"perhaps"`, 1) + "}", "a active 12/9/3",
			[]string{`"a.service": logged_unloaded cannot be "perhaps"`}},
		{"a counter twice", "{" + strings.Replace(a, `"starts": 12`, `"starts": 13, "starts": 12`, 1) + "}", "a active 13/9/3",
			[]string{`"a.service": starts is there twice`}},
		{"the same counter twice", "{" + strings.Replace(a, `"starts": 12`, `"starts": 12, "starts": 12`, 1) + "}", "a active 12/9/3",
			[]string{` "a.service": starts is there twice`}},
		{"a unit twice", "{" + a + "," + strings.Replace(a, "12", "11", 1) + "}", "a active 12/9/3",
			[]string{`"a.service": it is there twice; the record with the right checksum is taken, or else the one that has counted more`}},
		{"escape sequence in a value", "{" + strings.Replace(a, "12", "\x1b2J", 1) + "," + b + "}", "a active 0/9/3, b active 12/9/3",
			[]string{`"a.service": starts cannot be "\x1b2J"`}},

		{"a life", life(`"life": {"active_state": "active", "sub_state": "running", "n_restarts": 1}`), "a active 12/9/3", nil},
		{"a life of floats", life(`"life": {"active_state": "active", "sub_state": "running", "n_restarts": 1.0}`), "a active 12/9/3",
			[]string{` "a.service": life is written as an object`}},
		{"a life that is none", life(`"life": "long"`), "a active 12/9/3", []string{`"a.service": life cannot be "long"`}},
		{"a life with an invocation that is none", life(`"life": {"active_state": "active", "invocation": "0123"}`), "a active 12/9/3",
			[]string{`"a.service": life cannot be an object`}},
		{"causes in other forms", life(`"crash_causes": {"signal": "2"}, "last_crash": {"time": "2025-07-07T10:15:22Z", "result": "signal"}`), "a active 12/9/3",
			[]string{` "a.service": crash_causes is written as an object`}},
		{"causes that are none", life(`"crash_causes": ["signal"], "last_crash": {"time": "2025-07-07T10:15:22Z", "result": "signal"}`), "a active 12/9/3",
			[]string{`"a.service": crash_causes cannot be a list`}},
		{"a last crash that is none", life(`"crash_causes": {"signal": 2}, "last_crash": {"time": "yesterday", "result": "signal"}`), "a active 12/9/3",
			[]string{`"a.service": last_crash cannot be an object`}},
		{"nulls for what is left out", life(`"crash_causes": null, "last_crash": null, "life": null`), "a active 12/9/3", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := parse([]byte(tt.text))
			if got := counts(c.known()); c.broken != nil || got != tt.want {
				t.Errorf("units %q, want %q (%v)", got, tt.want, c.broken)
			}
			var got []string
			for _, f := range c.findings {
				line := f.String()
				if !f.Lost {
					line = " " + line
				}
				if !strings.Contains(line, "it is clear what is meant") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tt.findings, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for unit, u := range c.known() {
				if faults := u.Check(); u.State != "" && faults != nil && !strings.HasPrefix(tt.name, "a life") {
					t.Errorf("%s: %q", unit, faults)
				}
			}
		})
	}
}

// loadedOf loads a file and the generation before it, "-" for none, and returns the
// units and what was said, with short names.
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

// TestLoadRepairs loads files that cannot be read as a whole. What is certain stays, and
// for the rest there is the generation before.
func TestLoadRepairs(t *testing.T) {
	a, b := running("a.service", 12), running("b.service", 7)
	old := running("a.service", 10)
	file := written(t, a, b)
	edited := func(old, new string) string { return strings.Replace(file, old, new, 1) }
	imported := "{" + python("a.service", `"active"`, "null", "10", "8", "3", "false") + "}"
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
		unseen               string // units that have no life any more
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
		{"null of the sum itself", strings.Replace(unchecked(file), `first_seen": 0`, `first_seen": null`, 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{kept, `"a.service": running_when_first_seen cannot be null`}},
		{"two nulls", strings.NewReplacer(`"starts": 12`, `"starts": null`, `"stops": 9`, `"stops": -1`).Replace(unchecked(file)), written(t, old),
			"a active 10/7/2, b active 7/4/2", "",
			[]string{kept, `"a.service": starts cannot be null; stops cannot be -1; starts is taken for 10; stops is taken for 7`}},
		{"null of the Python monitor", strings.Replace(imported, "10", "null", 1), "{" + python("a.service", `"active"`, "null", "9", "1", "1", "false") + "}", "a active 9/8/3", "a.service",
			[]string{kept, `"a.service": starts cannot be null; starts is taken for 9`}},
		{"null, nothing before", strings.Replace(imported, "10", "null", 1), "-", "a active 0/8/3", "a.service",
			[]string{kept, `"a.service": starts cannot be null; starts is taken for 0`}},
		{"null, nothing certain before", strings.Replace(imported, "10", "null", 1), "{" + python("a.service", `"active"`, "null", "null", "1", "1", "false") + "}", "a active 0/8/3", "a.service",
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
		{"cut short, with the generation before", imported[:len(imported)-2], "{" + python("a.service", `"active"`, "null", "9", "8", "3", "false") + "}", "a active 9/8/3", "a.service",
			[]string{"state file DIR/s.json is damaged: line 1: unexpected end of JSON input; kept as DIR/s.json.corrupt-TIME; " +
				"continuing from the generation before, DIR/s.json.previous, with 1 service",
				`"a.service": the record has no end; the record in the generation before is taken: starts 9, not 10`}},
		{"garbage in the middle", strings.Replace(file, `  "b.service"`, "\x00\x01\n  \"b.service\"", 1), "-", "a active 12/9/2, b active 7/4/2", "",
			[]string{"state file DIR/s.json is damaged: line 32: invalid character '\\x00' looking for beginning of object key string; kept as DIR/s.json.corrupt-TIME; of it, 2 services could be read"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			units, notes := loadedOf(t, tt.file, tt.previous)
			if got := counts(units); got != tt.want {
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

// counters are all that is counted of a unit, as text.
func counters(u *count.Tally) string {
	r := newRecord(u)
	var b strings.Builder
	for _, c := range r.counters() {
		fmt.Fprint(&b, c.key, *c.value, " ")
	}
	fmt.Fprint(&b, r.Before, r.CrashCauses)
	return b.String()
}

// TestEveryBit flips bits of a file. Each flip is found, and what was counted is read all
// the same; or it is one that changes nothing that is counted.
func TestEveryBit(t *testing.T) {
	small := &count.Tally{Unit: "b.service", State: "failed", Starts: 12, Crashes: 12, Causes: []count.CauseCount{{Result: "signal", Crashes: 12}}}
	for _, tt := range []struct {
		name  string
		units []*count.Tally
		every int // for each mend takes a while; of 8 bits it takes all in turn
	}{
		{"small", []*count.Tally{{Unit: "a.service", State: "active", Starts: 7}, small}, 31},
		{"large", []*count.Tally{running("a.service", 12), running("c.service", 7), running("d.service", 7)}, 1201},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := []byte(written(t, tt.units...))
			for i := 0; i < 8*len(file); i += tt.every {
				flipped := bytes.Clone(file)
				flipped[i/8] ^= 1 << (i % 8)
				c := parse(flipped)
				for _, want := range tt.units {
					if got := c.units[want.Unit]; got == nil || counters(got) != counters(want) {
						t.Errorf("bit %d (%s): %s: %+v (%q)", i, around(flipped, file), want.Unit, got, told(c.findings, true))
					}
				}
				if len(c.units) != len(tt.units) {
					t.Errorf("bit %d (%s): %q", i, around(flipped, file), counts(c.units))
				}
			}
		})
	}
}

// TestEveryBitIsFound flips every bit where too many records are wrong to mend them. A flip
// that is not found changes nothing that is counted.
func TestEveryBitIsFound(t *testing.T) {
	a := running("a.service", 12)
	file := []byte(written(t, a))
	for i := range file {
		for bit := range 8 {
			flipped := bytes.Clone(file)
			flipped[i] ^= 1 << bit
			p := newParser()
			p.mends = mostMends
			rest, ok := members(flipped, p.unit)
			if !ok || !blankEnd(rest) || p.lost() {
				continue
			}
			if got := p.units[a.Unit]; len(p.units) != 1 || got == nil || counters(got) != counters(a) {
				t.Errorf("byte %d (%q), bit %d: %+v (%q)", i, around(file, flipped), bit, got, told(p.findings, true))
			}
		}
	}
}

// The checksum is over the values as they are read back: of any tally.
func TestChecksumOfAnything(t *testing.T) {
	odd := full()
	odd.Unit, odd.State = "\"<é&\x01\u2028\xff>.service", "x\ny\xff"
	for _, tally := range []*count.Tally{full(), odd, running("a.service", 3), {Unit: "never.service"}, {Unit: "x.service", Dropped: true, Restored: true}} {
		c := parse([]byte(written(t, tally)))
		if len(c.units) != 1 || c.lost() || len(c.findings) > 0 {
			t.Errorf("%q: %q, %v", tally.Unit, told(c.findings, true), c.broken)
		}
	}
}

// The same content is the same bytes, and what is read is written as it was.
func TestSameBytes(t *testing.T) {
	file := written(t, full(), running("a.service", 12), &count.Tally{Unit: "never.service", State: "unloaded", Told: true})
	var units []*count.Tally
	for _, tally := range parse([]byte(file)).units {
		units = append(units, tally)
	}
	if diff := cmp.Diff(file, written(t, units...)); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

// TestNewer loads what a newer version wrote: it is refused, whatever else is in the file.
// A bit that flips makes no newer version.
func TestNewer(t *testing.T) {
	file := written(t, running("a.service", 12), running("b.service", 7))
	newer := strings.Replace(file, `"schema": 1`, `"schema": 12`, 1)
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
		{"newer in another form", strings.Replace(file, `"schema": 1`, `"schema": "2.0"`, 1), "-", true},
		{"a bit that flipped", strings.Replace(file, `"schema": 1`, `"schema": 3`, 1), "-", false},
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
			units, _, err := f.Load()
			if errors.Is(err, ErrNewer) != tt.refused || (err == nil) == tt.refused {
				t.Fatalf("Load: %v, %q", err, counts(units))
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

// TestZone reads times in another zone than that in which they were written.
func TestZone(t *testing.T) {
	changed := time.Date(2025, 10, 26, 2, 30, 0, 0, time.FixedZone("CEST", 2*3600)) // it is 2:30 twice in that night
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	inZone(t, zone)
	file := written(t, &count.Tally{Unit: "a.service", State: "active", Changed: changed, Starts: 1})
	for _, part := range []string{`"last_change_time": "2025-10-26 02:30:00"`, `"last_change_offset": "+02:00"`} {
		if !strings.Contains(file, part) {
			t.Errorf("there is no %s:\n%s", part, file)
		}
	}
	for _, name := range []string{"America/St_Johns", "Asia/Kolkata", "UTC", "Europe/Berlin"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		inZone(t, zone)
		c := parse([]byte(file))
		if got := c.units["a.service"].Changed; !got.Equal(changed) || c.findings != nil {
			t.Errorf("%s: %v, want %v (%q)", name, got, changed, told(c.findings, true))
		}
	}
	python := parse([]byte(strings.NewReplacer(`"last_change_offset": "+02:00",`, "", `"checksum"`, `"x"`).Replace(file)))
	if got := python.units["a.service"].Changed; got.Format(timeFormat) != "2025-10-26 02:30:00" {
		t.Errorf("without an offset: %v, want local time", got)
	}
}

// The Python monitor reads the file: a JSON object by unit, with its six keys in each.
func TestPythonReads(t *testing.T) {
	var units map[string]struct {
		State    *string `json:"last_state"`
		Time     *string `json:"last_change_time"`
		Starts   *int    `json:"starts"`
		Stops    *int    `json:"stops"`
		Crashes  *int    `json:"crashes"`
		Unloaded *bool   `json:"logged_unloaded"`
	}
	if err := json.Unmarshal([]byte(written(t, running("a.service", 12), running("b.service", 7))), &units); err != nil || len(units) != 2 {
		t.Fatalf("%v: %v", units, err)
	}
	for name, u := range units {
		if u.State == nil || u.Time == nil || u.Starts == nil || u.Stops == nil || u.Crashes == nil || u.Unloaded == nil {
			t.Errorf("%s has not all six keys: %+v", name, u)
		}
	}
}

// Many wrong records are many edits: the start does not look for bits all day, and does
// not say it all.
func TestManyWrong(t *testing.T) {
	var units []*count.Tally
	for i := range 300 {
		units = append(units, running(fmt.Sprintf("%03d.service", i), uint64(100+i)))
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

// FuzzParse reads anything, and never fails by more than a finding. What it reads it can
// write and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a.service": {"last_state": "active", "starts": 1e3, "stops": "2", "crashes": null}}`))
	f.Add([]byte(`{"a.service": {"life": {"active_state": "active"}, "crash_causes": {"signal": 2.0}}, "_c": 1,`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := parse(text)
		for unit, r := range c.doubts {
			if tally := r.settle(nil); tally != nil {
				c.units[unit] = tally
			}
		}
		var again bytes.Buffer
		if err := encode(&again, c.units); err != nil {
			t.Fatal(err)
		}
		if second := parse(again.Bytes()); second.lost() || len(second.units) > len(c.units) {
			t.Errorf("%q becomes %q: %q", text, again.Bytes(), told(second.findings, true))
		}
	})
}
