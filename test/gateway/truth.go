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

// These are the MESSAGE_ID of messages of systemd about a unit's life: see sd-messages.h and
// `journalctl --dump-catalog`.
const (
	unitStarting    = "7d4958e842da4a758f6c1cdc7b36dcc5"
	unitStarted     = "39f53479d3a045ac8e11786248231fbf"
	unitStartFailed = "be02cf6855d2428ba40df7e9d022f03d"
	unitSucceeded   = "7ad2d189f7e94e70a38c781354912448"
	unitSkipped     = "0e4284a0caca4bfc81c0bb6786972673" // because of its ExecCondition=
	unitFailed      = "d9b373ed55a64feb8242e02dbe79a49c"
	processExited   = "98e322203f7a4ed290d09fe03c09fe15"
	restartSet      = "5eb03494b6584870a536b337290809b3"
)

// These messages say why systemd gives a unit up. They have no MESSAGE_ID, so they are found by
// the function of systemd that logs them.
const (
	repeatedTooQuickly = "Start request repeated too quickly."
	notScheduled       = "Failed to schedule restart job: "
)

// lifeRecords returns the journalctl(1) command for these messages, only from PID 1 itself. Each
// record must also match more.
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

// A Tally has the counts of one unit's life according to the journal. An invocation is one run
// of the unit. systemd's InvocationID identifies it.
type Tally struct {
	Starts   int // invocations
	Stops    int // invocations that ended with Result success or exec-condition, or that are in Cut
	Crashes  int // invocations that ended with any other Result
	Restarts int // invocations that systemd began by itself (Restart=)
	Refused  int // starts beyond the start limit: the unit fails once more, without a new invocation
	Failed   int // restarts that could not be scheduled, or whose job failed because a required unit failed
	Cut      int // invocations of an earlier boot without a record of their end
	Running  bool
	Last     Crash // the last of the crashes

	// Scheduled is how often NRestarts grew: once for each restart, once for each restart
	// that the start limit refused, and once more if a daemon-reload has set the timer of a
	// restart again.
	Scheduled int
}

// A Crash says how an invocation ended. Code and Status are those of its main process: exited
// and an exit status, or killed or dumped and a signal. They are empty if the journal does not
// have them: there was no main process, or the main process itself ended cleanly.
type Crash struct {
	Result string
	Code   string
	Status int
}

// Truth reads all of the machine's journal up to now. It returns the life of each service that
// has a record of an invocation, by unit name.
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

// Await follows the journal until the life of one unit is as the caller wants it. It needs no
// signals from systemd. `systemctl start --wait` calls Manager.Subscribe(), and then all other
// clients in the machine get signals, too.
//
// systemd logs the end of a run before it changes the state, but answers no request in between.
// So a caller sees the new state after Await.
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
	_ = cmd.Wait() // it was killed; otherwise err has the reason
	if err != nil {
		return fmt.Errorf("cannot await the life of %s: %w; so far %+v", unit, errors.Join(cause, err), seen)
	}
	return nil
}

// follow reads the records of one unit until done is true.
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

// truth reads all records.
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

// A record is a journal entry as `journalctl --output=json` prints it.
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

// A field is one field of a journal entry. journalctl(1) prints it as a string, or as an array of
// bytes if it is not valid UTF-8. If the entry has the field several times, it prints an array
// of these, and the first one is taken. If it is too long, it prints null.
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
	*f = several[0] // it is not empty: an empty array was decoded as bytes above
	return nil
}

// A ledger has the life of each service.
type ledger map[string]*life

// A life holds what the journal says about one unit.
type life struct {
	runs      []*run // in the order of their first record
	restarts  int
	refused   int
	failed    int
	reason    string // the last message of PID 1 that may be the reason for the next failure
	last      Crash
	scheduled int
	due       bool // a restart was scheduled, but has neither begun nor failed yet
}

// A run is one invocation.
type run struct {
	id      string
	boot    string
	code    string
	status  int
	ended   bool
	crashed bool
}

// add counts one record. It ignores a record without an invocation ID: a start that a condition
// has forbidden is logged like any other start, but without one.
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

// run returns the invocation of a record. It adds a new one if necessary.
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
		// Processes of ExecStartPre= and the like have the same message ID.
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

// giveUp counts a further failure of a unit by its reason. There is no reason if `systemctl
// clean` has failed.
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

// tally returns the counts of a life. boot is the current boot.
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
