package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// markID is the MESSAGE_ID of a mark.
const markID = "fbd34845a7fc4586bceb996e68af7052"

const (
	socket = "/run/systemd/journal/socket"
	bootID = "/proc/sys/kernel/random/boot_id"
	// bootVariable of the environment is the boot id as systemd has it (the %b of
	// systemd.unit(5)), which is what the journal has, too. With a /proc of its own a
	// process of a container may see another: that of the machine below.
	bootVariable = "MONITOR_BOOT_ID"
	// journald may be a little behind: how long to wait for a mark, doubled each
	// time, and after how long it is not waited for any more.
	firstWait = 2 * time.Millisecond
	lastWait  = 2 * time.Second
	sendLimit = time.Second
	// suspect is after how long without the mark it is looked into why.
	suspect = 250 * time.Millisecond
)

// ErrStalled is returned when journald does not write what it is sent.
var ErrStalled = errors.New("journald does not write: systemctl status systemd-journald")

// A Reader reads the journal from a place on, a part at a time.
type Reader struct {
	ledger ledger
	place  Place     // up to where everything is read
	mark   string    // the last that was left
	marked Place     // where that is
	since  time.Time // when it was left, or a little before
}

// NewReader returns a reader that begins at a place, or, where that is empty, at
// the end of the journal. It reads of the units that are wanted. Those that are passing
// come and go, and are not there now; passing may be nil. What the journal tells is
// handed to tell, in order; an error of tell ends the reading.
func NewReader(from Place, wanted, passing func(unit string) bool, tell func(Past) error) *Reader {
	return &Reader{
		ledger: ledger{wanted: wanted, passing: passing, tell: tell, boot: from.Boot(), units: make(map[string]*unit), restarts: make(map[string]uint32)},
		place:  from,
	}
}

// Mark leaves a mark in the journal. What PID 1 has written before it is
// before the mark.
func (r *Reader) Mark() error {
	r.since = time.Now()
	mark, err := leaveMark()
	if noJournal(err) {
		return nil // Read says so
	}
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	r.mark = mark
	return nil
}

// Marked is where the mark is that was read up to.
func (r *Reader) Marked() Place { return r.marked }

// Loss is why the journal lacks some of what happened since the place where the reader
// began, for people. It is empty if the journal has all.
func (r *Reader) Loss() string { return r.ledger.loss }

// Endless are the units of which the journal has a run and the next one, but not how the
// first ended: so records of PID 1 are missing.
func (r *Reader) Endless() map[string]bool { return r.ledger.endless }

// Try tries whether the journal can be read.
func Try(ctx context.Context) error {
	r := NewReader("", func(string) bool { return false }, nil, func(Past) error { return nil })
	if err := r.Mark(); err != nil {
		return err
	}
	return r.Read(ctx, func() error { return nil })
}

// Read reads up to now. When it comes to the last Mark, and all before it is
// told, it calls reached. It fails where there is no journal, or none that may be
// read, or where journald stalls; what was told until then is true all the same.
func (r *Reader) Read(ctx context.Context, reached func() error) error {
	r.ledger.ended = func(boot string) (string, time.Time, error) { return boots(ctx, boot) }
	if err := r.read(ctx, reached); err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	return nil
}

// noJournal reports whether an error says that the machine has no journal at all: there
// never will be anything to read.
func noJournal(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound)
}

func (r *Reader) read(ctx context.Context, reached func() error) error {
	end, err := leaveMark()
	if err == nil {
		_, err = exec.LookPath("journalctl")
	}
	if noJournal(err) {
		return r.without(&awaited{marks: []string{r.mark}, reached: reached}, "this machine has no journal")
	}
	if err != nil {
		return err
	}
	now, err := currentBoot(ctx)
	if err != nil {
		return err
	}
	r.ledger.now = now
	if r.place.entry() {
		if silent, err := silentAt(ctx, r.place); err != nil {
			return err
		} else if silent {
			r.ledger.lose(silenced)
		}
	}
	a := awaited{marks: []string{r.mark, end}, reached: reached}
	switch {
	case r.place.Boot() == now:
		return r.await(ctx, &a, matches()...)
	case r.place == "":
		return r.awaitFirst(ctx, &a)
	}
	// What an earlier boot has left comes first. A boot whose clock is wrong may
	// stand anywhere in the journal, so this one is then read for itself.
	err = r.scan(ctx, matches(), func(e *record) (bool, error) {
		if e.boot == now {
			return true, nil
		}
		return true, r.ledger.add(e)
	})
	if err == nil && r.ledger.boot != now {
		err = r.ledger.enter(now)
	}
	if err != nil {
		return err
	}
	r.place = ""
	return r.await(ctx, &a, matches("_BOOT_ID="+now)...)
}

// awaited are marks that are to come, in their order.
type awaited struct {
	marks   []string
	reached func() error // the first of two
}

