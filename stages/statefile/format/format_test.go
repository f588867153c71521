package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format/formattest"
)

// inZone makes zone the local time zone during a test.
func inZone(t *testing.T, zone *time.Location) {
	t.Helper()
	was := location
	location = func() *time.Location { return zone }
	t.Cleanup(func() { location = was })
}

// checksumOf returns the checksum that the monitor writes into a record.
func checksumOf(t *testing.T, unit string, r record) string {
	t.Helper()
	text, err := newSealer().seal(unit, &r)
	if err != nil {
		t.Fatal(err)
	}
	return string(checksumIn(text))
}

// written returns the text that the monitor writes for these units.
func written(t *testing.T, units ...*count.Tally) string {
	t.Helper()
	all := make(map[string]*count.Tally)
	for _, tally := range units {
		all[tally.Unit] = tally
	}
	var text bytes.Buffer
	if err := Encode(&text, all); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// linesOf returns findings as lines: all of them, or only those with a loss.
func linesOf(findings []Finding, all bool) (lines []string) {
	for _, f := range findings {
		if f.Lost || all {
			lines = append(lines, f.String())
		}
	}
	return lines
}

func TestFormat(t *testing.T) {
	inZone(t, time.UTC)
	changed := time.Date(2025, 7, 7, 10, 15, 23, 999, time.Local)
	got := written(t,
		&count.Tally{Unit: "wirepas-gateway.service", State: "active", Changed: changed, Starts: 5, Stops: 4},
		&count.Tally{Unit: "setup.service", State: "unloaded", LoggedUnloaded: true})
	want := `{
  "setup.service": {
    "last_state": "unloaded",
    "last_change_time": "",
    "starts": 0,
    "stops": 0,
    "crashes": 0,
    "logged_unloaded": true,
    "schema": 1,
    "checksum": "8a1edd31",
    "unknown": 0,
    "restarts": 0,
    "running_when_first_seen": 0
  },
  "wirepas-gateway.service": {
    "last_state": "active",
    "last_change_time": "2025-07-07 10:15:23",
    "starts": 5,
    "stops": 4,
    "crashes": 0,
    "logged_unloaded": false,
    "last_change_offset": "+00:00",
    "schema": 1,
    "checksum": "802bfcb4",
    "unknown": 0,
    "restarts": 0,
    "running_when_first_seen": 0
  }
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state file (-want +got):\n%s", diff)
	}
}

// TestEncode wants the same text as encoding/json writes for a map of all units.
func TestEncode(t *testing.T) {
	odd := formattest.Full()
	odd.Unit, odd.State = "\"<é&\x01\u2028\xff>.service", "x\ny"
	for n := range 4 {
		units := map[string]*count.Tally{}
		for _, tally := range []*count.Tally{formattest.Full(), odd, {Unit: "never.service", State: "unloaded", LoggedUnloaded: true}}[:min(n, 3)] {
			units[tally.Unit] = tally
		}
		records := make(map[string]record)
		for unit, tally := range units {
			r := newRecord(tally)
			if _, err := newSealer().seal(unit, &r); err != nil {
				t.Fatal(err)
			}
			text := checksumOf(t, unit, r)
			r.Checksum = text
			records[unit] = r
		}
		want, err := json.MarshalIndent(records, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := Encode(&got, units); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want)+"\n", got.String()); diff != "" {
			t.Errorf("%d units (-want +got):\n%s", n, diff)
		}
	}
}

// TestForms reads values in the forms that people and other programs use. A value that can
// mean only one thing is accepted. A counter that cannot be read does not spoil the others.
func TestForms(t *testing.T) {
	unit := func(starts string) string {
		return "{" + formattest.Python("a.service", `"active"`, `"2025-07-07 10:15:23"`, starts, "9", "3", "false") + "}"
	}
	for _, tt := range []struct {
		starts string
		want   uint64
		odd    bool // --check-state reports it
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
		c := Parse([]byte(unit(tt.starts)))
		a := c.Units["a.service"]
		if a == nil || a.Starts != tt.want || a.Stops != 9 || a.Crashes != 3 || a.State != "active" || a.Changed.IsZero() {
			t.Errorf("%s: %+v, want %d", tt.starts, a, tt.want)
		}
		if c.Broken != nil || c.Lost() != tt.bad || (c.Doubts["a.service"] != nil) != tt.bad {
			t.Errorf("%s: broken %v, findings %q, want it to be bad %v", tt.starts, c.Broken, linesOf(c.Findings, true), tt.bad)
		}
		if lines := strings.Join(linesOf(c.Findings, true), "\n"); (tt.odd || tt.bad) && !strings.HasPrefix(lines, `"a.service": starts `) {
			t.Errorf("%s: it is not said: %q", tt.starts, lines)
		}
	}
}

// TestTolerance reads files that people have edited. As many units and values as possible
// are read.
func TestTolerance(t *testing.T) {
	a := formattest.Python("a.service", `"active"`, `"2025-07-07 10:15:23"`, "12", "9", "3", "false")
	b := formattest.Python("b.service", `"active"`, `"2025-07-07 10:15:23"`, "12", "9", "3", "false")
	const both = "a active 12/9/3, b active 12/9/3"
	life := func(life string) string {
		return "{" + strings.TrimSuffix(a, "}") + `, "restarts": 2, ` + life + "}}"
	}
	for _, tt := range []struct {
		name     string
		text     string
		want     string
		findings []string // all findings; one without a loss begins with a blank
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
			c := Parse([]byte(tt.text))
			if got := formattest.Counts(c.Known()); c.Broken != nil || got != tt.want {
				t.Errorf("units %q, want %q (%v)", got, tt.want, c.Broken)
			}
			var got []string
			for _, f := range c.Findings {
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
			for unit, u := range c.Known() {
				if faults := u.Check(); u.State != "" && faults != nil && !strings.HasPrefix(tt.name, "a life") {
					t.Errorf("%s: %q", unit, faults)
				}
			}
		})
	}
}

// counters returns all counters of a unit as text.
func counters(u *count.Tally) string {
	r := newRecord(u)
	var b strings.Builder
	for _, c := range r.counters() {
		fmt.Fprint(&b, c.key, *c.value, " ")
	}
	fmt.Fprint(&b, r.FirstSeenRunning, r.CrashCauses)
	return b.String()
}

// TestEveryBit flips single bits of a file. Each flip is found and the counters are read all
// the same, or the flip does not change a counter.
func TestEveryBit(t *testing.T) {
	small := &count.Tally{Unit: "b.service", State: "failed", Starts: 12, Crashes: 12, CrashCauses: []count.CauseCount{{Result: "signal", Crashes: 12}}}
	for _, tt := range []struct {
		name  string
		units []*count.Tally
		every int // flip only every so many bits, because mend is slow; odd, so that each bit of a byte has its turn
	}{
		{"small", []*count.Tally{{Unit: "a.service", State: "active", Starts: 7}, small}, 31},
		{"large", []*count.Tally{formattest.Running("a.service", 12), formattest.Running("c.service", 7), formattest.Running("d.service", 7)}, 1201},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := []byte(written(t, tt.units...))
			for i := 0; i < 8*len(file); i += tt.every {
				flipped := bytes.Clone(file)
				flipped[i/8] ^= 1 << (i % 8)
				c := Parse(flipped)
				for _, want := range tt.units {
					if got := c.Units[want.Unit]; got == nil || counters(got) != counters(want) {
						t.Errorf("bit %d (%s): %s: %+v (%q)", i, around(flipped, file), want.Unit, got, linesOf(c.Findings, true))
					}
				}
				if len(c.Units) != len(tt.units) {
					t.Errorf("bit %d (%s): %q", i, around(flipped, file), formattest.Counts(c.Units))
				}
			}
		})
	}
}

// A letter of a name may become a quote, as b and 2 do: the name is the right one all the
// same, also where what is then left would be a name.
func TestQuoteInName(t *testing.T) {
	for _, name := range []string{"b.service", "wps_button.service", "ttys2.service", "x-b@2.service"} {
		units := []*count.Tally{formattest.Running("a.service", 12), formattest.Running(name, 7)}
		file := written(t, units...)
		compact := new(bytes.Buffer)
		if err := json.Compact(compact, []byte(file)); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{file, compact.String()} {
			for i := strings.Index(text, name); i < strings.Index(text, name)+len(name); i++ {
				if text[i] != 'b' && text[i] != '2' {
					continue
				}
				c := Parse([]byte(text[:i] + `"` + text[i+1:]))
				if got, want := formattest.Counts(c.Units), formattest.Counts(Parse([]byte(text)).Units); got != want || len(c.Doubts) > 0 || !c.Lost() {
					t.Errorf("%s: %s, want %s (%q)", text[i-2:i+12], got, want, linesOf(c.Findings, true))
				}
			}
		}
	}
}

