package logsink

import (
	"context"
	"strings"
	"time"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer"
)

// noRestart says why systemd could not restart a unit, and what to do. %s is the unit.
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

// A line about a failed restart quotes the message of systemd. To find that message in the
// journal may take time. The line waits for it, but nothing else does. A line is written
// without a quotation if it has waited too long, or if too many lines wait before it.
const (
	quoteLimit = 2 * time.Second
	quoteSize  = 256 // bytes
	quotesMost = 64
)

// quotes are the events that wait for the message of systemd, in their order.
type quotes struct {
	waiting []unquoted
	said    <-chan string // receives the message for the first event; nil if none is being looked for
}

type unquoted struct {
	event count.Event
	since time.Time
}

// await lets an event wait for its quotation. It returns false if the event cannot wait.
func (s *Stage) await(e *count.Event, now time.Time) bool {
	q := &s.quotes
	if s.Quote == nil || len(q.waiting) == quotesMost {
		return false
	}
	q.waiting = append(q.waiting, unquoted{*e, now})
	s.askQuote()
	return true
}

// askQuote begins to look for the message about the first event that waits.
func (s *Stage) askQuote() {
	q := &s.quotes
	if q.said != nil || len(q.waiting) == 0 {
		return
	}
	event := q.waiting[0].event
	q.said = pipeline.Aside(func() string { return bounded(s.Quote, &event) })
}

// bounded calls quote, but returns after quoteLimit even if the disk does not answer.
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

// quoted writes the first event that waits, with the message of systemd. It also writes the
// next events if they have waited too long, without a message.
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

// unquote writes all events that wait, without a message.
func (s *Stage) unquote() {
	for i := range s.quotes.waiting {
		s.putQuoted(&s.quotes.waiting[i].event, "")
	}
	s.quotes = quotes{}
}

// refine reads the reason of a failed restart from the message of systemd. For a unit that
// was watched there is no other source: systemd sends no signal when a unit file is gone,
// bad or masked.
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
	s.put(e, l, writer.Field{Key: "MONITOR_QUOTE", Value: said})
}

// shortened cuts a text to quoteSize, between two characters.
func shortened(text string) string {
	if len(text) <= quoteSize {
		return text
	}
	return strings.ToValidUTF8(text[:quoteSize], "") + "…"
}
