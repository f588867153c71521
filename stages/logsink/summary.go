package logsink

import (
	"fmt"
	"strings"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// summed lists the kinds of event that a summary counts.
var summed = []struct {
	kind      classify.Kind
	one, many string
}{
	{classify.Started, "start", "starts"},
	{classify.Stopped, "stop", "stops"},
	{classify.Crashed, "crash", "crashes"},
	{classify.UnknownEnd, "unknown end", "unknown ends"},
	{classify.Restarted, "automatic restart", "automatic restarts"},
	{classify.Moved, "state change", "state changes"},
}

// summary counts the events since the last summary line.
type summary struct {
	events int
	counts [classify.Folded + 1]int
}

// add counts an event, and reports whether it is the first since the last summary line.
func (s *summary) add(e *count.Event) bool {
	switch e.Kind {
	case classify.Seen, classify.GaveUp, classify.Forgotten, classify.CaughtUp, classify.Folded:
		return false
	case classify.Moved:
		if e.From == e.To {
			return false
		}
	}
	s.events++
	s.counts[e.Kind] += int(e.Times())
	return s.events == 1
}

// take returns the text of the summary line, and begins to count anew.
func (s *summary) take(span time.Duration) string {
	var parts []string
	for _, k := range summed {
		switch n := s.counts[k.kind]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+k.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, k.many))
		}
	}
	*s = summary{}
	return fmt.Sprintf("summary of the last %d s: %s", int(span.Round(time.Second).Seconds()), strings.Join(parts, ", "))
}
