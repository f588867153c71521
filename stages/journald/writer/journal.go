// Package writer writes to journald in its native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL), and never waits for it.
package writer

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is where journald receives entries.
const Socket = "/run/systemd/journal/socket"

// identifier is SYSLOG_IDENTIFIER of every entry (systemd.journal-fields(7)).
const identifier = "service-monitor"

// backlog is how many entries may wait while journald does not read. An entry has about 500
// bytes, so they take 500 KB. Entries that were sent may take half as much again, until
// compact removes them.
const backlog = 1000

// share limits how much is on the way to journald at a time, as SO_SNDBUF in bytes. The
// kernel doubles it, and a usual entry takes 1,300 bytes of that. The limit is low because
// the socket of journald may hold as few as ten entries from all programs together. If it
// is full for 10 ms, PID 1 gives up, and its messages about services would be lost.
const share = 4096

// keepSize is how many bytes of the buffer are kept when no entries wait. A larger buffer is
// freed.
const keepSize = 16 << 10

// A Journal writes entries to journald. Entries that journald does not take wait here. If
// the backlog is full, further entries are dropped and counted. When journald reads again,
// an entry says how many were dropped. A nil Journal does nothing.
type Journal struct {
	mu      sync.Mutex
	socket  int
	to      unix.RawSockaddrUnix
	waiting []byte // entries, one after the other
	ends    []int  // where each entry in waiting ends
	sent    int    // how many entries in waiting were sent already
	stalled bool   // journald had no room at the last attempt
	dropped int
}

// Open returns a journal that sends its entries to a socket. It returns an error if there is
// no socket.
func Open(path string) (*Journal, error) {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return nil, fmt.Errorf("cannot reach the journal: %s: %w", path, err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the journal: %w", err)
	}
	unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_SNDBUF, share) // an error does not matter: the usual size works, too
	j := &Journal{socket: socket, to: unix.RawSockaddrUnix{Family: unix.AF_UNIX}}
	for i := range min(len(path), len(j.to.Path)-1) {
		j.to.Path[i] = int8(path[i])
	}
	return j, nil
}

// A Field is one field of an entry. Keys are constants of this program.
type Field struct{ Key, Value string }

// AppendField appends a field of an entry in the native protocol. If the value has a newline,
// its length is written before it.
func AppendField[T string | []byte](b []byte, key string, value T) []byte {
	b = append(b, key...)
	if hasNewline(value) {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	} else {
		b = append(b, '=')
	}
	b = append(b, value...)
	return append(b, '\n')
}

func hasNewline[T string | []byte](value T) bool {
	for i := range len(value) {
		if value[i] == '\n' {
			return true
		}
	}
	return false
}

// Write sends one entry, or keeps it for a later Write or Retry.
func (j *Journal) Write(fields ...Field) {
	if j == nil {
		return
	}
	var entry []byte
	for _, f := range fields {
		entry = AppendField(entry, f.Key, f.Value)
	}
	j.Add(entry)
	j.Retry()
}

// Add keeps an entry for the next Write or Retry. AppendField makes the fields.
func (j *Journal) Add(fields []byte) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.full() && !j.stalled {
		j.flush()
	}
	if j.full() {
		j.dropped++
		return
	}
	j.append(fields)
}

func (j *Journal) full() bool { return len(j.ends)-j.sent >= backlog }

func (j *Journal) append(fields []byte) {
	j.waiting = append(append(j.waiting, "SYSLOG_IDENTIFIER="+identifier+"\n"...), fields...)
	j.ends = append(j.ends, len(j.waiting))
}

// Waiting returns how many entries wait.
func (j *Journal) Waiting() int {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.ends) - j.sent
}

// Retry sends the entries that wait, and reports whether none waits any more.
func (j *Journal) Retry() bool {
	if j == nil {
		return true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flush()
}

// flush sends the entries that wait, and then an entry that says how many were dropped.
func (j *Journal) flush() bool {
	for {
		if !j.drain() {
			return false
		}
		if j.dropped == 0 {
			return true
		}
		text := fmt.Sprintf("the journal took no more: %d lines are missing here; the log file has them", j.dropped)
		j.dropped = 0
		j.append(AppendField(AppendField(nil, "MESSAGE", text), "PRIORITY", "4"))
	}
}

// drain sends entries until none waits or journald has no more room.
func (j *Journal) drain() bool {
	for begin := j.begin(); j.sent < len(j.ends); j.sent++ {
		end := j.ends[j.sent]
		if j.stalled = !j.send(j.waiting[begin:end]); j.stalled {
			j.compact(begin)
			return false
		}
		begin = end
	}
	j.ends, j.sent = j.ends[:0], 0
	if j.waiting = j.waiting[:0]; cap(j.waiting) > keepSize {
		j.waiting, j.ends = nil, nil
	}
	return true
}

// begin returns where the first entry begins that was not sent yet.
func (j *Journal) begin() int {
	if j.sent == 0 {
		return 0
	}
	return j.ends[j.sent-1]
}

// compact removes entries that were sent from the buffer, if they are many. Otherwise the
// buffer would grow without end while journald is always a little behind.
func (j *Journal) compact(begin int) {
	if j.sent < backlog/2 {
		return
	}
	j.waiting = append(j.waiting[:0], j.waiting[begin:]...)
	j.ends = append(j.ends[:0], j.ends[j.sent:]...)
	for i := range j.ends {
		j.ends[i] -= begin
	}
	j.sent = 0
}

// send sends one entry as a datagram. It returns false if the entry has to be sent again.
func (j *Journal) send(entry []byte) bool {
	err := j.sendTo(entry)
	if err == unix.EMSGSIZE { // the entry is larger than share
		unix.SetsockoptInt(j.socket, unix.SOL_SOCKET, unix.SO_SNDBUF, 2*len(entry))
		err = j.sendTo(entry)
		unix.SetsockoptInt(j.socket, unix.SOL_SOCKET, unix.SO_SNDBUF, share)
	}
	switch err {
	case 0:
	case unix.EMSGSIZE:
		j.dropped++ // it is too large for any datagram
	default:
		return false // the socket is full, or journald is being restarted
	}
	return true
}

// sendTo calls sendto(2) without the Go runtime knowing. The runtime would wake the thread
// that watches threads in system calls. This call does not wait, so nobody has to watch it.
func (j *Journal) sendTo(entry []byte) unix.Errno {
	_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(j.socket), uintptr(unsafe.Pointer(unsafe.SliceData(entry))), uintptr(len(entry)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&j.to)), unsafe.Sizeof(j.to))
	return err
}

// Close closes the socket. Entries that still wait are lost.
func (j *Journal) Close() error { return unix.Close(j.socket) }
