// Package journal writes to journald in its native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL), and never waits for it.
package journal

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Socket is where journald receives entries.
const Socket = "/run/systemd/journal/socket"

// identifier is SYSLOG_IDENTIFIER of every entry (systemd.journal-fields(7)).
const identifier = "service-monitor"

// backlog bounds the entries that wait while journald does not read. At about
// 500 bytes each they cost 500 KB.
const backlog = 1000

// A Journal writes entries to journald. What journald does not take waits here,
// and what exceeds the backlog is dropped, counted and told of in the journal
// once it reads again. A nil Journal takes nothing.
type Journal struct {
	mu      sync.Mutex
	socket  int
	to      unix.SockaddrUnix
	waiting [][]byte
	dropped int
}

// Open returns a journal whose entries go to a socket, or an error where there
// is none.
func Open(path string) (*Journal, error) {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return nil, fmt.Errorf("cannot reach the journal: %s: %w", path, err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the journal: %w", err)
	}
	return &Journal{socket: socket, to: unix.SockaddrUnix{Name: path}}, nil
}

// A Field is one field of an entry. Keys are constants of this program.
type Field struct{ Key, Value string }

// Write writes one entry, or keeps it for a later Write or Retry.
func (j *Journal) Write(fields ...Field) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	entry := marshal(fields)
	switch {
	case j.flush() && j.send(entry):
	case len(j.waiting) == backlog:
		j.dropped++
	default:
		j.waiting = append(j.waiting, entry)
	}
}

// Retry writes what waits, and reports whether nothing waits any more.
func (j *Journal) Retry() bool {
	if j == nil {
		return true
	}
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
	if n := j.dropped; n > 0 {
		j.dropped = 0
		text := fmt.Sprintf("the journal took no more: %d lines are missing here; the log file has them", n)
		if !j.send(marshal([]Field{{"MESSAGE", text}, {"PRIORITY", "4"}})) {
			j.dropped = n
		}
	}
	return j.dropped == 0
}

// send sends one datagram, and reports whether it is done with.
func (j *Journal) send(entry []byte) bool {
	switch unix.Sendto(j.socket, entry, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &j.to) {
	case nil:
	case unix.EMSGSIZE:
		j.dropped++ // it will never fit
	default:
		return false // full, or journald is being restarted
	}
	return true
}

// Close closes the socket. What still waits is lost to the journal.
func (j *Journal) Close() error { return unix.Close(j.socket) }

// marshal writes an entry as the native protocol wants it. A value with a
// newline has its length before it.
func marshal(fields []Field) []byte {
	b := []byte("SYSLOG_IDENTIFIER=" + identifier + "\n")
	for _, f := range fields {
		b = append(b, f.Key...)
		if strings.Contains(f.Value, "\n") {
			b = append(b, '\n')
			b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Value)))
		} else {
			b = append(b, '=')
		}
		b = append(b, f.Value...)
		b = append(b, '\n')
	}
	return b
}
