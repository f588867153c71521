package logsink

import (
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/logsink/journal"
)

// Notes passes the daemon's own log entries to the journal and to the sink, as a
// logrus hook. It never makes the one who logs wait.
type Notes struct {
	journal *journal.Journal
	entries chan note
	lost    chan struct{} // holds a token while entries were lost
}

// A note is an entry in the form in which it is written, so that nothing of the
// one who logs is shared.
type note struct {
	time  time.Time
	level logrus.Level
	text  string
}

// NewNotes returns a hook without entries. The journal may be nil.
func NewNotes(j *journal.Journal) *Notes {
	return &Notes{j, make(chan note, noteBacklog), make(chan struct{}, 1)}
}

// Levels implements logrus.Hook.
func (n *Notes) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook. The journal comes first: the sink tries again
// what waits for the journal when it has taken the note.
func (n *Notes) Fire(e *logrus.Entry) error {
	text := message(e)
	n.journal.Write(journal.Field{Key: "MESSAGE", Value: text}, journal.Field{Key: "PRIORITY", Value: priority(e.Level)})
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