// What is far longer than a record takes no longer to read than it should: here, a second
// would be long, and to look for a bit in all of it would take hours.
func TestLongGarbage(t *testing.T) {
	deep := strings.Repeat("[", 1<<20)
	for _, text := range []string{`{"a.service": ` + deep + "}", `{"a.service": {"x": ` + deep, "{" + deep + `"a.service": {"starts": 3}`, `{"a.service": "` + deep + `"}`} {
		Parse([]byte(text))
	}
}

// TestEveryBitIsFound flips every bit of a file with so many wrong records that none is
// mended. A flip that is not found does not change a counter.
func TestEveryBitIsFound(t *testing.T) {
	a := formattest.Running("a.service", 12)
	file := []byte(written(t, a))
	for i := range file {
		for bit := range 8 {
			flipped := bytes.Clone(file)
			flipped[i] ^= 1 << bit
			p := newParser()
			p.mends = mostMends
			rest, ok := members(flipped, p.unit)
			if !ok || !blankEnd(rest) || p.Lost() {
				continue
			}
			if got := p.Units[a.Unit]; len(p.Units) != 1 || got == nil || counters(got) != counters(a) {
				t.Errorf("byte %d (%q), bit %d: %+v (%q)", i, around(file, flipped), bit, got, linesOf(p.Findings, true))
			}
		}
	}
}

