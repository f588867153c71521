package classify

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/decode"
	"service-monitor/stages/journald/records"
)

// Kind says what a Transition is.
type Kind uint8

// The kinds of Transition. One change of a unit may be several of them.
const (
	Seen       Kind = iota // the unit is observed for the first time
	Moved                  // the active state or the sub state changed
	Started                // a new invocation
	Stopped                // an invocation ended well
	Crashed                // an invocation ended otherwise
	UnknownEnd             // an invocation ended, and nothing tells how
	Restarted              // systemd scheduled an automatic restart (Restart=)
	GaveUp                 // systemd will not restart it again: the start limit, or it could not
	Forgotten              // the unit is no longer monitored
	CaughtUp               // what was missed is told; the life has a new journal cursor
	Folded                 // the unit is over: its counters go to those of the glob that names it
	kinds
)

var kindNames = [kinds]string{
	"seen", "state", "start", "stop", "crash", "unknown-end", "restart", "gave-up", "forgotten", "caught-up", "folded",
}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// A Transition is one fact about one unit.
type Transition struct {
	Kind Kind
	Unit string
	Time time.Time
	// Clock is CLOCK_MONOTONIC then, in µs, where it is known of a time that the
	// journal has told; 0 where it is not.
	Clock uint64
	// From and To are active states, or decode.NotLoaded.
	// From is empty for Seen.
	From, To, SubState string
	Invocation         decode.Invocation
	Cause              Cause // of Stopped, Crashed and UnknownEnd; of GaveUp, why (StartLimitHit and so on)
	// Glob is, of Folded, the glob that names the unit.
	Glob string
	// AtLeast is true when the fact is what properties prove of a time in which
	// nobody watched; more may have happened.
	AtLeast bool
	// Recovered is true when it was read in the journal later; Time is then when
	// it happened.
	Recovered bool
	// Missed is, of Restarted, true if nothing else is known of the run that it began
	// than that it is over: a start and an unknown end.
	Missed bool
	// Rule and Source are the evidence: by which rule this is a fact, and where it was seen.
	Rule   Rule
	Source Source
	// Life is what is known of the unit after the fact. It is shared, and so it is
	// never changed.
	Life *Life
}

// A Life is what is known of a unit: all that the classifier needs of the past.
type Life struct {
	// Name is the unit's own name, where it is monitored by another.
	Name string `json:"name,omitempty"`
	// Pattern: it is no unit, but a glob. Its counters are those of the units that it
	// named and that are over.
	Pattern     bool              `json:"pattern,omitzero"`
	ActiveState string            `json:"active_state"`
	SubState    string            `json:"sub_state"`
	Invocation  decode.Invocation `json:"invocation,omitzero"`
	NRestarts   uint32            `json:"n_restarts,omitzero"`
	// Entered is when the state was entered (µs since boot) that was there when
	// the invocation was announced.
	Entered uint64 `json:"entered,omitzero"`
	// StateEntered is when the state was entered that is known (µs since boot).
	StateEntered uint64 `json:"state_entered,omitzero"`
	// Begun is about when the invocation was announced (µs since boot): what the
	// journal received earlier in this boot is of the ones before it.
	Begun uint64 `json:"begun,omitzero"`
	// Ran: the invocation was seen other than down. Ended: it is over.
	Ran   bool `json:"ran,omitzero"`
	Ended bool `json:"ended,omitzero"`
	// StartOwed: the invocation is announced, and Started is owed with the next change.
	StartOwed bool `json:"untold,omitzero"`
	// Retrying: systemd was to restart it after this invocation. GivenUp: and did not.
	Retrying bool `json:"retrying,omitzero"`
	GivenUp  bool `json:"given_up,omitzero"`
	// Job is the job of that restart, once it is scheduled.
	Job uint32 `json:"job,omitzero"`
	// Scheduled is how many restarts after this invocation were told of.
	Scheduled uint32 `json:"scheduled,omitzero"`
	// Since is how many restarts were told of that were scheduled behind the cursor.
	Since uint32 `json:"since,omitzero"`
	// Relived: the journal told of runs since the cursor. Unexplained is how many of
	// them a restart may have begun that is in NRestarts but was not told of.
	Relived     bool   `json:"relived,omitzero"`
	Unexplained uint32 `json:"unexplained,omitzero"`
	// Cursor is from where the journal is to be read after the next gap. All that
	// is known of the unit is of the cursor's boot, but for what is in Gaps.
	Cursor records.Place `json:"cursor,omitzero"`
	// Opened is since when the journal cannot be read for a gap. Gaps are the times,
	// the oldest first, in which something happened to the unit that nobody has told
	// yet. What is above is what was seen since the last of them.
	Opened time.Time `json:"gap_open_since,omitzero"`
	Gaps   *[]Gap    `json:"gaps,omitempty"`
	// Filled: the journal told of a gap that was open, since the cursor.
	Filled bool `json:"filled,omitzero"`
}

