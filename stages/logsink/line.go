package logsink

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/logsink/journal"
)

// MESSAGE_ID of each kind of line. They never change: people filter by them.
const (
	idSeen      = "0aa918fea24b430f802d308296670d0b"
	idMoved     = "2386ae31e1ea49ba8783ae172779299a"
	idStarted   = "1b35bf6905d74330ac38053d362e99b5"
	idStopped   = "3769531c6aa04fb699667a9abdce1110"
	idCrashed   = "a9c7ce28cc9d4a2baf64dd96586ff35a"
	idCrashes   = "503ff7240f654eb2ab616c718121229e"
	idRestarted = "ba07e2c86b2c41f3b6c8ad951451c43e"
	idGaveUp    = "93b3fe8c9d8d4bb2be71eb123a39a961"
	idForgotten = "f2b34856c07c41eb9ab4c0e6961c88d0"
	idSummary   = "89829bf77f324bf68076edaca0968f38"
	idFile      = "d4025484f2d24561b105c5c536879fb0" // the log file takes no lines
)

// unloaded is the state of a unit that systemd does not have.
const unloaded = "unloaded"

// Formatter writes an entry as a line of the log file:
//
//	2025-07-07 10:15:23 - [INFO] message (key: value, key: value)
type Formatter struct{}

var levels = map[logrus.Level]string{
	logrus.PanicLevel: "CRITICAL", logrus.FatalLevel: "CRITICAL", logrus.ErrorLevel: "ERROR",
	logrus.WarnLevel: "WARNING", logrus.InfoLevel: "INFO", logrus.DebugLevel: "DEBUG", logrus.TraceLevel: "DEBUG",
}

// Format implements logrus.Formatter.
func (Formatter) Format(e *logrus.Entry) ([]byte, error) {
	return format(e.Time, e.Level, message(e)), nil
}

// format is for text that is printable.
func format(at time.Time, level logrus.Level, text string) []byte {
	b := at.Local().AppendFormat(nil, "2006-01-02 15:04:05")
	b = append(b, " - ["+levels[level]+"] "...)
	b = append(b, text...)
	return append(b, '\n')
}

