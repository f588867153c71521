package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// What systemd logs of a unit's life, by MESSAGE_ID: see sd-messages.h and
// `journalctl --dump-catalog`.
const (
	unitStarting    = "7d4958e842da4a758f6c1cdc7b36dcc5"
	unitStarted     = "39f53479d3a045ac8e11786248231fbf"
	unitStartFailed = "be02cf6855d2428ba40df7e9d022f03d"
	unitSucceeded   = "7ad2d189f7e94e70a38c781354912448"
	unitSkipped     = "0e4284a0caca4bfc81c0bb6786972673" // by its ExecCondition=
	unitFailed      = "d9b373ed55a64feb8242e02dbe79a49c"
	processExited   = "98e322203f7a4ed290d09fe03c09fe15"
	restartSet      = "5eb03494b6584870a536b337290809b3"
)

// Why systemd gives a unit up. These have no MESSAGE_ID, so they are found by the
// function of systemd that logs them.
const (
	repeatedTooQuickly = "Start request repeated too quickly."
	notScheduled       = "Failed to schedule restart job: "
)

// lifeRecords asks the journal for these messages and no others, and only for
// those that PID 1 itself has sent. Each match is for records that match more, too.
func lifeRecords(more ...string) []string {
	argv := []string{
		"journalctl", "--quiet", "--all", "--output=json",
		"--output-fields=_BOOT_ID,MESSAGE_ID,UNIT,INVOCATION_ID,UNIT_RESULT,MESSAGE,EXIT_CODE,EXIT_STATUS",
		"MESSAGE_ID=" + unitStarting, "MESSAGE_ID=" + unitStarted, "MESSAGE_ID=" + unitStartFailed,
		"MESSAGE_ID=" + unitSucceeded, "MESSAGE_ID=" + unitSkipped, "MESSAGE_ID=" + unitFailed,
		"MESSAGE_ID=" + processExited, "MESSAGE_ID=" + restartSet, "_PID=1",
	}
	argv = append(argv, more...)
	argv = append(argv, "+", "CODE_FUNC=unit_test_start_limit", "CODE_FUNC=service_enter_restart", "_PID=1")
	return append(argv, more...)
}

// Tally is the life of one unit, as the journal tells it. An invocation is one
// run of the unit, named by systemd's InvocationID.
type Tally struct {
	Starts   int // invocations
	Stops    int // invocations that ended with Result success or exec-condition, or that were cut
	Crashes  int // invocations that ended with any other Result
	Restarts int // invocations that systemd began by itself (Restart=)
	Refused  int // starts beyond the start limit: the unit fails once more, in no new invocation
	Failed   int // restarts that could not be scheduled, or whose job failed with what the unit needs
	Cut      int // invocations of an earlier boot of which no end is recorded
	Running  bool
	Last     Crash // the last of the crashes

	// Scheduled is how often NRestarts grew. That is once for each restart
	// and once for each that the start limit refused; and once more for one
	// that was due when a daemon-reload set its timer again.
	Scheduled int
}

// Crash is how an invocation ended. Code and Status tell the end of its main
// process: exited and an exit status, or killed or dumped and a signal. They
// are empty if the journal does not tell, because there was no main process
// or because its end by itself was a clean one.
type Crash struct {
	Result string
	Code   string
	Status int
}

// Truth reads all of the machine's journal up to now and returns the life of
// each service in it, by unit name. A unit that left no record of an
// invocation has none.
func (m *Machine) Truth(ctx context.Context) (map[string]Tally, error) {
	if _, err := m.Run(ctx, "journalctl", "--sync"); err != nil {
		return nil, err
	}
	text, err := m.Run(ctx, lifeRecords()...)
	if err != nil {
		return nil, err
	}
	return truth(strings.NewReader(text))
}

// Await follows the journal until the life of one unit is as the caller wants
// it. It needs no signal from systemd, unlike `systemctl start --wait`, whose
// Manager.Subscribe() would serve every other client of the machine as well.
//
// systemd logs an end before it has changed the state, but answers no request
// in between; so what follows Await sees the new state.
func (m *Machine) Await(ctx context.Context, unit string, done func(Tally) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := m.Command(ctx, append(lifeRecords("UNIT="+unit), "--follow", "--no-tail")...)
	records, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	seen, err := follow(records, unit, done)
	cause := ctx.Err()
	cancel()
	_ = cmd.Wait() // it was killed, or else err tells more
	if err != nil {
		return fmt.Errorf("cannot await the life of %s: %w; so far %+v", unit, errors.Join(cause, err), seen)
	}
	return nil
}

// follow reads records of one unit until its life is as wanted.
func follow(r io.Reader, unit string, done func(Tally) bool) (Tally, error) {
	var seen Tally
	lives := ledger{}
	records := json.NewDecoder(r)
	for !done(seen) {
		var next record
		if err := records.Decode(&next); err != nil {
			return seen, fmt.Errorf("cannot follow the journal: %w", err)
		}
		lives.add(next)
		seen = lives[unit].tally(string(next.Boot))
	}
	return seen, nil
}

