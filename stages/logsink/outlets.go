package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/zone"
)

const (
	// fileBacklog bounds the lines, in bytes, that wait for a disk that takes none,
	// beside those that it was given: three thousand, or what a service writes in
	// three seconds that crashes and is restarted as fast as systemd can. When it is
	// full, lines are counted instead, and the file says so in their place.
	fileBacklog = 256 << 10
	retryEvery  = time.Second // of what the file or the journal did not take
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

// errUnread is that of entries that journald has no room for now.
var errUnread = errors.New("journald does not read")

// newLines returns the outlet of the log file.
func newLines(file io.Writer) pipeline.Queue[byte] {
	return pipeline.Queue[byte]{
		Outlet: pipeline.Outlet{
			Retry: retryEvery, RetryMax: retryEvery, Slow: slow, TooLong: errors.New("the disk does not answer"), Patience: patience,
			Fault: func(since time.Time) string { return "cannot write the log file " + zone.Since(since) },
		},
		Limit: fileBacklog,
		Out:   (&lineWriter{file: file}).Write,
		Missing: func(lost int) []byte {
			return format(time.Now(), logrus.WarnLevel, fmt.Sprintf("the log file took no more: %d lines are missing here", lost))
		},
	}
}

// A lineWriter writes lines. A full disk may take a part of one. Then the line is
// written again, on a line of its own, unless nothing but its end is missing.
type lineWriter struct {
	file io.Writer
	torn bool // the file ends within a line
}

// Write returns how much of b need not be written again.
func (l *lineWriter) Write(b []byte) (int, error) {
	added := 0
	if l.torn && b[0] != '\n' {
		b, added = append([]byte{'\n'}, b...), 1
	}
	n, err := l.file.Write(b)
	if n > 0 {
		l.torn = b[n-1] != '\n'
	}
	done := n
	if l.torn && (n == len(b) || b[n] != '\n') {
		done = bytes.LastIndexByte(b[:n], '\n') + 1
	}
	return max(done-added, 0), err
}

// newEntries returns the outlet of the journal. journald has its own pace, which is
// nobody's trouble: what it does not take waits in the Journal. At the stop it has a
// moment.
func newEntries() pipeline.Outlet {
	return pipeline.Outlet{Retry: follow, RetryMax: retryEvery, Drain: patience}
}

// tell tells the journal what has waited for long enough, or everything.
func (s *Stage) tell(all bool) {
	waiting := s.Journal.Waiting()
	if waiting == 0 || s.unread || !s.entries.Ready() {
		return
	}
	if s.due.IsZero() {
		s.due = time.Now().Add(collect)
		s.collecting.Reset(collect)
	}
	retry := !s.entries.Failing().IsZero()
	if all || retry || waiting >= many || !time.Now().Before(s.due) {
		s.due = time.Time{}
		s.collecting.Stop()
		s.send()
	}
}

// send begins to tell the journal all that waits, and reports whether something does.
func (s *Stage) send() bool {
	if s.Journal.Waiting() == 0 {
		return false
	}
	s.entries.Write(func() (int, error) {
		before := s.Journal.Waiting()
		if s.Journal.Retry() {
			return before, nil
		}
		return max(before-s.Journal.Waiting(), 0), errUnread
	})
	return true
}

// told reports whether the journal has all, or takes no more.
func (s *Stage) told() bool {
	return !s.entries.Busy() && (s.unread || s.Journal.Waiting() == 0)
}
