package format

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"service-monitor/stages/count"
	"service-monitor/stages/statefile/format/formattest"
)

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
