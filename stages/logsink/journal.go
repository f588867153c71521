package logsink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// journalSocket is where journald receives entries in its native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL).
const journalSocket = "/run/systemd/journal/socket"

// journalBacklog bounds the entries that wait while journald does not read. At
// about 500 bytes each they cost 500 KB.
const journalBacklog = 1000

// A Journal writes entries to journald and never waits for it. What journald
// does not take waits here, and what exceeds journalBacklog is dropped, counted
// and told of in the journal once it reads again. The file has every line.
type Journal struct {
	mu      sync.Mutex
	socket  int
	to      unix.SockaddrUnix
	waiting [][]byte
	dropped int
}

// OpenJournal returns a journal, or an error where there is none.
func OpenJournal() (*Journal, error) { return openJournal(journalSocket) }

func openJournal(path string) (*Journal, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("cannot reach the journal: %s: %w", path, err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the journal: %w", err)
	}
	return &Journal{socket: socket, to: unix.SockaddrUnix{Name: path}}, nil
}

// A Field is one field of a journal entry. Keys are constants of this program.
type Field struct{ Key, Value string }

// Write writes one entry, or keeps it for a later Write or Retry.
func (j *Journal) Write(fields ...Field) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry := marshal(fields)
	if j.flush() && j.send(entry) {
		return
	}
	if len(j.waiting) == journalBacklog {
		j.dropped++
		return
	}
	j.waiting = append(j.waiting, entry)
}

// Levels implements logrus.Hook: the daemon's own words go here at once.
func (j *Journal) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (j *Journal) Fire(e *logrus.Entry) error {
	j.Write(Field{"MESSAGE", message(e)}, Field{"PRIORITY", priority(e.Level)}, Field{"SYSLOG_IDENTIFIER", identifier})
	return nil
}

// Retry writes what waits, and reports whether nothing waits any more.
func (j *Journal) Retry() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flush()
}

func (j *Journal) flush() bool {
	for len(j.waiting) > 0 {
		if !j.send(j.waiting[0]) {
			return false
		}
		j.waiting = j.waiting[1:]
	}
	j.waiting = nil
	if j.dropped > 0 && j.send(marshal([]Field{
		{"PRIORITY", "4"}, {"SYSLOG_IDENTIFIER", identifier},
		{"MESSAGE", fmt.Sprintf("the journal did not read: %d lines are in the log file only", j.dropped)},
	})) {
		j.dropped = 0
	}
	return j.dropped == 0
}

// send sends one datagram. Of all errors only one is worth another try at the
// same entry: the socket is full or journald is restarting.
func (j *Journal) send(entry []byte) bool {
	switch unix.Sendto(j.socket, entry, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &j.to) {
	case unix.EAGAIN, unix.ENOBUFS, unix.ECONNREFUSED, unix.ENOENT, unix.EINTR:
		return false
	}
	return true
}

// Close closes the socket. What still waits is lost to the journal.
func (j *Journal) Close() error { return unix.Close(j.socket) }

// marshal writes an entry as the native protocol wants it. A value with a
// newline has its length before it.
func marshal(fields []Field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(f.Key)
		if bytes.IndexByte([]byte(f.Value), '\n') < 0 {
			b.WriteByte('=')
		} else {
			b.WriteByte('\n')
			binary.Write(&b, binary.LittleEndian, uint64(len(f.Value)))
		}
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
