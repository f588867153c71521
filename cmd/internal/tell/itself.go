package tell

import (
	"fmt"
	"time"

	"service-monitor/stages/chronicle/store"
)

// itself adds a record about the monitor itself, and reports whether it is one. Each becomes a line
// across the screen.
func (a *account) itself(r *store.Record) bool {
	switch r.Kind {
	case store.Monitor:
		a.monitor(r)
	case store.Clock:
		a.clock(r)
	case store.Gap:
		a.reading(r)
	default:
		return false
	}
	return true
}

// across adds a line across the screen. It is about the time from at to last.
func (a *account) across(at, last time.Time, rule func(*time.Location) string) *item {
	i := &item{at: at, first: at, last: last, rule: rule}
	a.items = append(a.items, i)
	return i
}

func (a *account) monitor(r *store.Record) {
	if r.To != store.Started {
		stopped := *r
		a.stopped = &stopped
		return
	}
	from := a.last
	if a.stopped != nil {
		from = a.stopped.Time
	}
	if a.stopped = nil; from.IsZero() {
		return
	}
	to := r.Time
	a.across(from, to, func(zone *time.Location) string {
		return fmt.Sprintf("-- not watched %s (%s); R was read in the journal later ", stretchText(from, to, zone), Span(to.Sub(from)))
	})
}

// clock adds that the wall clock was set.
func (a *account) clock(r *store.Record) {
	a.last = r.Time
	from, errFrom := time.Parse(time.RFC3339, r.From)
	to, errTo := time.Parse(time.RFC3339, r.To)
	if errFrom != nil || errTo != nil {
		return // the text was cut, or another program wrote it
	}
	a.across(r.Time, r.Time, func(zone *time.Location) string {
		from, to := from.In(zone), to.In(zone)
		if !sameDay(from, to) {
			return fmt.Sprintf("-- the clock was set from %s to %s ", from.Format(time.DateTime), to.Format(time.DateTime))
		}
		way := "forward"
		if to.Before(from) {
			way = "back"
		}
		return fmt.Sprintf("-- the clock was set from %s to %s (%s %s) ", from.Format(time.TimeOnly), to.Format(time.TimeOnly), Span(to.Sub(from).Abs()), way)
	})
}

// reading adds that the journal cannot be read, or that it was read. The second line takes the place
// of the first one.
func (a *account) reading(r *store.Record) {
	keep, opened := *r, a.gap
	if a.last = seen(r); r.To == store.GapOpened {
		a.gap = &keep
		a.open = a.across(r.Time, r.Time, func(zone *time.Location) string {
			return fmt.Sprintf("-- journal unreadable since %s; what only it has is counted later ", keep.Time.In(zone).Format(time.TimeOnly))
		})
		return
	}
	if a.open != nil && !a.apart {
		a.open.hidden = true
	}
	a.gap, a.open = nil, nil
	a.across(r.Time, seen(r), func(zone *time.Location) string { return gapText(opened, &keep, zone) })
}

// gapText tells of a gap that was closed. opened is the record of its opening, and may be nil.
func gapText(opened, closed *store.Record, zone *time.Location) string {
	end := *closed
	end.Time = closed.Until
	if opened == nil {
		opened = &store.Record{Time: closed.Time}
	}
	then := "R was read in it later"
	if closed.Flags&store.AtLeast != 0 {
		then = "counts are at least right"
	}
	if closed.Flags&store.Untrusted != 0 { // the clock was not set when it was opened
		return fmt.Sprintf("-- journal unreadable until %s; %s ", end.Time.In(zone).Format(time.DateTime), then)
	}
	return fmt.Sprintf("-- journal unreadable %s (%s); %s ", stretchText(closed.Time, end.Time, zone), Span(between(opened, &end)), then)
}

// seen returns when the monitor saw what a record tells.
func seen(r *store.Record) time.Time {
	if r.Until.IsZero() {
		return r.Time
	}
	return r.Until
}

// stretchText returns from when to when something was, as "13:12:04 to 13:13:40".
func stretchText(from, to time.Time, zone *time.Location) string {
	from, to, layout := from.In(zone), to.In(zone), time.TimeOnly
	if !sameDay(from, to) {
		layout = time.DateTime
	}
	return from.Format(time.TimeOnly) + " to " + to.Format(layout)
}

func sameDay(x, y time.Time) bool { return x.YearDay() == y.YearDay() && x.Year() == y.Year() }

// aboutItself says in words what a record tells about the monitor itself.
func aboutItself(r *store.Record) string {
	switch {
	case r.Kind == store.Monitor:
		return "the monitor " + r.To
	case r.Kind == store.Clock:
		return "the clock was set"
	case r.To == store.GapOpened:
		return "the journal could not be read any more"
	}
	return "the journal was read again"
}