// Known reports whether the unit was ever observed.
func (l *Life) Known() bool { return l != nil && l.ActiveState != "" }

// next returns the life of the unit with another invocation.
func (l *Life) next(of decode.Invocation) Life {
	return Life{
		Name: l.Name, ActiveState: l.ActiveState, SubState: l.SubState, StateEntered: l.StateEntered, NRestarts: l.NRestarts,
		Cursor: l.Cursor, Since: l.Since, Opened: l.Opened, Gaps: l.Gaps, Filled: l.Filled, Invocation: of, StartOwed: true,
	}
}

// Running reports whether an invocation was told of that has not ended.
func (l *Life) Running() bool { return l != nil && !l.Invocation.IsZero() && !l.Ended && !l.StartOwed }

// A Cause says how an invocation ended.
type Cause struct {
	// Result is systemd's (systemd.service(5), "SERVICE_RESULT"), or "unknown".
	Result string `json:"result"`
	// Code and Status are those of the main process: a CLD_ code of waitid(2) and
	// an exit code or signal number. Code is 0 where there was no main process.
	Code   int32 `json:"code"`
	Status int32 `json:"status"`
}

// The codes of waitid(2).
const (
	exited = 1
	killed = 2
	dumped = 3
)

// ExitCode is the main process's exit code, or "none".
func (c Cause) ExitCode() string {
	if c.Code != exited {
		return "none"
	}
	return strconv.Itoa(int(c.Status))
}

// Signal is the signal that ended the main process, as "9 (SIGKILL)", or "none".
func (c Cause) Signal() string {
	if c.Code != killed && c.Code != dumped {
		return "none"
	}
	if name := unix.SignalName(unix.Signal(c.Status)); name != "" {
		return fmt.Sprintf("%d (%s)", c.Status, name)
	}
	if rt := c.Status - 34; rt >= 0 && rt <= 30 { // glibc's SIGRTMIN, as systemd counts
		return fmt.Sprintf("%d (SIGRTMIN+%d)", c.Status, rt)
	}
	return strconv.Itoa(int(c.Status))
}

// Crash reports whether a run that ended so is a crash.
func (c Cause) Crash() bool {
	switch c.Result {
	case success, execCondition, Unknown, records.Shutdown, records.PowerLoss:
		return false
	}
	return true
}

// kind is what the end of a run is. An end that nobody saw is neither a stop nor a
// crash, so that the numbers of both are lower bounds.
func (c Cause) kind() Kind {
	switch {
	case c.Result == Unknown:
		return UnknownEnd
	case c.Crash():
		return Crashed
	}
	return Stopped
}

// Results of systemd that are no crash, and our own.
const (
	success       = "success"
	execCondition = "exec-condition"
	// Unknown is the result of a run whose end nobody saw.
	Unknown = records.Unknown
)
