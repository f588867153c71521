package tell

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/decode"
)

// These times say how soon one thing must follow another to belong to it.
const (
	near = 10 * time.Minute // two crashes of a loop
	soon = 3 * time.Second  // a stop and the start by which somebody restarted the unit
)

// An item is one line of the history.
type item struct {
	at          time.Time
	first, last time.Time // of what it stands for
	recovered   bool
	unit        string
	what        string
	text        func() string
	stands      int64 // how many events it stands for
	hidden      bool
	crash       bool
	rule        func(*time.Location) string // if it is not nil, the item is only this line across the screen
}

// A story is what was told of one unit so far.
type story struct {
	began *store.Record // the start of the run that goes on
	ended *store.Record // the last end
	stop  *item         // the line of the last stop
	again *item         // the line of the restart after the last end, until the run begins
	after *item         // the line of the restart after the last crash
	crash *store.Record // the last crash
	loop  *loop
}

// A loop is one line for several crashes.
type loop struct {
	item        *item
	crashes     int64
	first, last time.Time
	before      time.Time     // the crash before the first one
	runs        time.Duration // how long the runs were in all, as far as that is known
	known       int64         // of how many runs that is known
	after       int64         // the number of the last crash
	cause       string
}

// An account makes items of records. Records are added in their order.
type account struct {
	items   []*item
	stories map[string]*story
	stopped *store.Record // when the monitor stopped; nil if it has started since then
	gap     *store.Record // the opening of the gap that is still open; nil if there is none
	open    *item         // the line of that opening
	last    time.Time     // when the monitor last recorded something that it saw itself, of any unit
	apart   bool          // no record changes an item that is there already
}

func (a *account) add(r *store.Record) {
	if a.itself(r) {
		return
	}
	s := a.stories[r.Unit]
	if s == nil {
		s = &story{}
		a.stories[r.Unit] = s
	}
	keep := *r
	switch r.Kind {
	case store.Start:
		a.start(s, &keep)
	case store.Stop, store.UnknownEnd:
		a.stop(s, &keep)
	case store.Crash:
		a.crash(s, &keep)
	case store.Restart:
		s.again = a.put(&keep, "restart", func() string { return "by systemd" })
		if s.after = s.again; s.loop != nil {
			s.loop.item.stands++
			s.again.hidden = true
		}
	case store.GaveUp:
		a.put(&keep, "GAVE UP", func() string {
			text := cmp.Or(brief(keep.Result), keep.Result)
			return text + "; down since then"
		})
		s.loop, s.again = nil, nil // the restart that was refused has begun no run
	case store.State:
		what, text := stateWords(&keep)
		a.put(&keep, what, func() string { return text })
	case store.Many:
		a.many(s, &keep)
	case store.Forgotten:
		a.put(&keep, "forgotten", func() string { return "no longer monitored, or gone" })
		delete(a.stories, r.Unit)
	}
	if a.apart {
		s.part()
	}
}

// stateWords says what a record of kind State tells.
func stateWords(r *store.Record) (what, text string) {
	switch {
	case r.To == decode.NotLoaded:
		return "not loaded", "systemd does not have it any more"
	case r.From == decode.NotLoaded:
		return "loaded", "systemd has it again"
	}
	return r.To, ""
}

// part forgets the lines of a unit, so that no later record changes one.
func (s *story) part() { *s = story{began: s.began, ended: s.ended} }

func (a *account) put(r *store.Record, what string, text func() string) *item {
	i := &item{at: r.Time, first: r.Time, last: seen(r), recovered: r.Flags&store.Recovered != 0, unit: r.Unit, what: what, stands: 1, crash: r.Delta.Crashes > 0}
	i.text = func() string {
		words := text()
		if r.Flags&store.AtLeast != 0 {
			words += " (there may have been more)"
		}
		if r.Flags&store.Untrusted != 0 {
			words += " (the clock was not set)"
		}
		return strings.TrimLeft(words, " ")
	}
	a.items = append(a.items, i)
	return i
}

func (a *account) start(s *story, r *store.Record) {
	begun := *r
	ended, stop, again := s.ended, s.stop, s.again
	s.began, s.stop, s.again = &begun, nil, nil
	switch {
	case s.loop != nil && again != nil:
		s.loop.item.stands++
	case again != nil && ended != nil:
		again.stands++
		again.text = func() string { return "by systemd after " + Span(between(ended, &begun)) }
	case again != nil:
		again.stands++
	case stop != nil && ended != nil && between(ended, &begun) < soon:
		text := stop.text
		stop.what, stop.stands = "restarted", stop.stands+1
		stop.text = func() string { return "by request; " + strings.Replace(text(), "after ", "had run ", 1) }
	default:
		a.put(r, "started", func() string { return "" })
	}
}

func (a *account) stop(s *story, r *store.Record) {
	began := s.began
	s.began, s.ended, s.loop, s.crash, s.after = nil, r, nil, nil, nil
	what := "stopped"
	if r.Kind == store.UnknownEnd {
		what = "ended"
	}
	s.stop = a.put(r, what, func() string { return reason(r, began) })
	if r.Kind == store.UnknownEnd {
		s.stop = nil
	}
}

