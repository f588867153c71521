// Package logsink writes each event as lines of the log file and as entries of the journal.
package logsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/writer"
	"service-monitor/stages/zone"
)

// noteBacklog is how many notes may wait for the sink. Any more are missing in the file,
// which says so. The journal has them.
const noteBacklog = 64

// Config says where the sink writes to, and how.
type Config struct {
	// File is the rotated log file. It may block for as long as it likes.
	File io.Writer
	// Journal may be nil.
	Journal *writer.Journal
	// Console gets every line of the file, too. It may be nil.
	Console io.Writer
	// Notes passes the daemon's own log messages to the file.
	Notes *Notes
	// Debug reports whether lines of level debug are wanted.
	Debug func() bool
	// FoldAfter is how many lines of one kind are written in a minute. Any more are folded
	// into one line. 0 means that each line is written.
	FoldAfter int
	// Quote returns the message of systemd about an event, or nothing. It may block for
	// as long as it likes. It may be nil.
	Quote func(ctx context.Context, e *count.Event) string
	// Summary is how long after the first change a summary is written; 0 means never.
	Summary time.Duration
}

// Stage is the log sink.
type Stage struct {
	Config
	lines      pipeline.Queue[byte] // to the file
	entries    pipeline.Outlet      // to the journal
	abandoned  bool                 // at the stop, journald did not take all entries in time
	sendAt     time.Time            // when to send the entries that wait; zero if none wait
	sum        summary
	summaryOf  time.Time // when the first event of the summary came
	summaryAt  time.Time // when the summary is due; in the past if nothing has happened since the last one
	folds      folds
	periodEnds time.Time // when the period of the folds is over
	quotes     quotes

	sendTimer, summaryTimer, periodTimer *time.Timer // they run until sendAt, summaryAt and periodEnds

	stamp             stamp
	text, file, entry []byte // buffers for a line, used again and again
}

// New returns a log sink.
func New(c Config) *Stage {
	s := &Stage{Config: c, folds: folds{first: c.FoldAfter}, stamp: stamp{local: zone.Location}}
	s.lines, s.entries = newLines(c.File), newEntries()
	s.lines.OnTrouble = s.reportTrouble
	return s
}

// Failures returns how many writes to the log file have failed. Any goroutine may call it.
func (s *Stage) Failures() uint64 { return s.lines.Failures() }

type port = pipeline.Port[count.Event, pipeline.None]

// Run writes events until they end or ctx is cancelled. Then it writes what still waits.
func (s *Stage) Run(ctx context.Context, p *port) error {
	s.lines.Nudge = p.Nudge
	s.sendTimer, s.summaryTimer, s.periodTimer = stopped(), stopped(), stopped()
	events := p.In
	for {
		in := events
		if s.lines.Crowded() {
			in = nil
		}
		s.stamp.asked = false // the time zone may change during the wait
		select {
		case batch, ok := <-in:
			if !ok {
				events = nil
				break
			}
			s.take(batch)
		case note := <-s.Notes.entries:
			s.note(note)
		case said := <-s.quotes.said:
			s.quoted(said, time.Now())
		case w := <-s.lines.Done():
			if err := s.lines.Ended(w); err != nil {
				return fileError(err)
			}
		case w := <-s.entries.Done():
			s.abandoned = s.entries.Ended(w) != nil
		case <-s.lines.Timer():
			s.lines.Turn()
		case <-s.entries.Timer():
		case <-s.sendTimer.C:
		case <-s.summaryTimer.C:
			s.endSummary(time.Now())
		case <-s.periodTimer.C:
			// A summary that is due soon writes the folded lines, too: see endSummary.
			if wait := time.Until(s.summaryAt); wait < 0 || wait > togetherWithin {
				s.endPeriod()
			}
		case q := <-p.Probes:
			s.sendIfDue(true) // so that the journal has these lines before READY=1
			q.Answer(pipeline.Answer{Trouble: s.lines.Trouble(), DelaysReady: s.lines.DelaysReady() || s.entries.DelaysReady()})
			continue
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.finish())
		}
		ended := events == nil && s.quotes.said == nil // a stop waits for what systemd says, too
		if ended && !s.lines.Closed() {
			s.close()
		}
		if ended {
			s.takeNotes()
		}
		s.lines.Begin()
		s.sendIfDue(ended)
		if ended && s.lines.Drained() && s.journalDone() {
			return nil
		}
	}
}

