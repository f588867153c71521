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
	// fileBacklog is how many bytes of lines may wait while the disk is slow, besides the
	// lines that are being written. They are about 3,000 lines: what a service causes in
	// three seconds if it crashes and is restarted as fast as systemd can. If the backlog
	// is full, further lines are dropped and counted, and the file says so in their place.
	fileBacklog = 256 << 10
	retryEvery  = time.Second // how often to try again what the file or the journal did not take
	// patience is how long the sink takes no more events while many lines wait for a
	// write. A healthy disk has written them by then, so no burst costs a line. If the disk
	// is not healthy, the backlog of the source has room for this long of the worst storm.
	patience = 200 * time.Millisecond
	slow     = 15 * time.Second // a write that takes longer is reported; a bad card often takes some seconds
)

// Entries for the journal are collected for a moment, and then sent together. journald would
// wake up for each entry that comes alone, and take processor time from more urgent work:
// the lines of the file, and the services that are being restarted.
const (
	collect = 20 * time.Millisecond // how long an entry waits for others
	follow  = 2 * time.Millisecond  // until the next attempt if journald had no room for all; longer if it took none
	many    = 128                   // so many entries are sent at once
)

// errUnread means that journald has no room for more entries now.
var errUnread = errors.New("journald does not read")

// newLines returns the outlet of the log file.
func newLines(file io.Writer) pipeline.Queue[byte] {
	return pipeline.Queue[byte]{
		Outlet: pipeline.Outlet{
			Retry: retryEvery, RetryMax: retryEvery, Slow: slow, TooLong: errors.New("the disk does not answer"), Patience: patience,
			TroubleStatus: func(since time.Time) string { return "cannot write the log file " + zone.Since(since) },
		},
		Limit: fileBacklog,
		Out:   (&lineWriter{file: file}).Write,
		Missing: func(lost int) []byte {
			return format(time.Now(), logrus.WarnLevel, fmt.Sprintf("the log file took no more: %d lines are missing here", lost))
		},
	}
}

// A lineWriter writes lines. A full disk may take only a part of a line. The next attempt
// ends the torn line and writes the whole line again. If only the newline was missing, it
// writes just that.
type lineWriter struct {
	file io.Writer
	torn bool // the file ends within a line
}

// Write returns how many bytes of b need not be written again.
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

// newEntries returns the outlet of the journal. If journald is slow, that is not reported:
// entries wait in the Journal. At the stop journald has a moment to take them.
func newEntries() pipeline.Outlet {
	return pipeline.Outlet{Retry: follow, RetryMax: retryEvery, Drain: patience}
}

// sendIfDue sends the entries to the journal if they have waited long enough, or if there are
// many, or if all is true.
func (s *Stage) sendIfDue(all bool) {
	waiting := s.Journal.Waiting()
	if waiting == 0 || s.abandoned || !s.entries.Ready() {
		return
	}
	if s.sendAt.IsZero() {
		s.sendAt = time.Now().Add(collect)
		s.sendTimer.Reset(collect)
	}
	retry := !s.entries.Failing().IsZero()
	if all || retry || waiting >= many || !time.Now().Before(s.sendAt) {
		s.sendAt = time.Time{}
		s.sendTimer.Stop()
		s.send()
	}
}

// send begins to send all entries that wait, and reports whether there are any.
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

// journalDone reports whether the journal has all entries, or the rest was abandoned.
func (s *Stage) journalDone() bool {
	return !s.entries.Busy() && (s.abandoned || s.Journal.Waiting() == 0)
}