// message is an entry's text with its fields, printable whatever they hold.
func message(e *logrus.Entry) string {
	var b bytes.Buffer
	b.WriteString(printable(e.Message))
	for i, key := range slices.Sorted(maps.Keys(e.Data)) {
		b.WriteString([]string{" (", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s: %s", key, printable(fmt.Sprint(e.Data[key])))
	}
	if len(e.Data) > 0 {
		b.WriteByte(')')
	}
	return b.String()
}

// printable keeps what comes from outside from breaking a line or a terminal.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// A line is one line for the file and for the journal.
type line struct {
	level logrus.Level
	id    string
	text  string // printable
}

// ids are the kinds of line that an event has, in their order; the rest is empty.
func ids(e *count.Event) (ids [3]string) {
	switch e.Kind {
	case classify.Seen:
		ids[0] = idSeen
	case classify.Moved:
		ids[0] = idMoved
	case classify.Started:
		ids[0] = idStarted
	case classify.Stopped:
		ids[0] = idStopped
	case classify.Crashed:
		ids[0], ids[1] = idCrashed, idCrashes
	case classify.Restarted:
		ids[0] = idRestarted
		if e.Missed {
			ids[1], ids[2] = idStarted, idStopped
		}
	case classify.GaveUp:
		ids[0] = idGaveUp
	case classify.Forgotten:
		ids[0] = idForgotten
	}
	return ids
}

// level is that of a line of an event.
func level(e *count.Event, id string) logrus.Level {
	switch {
	case id == idCrashed, id == idGaveUp:
		return logrus.ErrorLevel
	case id == idSeen && e.To == unloaded:
		return logrus.WarnLevel
	case id == idMoved && e.From == e.To:
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}

// text is what a line of an event says to people.
func text(e *count.Event, id string) string {
	text := words(e, id)
	if e.Untrusted {
		text += " (clock not trusted)"
	}
	return printable(text)
}

func words(e *count.Event, id string) string {
	switch t := &e.Tally; id {
	case idSeen:
		if e.To == unloaded {
			return e.Unit + ":  not loaded: systemd has no such unit (yet); watched all the same"
		}
		return fmt.Sprintf("%s:  first seen    -> %-13s (SubState: %s)", e.Unit, e.To, e.SubState)
	case idMoved:
		return fmt.Sprintf("%s:  %-13s -> %-13s (SubState: %s)", e.Unit, e.From, e.To, e.SubState)
	case idStarted:
		return counter(e, "start", t.Starts)
	case idStopped:
		return counter(e, "stop", t.Stops)
	case idCrashed:
		return fmt.Sprintf("%s: **CRASH** (ExitCode: %s, Signal: %s, Result: %s)", e.Unit, e.Cause.ExitCode(), e.Cause.Signal(), e.Cause.Result) + provenance(e)
	case idCrashes:
		return counter(e, "crash", t.Crashes)
	case idRestarted:
		return counter(e, "restart", t.Restarts)
	case idGaveUp:
		return e.Unit + ":  start limit hit: systemd gave up restarting it (systemctl reset-failed, then start it by hand)" + provenance(e)
	case idForgotten:
		return e.Unit + ":  no longer monitored; its counters are dropped"
	}
	panic("no words for the message id " + id)
}

func counter(e *count.Event, name string, n uint64) string {
	return fmt.Sprintf("%s:  Incrementing %s counter -> %d", e.Unit, name, n) + provenance(e)
}

// provenance says of what was not seen how it is known.
func provenance(e *count.Event) string {
	text := ""
	if e.AtLeast {
		text = " (at least: it was not watched)"
	}
	if e.Recovered {
		text += " (recovered from the journal)"
	}
	return text
}

// entry is a line in the journal.
func entry(l line) []journal.Field {
	return []journal.Field{{Key: "MESSAGE", Value: l.text}, {Key: "PRIORITY", Value: priority(l.level)}, {Key: "MESSAGE_ID", Value: l.id}}
}

// fields are those of a line about an event in the journal.
func fields(e *count.Event, l line) []journal.Field {
	f := entry(l)
	add := func(key, value string) { f = append(f, journal.Field{Key: "MONITOR_" + key, Value: value}) }
	number := func(key string, n uint64) { add(key, strconv.FormatUint(n, 10)) }
	add("UNIT", e.Unit)
	add("FROM", e.From)
	add("TO", e.To)
	add("SUB_STATE", e.SubState)
	add("INVOCATION_ID", e.Invocation.String())
	number("STARTS", e.Tally.Starts)
	number("STOPS", e.Tally.Stops)
	number("CRASHES", e.Tally.Crashes)
	number("RESTARTS", e.Tally.Restarts)
	if e.Cause.Result != "" {
		add("RESULT", e.Cause.Result)
		add("EXIT_CODE", e.Cause.ExitCode())
		add("SIGNAL", e.Cause.Signal())
	}
	if e.AtLeast {
		add("AT_LEAST", "1")
	}
	if e.Recovered {
		add("RECOVERED", "1")
		number("TIME", uint64(e.Time.UnixMicro()))
	}
	if e.Untrusted {
		add("CLOCK", "untrusted")
	}
	return f
}

// priority is that of syslog(3), as the journal wants it.
func priority(l logrus.Level) string {
	switch l {
	case logrus.PanicLevel, logrus.FatalLevel:
		return "2"
	case logrus.ErrorLevel:
		return "3"
	case logrus.WarnLevel:
		return "4"
	case logrus.InfoLevel:
		return "6"
	}
	return "7"
}

// summed are the kinds of event that a summary counts.
var summed = []struct {
	kind      classify.Kind
	one, many string
}{
	{classify.Started, "start", "starts"},
	{classify.Stopped, "stop", "stops"},
	{classify.Crashed, "crash", "crashes"},
	{classify.Restarted, "automatic restart", "automatic restarts"},
	{classify.Moved, "state change", "state changes"},
}

// summary counts the events since the last one that was written.
type summary struct {
	events int
	counts [classify.CaughtUp + 1]int
}

// add takes an event in, and reports whether it is the first that counts.
func (s *summary) add(e *count.Event) bool {
	switch e.Kind {
	case classify.Seen, classify.GaveUp, classify.Forgotten, classify.CaughtUp:
		return false
	case classify.Moved:
		if e.From == e.To {
			return false
		}
	}
	s.events++
	s.counts[e.Kind]++
	return s.events == 1
}

// take returns the text, and begins anew.
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
	return fmt.Sprintf("summary of the last %v s: %s", span.Seconds(), strings.Join(parts, ", "))
}
