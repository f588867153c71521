package logsink

import (
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/journald/writer"
)

// Notes is a logrus hook that passes the daemon's own log messages to the journal and to the
// sink. The caller who logs never waits for it.
type Notes struct {
	journal *writer.Journal
	entries chan note
	lost    chan struct{} // holds a token if notes were lost and the file does not say so yet
}

// A note is a log message as text, so that it shares no data with the caller who logs.
type note struct {
	time  time.Time
	level logrus.Level
	text  string
}

// NewNotes returns a hook. The journal may be nil.
func NewNotes(j *writer.Journal) *Notes {
	return &Notes{j, make(chan note, noteBacklog), make(chan struct{}, 1)}
}

// Levels implements logrus.Hook.
func (n *Notes) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook. It writes to the journal first. If the entry has to wait
// there, the note wakes the sink, and the sink tries again to send what waits.
func (n *Notes) Fire(e *logrus.Entry) error {
	text := message(e)
	n.journal.Write(writer.Field{Key: "MESSAGE", Value: text}, writer.Field{Key: "PRIORITY", Value: priority(e.Level)})
	select {
	case n.entries <- note{e.Time, e.Level, text}:
	default:
		select {
		case n.lost <- struct{}{}:
		default:
		}
	}
	return nil
}
