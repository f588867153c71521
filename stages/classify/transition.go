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
	Seen       Kind = iota // the unit is seen for the first time
	Moved                  // the active state or the sub state changed
	Started                // a new invocation
	Stopped                // an invocation ended well
	Crashed                // an invocation ended in any other way
	UnknownEnd             // an invocation ended, and nobody knows how
	Restarted              // systemd scheduled an automatic restart (Restart=)
	GaveUp                 // systemd does not restart it: the start limit refused, or the restart failed
	Forgotten              // the unit is no longer monitored
	CaughtUp               // everything that was missed is counted; the life has a new journal cursor
	Folded                 // the unit is gone; its counts are added to those of the glob that names it
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
	// Clock is CLOCK_MONOTONIC at that time, in µs. For a Recovered fact it is 0 if it is not known.
	Clock uint64
	// Boot is the boot of a Recovered fact, if it is known.
	Boot string
	// Watched is CLOCK_MONOTONIC in µs when the monitor ceased to watch, before it found out this fact. It
	// is 0 if it watched until then, or if it has watched nothing yet.
	Watched uint64
	// InGap is true for what happened in an open gap, so before what is known of the unit already.
	InGap bool
	// From and To are active states, or decode.NotLoaded. From is empty for Seen.
	From, To, SubState string
	Invocation         decode.Invocation
	Cause              Cause // how the run ended; for GaveUp, why (StartLimitHit and so on)
	// Glob is the glob that names a Folded unit.
	Glob string
	// AtLeast is true if properties prove the fact for a time in which nobody watched. More may have
	// happened in that time.
	AtLeast bool
	// Recovered is true if the fact was read from the journal later. Time is when it happened.
	Recovered bool
	// Missed is true for a Restarted if nothing is known of the run that it began, except that it is
	// over. It then also counts as a start and an unknown end.
	Missed bool
	// More is only for a Restarted: how many further restarts are the same fact, because nothing but their
	// number is known.
	More uint32
	// Rule and Source are the evidence: the rule by which this is a fact, and where it was seen.
	Rule   Rule
	Source Source
	// Life is what is known of the unit after the fact. It is shared, so it must not be changed.
	Life *Life
}

// Times is how often the fact has happened.
func (t *Transition) Times() uint64 { return 1 + uint64(t.More) }

// A Life is what is known of a unit: everything that the classifier needs to know of the past.
type Life struct {
	// Name is the unit's own name if the unit is monitored by another name.
	Name string `json:"name,omitempty"`
	// Pattern is true for a glob. Its counts are those of the units that it named and that are gone.
	Pattern     bool              `json:"pattern,omitzero"`
	ActiveState string            `json:"active_state"`
	SubState    string            `json:"sub_state"`
	Invocation  decode.Invocation `json:"invocation,omitzero"`
	NRestarts   uint32            `json:"n_restarts,omitzero"`
	// Entered is when the unit entered the state in which the invocation was announced, in µs since
	// boot.
	Entered uint64 `json:"entered,omitzero"`
	// StateEntered is when the unit entered the state that is known, in µs since boot.
	StateEntered uint64 `json:"state_entered,omitzero"`
	// Begun is about when the invocation was announced, in µs since boot. Earlier records of this
	// boot belong to earlier invocations.
	Begun uint64 `json:"begun,omitzero"`
	// Ran is true once the invocation was seen in a state that is not down. Ended is true once it
	// is over.
	Ran   bool `json:"ran,omitzero"`
	Ended bool `json:"ended,omitzero"`
	// StartOwed is true if the invocation is announced and its Started comes with the next change.
	StartOwed bool `json:"untold,omitzero"`
	// Retrying is true if systemd was going to restart the unit after this invocation. GivenUp is true
	// if systemd then did not.
	Retrying bool `json:"retrying,omitzero"`
	GivenUp  bool `json:"given_up,omitzero"`
	// Job is the job of that restart once it is scheduled.
	Job uint32 `json:"job,omitzero"`
	// Scheduled is the number of restarts after this invocation that are counted.
	Scheduled uint32 `json:"scheduled,omitzero"`
	// RestartsSinceCursor is the number of counted restarts that were scheduled after the cursor.
	RestartsSinceCursor uint32 `json:"since,omitzero"`
	// Relived is true if the journal showed runs since the cursor. A restart may have begun each of
	// them. Unexplained is how many of these restarts are in NRestarts but not counted.
	Relived     bool   `json:"relived,omitzero"`
	Unexplained uint32 `json:"unexplained,omitzero"`
	// Lossy is true if the journal, or the saved state, lacked something before the cursor, and no fact has
	// told so yet.
	Lossy bool `json:"lossy,omitzero"`
	// Cursor is where to begin reading the journal after the next gap. Everything that is known of the
	// unit is of the cursor's boot, except for Gaps.
	Cursor records.Place `json:"cursor,omitzero"`
	// Opened is when the gap began for which the journal cannot be read. Gaps are the times in which
	// something happened to the unit that is not counted yet, the oldest first. The fields above are
	// what was seen since the last of them.
	Opened time.Time `json:"gap_open_since,omitzero"`
	Gaps   *[]Gap    `json:"gaps,omitempty"`
	// Filled is true if, since the cursor, the journal showed something of an open gap.
	Filled bool `json:"filled,omitzero"`
}

// Known reports whether the unit was ever seen.
func (l *Life) Known() bool { return l != nil && l.ActiveState != "" }

// next returns the life of the unit with a new invocation.
func (l *Life) next(of decode.Invocation) Life {
	return Life{
		Name: l.Name, ActiveState: l.ActiveState, SubState: l.SubState, StateEntered: l.StateEntered, NRestarts: l.NRestarts,
		Cursor: l.Cursor, RestartsSinceCursor: l.RestartsSinceCursor, Opened: l.Opened, Gaps: l.Gaps, Filled: l.Filled, Lossy: l.Lossy, Invocation: of, StartOwed: true,
	}
}

// Running reports whether there is an invocation that is counted as started and has not ended.
func (l *Life) Running() bool { return l != nil && !l.Invocation.IsZero() && !l.Ended && !l.StartOwed }

// A Cause says how an invocation ended.
type Cause struct {
	// Result is systemd's (systemd.service(5), "SERVICE_RESULT"), or "unknown".
	Result string `json:"result"`
	// Code and Status are those of the main process: a CLD_ code of waitid(2), and an exit code or
	// signal number. Code is 0 if there was no main process.
	Code   int32 `json:"code"`
	Status int32 `json:"status"`
}

// The codes of waitid(2).
const (
	exited = 1
	killed = 2
	dumped = 3
)

// ExitCode returns the exit code of the main process, or "none".
func (c Cause) ExitCode() string {
	if c.Code != exited {
		return "none"
	}
	return strconv.Itoa(int(c.Status))
}

// Signal returns the signal that ended the main process, as "9 (SIGKILL)", or "none".
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

// Crash reports whether a run that ended in this way is a crash.
func (c Cause) Crash() bool {
	switch c.Result {
	case success, execCondition, Unknown, records.Shutdown, records.PowerLoss:
		return false
	}
	return true
}

// kind returns the kind of an end. An end that nobody saw is neither a stop nor a crash, so the
// counts of both are lower bounds.
func (c Cause) kind() Kind {
	switch {
	case c.Result == Unknown:
		return UnknownEnd
	case c.Crash():
		return Crashed
	}
	return Stopped
}

// These are results of systemd that are no crash, and our own result.
const (
	success       = "success"
	execCondition = "exec-condition"
	// Unknown is the result of a run whose end nobody saw.
	Unknown = records.Unknown
)
