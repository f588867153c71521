package persist

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

// timeFormat is that of last_change_time, in local time.
const timeFormat = "2006-01-02 15:04:05"

// record is a unit in the state file. The first six keys are those of the
// Python monitor, which can load the file; it ignores the others.
type record struct {
	LastState      string            `json:"last_state"`
	LastChangeTime *string           `json:"last_change_time"`
	Starts         uint64            `json:"starts"`
	Stops          uint64            `json:"stops"`
	Crashes        uint64            `json:"crashes"`
	LoggedUnloaded bool              `json:"logged_unloaded"`
	Untrusted      bool              `json:"last_change_untrusted,omitempty"` // the time is certainly wrong
	Unknown        uint64            `json:"unknown"`
	Restarts       uint64            `json:"restarts"`
	Before         int64             `json:"running_when_first_seen"`
	CrashCauses    map[string]uint64 `json:"crash_causes,omitempty"`
	LastCrash      *crashRecord      `json:"last_crash,omitempty"`
	AtLeast        bool              `json:"at_least,omitempty"`
	Folded         uint64            `json:"folded_units,omitempty"`
	Life           *classify.Life    `json:"life,omitempty"`
}

type crashRecord struct {
	Time time.Time `json:"time"`
	classify.Cause
	Invocation string `json:"invocation"`
	// Untrusted is true where time is certainly wrong.
	Untrusted bool `json:"untrusted,omitempty"`
	// Clock is CLOCK_MONOTONIC in µs, of the boot: how long ago it was can be told
	// by it whatever becomes of the wall clock.
	Boot  string `json:"boot_id,omitempty"`
	Clock uint64 `json:"monotonic_usec,omitempty"`
}

// encode writes the content of a state file, unit by unit: with thousands of them,
// no copy of it all is in memory.
func encode(to io.Writer, units map[string]*count.Tally) error {
	w := bufio.NewWriterSize(to, 16<<10)
	var text bytes.Buffer
	body := json.NewEncoder(&text)
	body.SetIndent("  ", "  ")
	w.WriteByte('{')
	names := slices.AppendSeq(make([]string, 0, len(units)), maps.Keys(units))
	slices.Sort(names)
	for i, unit := range names {
		name, err := json.Marshal(unit)
		if err != nil {
			return err
		}
		text.Reset()
		if err := body.Encode(newRecord(units[unit])); err != nil {
			return err
		}
		w.WriteString([]string{"\n  ", ",\n  "}[min(i, 1)])
		w.Write(name)
		w.WriteString(": ")
		if _, err := w.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n"))); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		w.WriteByte('\n')
	}
	w.WriteString("}\n")
	return w.Flush()
}

func parse(b []byte) (map[string]*count.Tally, error) {
	var records map[string]json.RawMessage
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	b = bytes.TrimPrefix(b, []byte("\uFEFF")) // an editor's
	if err := unmarshal(b, &records); err != nil {
		return nil, err
	}
	units := make(map[string]*count.Tally, len(records))
	words := make(words)
	for unit, b := range records {
		var r record
		if err := unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("%q: %w", unit, err)
		}
		words.share(&r)
		units[unit] = r.tally(unit)
	}
	return units, nil
}

// words are strings that many records have in common. Each is kept once: a place
// in the journal alone is 130 bytes, and mostly the same for all units.
type words map[string]string

func (w words) share(r *record) {
	w.one(&r.LastState)
	if c := r.LastCrash; c != nil {
		w.one(&c.Result)
		w.one(&c.Boot)
	}
	if l := r.Life; l != nil {
		w.one(&l.ActiveState)
		w.one(&l.SubState)
		w.one((*string)(&l.Cursor))
	}
}

func (w words) one(s *string) {
	if known, ok := w[*s]; ok {
		*s = known
	} else {
		w[*s] = *s
	}
}

// unmarshal reads an object. Its errors are for people, who may have edited it.
func unmarshal(b []byte, object any) error {
	err := json.Unmarshal(b, object)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return fmt.Errorf("%s cannot be %s", e.Field, e.Value)
	} else if ok {
		return fmt.Errorf("%s, not an object", e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:e.Offset], []byte("\n")), err)
	}
	if err == nil && bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return errors.New("null, not an object")
	}
	return err
}

func (r *record) tally(unit string) *count.Tally {
	t := &count.Tally{
		Unit: unit, State: r.LastState, ChangedUntrusted: r.Untrusted, Told: r.LoggedUnloaded,
		Starts: r.Starts, Stops: r.Stops, Crashes: r.Crashes, Unknown: r.Unknown, Restarts: r.Restarts, Before: r.Before, AtLeast: r.AtLeast, Folded: r.Folded,
		Life: r.Life,
	}
	if r.LastChangeTime != nil {
		// Counters are worth more than a time that cannot be read.
		t.Changed, _ = time.ParseInLocation(timeFormat, *r.LastChangeTime, zone.Location())
	}
	for _, result := range slices.Sorted(maps.Keys(r.CrashCauses)) {
		t.Causes = append(t.Causes, count.CauseCount{Result: result, Crashes: r.CrashCauses[result]})
	}
	if c := r.LastCrash; c != nil && !c.Time.IsZero() {
		t.LastCrash = &count.Crash{Time: c.Time, Cause: c.Cause, Invocation: c.Invocation, Untrusted: c.Untrusted}
		if c.Boot != "" { // or the clock could be of any boot
			t.LastCrash.Clock, t.LastCrash.Boot = c.Clock, c.Boot
		}
	}
	return t
}

func newRecord(t *count.Tally) record {
	r := record{
		LastState: t.State, LastChangeTime: new(string), Untrusted: t.ChangedUntrusted, LoggedUnloaded: t.Told,
		Starts: t.Starts, Stops: t.Stops, Crashes: t.Crashes, Unknown: t.Unknown, Restarts: t.Restarts, Before: t.Before, AtLeast: t.AtLeast, Folded: t.Folded,
	}
	if !t.Changed.IsZero() {
		*r.LastChangeTime = zone.Local(t.Changed).Format(timeFormat)
	}
	for _, c := range t.Causes {
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
