package tell

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"service-monitor/stages/chronicle/store"
)

// A Query says which part of the history is wanted.
type Query struct {
	Wanted       func(unit string) bool
	Since, Until time.Time // zero if there is no limit
	Crashes      bool      // only crashes
	Last         int       // how many of the last lines; 0 for all
	All          bool      // each event is a line
}

// Within reports whether a record is wanted: a part of its time is.
func (q *Query) Within(r *store.Record) bool { return q.overlaps(r.Time, seen(r)) }

// overlaps reports whether a part of a time is wanted.
func (q *Query) overlaps(first, last time.Time) bool {
	return (q.Since.IsZero() || !last.Before(q.Since)) && (q.Until.IsZero() || first.Before(q.Until))
}

// A Screen is where text goes.
type Screen struct {
	Width  int  // in columns
	Height int  // in lines; 0 if there is no end
	Long   bool // another program reads the text, so lines may be longer than Width
	ASCII  bool // it can show no other characters
	Zone   *time.Location
}

// History is the history in words. Records are added in their order.
type History struct {
	Query
	account account
	each    []*item // a line for each event
	units   map[string]bool
	first   time.Time
	width   int    // of the column with the names
	day     string // of the last line
}

// NewHistory returns a history without records.
func NewHistory(q Query) *History {
	return &History{Query: q, account: account{stories: map[string]*story{}}, units: map[string]bool{}}
}

// Add adds a record. The caller may reuse it afterwards.
func (h *History) Add(r *store.Record) {
	if h.first.IsZero() {
		h.first = r.Time
	}
	if r.Unit != "" && r.Flags&store.Recovered == 0 {
		if at := seen(r); at.After(h.account.last) { // what only a snapshot proves of a gap may be older
			h.account.last = at
		}
	}
	if r.Unit != "" && !h.Wanted(r.Unit) {
		return
	}
	if r.Unit != "" {
		h.units[r.Unit] = true
	}
	h.account.add(r)
	if h.All && r.Unit != "" {
		keep := *r
		h.each = append(h.each, &item{
			at: r.Time, first: r.Time, last: seen(r), recovered: r.Flags&store.Recovered != 0, unit: r.Unit, what: r.Kind.String(), stands: 1, crash: r.Delta.Crashes > 0, text: func() string { return bare(&keep) },
		})
	}
}

// bare returns the fields of a record as words.
func bare(r *store.Record) string {
	var words []string
	switch r.Kind {
	case store.Many:
		words = append(words, events(r.Delta))
	case store.Seen, store.State:
		words = append(words, r.To)
	case store.Stop, store.Crash, store.UnknownEnd, store.GaveUp:
		words = append(words, Cause(r.Result, r.Code, r.Status))
	}
	words = append(words, fmt.Sprintf("%d/%d/%d/%d/%d", r.After.Starts, r.After.Stops, r.After.Crashes, r.After.Unknown, r.After.Restarts))
	for _, f := range []struct {
		flag store.Flags
		word string
	}{{store.AtLeast, "at least"}, {store.Untrusted, "clock not set"}, {store.Missed, "with its run"}, {store.Untold, "not told"}} {
		if r.Flags&f.flag != 0 {
			words = append(words, f.word)
		}
	}
	if r.Rule != "" {
		words = append(words, "by "+r.Rule)
	}
	return strings.Join(words, ", ")
}

// wanted returns the items to show.
func (h *History) wanted() []*item {
	items := h.account.sorted()
	if h.All {
		for _, i := range items {
			if i.rule != nil {
				h.each = append(h.each, i)
			}
		}
		items = h.each
		slices.SortStableFunc(items, func(x, y *item) int { return x.at.Compare(y.at) })
	}
	items = slices.DeleteFunc(items, func(i *item) bool {
		return !h.overlaps(i.first, i.last) || h.Crashes && i.rule == nil && !i.crash
	})
	for at, lines := len(items)-1, 0; at >= 0 && h.Last > 0; at-- {
		if items[at].rule != nil {
			continue
		}
		if lines++; lines == h.Last {
			return items[at:]
		}
	}
	return items
}

// Write writes the history. It reports whether there was anything to write.
func (h *History) Write(w io.Writer, s Screen) (any bool) {
	lines, stands := h.write(w, s, h.wanted())
	if lines > 0 {
		s.wrap(w, "", fmt.Sprintf("%s for %s. --all shows each, --json is for jq", plural(lines, "line"), plural(stands, "event")))
	}
	return lines > 0
}

