// Package fakejournal is a journald and a journalctl(1) whose journal a test writes, holds and takes
// back. The tests that use it need root, for a /run of their own.
package fakejournal

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/journald/records"
)

const (
	asInside  = "SERVICE_MONITOR_TEST_INSIDE"  // set in the process with its own /run
	toJournal = "SERVICE_MONITOR_TEST_JOURNAL" // the socket that our journalctl asks
	socket    = "/run/systemd/journal/socket"
	bootID    = "/proc/sys/kernel/random/boot_id"
)

// These are the MESSAGE_ID of PID 1 (sd-messages.h) and of the monitor's mark.
const (
	Started = "39f53479d3a045ac8e11786248231fbf"
	Failed  = "d9b373ed55a64feb8242e02dbe79a49c"
	Mark    = "fbd34845a7fc4586bceb996e68af7052"
)

// limit is far more than a journalctl takes to come.
const limit = 30 * time.Second

// Enter is called at the beginning of TestMain. It goes on in a mount namespace of its own with an
// empty /run, because journald's socket has a fixed path and this machine may have one there. What is
// mounted in it is gone when its last process has ended. The test binary is also the journalctl that
// the monitor runs.
func Enter() {
	if filepath.Base(os.Args[0]) == "journalctl" {
		exit(journalctl())
	}
	if os.Getenv(asInside) == "" {
		exit(inside())
	}
	// Go has made all mounts private when it left the old namespace.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		exit(fmt.Errorf("cannot mount a /run of our own: %w", err))
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		exit(err)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// inside runs this very command in a mount namespace of its own.
func inside() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig is sent when this thread ends
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), asInside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot enter a mount namespace, which needs root: %w", err)
	}
	return cmd.Wait() // the process has printed what failed
}

// journalctl passes its arguments to the journal of the test, and prints the answer.
func journalctl() error {
	conn, err := net.Dial("unix", os.Getenv(toJournal))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(os.Args[1:]); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// A Record is an entry that the test writes into the journal.
type Record struct {
	Boot   string // empty for the current one
	Clock  uint64 // CLOCK_MONOTONIC in µs; 0 for now
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
}

// An Entry is a Record as journalctl shows it.
type Entry struct {
	place records.Place
	boot  string
	text  string
}

// A Hold makes each journalctl wait before it reads, and after each mark, until the test lets it
// go on.
type Hold struct {
	t     *testing.T
	calls chan chan struct{}
	held  chan struct{} // closed to let the last journalctl that came go on
	over  chan struct{}
	End   func() // ends the hold, so that all go on
}

// Start starts a journal that ends with the test.
func Start(t *testing.T) *Journal {
	t.Helper()
	id, err := os.ReadFile(bootID)
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{t: t, Boot: strings.ReplaceAll(strings.TrimSpace(string(id)), "-", ""), clock: 1000}
	os.Remove(socket) // the socket of the test before
	if j.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(j.fd) })
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
	t.Cleanup(func() { listener.Close(); serving.Wait() })
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
	j.mu.Lock()
	h := j.held
	j.mu.Unlock()
	for shown, more := 0, true; more; {
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

// find returns the entries that journalctl shows: those from this number up to the first mark.
// It also returns whether more entries may follow. It does not filter by message.
func (j *Journal) find(args []string, from int) (text string, next int, more bool) {
	cursor, marked, boot, last, unfound := records.Place(""), "", "", false, false
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "--cursor":
			cursor = records.Place(value)
		case "--lines":
			last = true
		case "--since":
			unfound = j.ClockSet
		case "MONITOR_MARK":
			marked = a
		case "_BOOT_ID":
			boot = value
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.take()
	if unfound {
		return "", len(j.entries), false
	}
	var found strings.Builder
	for i := from; i < len(j.entries); i++ {
		e := j.entries[i]
		if cursor != "" && e.place.Before(cursor) || boot != "" && e.boot != boot || !strings.Contains(e.text, marked) {
			continue
		}
		if last {
			found.Reset()
		}
		found.WriteString(e.text)
		if !last && e.place != cursor && strings.Contains(e.text, Mark) {
			return found.String(), i + 1, true
		}
	}
	return found.String(), len(j.entries), false
}

// take appends the entries that wait in the socket. It is called before each read and write, so
// that all entries are in the order in which they were sent.
func (j *Journal) take() {
	for b := make([]byte, 4096); ; {
		n, _, err := unix.Recvfrom(j.fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		j.append(Record{Fields: append(strings.Split(strings.TrimSpace(string(b[:n])), "\n"), "_PID=77")})
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
	wall := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).UnixMicro()
	place := records.Place(fmt.Sprintf("s=1;i=%x;b=%s;m=%x;t=%x;x=0", n, r.Boot, r.Clock, wall))
	j.entries = append(j.entries, Entry{place, r.Boot, fmt.Sprintf("__CURSOR=%s\n__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n%s\n\n",
		place, wall, r.Clock, r.Boot, strings.Join(r.Fields, "\n"))})
	return place
}

func (j *Journal) tick() uint64 { j.clock += 10; return j.clock }

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

// Hold makes each journalctl that begins from now on wait, until it is let go or the hold ends.
func (j *Journal) Hold() *Hold {
	h := &Hold{t: j.t, calls: make(chan chan struct{}), over: make(chan struct{})}
	j.set(h)
	h.End = sync.OnceFunc(func() { j.set(nil); close(h.over) })
	j.t.Cleanup(h.End)
	return h
}

func (j *Journal) set(h *Hold) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = h
}

// wait returns when this journalctl may read.
func (h *Hold) wait() {
	held := make(chan struct{})
	select {
	case h.calls <- held:
	case <-h.over:
	}
	select {
	case <-held:
	case <-h.over:
	}
}

// Await returns when a journalctl waits: the next one, or the same one again.
func (h *Hold) Await() {
	h.t.Helper()
	select {
	case h.held = <-h.calls:
	case <-time.After(limit):
		h.t.Fatal("nobody reads the journal")
	}
}

// Pass lets the journalctl that waits go on, and holds the next one.
func (h *Hold) Pass() { close(h.held) }