// truth reads records to their end.
func truth(r io.Reader) (map[string]Tally, error) {
	lives, boot := ledger{}, ""
	records := json.NewDecoder(r)
	for {
		var next record
		if err := records.Decode(&next); errors.Is(err, io.EOF) {
			return lives.tallies(boot), nil
		} else if err != nil {
			return nil, fmt.Errorf("cannot read the journal: %w", err)
		}
		lives.add(next)
		boot = string(next.Boot)
	}
}

// record is a journal entry as `journalctl --output=json` prints it.
type record struct {
	Boot       field `json:"_BOOT_ID"`
	ID         field `json:"MESSAGE_ID"`
	Unit       field `json:"UNIT"`
	Invocation field `json:"INVOCATION_ID"`
	Result     field `json:"UNIT_RESULT"`
	Message    field `json:"MESSAGE"`
	ExitCode   field `json:"EXIT_CODE"`
	ExitStatus field `json:"EXIT_STATUS"`
}

// field is one field of a journal entry. journalctl(1) prints it as a string;
// as an array of bytes if it is not valid UTF-8; as an array of these if the
// entry has it several times, of which the first is taken; or as null if it is
// too long.
type field string

// UnmarshalJSON implements [json.Unmarshaler].
func (f *field) UnmarshalJSON(text []byte) error {
	var one string // null leaves it empty
	if json.Unmarshal(text, &one) == nil {
		*f = field(one)
		return nil
	}
	var raw []byte
	if json.Unmarshal(text, &raw) == nil {
		*f = field(raw)
		return nil
	}
	var several []field
	if err := json.Unmarshal(text, &several); err != nil {
		return err
	}
	*f = several[0] // an empty array has passed for bytes
	return nil
}

// ledger has the life of each service.
type ledger map[string]*life

// life is what is known of one unit.
type life struct {
	runs      []*run // in the order of their first record
	restarts  int
	refused   int
	failed    int
	reason    string // of the next of these: what PID 1 has just said
	last      Crash
	scheduled int
	due       bool // a restart was scheduled, and nothing has come of it yet
}

// run is one invocation.
type run struct {
	id      string
	boot    string
	code    string
	status  int
	ended   bool
	crashed bool
}

// add takes one record into account, unless it is of no invocation: a start
// that a condition forbade is logged as any other, but with no invocation id.
func (l ledger) add(r record) {
	if !strings.HasSuffix(string(r.Unit), ".service") || r.Invocation == "" {
		return
	}
	u := l[string(r.Unit)]
	if u == nil {
		u = &life{}
		l[string(r.Unit)] = u
	}
	u.add(u.run(r), r)
}

// run finds the invocation of a record, or begins it.
func (u *life) run(r record) *run {
	for _, known := range slices.Backward(u.runs) {
		if known.id == string(r.Invocation) {
			return known
		}
	}
	fresh := &run{id: string(r.Invocation), boot: string(r.Boot)}
	u.runs = append(u.runs, fresh)
	if u.due {
		u.restarts++
		u.due = false
	}
	return fresh
}

func (u *life) add(n *run, r record) {
	if r.ID == "" {
		u.reason = string(r.Message)
		return
	}
	switch r.ID {
	case restartSet:
		u.scheduled++
		u.due = true
	case processExited:
		// The same message tells of ExecStartPre= and the like.
		if strings.Contains(string(r.Message), "Main process exited") {
			n.code = string(r.ExitCode)
			n.status, _ = strconv.Atoi(string(r.ExitStatus))
		}
	case unitStartFailed:
		if u.due {
			u.failed++
			u.due = false
		}
	case unitSucceeded, unitSkipped:
		n.ended = true
	case unitFailed:
		if n.ended {
			u.giveUp()
			return
		}
		n.ended, n.crashed = true, true
		u.last = Crash{Result: string(r.Result), Code: n.code, Status: n.status}
	}
}

// giveUp counts why the unit has failed once more. A clean that fails says nothing
// before.
func (u *life) giveUp() {
	switch {
	case strings.Contains(u.reason, repeatedTooQuickly):
		u.refused++
		u.due = false
	case strings.Contains(u.reason, notScheduled):
		u.failed++
		u.due = false
	}
	u.reason = ""
}

func (l ledger) tallies(boot string) map[string]Tally {
	all := make(map[string]Tally, len(l))
	for unit, u := range l {
		all[unit] = u.tally(boot)
	}
	return all
}

// tally adds up a life, given the boot that is the present one.
func (u *life) tally(boot string) Tally {
	if u == nil {
		return Tally{}
	}
	t := Tally{Starts: len(u.runs), Restarts: u.restarts, Refused: u.refused, Failed: u.failed, Last: u.last, Scheduled: u.scheduled}
	for _, n := range u.runs {
		switch {
		case n.crashed:
			t.Crashes++
		case n.ended:
			t.Stops++
		case n.boot != boot:
			t.Stops++
			t.Cut++
		default:
			t.Running = true
		}
	}
	return t
}
