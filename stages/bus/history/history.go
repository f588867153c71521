// Package history reads from the journal what happened to units while nobody
// watched: PID 1 records there each start and each end of an invocation.
package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Messages of PID 1 (systemd.journal-fields(7), sd-messages.h). With
// INVOCATION_ID, each is about one run of UNIT.
const (
	started       = "39f53479d3a045ac8e11786248231fbf"
	starting      = "7d4958e842da4a758f6c1cdc7b36dcc5"
	startFailed   = "be02cf6855d2428ba40df7e9d022f03d"
	failed        = "d9b373ed55a64feb8242e02dbe79a49c"
	succeeded     = "7ad2d189f7e94e70a38c781354912448"
	skipped       = "0e4284a0caca4bfc81c0bb6786972673" // by ExecCondition=
	processExited = "98e322203f7a4ed290d09fe03c09fe15"
	restartSet    = "5eb03494b6584870a536b337290809b3"
	// Of journald: whether a boot ended in good order.
	journalStarted = "f77379a8490b408bbe5f6940505a777b"
	journalStopped = "d93fb3c9c24d451a97cea615ce59c00b"
)

// How an invocation ended that no record tells the end of, because its boot
// ended before it.
const (
	Shutdown  = "shutdown"
	PowerLoss = "power-loss"
)

// Invocation is systemd's InvocationID.
type Invocation = [16]byte

// A Run is one invocation of a unit, as the journal tells it.
type Run struct {
	Invocation Invocation
	Begun      time.Time // of its first record
	Ended      time.Time // zero while it is running
	Result     string    // of its end
	Code       int32     // of the main process: a CLD_ code of waitid(2), or 0
	Status     int32
	Scheduled  uint32 // restarts that systemd scheduled after it
	NRestarts  uint32 // what they had counted up to
}

// Runs are those of each unit since a cursor, in order.
type Runs struct {
	Units map[string][]Run
	// Cursor is behind the last record that was read.
	Cursor string
	// Cut is how the boot of the cursor ended, Shutdown or PowerLoss, empty while
	// it goes on. It ended the runs that began before it and have no record since.
	Cut string
}

// Read reads the journal behind a cursor, up to now. It fails where there is
// no journal, or none that may be read.
func Read(ctx context.Context, cursor string, wanted func(unit string) bool) (Runs, error) {
	if cursor == "" { // the journal could not be read before
		now, err := Now()
		if err != nil {
			return Runs{}, err
		}
		cursor = now
	}
	marked := mark()
	for wait := firstWait; ; wait *= 2 {
		l, err := read(ctx, cursor, marked, wanted)
		if err != nil {
			return Runs{}, err
		}
		if l.complete || wait > lastWait {
			return l.Runs, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Runs{}, ctx.Err()
		}
	}
}

// nowLimit is far more than it takes to find the end of a journal.
const nowLimit = 5 * time.Second

// journald may be a little behind: how long to wait until it has written a mark.
const (
	firstWait = 5 * time.Millisecond
	lastWait  = time.Second
)

// markID is the MESSAGE_ID of a mark.
const markID = "fbd34845a7fc4586bceb996e68af7052"

// mark writes an entry of our own into the journal and returns what names it.
// journald takes entries in the order in which they were sent to its socket, so
// once the mark can be read, all that PID 1 wrote before it can be read, too.
func mark() string {
	name := rand.Text()
	journal, err := net.Dial("unixgram", "/run/systemd/journal/socket")
	if err != nil {
		return name // and is never seen
	}
	defer journal.Close()
	journal.SetDeadline(time.Now().Add(lastWait))
	fmt.Fprintf(journal, "MESSAGE=reading what happened while nobody watched\nPRIORITY=7\nSYSLOG_IDENTIFIER=service-monitor\nMESSAGE_ID=%s\nMONITOR_MARK=%s\n", markID, name)
	return name
}

func read(ctx context.Context, cursor, marked string, wanted func(string) bool) (*ledger, error) {
	cmd := exec.CommandContext(ctx, "journalctl", arguments(cursor, marked)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	l, err := parse(out, wanted)
	if waitErr := cmd.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("%w: %s", waitErr, strings.TrimSpace(complaint.String()))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	if l.Cursor == "" {
		l.Cursor = cursor
	}
	l.closeBoots()
	l.Cut = l.cut(cursor)
	return l, nil
}

func arguments(cursor, marked string) []string {
	args := []string{
		"--quiet", "--output=json",
		"--output-fields=_BOOT_ID,MESSAGE_ID,UNIT,INVOCATION_ID,UNIT_RESULT,COMMAND,N_RESTARTS,EXIT_CODE,EXIT_STATUS,_SOURCE_REALTIME_TIMESTAMP",
		"--after-cursor=" + cursor,
		"_PID=1", // anybody may write UNIT= into the journal
	}
	for _, id := range []string{started, starting, startFailed, failed, succeeded, skipped, processExited, restartSet} {
		args = append(args, "MESSAGE_ID="+id)
	}
	args = append(args, "+", "_COMM=systemd-journal", "MESSAGE_ID="+journalStarted, "MESSAGE_ID="+journalStopped)
	return append(args, "+", "MESSAGE_ID="+markID, "MONITOR_MARK="+marked)
}

// Now returns a cursor behind the last record of the journal.
func Now() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), nowLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", "--quiet", "--lines=0", "--show-cursor").Output()
	if err != nil {
		return "", fmt.Errorf("cannot read the journal: %w (the user must be in the group systemd-journal)", err)
	}
	_, cursor, ok := strings.Cut(strings.TrimSpace(string(out)), "-- cursor: ")
	if !ok {
		return "", errors.New("cannot read the journal: it is empty, or may not be read")
	}
	return cursor, nil
}

// CursorTime is the wall-clock time in a cursor, in µs; 0 where there is none.
func CursorTime(cursor string) uint64 {
	for part := range strings.SplitSeq(cursor, ";") {
		if t, ok := strings.CutPrefix(part, "t="); ok {
			us, _ := strconv.ParseUint(t, 16, 64)
			return us
		}
	}
	return 0
}