// TestChecksumOfAnything wants the checksum to be right after any tally was written and read.
func TestChecksumOfAnything(t *testing.T) {
	odd := formattest.Full()
	odd.Unit, odd.State = "\"<é&\x01\u2028\xff>.service", "x\ny\xff"
	for _, tally := range []*count.Tally{formattest.Full(), odd, formattest.Running("a.service", 3), {Unit: "never.service"}, {Unit: "x.service", Dropped: true, Restored: true}} {
		c := Parse([]byte(written(t, tally)))
		if len(c.Units) != 1 || c.Lost() || len(c.Findings) > 0 {
			t.Errorf("%q: %q, %v", tally.Unit, linesOf(c.Findings, true), c.Broken)
		}
	}
}

// TestSameBytes wants equal states to give equal bytes, also after they were read.
func TestSameBytes(t *testing.T) {
	file := written(t, formattest.Full(), formattest.Running("a.service", 12), &count.Tally{Unit: "never.service", State: "unloaded", LoggedUnloaded: true})
	var units []*count.Tally
	for _, tally := range Parse([]byte(file)).Units {
		units = append(units, tally)
	}
	if diff := cmp.Diff(file, written(t, units...)); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

// TestZone reads times in another time zone than they were written in.
func TestZone(t *testing.T) {
	changed := time.Date(2025, 10, 26, 2, 30, 0, 0, time.FixedZone("CEST", 2*3600)) // in that night 2:30 came twice
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
		c := Parse([]byte(file))
		if got := c.Units["a.service"].Changed; !got.Equal(changed) || c.Findings != nil {
			t.Errorf("%s: %v, want %v (%q)", name, got, changed, linesOf(c.Findings, true))
		}
	}
	python := Parse([]byte(strings.NewReplacer(`"last_change_offset": "+02:00",`, "", `"checksum"`, `"x"`).Replace(file)))
	if got := python.Units["a.service"].Changed; got.Format(timeFormat) != "2025-10-26 02:30:00" {
		t.Errorf("without an offset: %v, want local time", got)
	}
}

// TestPythonReads wants what the Python monitor needs to read the file: a JSON object by
// unit, in which each record has the six keys of that monitor.
func TestPythonReads(t *testing.T) {
	var units map[string]struct {
		State    *string `json:"last_state"`
		Time     *string `json:"last_change_time"`
		Starts   *int    `json:"starts"`
		Stops    *int    `json:"stops"`
		Crashes  *int    `json:"crashes"`
		Unloaded *bool   `json:"logged_unloaded"`
	}
	if err := json.Unmarshal([]byte(written(t, formattest.Running("a.service", 12), formattest.Running("b.service", 7))), &units); err != nil || len(units) != 2 {
		t.Fatalf("%v: %v", units, err)
	}
	for name, u := range units {
		if u.State == nil || u.Time == nil || u.Starts == nil || u.Stops == nil || u.Crashes == nil || u.Unloaded == nil {
			t.Errorf("%s has not all six keys: %+v", name, u)
		}
	}
}

// FuzzParse parses any text: at worst there are findings. The units that it reads can be
// written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a.service": {"last_state": "active", "starts": 1e3, "stops": "2", "crashes": null}}`))
	f.Add([]byte(`{"a.service": {"life": {"active_state": "active"}, "crash_causes": {"signal": 2.0}}, "_c": 1,`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Parse(text)
		for unit, r := range c.Doubts {
			if tally := r.settle(nil); tally != nil {
				c.Units[unit] = tally
			}
		}
		var again bytes.Buffer
		if err := Encode(&again, c.Units); err != nil {
			t.Fatal(err)
		}
		if second := Parse(again.Bytes()); second.Lost() || len(second.Units) > len(c.Units) {
			t.Errorf("%q becomes %q: %q", text, again.Bytes(), linesOf(second.Findings, true))
		}
	})
}
