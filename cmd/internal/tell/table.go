package tell

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"service-monitor/stages/chronicle"
)

// A column of the status.
type column struct {
	head  string
	width int  // of its text, without the two spaces before; negative if the text is at the left
	from  int  // how wide a screen must be to show it
	wide  bool // it is shown only if the status is Wide
	text  func(u *Unit, h Health) string
}

// columns returns the columns to show, besides the name.
func (s *Status) columns(screen Screen) (columns []column) {
	for _, c := range []column{
		{"STATE", -10, 0, false, func(_ *Unit, h Health) string { return healths[h.rank()].words }},
		{"FOR", 8, 0, false, func(u *Unit, h Health) string {
			if h == CrashLoop {
				return spanText(s.inLoop(u))
			}
			return s.inState(u)
		}},
		{"STARTS", 7, 0, true, func(u *Unit, _ Health) string { return fmt.Sprint(u.Starts) }},
		{"STOPS", 7, 0, true, func(u *Unit, _ Health) string { return fmt.Sprint(u.Stops) }},
		{"CRASHES", 7, 0, false, func(u *Unit, _ Health) string {
			if u.AtLeast {
				return fmt.Sprint(u.Crashes) + "+"
			}
			return fmt.Sprint(u.Crashes)
		}},
		{"UNKNOWN", 7, 0, true, func(u *Unit, _ Health) string { return fmt.Sprint(u.Tally.Unknown) }},
		{"RESTARTS", 8, 0, true, func(u *Unit, _ Health) string { return fmt.Sprint(u.Restarts) }},
		{"24H", 5, 70, false, func(u *Unit, _ Health) string {
			if s.Since.IsZero() {
				return "–"
			}
			return fmt.Sprint(u.Day)
		}},
		{"LAST CRASH", -11, 0, false, func(u *Unit, _ Health) string {
			if u.LastCrash == nil {
				return "–"
			}
			return s.sinceCrash(u.LastCrash)
		}},
		{"UP 24H", 7, 78, false, func(u *Unit, _ Health) string { return percent(s.Availability(u).Day) }},
		{"MTBF", 8, 0, true, func(u *Unit, _ Health) string { return Span(s.Availability(u).Between) }},
		{"MTTR", 8, 0, true, func(u *Unit, _ Health) string { return Span(s.Availability(u).Repair) }},
	} {
		if s.Wide || !c.wide && (screen.Width == 0 || screen.Width >= c.from) {
			columns = append(columns, c)
		}
	}
	return columns
}

// Availability returns how much of the time a unit was up.
func (s *Status) Availability(u *Unit) Availability {
	return u.Availability(chronicle.SpanOf(u.Tally), &s.Clock, max(0, s.Now.Sub(s.AsOf)))
}

// percent returns a part in percent. It says 100 % only if that is exact.
func percent(part float64) string {
	switch {
	case part < 0:
		return "–"
	case part < 1:
		part = min(part, 0.9999)
	}
	return fmt.Sprintf("%.2f%%", part*100)
}

// nameWidth returns the width of the names. If there is little room, they are cut.
func (s *Status) nameWidth(units []*Unit, columns []column, screen Screen) int {
	width, rest := len("SERVICE"), 2
	for _, u := range units {
		width = max(width, utf8.RuneCountInString(short(u.Unit)))
	}
	for _, c := range columns {
		rest += 2 + max(c.width, -c.width)
	}
	if s.Wide || screen.Long || screen.Width == 0 {
		return width
	}
	return min(width, max(screen.Width-rest, 12))
}

// head writes the names of the columns.
func (s *Status) head(w io.Writer, columns []column, width int, screen Screen) {
	line := "  " + fit("SERVICE", width, screen.ASCII)
	for _, c := range columns {
		line += fmt.Sprintf("  %*s", c.width, c.head)
	}
	s.screen(screen).line(w, line)
}

// row writes the line of a unit. If the unit needs attention, a second line says why.
func (s *Status) row(w io.Writer, u *Unit, columns []column, width int, screen Screen) {
	health := s.health(u)
	h := healths[health.rank()]
	mark := h.mark
	if screen.ASCII {
		mark = h.plain
	}
	line := fitName(short(u.Unit), width, screen.ASCII)
	for _, c := range columns {
		line += fmt.Sprintf("  %*s", c.width, c.text(u, health))
	}
	fmt.Fprintf(w, "%s ", mark)
	s.screen(screen).narrower(2).line(w, strings.TrimRight(line, " "))
	if text := s.explain(u, health, screen.Zone); text != "" {
		s.screen(screen).wrap(w, "    ", text)
	}
}

// screen returns the screen. If the status is Wide, or if no people read it, a unit has whole lines.
func (s *Status) screen(screen Screen) Screen {
	if s.Wide || screen.Long {
		screen.Width = 0
	}
	return screen
}
