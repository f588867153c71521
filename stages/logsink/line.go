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
	"service-monitor/stages/decode"
	"service-monitor/stages/zone"
)

// These are the MESSAGE_ID of each kind of line. They never change, because people filter by
// them.
const (
	idSeen      = "0aa918fea24b430f802d308296670d0b"
	idMoved     = "2386ae31e1ea49ba8783ae172779299a"
	idStarted   = "1b35bf6905d74330ac38053d362e99b5"
	idStopped   = "3769531c6aa04fb699667a9abdce1110"
	idCrashed   = "a9c7ce28cc9d4a2baf64dd96586ff35a"
	idCrashes   = "503ff7240f654eb2ab616c718121229e"
	idUnknown   = "0d5c31d3c0f6475d97a3f83d9956edbe"
	idRestarted = "ba07e2c86b2c41f3b6c8ad951451c43e"
	idGaveUp    = "93b3fe8c9d8d4bb2be71eb123a39a961"
	idNoRestart = "693f2736314f45debef3547a6918d841"
	idForgotten = "f2b34856c07c41eb9ab4c0e6961c88d0"
	idSummary   = "89829bf77f324bf68076edaca0968f38"
	idFile      = "d4025484f2d24561b105c5c536879fb0" // the log file cannot be written
)

// Formatter writes an entry as a line of the log file:
//
//	2025-07-07 10:15:23 - [INFO] message (key: value, key: value)
type Formatter struct{}

var levels = [...]string{
	logrus.PanicLevel: "CRITICAL", logrus.FatalLevel: "CRITICAL", logrus.ErrorLevel: "ERROR",
	logrus.WarnLevel: "WARNING", logrus.InfoLevel: "INFO", logrus.DebugLevel: "DEBUG", logrus.TraceLevel: "DEBUG",
}

// Format implements logrus.Formatter.
func (Formatter) Format(e *logrus.Entry) ([]byte, error) {
	return format(e.Time, e.Level, message(e)), nil
}

// format returns a line of the log file. The text must be printable.
func format(at time.Time, level logrus.Level, text string) []byte {
	s := stamp{local: zone.Location}
	return appendLine(nil, s.at(at), level, text)
}

func appendLine[T string | []byte](b, stamp []byte, level logrus.Level, text T) []byte {
	b = append(append(b, stamp...), levels[level]...)
	b = append(append(b, "] "...), text...)
	return append(b, '\n')
}

// A stamp makes the beginning of lines, and keeps it for the other lines of the same second.
type stamp struct {
	local  func() *time.Location // returns the zone as it is now
	asked  bool                  // zone is current; false after each wait, because it may have changed
	zone   *time.Location
	second int64
	text   []byte
}

func (s *stamp) at(at time.Time) []byte {
	was := s.zone
	if !s.asked {
		s.asked, s.zone = true, s.local()
	}
	if second := at.Unix(); second != s.second || s.zone != was {
		s.second = second
		s.text = append(at.In(s.zone).AppendFormat(s.text[:0], "2006-01-02 15:04:05"), " - ["...)
	}
	return s.text
}

// message returns an entry's text with its fields. All of it is printable.
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

// printableFrom makes the part of text after the first kept bytes printable.
func printableFrom(text []byte, kept int) []byte {
	for _, c := range text[kept:] {
		if c < ' ' || c > '~' { // rare: nearly all texts are printable ASCII
			return append(text[:kept], printable(string(text[kept:]))...)
		}
	}
	return text
}

// printable escapes whatever could break a line or a terminal in a text from outside.
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
	text  []byte // printable
}

// ids returns the message IDs of the lines of an event, in their order. Unused elements are
// empty.
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
	case classify.UnknownEnd:
		ids[0] = idUnknown
	case classify.Restarted:
		ids[0] = idRestarted
		if e.Missed {
			ids[1], ids[2] = idStarted, idUnknown
		}
	case classify.GaveUp:
		if ids[0] = idGaveUp; e.Cause.Result != classify.StartLimitHit {
			ids[0] = idNoRestart
		}
	case classify.Forgotten:
		ids[0] = idForgotten
	}
	return ids
}

