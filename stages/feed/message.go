// Package feed tells listeners on a unix socket how the units are. Each message is a line of JSON.
// A listener is first told all that is known. Then it is told each unit that changes, and each
// event that is in the chronicle.
package feed

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
)

// A Message is a line. One of its fields is set.
type Message struct {
	// Monitor is the first line. It comes again when its troubles change, and when it has caught up.
	Monitor *Monitor `json:"monitor,omitempty"`
	// Unit is a unit and its present state.
	Unit *Unit `json:"unit,omitempty"`
	// Gone is a unit that is no longer monitored.
	Gone string `json:"gone,omitempty"`
	// Complete comes once, when every unit was told.
	Complete bool `json:"complete,omitempty"`
	// Event is an event that is in the chronicle, as service-monitor history --json shows it.
	Event json.RawMessage `json:"event,omitempty"`
}

// A Monitor says what is known of the monitor itself.
type Monitor struct {
	Version string    `json:"version"`
	State   string    `json:"state_file"`
	Since   time.Time `json:"since"` // when it was started
	// Troubles say what is wrong with the monitor, such as "cannot save state since 12:00:07".
	Troubles []string `json:"troubles"`
	// CatchingUp is true from the start of the monitor until it has read in the journal what it missed.
	// If it was killed, it has told higher counts before than it tells until then.
	CatchingUp bool `json:"catching_up,omitempty"`
	// Counters are those of the moment at which the listener connected.
	Counters *Counters `json:"counters"`
}

// Counters are what the monitor has done itself, since it was started.
type Counters struct {
	Connected  bool   `json:"bus_connected"`
	Reconnects uint64 `json:"bus_reconnects"`
	Received   uint64 `json:"signals_received"`
	Refused    uint64 `json:"signals_refused"` // not from systemd, or not well-formed
	Recovered  uint64 `json:"events_recovered"`
	Gaps       uint64 `json:"gaps"` // how often the journal was read because something was missed
	// GapOpen is true if the journal could not be read, so that something is not counted yet.
	GapOpen      bool              `json:"gap_open"`
	SaveFailures uint64            `json:"save_failures"`
	LogFailures  uint64            `json:"log_write_failures"`
	Stalls       map[string]uint64 `json:"stage_stalls"`  // by stage: how often it did not answer in time
	Written      map[string]uint64 `json:"written_bytes"` // by file: state, log, history, blackbox
	ClockTrusted bool              `json:"clock_trusted"` // nothing proves that the wall clock is wrong
}

