// Package logsink is the log sink: it writes each event as lines of the rotated
// file and as entries of the journal.
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
	"service-monitor/stages/logsink/journal"
	"service-monitor/stages/zone"
)

const (
	// noteBacklog is how many notes may wait for the sink. When it is full they
	// are missing from the file, which then says so; the journal has them.
	noteBacklog = 64
	retryEvery  = time.Second // of what the file or the journal did not take
	reportEvery = time.Minute // at most one report that the file takes nothing
	// patience is how long a write may hold events up when many lines wait for it.
	// A disk that is well takes them by then, and no burst costs a line. Of one that
	// is not, the source's backlog has room for this time of the worst storm.
	patience = 200 * time.Millisecond
	slow     = 15 * time.Second // for a write is too long; some seconds are a bad card's everyday life
)

// Entries for the journal are collected for a moment, or until they are many.
// journald wakes for each that comes alone, and would run beside what people wait
// for: the lines of the file, and the services that are being restarted.
const (
	collect = 20 * time.Millisecond
	follow  = 2 * time.Millisecond // until more are sent than go at a time; longer where none were read
	many    = 128
)

var errSlow = errors.New("the disk does not answer")

// Config is what the sink writes to, and how.
type Config struct {
	// File is the rotated log file. It may block for as long as it likes.
	File io.Writer
	// Journal may be nil.
	Journal *journal.Journal
	// Console, where not nil, gets every line of the file too.
	Console io.Writer
	// Notes are the daemon's own words, for the file.
	Notes *Notes
	// Debug reports whether lines of level debug are wanted.
	Debug func() bool
	// First is how many lines of one kind are written in a minute before the others
	// are folded into one; 0 to write each.
	First int
	// Summary is how long after the first change a summary of all is written; 0 for
	// never.
	Summary time.Duration
}

// Stage is the log sink.
type Stage struct {
	Config
	owed    owed
	writing <-chan written // the outcome of the write under way; nil while there is none
	began   time.Time      // when that was
	due     time.Time      // when the journal is told; zero if nothing waits for it
	pause   time.Duration  // of what it did not take
	failing time.Time      // since when the file takes nothing; zero while it does
	quiet   time.Time      // no report of that before
	sum     summary
	summing time.Time // when the summary is due; in the past where nothing has happened since
	folds   folds
	ends    time.Time // when their minute is over

	stamp             stamp
	text, file, entry []byte // a line in the making, over and over
}

// written is the outcome of a write to the file.
type written struct {
	lines []byte
	n     int
	err   error
}

// New returns a sink.
func New(c Config) *Stage {
	return &Stage{Config: c, folds: folds{first: c.First}, stamp: stamp{local: zone.Location}}
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run writes events until they end, or until an abort, and then what is owed.
func (s *Stage) Run(ctx context.Context, p *port) error {
	retry, sum, minute := time.NewTimer(0), time.NewTimer(0), time.NewTimer(0)
	retry.Stop()
	sum.Stop()
	minute.Stop()
	beginMinute := func() {
		minute.Reset(foldEvery)
		s.ends = time.Now().Add(foldEvery)
	}
	endMinute := func() {
		s.folds.take(s.put)
		if s.folds.any() {
			beginMinute()
		}
	}
	events, failing, last := p.In, s.failing, false
	for {
		failed := false
		in := events
		if s.busy(time.Now()) {
			in = nil
		}
		s.stamp.asked = false
		select {
		case batch, ok := <-in:
			if !ok {
				events = nil
				s.folds.take(s.put)
				break
			}
			calm := !s.folds.any()
			for i := range batch {
				s.write(&batch[i])
				if s.sum.add(&batch[i]) && s.Summary > 0 {
					sum.Reset(s.Summary)
					s.summing = time.Now().Add(s.Summary)
				}
			}
			if calm && s.folds.any() {
				beginMinute()
			}
		case note := <-s.Notes.entries:
			s.note(note)
		case w := <-s.writing:
			s.wrote(w, time.Now())
			failed = w.err != nil
			if failed && last {
				return fileError(w.err)
			}
		case <-retry.C:
		case <-sum.C:
			now := time.Now()
			s.summarize(now)
			if s.folds.any() && s.ends.Sub(now) <= apart {
				endMinute()
			}
		case <-minute.C:
			if wait := time.Until(s.summing); wait < 0 || wait > apart {
				endMinute()
			}
		case q := <-p.Probes:
			s.tell(time.Now(), true) // who waits for READY=1 finds it in the journal
			q.Answer(pipeline.Answer{Status: s.status(), Owing: s.writing != nil && s.failing.IsZero()})
			continue
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.finish())
		}
		if events == nil {
			s.takeNotes()
		}
		if s.writing == nil && !failed && s.owed.any() {
			s.begin(time.Now())
			last = events == nil
		}
		if retry.Stop(); s.busy(time.Now()) {
			retry.Reset(patience)
		} else if wait := s.flush(time.Now(), events == nil); wait > 0 {
			retry.Reset(wait)
		}
		if s.failing != failing {
			failing = s.failing
			p.Nudge()
		}
		if events == nil && s.writing == nil && !s.owed.any() && !s.telling() {
			return nil
		}
	}
}

