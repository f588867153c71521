package logsink

import (
	"context"
	"strings"
	"time"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/logsink/journal"
)

// noRestart is why a restart could not be scheduled, and what to do; %s is the unit.
func noRestart(result string) string {
	switch result {
	case classify.NotFound:
		return "its unit file is gone (put it back, systemctl daemon-reload, systemctl start %s)"
	case classify.BadSetting:
		return "its unit file has a bad setting (systemd-analyze verify %[1]s, mend it, systemctl daemon-reload, systemctl start %[1]s)"
	case classify.Masked:
		return "it is masked (systemctl unmask %[1]s, systemctl start %[1]s)"
	}
	return "the journal says why (journalctl _PID=1 UNIT=%[1]s; mend that, systemctl daemon-reload, systemctl start %[1]s)"
}

// A line about a restart that failed quotes what systemd says of it. That is in the journal,
// which may be slow, so the line waits for it and nothing else does. A line that has
// waited for too long is written without a quotation, as is one that too many wait before.
const (
	quoteLimit = 2 * time.Second
	quoteSize  = 256 // bytes
	quotesMost = 64
)

// quotes are the events that wait for what systemd says of them, in their order.
type quotes struct {
	waiting []unquoted
	said    <-chan string // of the first of them; nil while nobody is asked
}

type unquoted struct {
	event count.Event
	since time.Time
}

// await takes in an event that is to wait, and reports whether it does.
func (s *Stage) await(e *count.Event, now time.Time) bool {
	q := &s.quotes
	if s.Quote == nil || len(q.waiting) == quotesMost {
		return false
	}
	q.waiting = append(q.waiting, unquoted{*e, now})
	s.askQuote()
	return true
}

// askQuote asks for what systemd says of the first event that waits.
func (s *Stage) askQuote() {
	q := &s.quotes
	if q.said != nil || len(q.waiting) == 0 {
		return
	}
	event := q.waiting[0].event
	q.said = pipeline.Aside(func() string { return bounded(s.Quote, &event) })
}

// bounded asks for no longer than the limit, even where a disk does not answer.
func bounded(quote func(context.Context, *count.Event) string, e *count.Event) string {
	ctx, cancel := context.WithTimeout(context.Background(), quoteLimit)
	defer cancel()
	select {
	case text := <-pipeline.Aside(func() string { return quote(ctx, e) }):
		return text
	case <-ctx.Done():
		return ""
	}
}

// quoted writes the first event that waits, with what systemd says of it, and those behind
// it that have waited for too long.
func (s *Stage) quoted(said string, now time.Time) {
	q := &s.quotes
	q.said = nil
	s.putQuoted(&q.waiting[0].event, said)
	q.waiting = q.waiting[1:]
	for len(q.waiting) > 0 && now.Sub(q.waiting[0].since) >= quoteLimit {
		s.putQuoted(&q.waiting[0].event, "")
		q.waiting = q.waiting[1:]
	}
	s.askQuote()
}

// unquote writes all that waits.
func (s *Stage) unquote() {
	for i := range s.quotes.waiting {
		s.putQuoted(&s.quotes.waiting[i].event, "")
	}
	s.quotes = quotes{}
}

// refine makes the reason of an event that of systemd's words. systemd does not announce
// that a unit file is gone, bad or masked, so only these tell it of a unit that was watched.
func refine(e *count.Event, said string) {
	unit := e.Unit
	if e.Life != nil && e.Life.Name != "" {
		unit = e.Life.Name
	}
	_, of, ok := strings.Cut(said, ": Unit "+unit+" ")
	if !ok {
		return
	}
	switch of {
	case "not found.":
		e.Cause.Result = classify.NotFound
	case "is masked.":
		e.Cause.Result = classify.Masked
	case "has a bad unit file setting.":
		e.Cause.Result = classify.BadSetting
	}
}

func (s *Stage) putQuoted(e *count.Event, said string) {
	refine(e, said)
	l := line{level(e, idNoRestart), idNoRestart, appendText(nil, e, idNoRestart, false)}
	if said == "" {
		s.put(e, l)
		return
	}
	said = printable(shortened(said))
	l.text = append(append(append(l.text, `; systemd says: "`...), said...), '"')
	s.put(e, l, journal.Field{Key: "MONITOR_QUOTE", Value: said})
}

// shortened returns no more than so much as fits into a line, with whole characters.
func shortened(text string) string {
	if len(text) <= quoteSize {
		return text
	}
	return strings.ToValidUTF8(text[:quoteSize], "") + "…"
}
