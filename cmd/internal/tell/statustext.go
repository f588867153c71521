package tell

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
)

// Write writes the status as a table.
func (s *Status) Write(w io.Writer, screen Screen) {
	units := s.Ordered()
	s.title(w, units, screen)
	if !s.Stopped.IsZero() {
		screen.wrap(w, "", fmt.Sprintf("THE MONITOR IS NOT RUNNING since %s (%s ago)", s.Stopped.In(screen.Zone).Format(time.DateTime), s.ago(s.Stopped)))
	}
	for _, trouble := range s.Troubles {
		screen.wrap(w, "THE MONITOR: ", trouble)
	}
	fmt.Fprintln(w)
	if len(units) > 0 {
		columns := s.columns(screen)
		width := s.nameWidth(units, columns, screen)
		s.head(w, columns, width, screen)
		for _, u := range units {
			s.row(w, u, columns, width, screen)
		}
		fmt.Fprintln(w)
	}
	s.notes(w, units, screen)
	s.commands(w, units, screen)
}

// title writes how many units need attention, and as of when. If the screen is narrow, the second is
// shorter, or has a line of its own.
func (s *Status) title(w io.Writer, units []*Unit, screen Screen) {
	text := ": " + s.summary(units)
	asOf := s.AsOf.In(screen.Zone)
	right := "as of " + asOf.Format("2006-01-02 15:04:05 -07")
	room := func() int {
		return max(screen.Width-utf8.RuneCountInString(text+right)-2, 0)
	}
	least := min(utf8.RuneCountInString(s.Host), 8)
	if room() < least && sameDay(asOf, s.Now.In(screen.Zone)) {
		right = "as of " + asOf.Format(time.TimeOnly)
	}
	if room() < least {
		screen.wrap(w, "", s.Host+text)
		screen.line(w, right)
		return
	}
	host := s.Host
	if utf8.RuneCountInString(host) > room() {
		host = fit(host, room(), screen.ASCII)
	}
	gap := room() + 2 - utf8.RuneCountInString(host)
	screen.line(w, host+text+strings.Repeat(" ", gap)+right)
}

// summary says in a few words how the units are.
func (s *Status) summary(units []*Unit) string {
	unseen := 0
	for _, u := range units {
		if s.health(u) == Unknown {
			unseen++
		}
	}
	is, are := "is", "are"
	if !s.Stopped.IsZero() || s.Blind() {
		is, are = "was", "were"
	}
	all := plural(int64(len(units)), "service")
	switch n := s.Attention(); {
	case len(units) == 0:
		return "no service " + is + " monitored"
	case n == 1:
		return "1 of " + all + " needs attention"
	case n > 1:
		return fmt.Sprintf("%d of %s need attention", n, all)
	case unseen > 0:
		return fmt.Sprintf("%d of %s not seen yet", unseen, all)
	case len(units) == 1:
		return "the service " + is + " well"
	}
	return "all " + all + " " + are + " well"
}

// notes writes what there is to know about the numbers.
func (s *Status) notes(w io.Writer, units []*Unit, screen Screen) {
	least := false
	for _, u := range units {
		least = least || u.AtLeast
	}
	if least {
		screen.wrap(w, "", "+ at least: something happened that nobody saw and that no record tells.")
	}
	if s.ToAsk > s.Asked {
		screen.wrap(w, "", fmt.Sprintf("What systemd does next is known for the first %d of %d services.", s.Asked, s.ToAsk))
	}
	if !s.Since.IsZero() && !s.Since.After(s.Now) {
		screen.wrap(w, "", fmt.Sprintf("The history goes back to %s (%s).", s.Since.In(screen.Zone).Format("2006-01-02 15:04"), Span(s.Now.Sub(s.Since))))
	}
}

// commands writes what to type next. The commands are not cut, because people copy them.
func (s *Status) commands(w io.Writer, units []*Unit, screen Screen) {
	if len(units) > 0 && s.health(units[0]).Attention() {
		fmt.Fprintln(w, "Next: service-monitor why "+screen.printable(word(short(units[0].Unit))))
	}
	if s.Stopped.IsZero() && len(s.Troubles) > 0 {
		fmt.Fprintln(w, "More about the monitor: journalctl -x -u service-monitor")
	}
	switch {
	case !s.Stopped.IsZero():
		fmt.Fprintln(w, "Why the monitor stopped: systemctl status service-monitor")
		fmt.Fprintln(w, "To go on counting: systemctl start service-monitor")
	case len(units) == 0:
		screen.wrap(w, "", "Name services in monitored_services of the configuration. service-monitor check-config says which file that is, and what is wrong with it. systemctl reload service-monitor has it read.")
	default:
		screen.wrap(w, "", "More: service-monitor history SERVICE, and journalctl -u SERVICE")
	}
}

// ago returns how long ago something was; a dash if that is not known, or if the time is still to
// come.
func (s *Status) ago(t time.Time) string { return spanText(s.span(t)) }

// span returns how long ago something was, and whether that is known.
func (s *Status) span(t time.Time) (time.Duration, bool) {
	if t.IsZero() || t.After(s.Now.Add(time.Second)) || s.wrong(t) {
		return 0, false
	}
	return max(0, s.Now.Sub(t)), true
}

