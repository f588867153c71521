package format

import (
	"strings"
	"testing"

	"service-monitor/stages/statefile/format/formattest"
)

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
		{"9007199254740992", 1 << 53, false, false},
		{"12.0", 12, true, false},
		{"12.", 12, true, false},
		{"012", 12, true, false},
		{"+12", 12, true, false},
		{"1e3", 1000, true, false},
		{"1.2E+1", 12, true, false},
		{"1200e-2", 12, true, false},
		{"9007199254740991.0", 1<<53 - 1, true, false},
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
		{"9007199254740993", 0, false, true}, // more than one per microsecond for three hundred years
		{"18446744073709551615", 0, false, true},
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
