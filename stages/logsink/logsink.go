// Package logsink is the log sink: it writes each event as lines of the rotated
// file and as entries of the journal.
package logsink

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

const (
	// noteBacklog is how many notes may wait for the sink. When it is full they
	// are missing from the file, which then says so; the journal has them.
	noteBacklog = 64
	retryEvery  = time.Second // of what the file or the journal did not take
	// fileBacklog bounds the lines, in bytes, that wait for a disk that takes none.
	fileBacklog = 64 << 10
)

// Config is what the sink writes to, and how.
type Config struct {
	// File is the rotated log file.
	File io.Writer
	// Journal may be nil.
	Journal *Journal
	// Console, where not nil, gets every line of the file too.
	Console io.Writer
	// Notes are the daemon's own words, for the file.
	Notes *Notes
	// Debug reports whether lines of level debug are wanted.
	Debug func() bool
	// Summary is how long after the first event a summary of all is written; 0 for
	// never.
	Summary time.Duration
}

// Notes passes the daemon's own log entries to the sink, as a logrus hook. It
// never makes the one who logs wait.
type Notes struct {
	entries chan *logrus.Entry
	lost    chan struct{} // holds a token while entries were lost
}

// NewNotes returns a hook without entries.
func NewNotes() *Notes {
	return &Notes{make(chan *logrus.Entry, noteBacklog), make(chan struct{}, 1)}
}

// Levels implements logrus.Hook.
func (n *Notes) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (n *Notes) Fire(e *logrus.Entry) error {
	select {
	case n.entries <- &logrus.Entry{Time: e.Time, Level: e.Level, Message: e.Message, Data: e.Data}:
	default:
		select {
		case n.lost <- struct{}{}:
		default:
		}
	}
	return nil
}

// Stage is the log sink.
type Stage struct {
	Config
	owed    bytes.Buffer // lines that the file has not taken
	cut     int          // lines that did not fit into owed
	torn    bool         // the file ends within a line
	failing time.Time    // since when the file takes nothing

	sum summary
}

// New returns a sink.
func New(c Config) *Stage { return &Stage{Config: c} }

type port = pipeline.Port[count.Event, pipeline.None]

// Run writes events until they end.
func (s *Stage) Run(ctx context.Context, p *port) error {
	retry, sum := time.NewTimer(0), time.NewTimer(0)
	retry.Stop()
	sum.Stop()
	for {
		select {
		case event, ok := <-p.In:
			if !ok {
				return s.finish()
			}
			s.write(event)
			if s.sum.add(event) && s.Summary > 0 {
				sum.Reset(s.Summary)
			}
		case note := <-s.Notes.entries:
			s.note(note)
		case <-retry.C:
		case <-sum.C:
			s.summarize()
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Status: s.status()})
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		if !s.flush(p) {
			retry.Reset(retryEvery)
		}
	}
}

// write formats the lines of an event.
func (s *Stage) write(e count.Event) {
	for _, l := range lines(e) {
		if l.level == logrus.DebugLevel && !s.Debug() {
			continue
		}
		s.line(&logrus.Entry{Time: e.Time, Level: l.level, Message: l.text})
		if s.Journal != nil {
			s.Journal.Write(fields(e, l)...)
		}
	}
}

// note writes an entry of the daemon's own log. The journal has it already.
func (s *Stage) note(e *logrus.Entry) {
	s.line(e)
	select {
	case <-s.Notes.lost:
		s.line(&logrus.Entry{Time: e.Time, Level: logrus.WarnLevel, Message: "lines of the monitor itself are missing here"})
	default:
	}
}

func (s *Stage) line(e *logrus.Entry) {
	b, _ := Formatter{}.Format(e)
	if s.owed.Len()+len(b) > fileBacklog {
		s.cut++
		return
	}
	s.owed.Write(b)
	if s.Console != nil {
		s.Console.Write(b)
	}
}

// flush writes what is owed, and reports whether nothing is.
func (s *Stage) flush(p *port) bool {
	read := s.Journal == nil || s.Journal.Retry()
	return s.flushFile(p) && read
}

func (s *Stage) flushFile(p *port) bool {
	if s.owed.Len() == 0 {
		return true
	}
	b := s.owed.Bytes()
	if s.torn {
		b = append([]byte{'\n'}, b...)
	}
	n, err := s.File.Write(b)
	if err == nil {
		s.owed.Reset()
		s.recovered(p)
		return true
	}
	// A full disk takes a part. Go on behind the last line that is complete.
	whole := bytes.LastIndexByte(b[:n], '\n') + 1
	if s.torn && whole > 0 {
		whole--
	}
	s.torn = n > 0 && b[n-1] != '\n' || s.torn && n == 0
	s.owed.Next(whole)
	if s.failing.IsZero() {
		s.failing = time.Now()
		p.Nudge()
	}
	return false
}

func (s *Stage) recovered(p *port) {
	s.torn = false
	if s.cut > 0 {
		n := s.cut
		s.cut = 0
		s.line(&logrus.Entry{Time: time.Now(), Level: logrus.WarnLevel, Message: fmt.Sprintf("the log file took no lines: %d are missing here", n)})
	}
	if !s.failing.IsZero() {
		s.failing = time.Time{}
		p.Nudge()
	}
}

func (s *Stage) status() string {
	if s.failing.IsZero() {
		return ""
	}
	return "cannot write the log file since " + s.failing.Format("15:04:05")
}

// finish writes what is owed, as far as it can be.
func (s *Stage) finish() error {
	for {
		select {
		case note := <-s.Notes.entries:
			s.note(note)
			continue
		default:
		}
		break
	}
	if s.Journal != nil {
		s.Journal.Retry()
	}
	if _, err := s.File.Write(s.owed.Bytes()); err != nil {
		return fmt.Errorf("cannot write the log file: %w", err)
	}
	return nil
}

func (s *Stage) summarize() {
	text := s.sum.take(s.Summary)
	s.line(&logrus.Entry{Time: time.Now(), Level: logrus.InfoLevel, Message: text})
	if s.Journal != nil {
		s.Journal.Write(Field{"MESSAGE", text}, Field{"PRIORITY", "6"}, Field{"SYSLOG_IDENTIFIER", identifier}, Field{"MESSAGE_ID", idSummary})
	}
}

// summary counts the events since the last one that was written.
type summary struct {
	events int
	counts [classify.Forgotten + 1]int
}

// add takes an event in, and reports whether it is the first.
func (s *summary) add(e count.Event) bool {
	s.events++
	s.counts[e.Kind]++
	return s.events == 1
}

func (s *summary) take(span time.Duration) string {
	var parts []string
	for _, c := range []struct {
		kind classify.Kind
		one  string
		many string
	}{
		{classify.Started, "start", "starts"}, {classify.Stopped, "stop", "stops"}, {classify.Crashed, "crash", "crashes"},
		{classify.Restarted, "automatic restart", "automatic restarts"}, {classify.Moved, "state change", "state changes"},
	} {
		switch n := s.counts[c.kind]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+c.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, c.many))
		}
	}
	*s = summary{}
	if parts == nil {
		parts = []string{"nothing counted"}
	}
	return fmt.Sprintf("summary of the last %v: %s", span, strings.Join(parts, ", "))
}
