// Package journal writes to journald in its native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL), and never waits for it.
package journal

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

// backlog bounds the entries that wait while journald does not read. At about
// 500 bytes each they cost 500 KB, and half of that until what is sent is forgotten.
const backlog = 1000

// share is what may be on the way to journald, in bytes of SO_SNDBUF, of which a
// usual entry costs 1,300 of the 2 * share that the kernel makes of it. The socket of
// journald holds as little as ten entries of all who write to it, and where it is
// full for 10 ms PID 1 gives up: what it has to say of services would be lost.
const share = 4096

// spare is how large the memory for what waits stays when nothing does.
const spare = 16 << 10

// A Journal writes entries to journald. What journald does not take waits here,
// and what exceeds the backlog is dropped, counted and told of in the journal
// once it reads again. A nil Journal takes nothing.
type Journal struct {
	mu      sync.Mutex
	socket  int
	to      unix.RawSockaddrUnix
	waiting []byte // entries, one behind the other
	ends    []int  // where each of them ends
	sent    int    // how many of them are sent already
	stalled bool   // journald took no more when it was tried last
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
	unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_SNDBUF, share) // or it is the usual
	j := &Journal{socket: socket, to: unix.RawSockaddrUnix{Family: unix.AF_UNIX}}
	for i := range min(len(path), len(j.to.Path)-1) {
		j.to.Path[i] = int8(path[i])
	}
	return j, nil
}

// A Field is one field of an entry. Keys are constants of this program.
type Field struct{ Key, Value string }

// AppendField appends a field of an entry as the native protocol wants it: a value
// with a newline has its length before it.
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

// Write writes one entry, or keeps it for a later Write or Retry.
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

// Add takes an entry, of what AppendField has made, for the next Write or Retry.
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

// Waiting is how many entries wait.
func (j *Journal) Waiting() int {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.ends) - j.sent
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

// flush sends what waits, and behind it how much was dropped since.
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

// drain sends what waits as far as journald takes it.
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
	if j.waiting = j.waiting[:0]; cap(j.waiting) > spare {
		j.waiting, j.ends = nil, nil
	}
	return true
}

// begin is where the first entry begins that is not sent.
func (j *Journal) begin() int {
	if j.sent == 0 {
		return 0
	}
	return j.ends[j.sent-1]
}

// compact forgets what is sent, where it is much: a journald that is always behind
// must not make what waits grow.
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

// send sends one datagram, and reports whether it is done with.
func (j *Journal) send(entry []byte) bool {
	err := j.sendTo(entry)
	if err == unix.EMSGSIZE { // it is larger than our share
		unix.SetsockoptInt(j.socket, unix.SOL_SOCKET, unix.SO_SNDBUF, 2*len(entry))
		err = j.sendTo(entry)
		unix.SetsockoptInt(j.socket, unix.SOL_SOCKET, unix.SO_SNDBUF, share)
	}
	switch err {
	case 0:
	case unix.EMSGSIZE:
		j.dropped++ // it will never fit
	default:
		return false // full, or journald is being restarted
	}
	return true
}

// sendTo is sendto(2) without telling the runtime, which would wake the thread that
// watches over threads in system calls. It does not wait, so there is nothing to watch.
func (j *Journal) sendTo(entry []byte) unix.Errno {
	_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(j.socket), uintptr(unsafe.Pointer(unsafe.SliceData(entry))), uintptr(len(entry)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&j.to)), unsafe.Sizeof(j.to))
	return err
}

// Close closes the socket. What still waits is lost to the journal.
func (j *Journal) Close() error { return unix.Close(j.socket) }
