package logsink

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/logsink/journal"
)

const (
	// foldEvery is how long lines that repeat themselves are kept back, at most.
	foldEvery = time.Minute
	// apart is how far from the summary the end of their minute may be, for both to be
	// written together: to write twice costs the disk twice. The summary is due a minute
	// after the first change, so in a storm it comes a little later than the one before.
	apart = 10 * time.Second
	// foldKinds is how many kinds of line are looked after at a time. What is beyond
	// is written line by line, as if it was no repetition.
	foldKinds = 1024
)

// A kind is what lines of a unit have in common that are one line to a reader, but for its
// time and for the count in it.
type kind struct {
	id                            string
	from, to, subState            string         // of a state change
	cause                         classify.Cause // of a crash
	atLeast, recovered, untrusted bool
}

func kindOf(e *count.Event, id string) kind {
	k := kind{id: id, atLeast: e.AtLeast, recovered: e.Recovered, untrusted: e.Untrusted}
	switch id {
	case idMoved:
		k.from, k.to, k.subState = e.From, e.To, e.SubState
	case idCrashed:
		k.cause = e.Cause
	}
	return k
}

// folds keeps the lines of a storm from the disk: of each kind the first ones of a
// minute are written, and the others at its end, as one. A kind of which there were
// more than that has no first ones in the next minute.
type folds struct {
	first int                // how many are the first ones; 0 for all
	units map[string][]*fold // the kinds of each unit: few, which a glance finds faster than a hash
	kinds int                // how many there are
	order []*fold            // those of which something is kept back
}

// A fold is what came of one kind of line in this minute.
type fold struct {
	kind   kind
	lines  int
	free   int       // lines that may still be written
	shown  time.Time // when that happened which the last line tells
	kept   int
	latest *count.Event // of those that are kept
}

// keep takes in a line of an event, and reports whether it is kept back.
func (f *folds) keep(e *count.Event, id string) bool {
	if f.first == 0 {
		return false
	}
	o := f.find(e, id)
	if o == nil {
		return false
	}
	o.lines++
	if o.free > 0 {
		o.free--
		o.shown = e.Time
		return false
	}
	if o.kept == 0 {
		f.order = append(f.order, o)
		o.latest = new(count.Event)
	}
	o.kept++
	*o.latest = *e
	return true
}

// find returns what came of a kind, nil where there are too many.
func (f *folds) find(e *count.Event, id string) *fold {
	k := kindOf(e, id)
	for _, o := range f.units[e.Unit] {
		if o.kind == k {
			return o
		}
	}
	if f.kinds == foldKinds {
		return nil
	}
	if f.units == nil {
		f.units = map[string][]*fold{}
	}
	o := &fold{kind: k, free: f.first}
	f.units[e.Unit] = append(f.units[e.Unit], o)
	f.kinds++
	return o
}

// any reports whether there is something to do at the end of the minute.
func (f *folds) any() bool { return f.kinds > 0 }

// take ends the minute, with one line for each kind of which some were kept back.
func (f *folds) take(write func(*count.Event, line, ...journal.Field)) {
	for _, o := range f.order {
		id := o.kind.id
		l := line{level(o.latest, id), id, appendText(nil, o.latest, id, false)}
		var more []journal.Field
		if o.kept > 1 {
			span := o.latest.Time.Sub(o.shown).Round(time.Second)
			l.text = fmt.Appendf(l.text, " (repeated %d times in %d s)", o.kept, max(1, int(span.Seconds())))
			more = []journal.Field{{Key: "MONITOR_REPEATED", Value: strconv.Itoa(o.kept)}}
		}
		write(o.latest, l, more...)
		o.shown = o.latest.Time
	}
	f.order = nil
	for unit, all := range f.units {
		all = slices.DeleteFunc(all, func(o *fold) bool { return o.lines <= f.first })
		f.kinds += len(all) - len(f.units[unit])
		if f.units[unit] = all; len(all) == 0 {
			delete(f.units, unit)
		}
		for _, o := range all {
			*o = fold{kind: o.kind, shown: o.shown}
		}
	}
}