func spanText(d time.Duration, known bool) string {
	switch d = d.Truncate(time.Second); {
	case !known:
		return "–"
	case d == 0:
		return "0 s"
	}
	return Span(d)
}

// inState returns how long a unit is in its state.
func (s *Status) inState(u *Unit) string { return spanText(s.longIn(u)) }

// slack is how far the wall clock may be off. It is the same as for the monitor.
const slack = time.Minute

// longIn returns how long a unit is in its state, and whether that is known. The wall clock may have been set
// since. So it is believed if the clock that nobody can set allows that: the state is at least as old as its sub
// state, and not older than the phase.
func (s *Status) longIn(u *Unit) (time.Duration, bool) {
	trusted := !u.ChangedUntrusted && !s.wrong(u.Changed)
	wall, known := s.span(u.Changed)
	least, here := s.Clock.here(s.entered(u))
	most, _ := s.Clock.here(instant{boot: u.Times.Boot, clock: u.Times.Clock})
	switch {
	case trusted && (!here || known && wall >= least-slack && wall <= max(least, most)+slack):
		return wall, known
	case here:
		return least, true
	}
	span := chronicle.SpanOf(u.Tally)
	return s.Clock.ago(span.Boot, span.Clock, time.Time{})
}

// entered returns when systemd entered the sub state of a unit, without the wall clock. What the feed tells is of
// this boot.
func (s *Status) entered(u *Unit) instant {
	if u.Life == nil {
		return instant{}
	}
	return instant{boot: cmp.Or(u.Life.Cursor.Boot(), u.Times.Boot, s.Clock.Boot), clock: u.Life.StateEntered}
}

// inLoop returns how long a unit crashes again and again, and whether that is known.
func (s *Status) inLoop(u *Unit) (time.Duration, bool) { return s.long(u.began) }

// long returns how long ago something was, and whether that is known.
func (s *Status) long(i instant) (time.Duration, bool) {
	if ago, known := s.Clock.here(i); known {
		return ago, true
	}
	return s.span(i.at)
}

// longSinceEnd returns how long ago the last event of a record was, and whether that is known.
func (s *Status) longSinceEnd(r *store.Record) (time.Duration, bool) {
	_, last := instants(r)
	if r.Flags&store.Untrusted != 0 {
		last.at = time.Time{}
	}
	return s.long(last)
}

// sinceCrash returns how long ago a unit crashed.
func (s *Status) sinceCrash(c *count.Crash) string {
	ago, known := s.longSince(c)
	if !known && (c.Untrusted || s.wrong(c.Time)) {
		return "unknown"
	}
	return spanText(ago, known) + " ago"
}

// longSince returns how long ago a unit crashed, and whether that is known.
func (s *Status) longSince(c *count.Crash) (time.Duration, bool) {
	if !c.Untrusted && !s.wrong(c.Time) {
		return s.long(instant{c.Time, c.Boot, c.Clock})
	}
	return s.Clock.ago(c.Boot, c.Clock, time.Time{})
}

// Reach lets the history go back to the first record whose time is not wrong.
func (s *Status) Reach(r *store.Record) {
	if s.Since.IsZero() && r.Flags&store.Untrusted == 0 && !s.wrong(r.Time) {
		s.Since = r.Time
	}
}

// wrong reports whether a time is of a clock that was not set, and that is set now.
func (s *Status) wrong(t time.Time) bool { return t.Year() < 2000 && s.Now.Year() >= 2000 }

// clock returns a time of today, or else with its date.
func (s *Status) clock(t time.Time, zone *time.Location) string {
	if t = t.In(zone); sameDay(t, s.Now.In(zone)) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// explain says why a unit needs attention, and what follows from that.
func (s *Status) explain(u *Unit, h Health, zone *time.Location) string {
	cause := "it failed while nobody watched"
	switch {
	case u.well && (h == GaveUp || u.Retrying()):
		cause = "its last run ended well"
	case u.LastCrash != nil:
		cause = Cause(u.LastCrash.Cause.Result, u.LastCrash.Cause.Code, u.LastCrash.Cause.Status)
	}
	tail := s.tail(u, h, zone)
	switch {
	case h == CrashLoop:
		text := fmt.Sprintf("%s; %d times since %s", cause, u.Loop, s.clock(u.LoopSince, zone))
		if p := u.current(); p == nil || !nearLimit(s.used(u), p) { // else there is no room for it
			text += ", every " + Span(u.every())
		}
		return strings.TrimSuffix(text+"; "+tail, "; ")
	case h == NotLoaded:
		return "systemd has no such unit; is monitored_services spelt right?"
	case isQueued(u.current()) && !h.Attention(): // there is no crash that matters
		return tail
	case tail != "":
		return cause + "; " + tail
	}
	return ""
}

// narrower returns a screen that is so many columns narrower.
func (s Screen) narrower(by int) Screen {
	if s.Width > 0 {
		s.Width = max(s.Width-by, 1)
	}
	return s
}
