package format

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// A Reading is the result of reading a record without a right checksum: the Python monitor
// wrote it, somebody edited it, or the disk damaged it.
type Reading struct {
	unit string
	record
	Findings []Finding         // what was found in it so far
	seen     map[string][]byte // the values as they are written, by key
	lacks    []string          // the keys of counters, FirstSeenRunning and Seconds whose value is not known
	crashBad bool              // crash_causes or last_crash could not be read
	wrong    bool              // its checksum is wrong
	cut      bool              // its end is missing
	none     bool              // it is not a record at all
	// uncertain is true if the file is no JSON object, and no checksum proves that this
	// record is undamaged.
	uncertain bool
}

// A reader reads the value of a key. odd means that it has an unusual form. See value.go.
type reader func(value []byte) (odd bool, err error)

const (
	firstSeenKey = "running_when_first_seen"
	secondsKey   = "seconds"
)

// readers returns the readers of all keys.
func (r *record) readers() map[string]reader {
	readers := map[string]reader{
		"last_state":            str(&r.LastState),
		"last_change_time":      changeTime(r),
		"last_change_offset":    str(&r.Offset),
		"last_change_untrusted": flag(&r.Untrusted),
		"logged_unloaded":       flag(&r.LoggedUnloaded),
		"schema":                natural(&r.Schema),
		"checksum":              str(&r.Checksum),
		firstSeenKey:            integer(&r.FirstSeenRunning),
		"crash_causes":          causes(&r.CrashCauses),
		"last_crash":            object(&r.LastCrash),
		"at_least":              flag(&r.AtLeast),
		"dropped":               flag(&r.Dropped),
		"restored":              flag(&r.Restored),
		"life":                  object(&r.Life),
		secondsKey:              object(&r.Seconds),
	}
	for _, c := range r.counters() {
		readers[c.key] = counterOf(c.value)
	}
	return readers
}

// readRecord reads as much of a record as it can.
func readRecord(unit string, m member) *Reading {
	r := &Reading{unit: unit, seen: make(map[string][]byte)}
	if len(m.value) == 0 || m.value[0] != '{' {
		r.none = true
		r.find(true, "%s, not a record", shown(m.value))
		return r
	}
	readers := r.readers()
	_, ok := members(m.value, func(m member) {
		if key, err := m.name(); err == nil && m.whole && readers[key] != nil {
			r.key(key, m.value, readers[key])
		}
	})
	if r.cut = !ok || !m.whole; r.cut {
		r.find(true, "the record has no end")
	}
	r.complete()
	r.prove()
	return r
}

func (r *Reading) find(lost bool, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{r.unit, fmt.Sprintf(format, args...), lost})
}

// key reads the value of a key. If the key is there twice, the last value is taken, as
// Python and others do. Of a counter the higher value is taken, because it never goes down.
func (r *Reading) key(key string, value []byte, read reader) {
	c := r.counter(key)
	var had uint64
	if was, twice := r.seen[key]; twice {
		if c != nil {
			had = *c
		}
		r.find(!bytes.Equal(was, value), "%s is there twice", key)
	}
	r.seen[key] = value
	odd, err := read(value)
	if c != nil {
		*c = max(*c, had)
	}
	switch {
	case err != nil:
		r.find(true, "%s %v", key, err)
		r.miss(key)
	case odd:
		r.find(false, "%s is written as %s", key, shown(value))
	}
}

// miss notes that the value of a key is not known.
func (r *Reading) miss(key string) {
	switch {
	case key == firstSeenKey || key == secondsKey || r.counter(key) != nil:
		r.lacks = append(r.lacks, key)
	case key == "crash_causes" || key == "last_crash":
		r.crashBad = true
	}
}

func (r *Reading) counter(key string) *uint64 {
	for _, c := range r.counters() {
		if c.key == key {
			return c.value
		}
	}
	return nil
}

// complete notes which of the three counters are missing that the Python monitor has always
// written. The other counters may be missing, because earlier versions had none of them.
func (r *Reading) complete() {
	for _, key := range always {
		if r.seen[key] == nil {
			r.find(true, "%s is missing", key)
			r.miss(key)
		}
	}
	if r.crashBad { // the two fit together, so drop both
		r.CrashCauses, r.LastCrash = nil, nil
	}
}

// prove compares the values with the checksum, if there is one. If the checksum is right,
// nothing is lost, in whatever form the values are written.
func (r *Reading) prove() {
	if r.Checksum == "" {
		return
	}
	if !r.holds(r.unit) {
		r.wrong = true
		r.find(true, `the checksum is wrong, so the record was changed or damaged (to change it by hand, stop the monitor, and remove its "checksum", too)`)
		return
	}
	r.lacks, r.cut = nil, false
	for i := range r.Findings {
		r.Findings[i].Lost = false
	}
}

// doubtful reports whether to compare the record with the generation before.
func (r *Reading) doubtful() bool {
	return r.wrong || r.cut || r.none || r.uncertain || len(r.lacks) > 0
}

// Misnamed reports whether the name may be what is damaged. The checksum covers it, too.
func (r *Reading) Misnamed() bool { return r.wrong }

