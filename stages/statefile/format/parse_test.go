package format

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format/formattest"
)

// linesOf returns findings as lines: all of them, or only those with a loss.
func linesOf(findings []Finding, all bool) (lines []string) {
	for _, f := range findings {
		if f.Lost || all {
			lines = append(lines, f.String())
		}
	}
	return lines
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
