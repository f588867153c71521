// Package format writes and reads the content of the state file. It also reads files that
// people or other programs wrote, or that a disk has damaged.
package format

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

const (
	timeFormat   = "2006-01-02 15:04:05" // last_change_time is written like this, in local time
	offsetFormat = "-07:00"              // and last_change_offset like this
)

// Schema is the version of the record format. A monitor does not touch a file that has a
// record of a higher version, because it would lose values that it does not know.
const Schema = 1

// record is a unit in the state file. The first six keys are those of the Python monitor. The
// Python monitor ignores the others, so it can load the file. To edit a record by hand, one has
// to remove the line with the checksum. It is never the last line, so the rest is still JSON.
type record struct {
	LastState        string            `json:"last_state"`
	LastChangeTime   *string           `json:"last_change_time"`
	Starts           uint64            `json:"starts"`
	Stops            uint64            `json:"stops"`
	Crashes          uint64            `json:"crashes"`
	LoggedUnloaded   bool              `json:"logged_unloaded"`
	Offset           string            `json:"last_change_offset,omitempty"` // of last_change_time from UTC, such as +02:00
	Schema           uint64            `json:"schema,omitzero"`
	Checksum         string            `json:"checksum,omitempty"`
	Untrusted        bool              `json:"last_change_untrusted,omitempty"` // last_change_time is certainly wrong
	Unknown          uint64            `json:"unknown"`
	Restarts         uint64            `json:"restarts"`
	FirstSeenRunning int64             `json:"running_when_first_seen"`
	CrashCauses      map[string]uint64 `json:"crash_causes,omitempty"`
	LastCrash        *crashRecord      `json:"last_crash,omitempty"`
	Seconds          *secondsRecord    `json:"seconds,omitempty"`
	AtLeast          bool              `json:"at_least,omitempty"`
	Folded           uint64            `json:"folded_units,omitempty"`
	Dropped          bool              `json:"dropped,omitempty"`
	Restored         bool              `json:"restored,omitempty"`
	Life             *classify.Life    `json:"life,omitempty"`
}

type crashRecord struct {
	Time time.Time `json:"time"`
	classify.Cause
	Invocation string `json:"invocation"`
	// Untrusted is true if Time is certainly wrong.
	Untrusted bool `json:"untrusted,omitempty"`
	// Clock is CLOCK_MONOTONIC at the crash, in µs, and Boot is the boot that it belongs to. They
	// show how long ago the crash was, even if the wall clock was set since.
	Boot  string `json:"boot_id,omitempty"`
	Clock uint64 `json:"monotonic_usec,omitempty"`
}

// Encode writes the content of a state file, unit by unit. With thousands of units, the
// whole text would take too much memory.
func Encode(to io.Writer, units map[string]*count.Tally) error {
	w := bufio.NewWriterSize(to, 16<<10)
	var text bytes.Buffer
	sealer := newSealer()
	w.WriteByte('{')
	names := slices.AppendSeq(make([]string, 0, len(units)), maps.Keys(units))
	slices.Sort(names)
	for i, unit := range names {
		name, err := json.Marshal(unit)
		if err != nil {
			return err
		}
		r := newRecord(units[unit])
		body, err := sealer.seal(unit, &r)
		if err != nil {
			return err
		}
		text.Reset()
		if err := json.Indent(&text, body, "  ", "  "); err != nil {
			return err
		}
		w.WriteString([]string{"\n  ", ",\n  "}[min(i, 1)])
		w.Write(name)
		w.WriteString(": ")
		if _, err := w.Write(text.Bytes()); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		w.WriteByte('\n')
	}
	w.WriteString("}\n")
	return w.Flush()
}

// A counter is one of the counters of a record. end is 1 if it counts ends of runs, -1 if it
// counts starts, and 0 if it takes no part in the balance of starts and ends.
type counter struct {
	key   string
	value *uint64
	end   int64
}

// counters returns all counters of a record.
func (r *record) counters() []counter {
	return []counter{
		{"starts", &r.Starts, -1},
		{"stops", &r.Stops, 1},
		{"crashes", &r.Crashes, 1},
		{"unknown", &r.Unknown, 1},
		{"restarts", &r.Restarts, 0},
		{"folded_units", &r.Folded, 0},
	}
}