// Settle decides with which tally a unit goes on whose record is not certain, and says why.
// The tally is nil if the record is useless. before is the tally of the unit in the
// generation before; nil if there is none or that is not certain either.
//
// If the generation before knows the unit's life, it also knows a journal cursor, and the
// journal has what happened after it: that tally is exact. Otherwise the record is better
// than nothing, but no counter goes down.
func (r *Reading) Settle(before *count.Tally) (*count.Tally, []Finding) {
	known := len(r.Findings)
	tally := r.settle(before)
	return tally, r.Findings[known:]
}

func (r *Reading) settle(before *count.Tally) *count.Tally {
	if before != nil && (r.none || (r.wrong || r.cut || r.uncertain) && (before.Life.Known() || !r.Life.Known())) {
		r.find(!r.uncertain || r.wrong || r.cut, "the record in the generation before is taken%s", r.unlike(before))
		return before
	}
	if r.none {
		r.find(true, "it is left out")
		return nil
	}
	r.solve()
	if before != nil {
		r.raise(before)
	}
	for _, key := range r.lacks {
		if c := r.counter(key); c != nil {
			r.find(true, "%s is taken for %d", key, *c)
		}
	}
	return r.balanced()
}

// solve computes a missing counter from the others, if it is the only one that is missing:
// the starts and the ends of runs must balance.
func (r *Reading) solve() {
	if len(r.lacks) != 1 || !r.inSum(r.lacks[0]) || r.wrong || r.cut || !r.Life.Known() {
		return
	}
	excess := -r.FirstSeenRunning - r.Life.Pending()
	if r.Life.Running() {
		excess++
	}
	var missing counter
	for _, c := range r.counters() {
		excess += c.end * int64(*c.value)
		if c.key == r.lacks[0] {
			missing = c
		}
	}
	switch value := -excess * missing.end; {
	case missing.value == nil:
		r.FirstSeenRunning = excess
	case value >= 0:
		*missing.value = uint64(value)
	}
}

// inSum reports whether a key takes part in that balance.
func (r *Reading) inSum(key string) bool {
	return key == firstSeenKey || slices.ContainsFunc(r.counters(), func(c counter) bool { return c.key == key && c.end != 0 })
}

// raise takes counters from the generation before if they are higher there. It takes any
// counter if the whole record is in doubt, and otherwise only those that are missing.
func (r *Reading) raise(before *count.Tally) {
	b := newRecord(before)
	if r.LastState == "" {
		r.LastState = b.LastState
	}
	for i, old := range b.counters() {
		c := r.counters()[i]
		if *old.value > *c.value && (r.wrong || r.cut || r.uncertain || slices.Contains(r.lacks, c.key)) {
			*c.value = *old.value
			if !slices.Contains(r.lacks, c.key) {
				r.lacks = append(r.lacks, c.key)
			}
		}
	}
	r.raiseSeconds(before)
}

// raiseSeconds takes the times of the generation before that are higher there, as they never go down.
// A record without times has those of the generation before.
func (r *Reading) raiseSeconds(before *count.Tally) {
	is := r.Seconds.times(r.Life)
	if is.Phase == count.NoPhase {
		is.Phase, is.At, is.Clock, is.Boot = before.Times.Phase, before.Times.At, before.Times.Clock, before.Times.Boot
	}
	for p := range is.Spent {
		is.Spent[p] = max(is.Spent[p], before.Times.Spent[p])
	}
	r.Seconds = newSeconds(is, r.Life)
}

// balanced returns the tally. It leaves out the life and the crashes if they do not fit the
// counters. The unit then is like one from a file of the Python monitor.
func (r *Reading) balanced() *count.Tally {
	t := r.tally(r.unit)
	if t.Life.Known() {
		t.State, t.LoggedUnloaded = t.Life.ActiveState, t.Life.ActiveState == decode.NotLoaded
	}
	if !t.Times.Fit(t.Life) {
		t.Times = count.Times{Spent: t.Times.Spent}
	}
	if t.Life != nil && !fits(*t) {
		t.Life, t.FirstSeenRunning, t.Times = nil, 0, count.Times{Spent: t.Times.Spent}
		r.find(true, "life does not fit to the counters and is left out")
	}
	if t.LastCrash != nil && !fits(*t) {
		t.CrashCauses, t.LastCrash = nil, nil
		r.find(true, misfit)
	}
	return t
}

// fits reports whether the parts of a tally fit together.
func fits(t count.Tally) bool {
	if t.State == "" {
		t.State = "inactive" // the state is not known before the unit is seen, so any will do
	}
	return len(t.Check()) == 0
}

// unlike says which counters of the record differ from those of the generation before.
func (r *Reading) unlike(before *count.Tally) string {
	var parts []string
	b := newRecord(before)
	for i, old := range b.counters() {
		if c := r.counters()[i]; *c.value != *old.value && r.seen[c.key] != nil {
			parts = append(parts, fmt.Sprintf("%s %d, not %s", c.key, *old.value, shown(r.seen[c.key])))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}
