package logsink

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer"
)

const (
	// foldEvery is how long repeated lines are kept back at most. After foldsAtFirst times it is
	// foldEveryLater: a write wears the flash, and people have seen enough of the storm.
	foldEvery      = time.Minute
	foldsAtFirst   = 10
	foldEveryLater = 5 * time.Minute
	// The folded lines and the summary are written together if they are due within this time:
	// one write wears the flash less than two. In a storm their times drift, because the
	// summary is due a minute after the first change since the last summary.
	togetherWithin = 10 * time.Second
	// foldKinds is how many kinds of line are remembered at a time. Lines of any further
	// kind are all written.
	foldKinds = 1024
)

// A kind is what repeated lines of a unit have in common. They differ only in their time and
// in the count at their end.
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

// folds keeps the lines of a storm from the disk. In each period the first lines of a kind
// are written. The others are kept back, and at the end of the period one line is written
// for all of them. After a period with lines that were kept back, the next one writes no
// first lines of that kind.
type folds struct {
	first int                // how many lines of a kind are written first in a minute; 0 for all
	ended int                // how many periods in a row had lines that were kept back
	units map[string][]*fold // the kinds of each unit: so few that a slice is faster than a map
	kinds int                // how many kinds there are in all units
	order []*fold            // the kinds with lines that are kept back, in the order of their first one
}

// period is how long the present period lasts.
func (f *folds) period() time.Duration {
	if f.ended < foldsAtFirst {
		return foldEvery
	}
	return foldEveryLater
}

// most is how many lines of a kind are written first in the present period.
func (f *folds) most() int { return f.first * int(f.period()/time.Minute) }

// A fold counts the lines of one kind in this period.
type fold struct {
	kind   kind
	lines  int          // all lines of this period
	free   int          // how many lines may still be written
	shown  time.Time    // when the event of the last written line happened
	kept   int          // how many lines are kept back
	latest *count.Event // the event of the last line that is kept back
}

// keep counts a line of an event, and reports whether the line is kept back.
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

// find returns the fold of a line's kind; nil if there are too many kinds.
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
	o := &fold{kind: k, free: f.most()}
	f.units[e.Unit] = append(f.units[e.Unit], o)
	f.kinds++
	return o
}

// any reports whether any kind is remembered, so that the end of the period matters.
func (f *folds) any() bool { return f.kinds > 0 }

// take ends the period: it writes one line for each kind with lines that were kept back.
func (f *folds) take(write func(*count.Event, line, ...writer.Field)) {
	for _, o := range f.order {
		id := o.kind.id
		l := line{level(o.latest, id), id, appendText(nil, o.latest, id, false)}
		var more []writer.Field
		if o.kept > 1 {
			span := o.latest.Time.Sub(o.shown).Round(time.Second)
			l.text = fmt.Appendf(l.text, " (repeated %d times in %d s)", o.kept, max(1, int(span.Seconds())))
			more = []writer.Field{{Key: "MONITOR_REPEATED", Value: strconv.Itoa(o.kept)}}
		}
		write(o.latest, l, more...)
		o.shown = o.latest.Time
	}
	most := f.most()
	if f.ended++; len(f.order) == 0 {
		f.ended = 0
	}
	f.order = nil
	for unit, all := range f.units {
		all = slices.DeleteFunc(all, func(o *fold) bool { return o.lines <= most })
		f.kinds += len(all) - len(f.units[unit])
		if f.units[unit] = all; len(all) == 0 {
			delete(f.units, unit)
		}
		for _, o := range all {
			*o = fold{kind: o.kind, shown: o.shown}
		}
	}
}