// stopped returns a timer that does not run.
func stopped() *time.Timer {
	t := time.NewTimer(0)
	t.Stop()
	return t
}

// take writes events, and counts them for the summary.
func (s *Stage) take(events []count.Event) {
	calm := !s.folds.any()
	for i := range events {
		s.write(&events[i])
		if s.sum.add(&events[i]) && s.Summary > 0 {
			s.summaryOf = time.Now()
			s.delaySummary(s.summaryOf.Add(s.Summary))
		}
	}
	if calm && s.folds.any() {
		s.beginPeriod()
	}
}

func (s *Stage) beginPeriod() {
	s.periodTimer.Reset(s.folds.period())
	s.periodEnds = time.Now().Add(s.folds.period())
}

func (s *Stage) endPeriod() {
	s.folds.take(s.put)
	if s.folds.any() {
		s.beginPeriod()
	}
}

// endSummary writes the summary. It also writes the folded lines if their period is nearly
// over. In a storm that lasts, the summary waits for them.
func (s *Stage) endSummary(now time.Time) {
	left := s.periodEnds.Sub(now)
	if s.folds.period() > foldEvery && left > togetherWithin {
		s.delaySummary(s.periodEnds)
		return
	}
	s.summarize(now)
	if s.folds.any() && left <= togetherWithin {
		s.endPeriod()
	}
}

func (s *Stage) delaySummary(until time.Time) {
	s.summaryTimer.Reset(time.Until(until))
	s.summaryAt = until
}

// close is called after the last event. It writes all lines that were kept back.
func (s *Stage) close() {
	s.lines.Close()
	s.entries.Close()
	s.folds.take(s.put)
	s.unquote()
}

// write writes the lines of an event. Notes from before the event come first.
func (s *Stage) write(e *count.Event) {
	s.takeNotes()
	for _, id := range ids(e) {
		if id == "" {
			return
		}
		level := level(e, id)
		if level == logrus.DebugLevel && !s.Debug() || s.folds.keep(e, id) {
			continue
		}
		if id == idNoRestart && s.await(e, time.Now()) {
			continue
		}
		s.text = appendText(s.text[:0], e, id, s.Debug())
		s.put(e, line{level, id, s.text})
	}
}

// put writes a line about an event. The journal also gets the fields in more.
func (s *Stage) put(e *count.Event, l line, more ...writer.Field) {
	s.line(e.Time, l.level, l.text)
	if s.Journal == nil {
		return
	}
	s.entry = appendFields(appendEntry(s.entry[:0], l), e)
	for _, f := range more {
		s.entry = writer.AppendField(s.entry, f.Key, f.Value)
	}
	s.Journal.Add(s.entry)
}

func (s *Stage) takeNotes() {
	for len(s.Notes.entries) > 0 { // nobody else receives from it
		s.note(<-s.Notes.entries)
	}
}

// note writes a log message of the daemon to the file. The journal has it already.
func (s *Stage) note(n note) {
	s.line(n.time, n.level, []byte(n.text))
	select {
	case <-s.Notes.lost:
		s.line(n.time, logrus.WarnLevel, []byte("lines of the monitor itself are missing here"))
	default:
	}
}

// summarize writes a summary of the events since the last summary.
func (s *Stage) summarize(now time.Time) {
	l := line{logrus.InfoLevel, idSummary, []byte(s.sum.take(now.Sub(s.summaryOf)))}
	s.line(now, l.level, l.text)
	s.Journal.Add(appendEntry(nil, l))
}

func (s *Stage) line(at time.Time, level logrus.Level, text []byte) {
	s.file = appendLine(s.file[:0], s.stamp.at(at), level, text)
	if s.Console != nil {
		s.Console.Write(s.file)
	}
	s.lines.Add(s.file...)
}

// reportTrouble reports to the journal alone, because the file cannot be written.
func (s *Stage) reportTrouble(err error, _ time.Duration) {
	text := printable(fmt.Sprintf("cannot write the log file; monitoring goes on (error: %v)", err))
	s.Journal.Add(appendEntry(nil, line{logrus.ErrorLevel, idFile, []byte(text)}))
}

// finish writes as much as it can of what still waits, and returns when that is done.
func (s *Stage) finish() error {
	s.takeNotes()
	s.close()
	s.abandoned = s.entries.Finish(s.send, s.entries.Ended) != nil
	if err := s.lines.Finish(); err != nil {
		return fileError(err)
	}
	return nil
}

func fileError(err error) error { return fmt.Errorf("cannot write the log file: %w", err) }