// write writes the lines of an event, after what was noted before it.
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
		s.text = appendText(s.text[:0], e, id)
		s.put(e, line{level, id, s.text})
	}
}

// put writes a line about an event, with more fields for the journal.
func (s *Stage) put(e *count.Event, l line, more ...journal.Field) {
	s.line(e.Time, l.level, l.text)
	if s.Journal == nil {
		return
	}
	s.entry = appendFields(appendEntry(s.entry[:0], l), e)
	for _, f := range more {
		s.entry = journal.AppendField(s.entry, f.Key, f.Value)
	}
	s.Journal.Add(s.entry)
}

func (s *Stage) takeNotes() {
	for len(s.Notes.entries) > 0 { // the sink alone takes them
		s.note(<-s.Notes.entries)
	}
}

// note writes an entry of the daemon's own log. The journal has it already.
func (s *Stage) note(n note) {
	s.line(n.time, n.level, []byte(n.text))
	select {
	case <-s.Notes.lost:
		s.line(n.time, logrus.WarnLevel, []byte("lines of the monitor itself are missing here"))
	default:
	}
}

// summarize writes what was counted since the summary before.
func (s *Stage) summarize(now time.Time) {
	l := line{logrus.InfoLevel, idSummary, []byte(s.sum.take(s.Summary))}
	s.line(now, l.level, l.text)
	s.Journal.Add(appendEntry(nil, l))
}

func (s *Stage) line(at time.Time, level logrus.Level, text []byte) {
	s.file = appendLine(s.file[:0], s.stamp.at(at), level, text)
	if s.Console != nil {
		s.Console.Write(s.file)
	}
	s.owed.add(s.file)
}

// begin begins to write what is owed.
func (s *Stage) begin(now time.Time) {
	lines := s.owed.give(now)
	s.began = now
	s.writing = pipeline.Aside(func() written {
		n, err := s.File.Write(lines)
		return written{lines, n, err}
	})
}

// busy reports whether the file should catch up before more comes.
func (s *Stage) busy(now time.Time) bool {
	return s.writing != nil && s.owed.many() && now.Sub(s.began) < patience
}

// wrote takes the outcome of a write in.
func (s *Stage) wrote(w written, now time.Time) {
	s.writing = nil
	s.owed.took(w.lines, w.n)
	if w.err != nil {
		s.failed(w.err, now, now)
	} else {
		s.failing = time.Time{}
	}
}

// flush sends to the journal what has waited for long enough, or everything, and
// returns after which time there is more to do; 0 if the file and the journal have
// taken all.
func (s *Stage) flush(now time.Time, all bool) time.Duration {
	if s.writing != nil && now.Sub(s.began) >= slow {
		s.failed(errSlow, s.began, now)
	}
	wait := s.tell(now, all)
	if wait == 0 && (s.writing != nil || s.owed.any()) {
		wait = retryEvery
	}
	return wait
}

// tell tells the journal.
func (s *Stage) tell(now time.Time, all bool) time.Duration {
	waiting := s.Journal.Waiting()
	if waiting > 0 && s.due.IsZero() {
		s.due = now.Add(collect)
	}
	if wait := s.due.Sub(now); wait > 0 && waiting < many && !all {
		return wait
	}
	if s.Journal.Retry() {
		s.due, s.pause = time.Time{}, 0
		return 0
	}
	if s.Journal.Waiting() < waiting { // it reads
		s.pause = 0
	}
	s.pause = min(max(2*s.pause, follow), retryEvery)
	s.due = now.Add(s.pause)
	return s.pause
}

// telling reports whether the journal is still being told, and reads.
func (s *Stage) telling() bool { return !s.due.IsZero() && s.pause < patience }

// failed tells the journal, because the file cannot be told.
func (s *Stage) failed(err error, since, now time.Time) {
	if s.failing.IsZero() {
		s.failing = since
	}
	if !now.Before(s.quiet) {
		s.quiet = now.Add(reportEvery)
		text := printable(fmt.Sprintf("cannot write the log file; monitoring goes on (error: %v)", err))
		s.Journal.Add(appendEntry(nil, line{logrus.ErrorLevel, idFile, []byte(text)}))
		s.Journal.Retry()
	}
}

func (s *Stage) status() string {
	if s.failing.IsZero() {
		return ""
	}
	return "cannot write the log file " + zone.Since(s.failing)
}

// finish writes what is owed, as far as it can be, and waits for that.
func (s *Stage) finish() error {
	if s.writing != nil {
		s.wrote(<-s.writing, time.Now())
	}
	s.takeNotes()
	s.folds.take(s.put)
	// Nothing tells when journald has room again: a datagram socket that is not
	// connected can be written to as far as poll(2) knows.
	for pause := follow; !s.Journal.Retry() && pause < patience; pause *= 2 {
		time.Sleep(pause)
	}
	if err := s.owed.flush(s.File, time.Now()); err != nil {
		return fileError(err)
	}
	return nil
}

func fileError(err error) error { return fmt.Errorf("cannot write the log file: %w", err) }