// reason says how a run ended, if that is not ordinary, and how long it took.
func reason(r, began *store.Record) string {
	text := ""
	if r.Result != "success" {
		text = Cause(r.Result, r.Code, r.Status)
	}
	run := ran(began, r)
	if run < 0 {
		return text
	}
	if text != "" {
		text += " "
	}
	return text + "after " + Span(run)
}

// ran returns how long a run took; negative if that is not known. began is the record of its start,
// and may be nil.
func ran(began, end *store.Record) time.Duration {
	switch {
	case end.Up > 0:
		return end.Up
	case began != nil:
		return between(began, end)
	}
	return -1
}

func (a *account) crash(s *story, r *store.Record) {
	began, before := s.began, s.crash
	s.began, s.ended, s.crash, s.stop = nil, r, r, nil
	run := ran(began, r)
	cause := Cause(r.Result, r.Code, r.Status)
	repeats := before != nil && r.Time.Sub(before.Time) < near && (run < 0 || run < near) && Cause(before.Result, before.Code, before.Status) == cause
	if !repeats {
		s.loop, s.after = nil, nil
		a.put(r, fmt.Sprintf("crash %d", r.After.Crashes), func() string { return reason(r, began) })
		return
	}
	if s.loop == nil || s.loop.cause != cause {
		a.loop(s, r, before.Time, cause)
	}
	known := int64(0)
	if run >= 0 {
		known = 1
	}
	s.loop.add(r, 1, run, known)
	s.loop.item.stands++
}

// loop begins a line for several crashes.
func (a *account) loop(s *story, r *store.Record, before time.Time, cause string) {
	l := &loop{cause: cause, before: before, first: r.Time}
	s.loop = l
	l.item = a.put(r, "", func() string { return l.text() })
	l.item.stands = 0
	if s.after != nil && !s.after.hidden {
		s.after.hidden = true
		l.item.stands += s.after.stands
	}
}

func (l *loop) add(r *store.Record, crashes int64, runs time.Duration, known int64) {
	l.crashes, l.last, l.after = l.crashes+crashes, r.Time, r.After.Crashes
	if !r.Until.IsZero() {
		l.last = r.Until
	}
	if known > 0 {
		l.runs, l.known = l.runs+runs, l.known+known
	}
	l.item.at, l.item.last = l.last, l.last
	if l.item.what = fmt.Sprintf("crash ×%d", l.crashes); l.crashes == 1 {
		l.item.what = fmt.Sprintf("crash %d", l.after)
	}
}

func (l *loop) text() string {
	each := ""
	if l.known > 0 {
		each = ", each after " + Span(l.runs/time.Duration(l.known))
	}
	if l.crashes == 1 {
		return strings.Replace(l.cause+each, ", each after", " after", 1)
	}
	n := l.crashes - 1
	if !l.before.IsZero() {
		l.first, n = l.before, l.crashes
	}
	text := fmt.Sprintf("to %d, every %s%s", l.after, Span(l.last.Sub(l.first)/time.Duration(max(n, 1))), each)
	if each == "" {
		text += ", " + l.cause
	}
	return text
}

// many adds a record that stands for several events.
func (a *account) many(s *story, r *store.Record) {
	s.began, s.again, s.stop = nil, nil, nil
	switch {
	case r.Flags&store.Untold != 0:
		a.put(r, "not told", func() string { return events(r.Delta) + ", while the history was not written" }).stands = max(0, r.Delta.Sum())
	case r.Delta.Crashes > 0 && r.Result != "":
		cause := Cause(r.Result, r.Code, r.Status)
		if s.loop == nil || s.loop.cause != cause || r.Time.Sub(s.loop.last) > near {
			before := time.Time{}
			if s.crash != nil && r.Time.Sub(s.crash.Time) < near {
				before = s.crash.Time
			}
			a.loop(s, r, before, cause)
		}
		known := int64(0)
		if r.Up > 0 {
			known = r.Delta.Crashes + r.Delta.Stops
		}
		s.loop.add(r, r.Delta.Crashes, r.Up, known)
		s.loop.item.stands += r.Delta.Sum()
		last := *r
		last.Time = r.Until
		s.crash = &last
	default:
		a.put(r, "together", func() string { return events(r.Delta) }).stands = r.Delta.Sum()
	}
}

// between returns how long after one record another came. If both are of the same boot, it goes by
// the clock that nobody can set.
func between(from, to *store.Record) time.Duration {
	if from.Boot != "" && from.Boot == to.Boot && from.Monotonic > 0 && to.Monotonic >= from.Monotonic {
		return time.Duration(to.Monotonic-from.Monotonic) * time.Microsecond
	}
	return to.Time.Sub(from.Time)
}

// sorted returns the items to show, in the order of their times.
func (a *account) sorted() []*item {
	items := slices.DeleteFunc(slices.Clone(a.items), func(i *item) bool { return i.hidden })
	slices.SortStableFunc(items, func(x, y *item) int { return x.at.Compare(y.at) })
	return items
}