// Follow writes the history without the line at its end. The next call writes what was added after
// that. Then each record is a line of its own.
func (h *History) Follow(w io.Writer, s Screen) {
	h.write(w, s, h.wanted())
	h.account.items, h.each = nil, nil
	h.Last, h.account.apart = 0, true
	for _, told := range h.account.stories {
		told.part()
	}
}

// write writes items. It returns the number of lines, and how many events they stand for.
func (h *History) write(w io.Writer, s Screen, items []*item) (lines, stands int64) {
	for _, i := range items {
		h.width = max(h.width, utf8.RuneCountInString(short(i.unit)))
	}
	if !s.Long {
		h.width = min(h.width, max(12, s.Width/3))
	}
	for _, i := range items {
		at := i.at.In(s.Zone)
		if today := at.Format("Mon 2006-01-02 (-07)"); today != h.day {
			text := "-- " + today + " "
			if h.day == "" {
				text = s.head(text, " "+plural(int64(len(h.units)), "service"), h.first.In(s.Zone).Format(", since 2006-01-02"), h.first.In(s.Zone).Format(" 15:04"))
			}
			s.rule(w, text)
			h.day = today
		}
		if i.rule != nil {
			s.rule(w, i.rule(s.Zone))
			continue
		}
		lines, stands = lines+1, stands+max(i.stands, 0)
		mark := " "
		if i.recovered {
			mark = "R"
		}
		s.columns(w, fmt.Sprintf("%s%s %s %-11s ", at.Format("15:04:05"), mark, fitName(short(i.unit), h.width, s.ASCII), i.what), i.text())
	}
	return lines, stands
}

// short returns the name of a service without ".service".
func short(unit string) string { return strings.TrimSuffix(unit, ".service") }

// fit makes a text as wide as a column.
func fit(text string, width int, ascii bool) string { return cut(text, width, max(width-1, 0), ascii) }

// fitName makes the name of a unit as wide as a column. A long one loses its middle, because units that
// are alike differ at their end: wirepas-sink-ttys1 and wirepas-sink-ttys2.
func fitName(name string, width int, ascii bool) string { return cut(name, width, width/2, ascii) }

// cut makes a text as wide as a column. If it is longer, what follows after the first runes is cut out.
func cut(text string, width, first int, ascii bool) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text + strings.Repeat(" ", width-len(runes))
	}
	mark := "…"
	if ascii {
		mark = "~"
	}
	return string(runes[:first]) + mark + string(runes[len(runes)-max(width-1-first, 0):])
}

// head fills a line between a text at its left and one at its right. What does not fit of the right one
// is left out.
func (s Screen) head(left, right string, more ...string) string {
	const least = 3
	width := func(text string) int { return utf8.RuneCountInString(left+text) + least }
	for _, part := range more {
		if width(right+part) > s.Width {
			break
		}
		right += part
	}
	return left + strings.Repeat("-", max(s.Width-width(right)+least, least)) + right
}

// rule writes a text, and fills the line after it.
func (s Screen) rule(w io.Writer, text string) {
	if n := s.Width - utf8.RuneCountInString(text); n >= 0 || s.Long {
		s.line(w, text+strings.Repeat("-", max(n, 0)))
		return
	}
	s.wrap(w, "-- ", strings.TrimPrefix(text, "-- "))
}

// columns writes a line of a table. If its text does not fit, it goes on below.
func (s Screen) columns(w io.Writer, left, text string) {
	const (
		least  = 30 // columns that a text needs beside the others
		indent = "          "
	)
	switch room := s.Width - utf8.RuneCountInString(left); {
	case s.Long || utf8.RuneCountInString(text) <= room:
		s.line(w, left+text)
	case room >= least:
		s.wrap(w, left, text)
	default:
		s.line(w, left)
		s.wrap(w, indent, text)
	}
}

// line writes a line, and cuts it at the edge of the screen.
func (s Screen) line(w io.Writer, text string) {
	text = s.printable(strings.TrimRight(text, " "))
	if s.Width > 0 && !s.Long && utf8.RuneCountInString(text) > s.Width {
		text = fit(text, s.Width, s.ASCII)
	}
	fmt.Fprintln(w, text)
}

// printable replaces control characters, and those that the screen cannot show.
func (s Screen) printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '?'
		case s.ASCII && r == '×':
			return 'x'
		case s.ASCII && r == '–':
			return '-'
		case s.ASCII && r > 0x7f:
			return '?'
		}
		return r
	}, text)
}
