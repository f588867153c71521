// Package fakejournal is a journald and a journalctl(1) whose journal a test writes, holds and takes
// back. The tests that use it need root, for a /run of their own.
package fakejournal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/journald/records"
)

const (
	socket = "/run/systemd/journal/socket"
	bootID = "/proc/sys/kernel/random/boot_id"
)

// These are the MESSAGE_ID of PID 1 (sd-messages.h) and of the monitor's mark.
const (
	Started = "39f53479d3a045ac8e11786248231fbf"
	Failed  = "d9b373ed55a64feb8242e02dbe79a49c"
	Mark    = "fbd34845a7fc4586bceb996e68af7052"
)

// A Record is an entry that the test writes into the journal.
type Record struct {
	Boot   string    // empty for the current one
	Clock  uint64    // CLOCK_MONOTONIC in µs; 0 for now
	Wall   time.Time // zero for one of 2026
	Fields []string
}

// A Journal is journald's socket together with a journalctl. journalctl reads the entries that
// came to the socket and those that the test has written. The test can hold its reads.
type Journal struct {
	Boot     string // the current boot
	ClockSet bool   // the clock was set, so journalctl --since finds nothing

	t       *testing.T
	mu      sync.Mutex
	fd      int // the socket
	clock   uint64
	entries []Entry
	held    *Hold // nil while journalctl reads at once
	breaks  int   // how many journalctl are still to fail
	late    bool  // they fail behind the first mark
	present bool  // only those fail that ask for one boot
}

// broken is the end of an answer after which journalctl fails.
const broken = "\x00"

// Break makes the next n journalctl that read entries fail: at once, or behind the first mark.
func (j *Journal) Break(n int, late bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.breaks, j.late, j.present = n, late, false
}

// BreakPresent makes the next n journalctl fail that read the entries of the present boot.
func (j *Journal) BreakPresent(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.breaks, j.late, j.present = n, false, true
}

// fails reports whether this journalctl fails, and whether it reads up to the first mark before.
func (j *Journal) fails(args []string) (fails, late bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.breaks == 0 || slices.Contains(args, "--lines=1") || j.present && !slices.Contains(args, "_BOOT_ID="+j.Boot) {
		return false, false
	}
	j.breaks--
	return true, j.late
}

// An Entry is a Record as journalctl shows it.
type Entry struct {
	place records.Place
	boot  string
	text  string
}

// Start starts a journal that ends with the test.
func Start(t *testing.T) *Journal {
	t.Helper()
	id, err := os.ReadFile(bootID)
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{t: t, Boot: strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")}
	os.Remove(socket) // the socket of the test before
	if j.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(j.fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "journalctl")); err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "asked")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv(toJournal, address)
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { j.answer(conn) })
		}
	})
	serving.Go(j.receive)
	t.Cleanup(func() {
		listener.Close()
		unix.Shutdown(j.fd, unix.SHUT_RD) // wakes receive
		serving.Wait()
		unix.Close(j.fd)
	})
	return j
}

// answer answers one journalctl: with the entries up to the first mark, and then with the next
// ones when the test lets it go on.
func (j *Journal) answer(conn net.Conn) {
	defer conn.Close()
	var args []string
	if json.NewDecoder(conn).Decode(&args) != nil {
		return
	}
	if slices.Contains(args, "--output=json") {
		_, _ = io.WriteString(conn, j.filter(args)) // journalctl may be ended meanwhile
		return
	}
	j.mu.Lock()
	h := j.held
	j.mu.Unlock()
	fails, late := j.fails(args)
	for shown, more := 0, true; more; {
		if fails && (!late || shown > 0) {
			_, _ = io.WriteString(conn, broken)
			return
		}
		if h != nil {
			h.wait()
		}
		var text string
		text, shown, more = j.find(args, shown)
		if _, err := io.WriteString(conn, text); err != nil {
			return // journalctl was ended meanwhile
		}
	}
}

// receive takes what comes to the socket. Otherwise a writer with much to say would be held up until
// somebody reads the journal.
func (j *Journal) receive() {
	for {
		wait := []unix.PollFd{{Fd: int32(j.fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		if _, err := unix.Poll(wait, -1); err != nil && !errors.Is(err, unix.EINTR) || wait[0].Revents&unix.POLLRDHUP != 0 {
			return
		}
		j.mu.Lock()
		j.take()
		j.mu.Unlock()
	}
}

// take appends the entries that wait in the socket. It is called before each read and write, so
// that all entries are in the order in which they were sent.
func (j *Journal) take() {
	for b := make([]byte, 4096); ; {
		n, _, err := unix.Recvfrom(j.fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		if text := strings.TrimSpace(string(b[:n])); strings.Contains(text, Mark) { // nobody reads the monitor's log
			j.append(Record{Fields: append(strings.Split(text, "\n"), "_PID=77")})
		}
	}
}

// append appends a record. Without a boot or a time, it gets the current ones.
func (j *Journal) append(r Record) records.Place {
	if r.Boot == "" {
		r.Boot = j.Boot
	}
	if r.Clock == 0 {
		r.Clock = j.tick()
	}
	n := len(j.entries) + 1
	if r.Wall.IsZero() {
		r.Wall = time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)
	}
	wall := r.Wall.UnixMicro()
	place := records.Place(fmt.Sprintf("s=1;i=%x;b=%s;m=%x;t=%x;x=0", n, r.Boot, r.Clock, wall))
	j.entries = append(j.entries, Entry{place, r.Boot, fmt.Sprintf("__CURSOR=%s\n__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n%s\n\n",
		place, wall, r.Clock, r.Boot, strings.Join(r.Fields, "\n"))})
	return place
}

func (j *Journal) tick() uint64 {
	j.clock = max(j.clock+10, records.Clock())
	return j.clock
}

// Now returns the time of PID 1 (CLOCK_MONOTONIC in µs). Each time is later than the last one.
func (j *Journal) Now() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tick()
}

// Write writes a record and returns its place.
func (j *Journal) Write(r Record) records.Place {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	return j.append(r)
}

// End returns the place of the last record.
func (j *Journal) End() records.Place {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	return j.entries[len(j.entries)-1].place
}

// Entries returns all that is in the journal.
func (j *Journal) Entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	return slices.Clip(j.entries) // what is appended later goes elsewhere
}

// Restart makes these the entries, of which the youngest may be of an earlier boot.
func (j *Journal) Restart(boot string, entries []Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	j.Boot, j.entries = boot, slices.Clip(entries)
}
