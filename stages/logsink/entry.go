package logsink

import (
	"encoding/hex"
	"strconv"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer"
)

// appendEntry appends the fields that every line has in the journal.
func appendEntry(b []byte, l line) []byte {
	b = writer.AppendField(b, "MESSAGE", l.text)
	b = writer.AppendField(b, "PRIORITY", priority(l.level))
	return writer.AppendField(b, "MESSAGE_ID", l.id)
}

// appendFields appends the fields that describe the event of a line.
func appendFields(b []byte, e *count.Event) []byte {
	b = writer.AppendField(b, "MONITOR_UNIT", e.Unit)
	b = writer.AppendField(b, "MONITOR_FROM", e.From)
	b = writer.AppendField(b, "MONITOR_TO", e.To)
	b = writer.AppendField(b, "MONITOR_SUB_STATE", e.SubState)
	b = append(b, "MONITOR_INVOCATION_ID="...)
	if !e.Invocation.IsZero() {
		b = hex.AppendEncode(b, e.Invocation[:])
	}
	b = appendNumber(b, "\nMONITOR_STARTS=", e.Tally.Starts)
	b = appendNumber(b, "\nMONITOR_STOPS=", e.Tally.Stops)
	b = appendNumber(b, "\nMONITOR_CRASHES=", e.Tally.Crashes)
	b = appendNumber(b, "\nMONITOR_UNKNOWN=", e.Tally.Unknown)
	b = appendNumber(b, "\nMONITOR_RESTARTS=", e.Tally.Restarts)
	b = append(b, '\n')
	if e.Cause.Result != "" {
		b = writer.AppendField(b, "MONITOR_RESULT", e.Cause.Result)
		b = writer.AppendField(b, "MONITOR_EXIT_CODE", e.Cause.ExitCode())
		b = writer.AppendField(b, "MONITOR_SIGNAL", e.Cause.Signal())
	}
	if e.Rule != classify.NoRule {
		b = append(append(b, "MONITOR_RULE="...), e.Rule.String()...)
		b = append(append(b, "\nMONITOR_EVIDENCE="...), e.Source.String()...)
		b = append(b, '\n')
	}
	if e.AtLeast {
		b = append(b, "MONITOR_AT_LEAST=1\n"...)
	}
	if e.Recovered {
		b = append(b, "MONITOR_RECOVERED=1\n"...)
	}
	if e.Recovered || e.InGap { // the time of the entry says when it was found out
		b = append(appendNumber(b, "MONITOR_TIME=", uint64(e.Time.UnixMicro())), '\n')
	}
	if e.Untrusted {
		b = append(b, "MONITOR_CLOCK=untrusted\n"...)
	}
	return b
}

func appendNumber(b []byte, key string, n uint64) []byte {
	return strconv.AppendUint(append(b, key...), n, 10)
}

// priority returns the level of syslog(3), as journald expects it in PRIORITY.
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