// level returns the level of a line about an event.
func level(e *count.Event, id string) logrus.Level {
	switch {
	case id == idCrashed, id == idGaveUp, id == idNoRestart:
		return logrus.ErrorLevel
	case id == idUnknown, id == idSeen && e.To == decode.NotLoaded:
		return logrus.WarnLevel
	case id == idMoved && e.From == e.To:
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}

// appendText appends the text of a line about an event. With debug the text also says by
// which rule the event was counted.
func appendText(b []byte, e *count.Event, id string, debug bool) []byte {
	kept := len(b)
	b = appendWords(append(b, e.Unit...), e, id)
	if debug && e.Rule != classify.NoRule {
		b = fmt.Appendf(b, " (rule: %v, evidence: %v)", e.Rule, e.Source)
	}
	if e.Untrusted {
		b = append(b, " (clock not trusted)"...)
	}
	return printableFrom(b, kept)
}

func appendWords(b []byte, e *count.Event, id string) []byte {
	switch t := e.Tally; id {
	case idSeen:
		if e.To == decode.NotLoaded {
			return append(b, ":  not loaded: systemd has no such unit (yet); watched all the same"...)
		}
		return appendStates(b, "first seen   ", e)
	case idMoved:
		return appendStates(b, e.From, e)
	case idStarted:
		return appendCounter(b, e, "start", t.Starts)
	case idStopped:
		return appendCounter(b, e, "stop", t.Stops)
	case idCrashed:
		b = append(append(b, ": **CRASH** (ExitCode: "...), e.Cause.ExitCode()...)
		b = append(append(b, ", Signal: "...), e.Cause.Signal()...)
		b = append(append(b, ", Result: "...), e.Cause.Result...)
		return appendProvenance(append(b, ')'), e)
	case idCrashes:
		return appendCounter(b, e, "crash", t.Crashes)
	case idUnknown:
		b = strconv.AppendUint(append(b, ":  Incrementing unknown-end counter -> "...), t.Unknown, 10)
		return appendProvenance(append(appendTimes(b, e), " (nothing tells how the run ended)"...), e)
	case idRestarted:
		return appendCounter(b, e, "restart", t.Restarts)
	case idGaveUp:
		b = append(b, ":  start limit hit: systemd gave up restarting it (systemctl reset-failed, then start it by hand)"...)
		return appendProvenance(b, e)
	case idNoRestart:
		b = fmt.Appendf(b, ":  systemd could not restart it, and gave up: "+noRestart(e.Cause.Result), "'"+e.Unit+"'")
		return appendProvenance(b, e)
	case idForgotten:
		return append(b, ":  no longer monitored; its counters are dropped"...)
	}
	panic("no words for the message id " + id)
}

func appendStates(b []byte, from string, e *count.Event) []byte {
	b = appendPadded(append(b, ":  "...), from)
	b = appendPadded(append(b, " -> "...), e.To)
	b = append(append(b, " (SubState: "...), e.SubState...)
	return append(b, ')')
}

func appendPadded(b []byte, state string) []byte {
	const width = "             "
	b = append(b, state...)
	return append(b, width[min(utf8.RuneCountInString(state), len(width)):]...)
}

func appendCounter(b []byte, e *count.Event, name string, n uint64) []byte {
	b = append(append(b, ":  Incrementing "...), name...)
	b = strconv.AppendUint(append(b, " counter -> "...), n, 10)
	return appendProvenance(appendTimes(b, e), e)
}

// appendTimes says by how much a counter has grown, if that is more than one.
func appendTimes(b []byte, e *count.Event) []byte {
	if e.More == 0 {
		return b
	}
	return append(strconv.AppendUint(append(b, " (by "...), e.Times(), 10), ')')
}

// appendProvenance says where the knowledge comes from if the monitor did not see the event.
func appendProvenance(b []byte, e *count.Event) []byte {
	if e.AtLeast {
		b = append(b, " (at least: it was not watched)"...)
	}
	if e.Recovered {
		b = append(b, " (recovered from the journal)"...)
	}
	return b
}