// always lists the counters that the Python monitor has always written.
var always = []string{"starts", "stops", "crashes"}

// CountsText returns the counters of a tally as text for people.
func CountsText(t *count.Tally) string {
	r := newRecord(t)
	var parts []string
	for _, c := range r.counters() {
		if *c.value > 0 || slices.Contains(always, c.key) {
			parts = append(parts, fmt.Sprintf("%s %d", c.key, *c.value))
		}
	}
	return strings.Join(parts, ", ")
}

// WentDown reports whether any counter is lower than it was. Counters never go down, so a lower
// one means that counting has begun anew.
func WentDown(was, is *count.Tally) bool {
	before, after := newRecord(was), newRecord(is)
	for i, c := range after.counters() {
		if *c.value < *before.counters()[i].value {
			return true
		}
	}
	return false
}

func (r *record) tally(unit string) *count.Tally {
	t := &count.Tally{
		Unit: unit, State: r.LastState, ChangedUntrusted: r.Untrusted, LoggedUnloaded: r.LoggedUnloaded,
		Starts: r.Starts, Stops: r.Stops, Crashes: r.Crashes, Unknown: r.Unknown, Restarts: r.Restarts, FirstSeenRunning: r.FirstSeenRunning, AtLeast: r.AtLeast, Folded: r.Folded,
		Life: r.Life, Times: r.Seconds.times(r.Life), Dropped: r.Dropped, Restored: r.Restored,
	}
	if r.LastChangeTime != nil {
		// Counters are worth more than a time that cannot be read.
		t.Changed, _ = parseTime(*r.LastChangeTime, r.Offset)
	}
	for _, result := range slices.Sorted(maps.Keys(r.CrashCauses)) {
		t.CrashCauses = append(t.CrashCauses, count.CauseCount{Result: result, Crashes: r.CrashCauses[result]})
	}
	if c := r.LastCrash; c != nil && !c.Time.IsZero() {
		t.LastCrash = &count.Crash{Time: c.Time, Cause: c.Cause, Invocation: c.Invocation, Untrusted: c.Untrusted}
		if c.Boot != "" { // without it the clock could belong to any boot
			t.LastCrash.Clock, t.LastCrash.Boot = c.Clock, c.Boot
		}
	}
	return t
}

func newRecord(t *count.Tally) record {
	r := record{
		LastState: t.State, LastChangeTime: new(string), Untrusted: t.ChangedUntrusted, LoggedUnloaded: t.LoggedUnloaded,
		Starts: t.Starts, Stops: t.Stops, Crashes: t.Crashes, Unknown: t.Unknown, Restarts: t.Restarts, FirstSeenRunning: t.FirstSeenRunning, AtLeast: t.AtLeast, Folded: t.Folded,
		Seconds: newSeconds(t.Times, t.Life), Schema: Schema, Dropped: t.Dropped, Restored: t.Restored,
	}
	if !t.Changed.IsZero() {
		local := t.Changed.In(location())
		*r.LastChangeTime, r.Offset = local.Format(timeFormat), local.Format(offsetFormat)
	}
	for _, c := range t.CrashCauses {
		if r.CrashCauses == nil {
			r.CrashCauses = make(map[string]uint64)
		}
		r.CrashCauses[c.Result] = c.Crashes
	}
	if c := t.LastCrash; c != nil {
		r.LastCrash = &crashRecord{Time: c.Time, Cause: c.Cause, Invocation: c.Invocation, Untrusted: c.Untrusted}
		if c.Boot != "" {
			r.LastCrash.Boot, r.LastCrash.Clock = c.Boot, c.Clock
		}
	}
	if t.Life.Known() {
		r.Life = t.Life
	}
	return r
}

// location returns the local time zone. Tests replace it.
var location = zone.Location

// parseTime reads last_change_time. The Python monitor wrote no offset: such a time is taken
// as local time. People also write RFC 3339.
func parseTime(text, offset string) (time.Time, error) {
	if t, err := time.Parse(timeFormat+offsetFormat, text+offset); err == nil {
		return t.In(location()), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.In(location()), nil
	}
	return time.ParseInLocation(timeFormat, text, location())
}
