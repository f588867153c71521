package records

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// markID is the MESSAGE_ID of a mark.
const markID = "fbd34845a7fc4586bceb996e68af7052"

const (
	socket = "/run/systemd/journal/socket"
	bootID = "/proc/sys/kernel/random/boot_id"
	// bootVariable is an environment variable with the boot id (%b in systemd.unit(5)), as the
	// journal has it. In a container, a process with a /proc of its own may see the boot id of
	// the machine below.
	bootVariable = "MONITOR_BOOT_ID"
	// journald may be a little behind. The wait for a mark begins with firstWait and doubles
	// each time. After lastWait we wait no longer.
	firstWait = 2 * time.Millisecond
	lastWait  = 2 * time.Second
	sendLimit = time.Second
	// suspect is how long we wait for the mark before we look for a reason.
	suspect = 250 * time.Millisecond
)

// ErrStalled is returned when journald does not write what it is sent.
var ErrStalled = errors.New("journald does not write: systemctl status systemd-journald")

// A Reader reads the journal from a place on, a part at a time.
type Reader struct {
	ledger ledger
	place  Place     // everything up to here was read
	mark   string    // the last mark that was left
	marked Place     // where that mark is
	since  time.Time // when it was left, or a little before
}

// NewReader returns a reader that begins at a place, or at the end of the journal if the place
// is empty. It reads the records of units that are wanted. passing reports whether a unit comes
// and goes, and has gone by now; it may be nil. The reader calls tell with all that it reads, in
// order. An error of tell ends the reading.
func NewReader(from Place, wanted, passing func(unit string) bool, tell func(Past) error) *Reader {
	return &Reader{
		ledger: ledger{wanted: wanted, passing: passing, tell: tell, boot: from.Boot(), from: from, units: make(map[string]*unit), restarts: make(map[string]uint32)},
		place:  from,
	}
}

// Mark leaves a mark in the journal. All that PID 1 has written by now stands before the mark.
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

// Marked returns the place of the mark up to which everything was read.
func (r *Reader) Marked() Place { return r.marked }

// Loss returns why the journal lacks something that happened since the place where the reader
// began. The reason is for people. It is empty if nothing is missing.
func (r *Reader) Loss() string { return r.ledger.loss }

// Endless returns the units that have a run and a next run in the journal, but no end of the
// first one. So records of PID 1 are missing.
func (r *Reader) Endless() map[string]bool { return r.ledger.endless }

// Try tries whether the journal can be read.
func Try(ctx context.Context) error {
	r := NewReader("", func(string) bool { return false }, nil, func(Past) error { return nil })
	if err := r.Mark(); err != nil {
		return err
	}
	return r.Read(ctx, func() error { return nil })
}

// Read reads up to now. When it has told all that stands before the last Mark, it calls reached.
// It fails if the journal may not be read, or if journald stalls. What it told until then is
// true all the same.
func (r *Reader) Read(ctx context.Context, reached func() error) error {
	r.ledger.ended = func(boot string) (string, time.Time, error) { return boots(ctx, boot) }
	if err := r.read(ctx, reached); err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	return nil
}

// noJournal reports whether an error means that the machine has no journal at all, so that there
// will never be anything to read.
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
	switch before := r.place.before(); {
	case before != "":
		if gone, err := goneAt(ctx, before); err != nil {
			return err
		} else if gone { // and with it what followed, perhaps
			r.ledger.lose(rotated)
		}
	case r.place.entry():
		if silent, err := silentAt(ctx, r.place); err != nil {
			return err
		} else if silent {
			r.ledger.lose(silenced)
		}
	}
	a := awaited{marks: []string{r.mark, end}, reached: reached}
	switch {
	case r.place.Boot() == now:
		return r.await(ctx, &a, matches(boot(now)...)...)
	case r.place == "":
		return r.awaitFirst(ctx, &a, boot(now)...)
	}
	// Records of earlier boots come first. A boot with a wrong clock may stand anywhere in the
	// journal, so the present boot is read by itself afterwards.
	begun := !r.place.begins()
	err = r.scan(ctx, matches(), func(e *record) (bool, error) {
		if e.boot == now {
			return true, nil
		}
		begun = begun || e.boot == r.place.Boot()
		return true, r.ledger.add(e)
	})
	if !begun { // each boot has records
		r.ledger.lose(rotated)
	}
	if err == nil && r.ledger.boot != now {
		err = r.ledger.enter(now)
	}
	if err != nil {
		return err
	}
	r.place = ""
	return r.await(ctx, &a, matches(boot(now)...)...)
}

// boot returns a match of a boot. A journal that is empty does not tell the boot.
func boot(id string) []string {
	if id == "" {
		return nil
	}
	return []string{"_BOOT_ID=" + id}
}

// awaited are the marks that have yet to come, in their order.
type awaited struct {
	marks   []string
	reached func() error // called at the first mark of two
}

// awaitFirst reads from the first mark on. It does not search the whole journal for that mark,
// because it came a moment ago. Only if the clock was set since, it has to.
func (r *Reader) awaitFirst(ctx context.Context, a *awaited, also ...string) error {
	since := "--since=@" + strconv.FormatInt(r.since.Unix()-1, 10)
	if err := r.scan(ctx, append(matches(also...), since), func(e *record) (bool, error) {
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
	return r.await(ctx, a, matches(also...)...)
}

// take works on a record. It reports whether marks have yet to come.
func (r *Reader) take(a *awaited, e *record) (more bool, err error) {
	r.place = e.place // so that a further scan begins here
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

// await scans again and again, each time from the last place, until all marks have come.
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

// without ends the reading if no mark can come, for the reason why. What is in the journal was
// read, but nobody knows whether something is missing.
func (r *Reader) without(a *awaited, why string) error {
	r.ledger.loss = why // it is also the reason why the place was not found
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

// scan calls take with the records behind the place, or with all records if there is no place.
// The record at the place must come first. If it does not, the journal was rotated, and more
// records may be missing.
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
	// If the clock was set back, nothing may stand behind a place that is gone.
	if first && from.entry() {
		r.ledger.lose(rotated)
	}
	return err
}

// rotated is the reason if the place is gone at which reading should begin.
const rotated = "it no longer reaches back so far"

// leaveMark writes an entry of our own into the journal and returns its name. journald takes
// entries in the order in which they were sent to its socket. So once the mark can be read, all
// that PID 1 wrote before can be read, too. The mark has the priority of most records of PID 1,
// so that MaxLevelStore= (journald.conf(5)) treats both the same.
func leaveMark() (string, error) {
	// Nobody else can know the name beforehand. Package crypto/rand would add 60 kB to the program.
	random := make([]byte, 16)
	if _, err := unix.Getrandom(random, 0); err != nil {
		return "", os.NewSyscallError("getrandom", err)
	}
	name := hex.EncodeToString(random)
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

// Boot returns the id of this boot, 32 hexadecimal digits. It is empty if a sandbox hides the id
// and the service manager does not pass it.
func Boot() string {
	if id := os.Getenv(bootVariable); id != "" {
		return id
	}
	return bootOfKernel()
}

// bootOfKernel is the id of the boot by the kernel. A process cannot outlive its boot. So it is read once:
// the status of a thousand units asks for it a thousand times.
var bootOfKernel = sync.OnceValue(func() string {
	id, _ := os.ReadFile(bootID)
	return strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
})

// Clock returns CLOCK_MONOTONIC in µs, as systemd and journald write it.
func Clock() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // every Linux has it
	return uint64(now.Nano() / 1000)
}