// awaitFirst reads from the first mark on. What is before it is not looked for in
// all of the journal: it came a moment ago, unless the clock was set since.
func (r *Reader) awaitFirst(ctx context.Context, a *awaited) error {
	since := "--since=@" + strconv.FormatInt(r.since.Unix()-1, 10)
	if err := r.scan(ctx, append(matches(), since), func(e *record) (bool, error) {
		if r.place == "" && e.mark != a.marks[0] {
			return true, nil
		}
		return r.take(a, e)
	}); err != nil {
		return err
	}
	if r.place == "" {
		first := awaited{a.marks[:1], a.reached}
		if err := r.await(ctx, &first, "MESSAGE_ID="+markID, "MONITOR_MARK="+a.marks[0]); err != nil {
			return err
		}
		a.marks = a.marks[1:]
	}
	return r.await(ctx, a, matches()...)
}

// take takes in a record, behind which more is to come as long as marks are.
func (r *Reader) take(a *awaited, e *record) (more bool, err error) {
	r.place = e.place // what was read need not be read again
	if err := r.ledger.add(e); err != nil || e.mark == "" || e.mark != a.marks[0] {
		return true, err
	}
	if err := r.ledger.flushAll(); err != nil {
		return false, err
	}
	first := e.mark == r.mark
	if a.marks = a.marks[1:]; first {
		r.marked = e.place
		err = a.reached()
	}
	return len(a.marks) > 0, err
}

// await reads from the place until the marks have come, as often as it takes.
func (r *Reader) await(ctx context.Context, a *awaited, args ...string) error {
	waited, suspected := time.Duration(0), false
	for wait := firstWait; len(a.marks) > 0; wait *= 2 {
		if err := r.scan(ctx, args, func(e *record) (bool, error) { return r.take(a, e) }); err != nil || len(a.marks) == 0 {
			return err
		}
		if waited >= suspect && !suspected {
			suspected = true
			if why := hidden(ctx, a.marks[0]); why != "" {
				return r.without(a, why)
			}
		}
		if waited > lastWait {
			return ErrStalled
		}
		select {
		case <-time.After(wait):
			waited += wait
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// without ends the reading where no mark can come, for a reason. What is there was
// read, but nobody knows whether it is all.
func (r *Reader) without(a *awaited, why string) error {
	r.ledger.loss = why // which is also why the place was not found
	if err := r.ledger.flushAll(); err != nil {
		return err
	}
	first := a.marks[0] == r.mark
	a.marks = nil
	if r.marked = r.place; r.marked == "" {
		r.marked = Here()
	}
	if first {
		return a.reached()
	}
	return nil
}

// scan hands on the records behind the place, or all where there is none. The
// one at the place must come first, unless it is rotated away, and perhaps more.
func (r *Reader) scan(ctx context.Context, args []string, take func(*record) (bool, error)) error {
	from := r.place
	if from == "" {
		return journalctl(ctx, args, take)
	}
	first := true
	err := journalctl(ctx, append([]string{"--cursor=" + string(from)}, args...), func(e *record) (bool, error) {
		if first {
			first = false
			if e.place == from {
				return true, nil
			}
			if from.entry() {
				r.ledger.lose(rotated)
			}
		}
		return take(e)
	})
	// There is nothing behind a place that is gone if the clock was set back.
	if first && from.entry() {
		r.ledger.lose(rotated)
	}
	return err
}

// rotated is why the place is gone from which the journal was to be read.
const rotated = "it no longer reaches back so far"

// leaveMark writes an entry of our own into the journal and returns what names it.
// journald takes entries in the order in which they were sent to its socket, so
// once the mark can be read, all that PID 1 wrote before it can be read, too. It has
// the priority of most of that, and so is stored where that is (journald.conf(5),
// MaxLevelStore=).
func leaveMark() (string, error) {
	name := rand.Text()
	journal, err := net.Dial("unixgram", socket)
	if err != nil {
		return "", err
	}
	defer journal.Close()
	journal.SetDeadline(time.Now().Add(sendLimit))
	_, err = fmt.Fprintf(journal, "MESSAGE=reading the journal up to here\nPRIORITY=6\nSYSLOG_IDENTIFIER=service-monitor\nMESSAGE_ID=%s\nMONITOR_MARK=%s\n", markID, name)
	if err != nil {
		return "", fmt.Errorf("%w (%w)", ErrStalled, err)
	}
	return name, nil
}

// Boot is the id of this boot, 32 hexadecimal digits, or empty where a sandbox
// hides it and the service manager does not tell it.
func Boot() string {
	if id := os.Getenv(bootVariable); id != "" {
		return id
	}
	id, _ := os.ReadFile(bootID)
	return strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
}

// Clock is CLOCK_MONOTONIC in µs, as systemd and journald write it.
func Clock() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // every Linux has it
	return uint64(now.Nano() / 1000)
}