// A Unit is a unit with its state and its counts.
type Unit struct {
	Name   string    `json:"unit"`
	Active string    `json:"active_state"`
	Sub    string    `json:"sub_state,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Entered is when systemd entered this state and sub state, in µs of CLOCK_MONOTONIC of this boot. Untrusted is
	// true if the wall clock was not set yet at Since.
	Entered   uint64    `json:"since_monotonic_usec,omitempty"`
	Untrusted bool      `json:"since_untrusted,omitempty"`
	Starts    uint64    `json:"starts"`
	Stops     uint64    `json:"stops"`
	Crashes   uint64    `json:"crashes"`
	Unknown   uint64    `json:"unknown"`
	Restarts  uint64    `json:"restarts"`
	AtLeast   bool      `json:"at_least,omitempty"`
	Retrying  bool      `json:"retrying,omitempty"` // systemd is about to restart it
	GaveUp    bool      `json:"gave_up,omitempty"`
	Glob      bool      `json:"glob,omitempty"`         // it is no unit, but the sum of those of a glob that are gone
	Folded    uint64    `json:"folded_units,omitempty"` // only for a glob: how many of its units are gone
	GapOpen   time.Time `json:"gap_open_since,omitzero"`
	// Invocation is the last run. Ended is true if that run is over. Began is when it began, in µs
	// of CLOCK_MONOTONIC.
	Invocation string     `json:"invocation,omitempty"`
	Ended      bool       `json:"ended,omitempty"`
	Began      uint64     `json:"began_monotonic_usec,omitempty"`
	LastCrash  *LastCrash `json:"last_crash,omitempty"`
	// Causes counts the crashes by result.
	Causes map[string]uint64 `json:"crashes_by_result,omitempty"`
	// Seconds are how long it was in each phase, up to the beginning of the present one.
	Seconds count.Seconds `json:"seconds"`
	// Phase is the present phase: up, down, stopped or unobserved. It began at PhaseClock, in µs of
	// CLOCK_MONOTONIC in the boot PhaseBoot, and by the wall clock at PhaseSince. A glob has none.
	Phase      string    `json:"phase,omitempty"`
	PhaseClock uint64    `json:"phase_since_monotonic_usec,omitempty"`
	PhaseBoot  string    `json:"phase_boot_id,omitempty"`
	PhaseSince time.Time `json:"phase_since,omitzero"`
}

// A LastCrash is the last crash of a unit.
type LastCrash struct {
	Time       time.Time `json:"time"`
	Result     string    `json:"result"`
	Code       int32     `json:"code"` // of waitid(2): 1 if it exited, 2 or 3 if a signal ended it
	Status     int32     `json:"status"`
	Invocation string    `json:"invocation,omitempty"`
	Clock      uint64    `json:"monotonic_usec,omitempty"`
	Boot       string    `json:"boot_id,omitempty"`
	Untrusted  bool      `json:"untrusted,omitempty"`
}

// unitOf returns what is told of a tally.
func unitOf(t *count.Tally) *Unit {
	u := &Unit{
		Name: t.Unit, Active: t.State, Since: t.Changed, Untrusted: t.ChangedUntrusted, Starts: t.Starts, Stops: t.Stops, Crashes: t.Crashes,
		Unknown: t.Unknown, Restarts: t.Restarts, AtLeast: t.AtLeast, Folded: t.Folded,
	}
	if l := t.Life; l != nil {
		u.Sub, u.Retrying, u.GaveUp, u.GapOpen, u.Glob = l.SubState, l.Retrying, l.GivenUp, l.Opened, l.Pattern
		if boot := l.Cursor.Boot(); boot == "" || boot == records.Boot() {
			u.Entered = l.StateEntered
		}
		if !l.Invocation.IsZero() && !l.StartOwed {
			u.Invocation, u.Ended, u.Began = l.Invocation.String(), l.Ended, l.Begun
		}
	}
	if c := t.LastCrash; c != nil {
		u.LastCrash = &LastCrash{c.Time, c.Cause.Result, c.Cause.Code, c.Cause.Status, c.Invocation, c.Clock, c.Boot, c.Untrusted}
	}
	for _, c := range t.CrashCauses {
		if u.Causes == nil {
			u.Causes = map[string]uint64{}
		}
		u.Causes[c.Result] = c.Crashes
	}
	is := t.Times
	u.Seconds, u.Phase, u.PhaseClock, u.PhaseBoot, u.PhaseSince = is.Spent.Seconds(), is.Phase.String(), is.Clock, is.Boot, is.At
	return u
}

// Tally returns the tally of the unit, with all that the feed tells of it.
func (u *Unit) Tally() *count.Tally {
	t := &count.Tally{
		Unit: u.Name, State: u.Active, Changed: u.Since, ChangedUntrusted: u.Untrusted, Starts: u.Starts, Stops: u.Stops, Crashes: u.Crashes,
		Unknown: u.Unknown, Restarts: u.Restarts, AtLeast: u.AtLeast, Folded: u.Folded,
		Life: &classify.Life{Pattern: u.Glob, ActiveState: u.Active, SubState: u.Sub, Retrying: u.Retrying, GivenUp: u.GaveUp, Opened: u.GapOpen, Ended: u.Ended, Begun: u.Began, StateEntered: u.Entered},
	}
	_ = t.Life.Invocation.UnmarshalText([]byte(u.Invocation))
	if c := u.LastCrash; c != nil {
		t.LastCrash = &count.Crash{Time: c.Time, Clock: c.Clock, Boot: c.Boot, Untrusted: c.Untrusted, Cause: classify.Cause{Result: c.Result, Code: c.Code, Status: c.Status}, Invocation: c.Invocation}
	}
	for _, result := range slices.Sorted(maps.Keys(u.Causes)) {
		t.CrashCauses = append(t.CrashCauses, count.CauseCount{Result: result, Crashes: u.Causes[result]})
	}
	t.Times = count.Times{Spent: u.Seconds.Spent(), Phase: count.PhaseNamed(u.Phase), Clock: u.PhaseClock, Boot: u.PhaseBoot, At: u.PhaseSince}
	return t
}
