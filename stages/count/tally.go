package count

import (
	"slices"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

// A Tally is everything that is counted of one unit. A newer one replaces it.
type Tally struct {
	Unit    string
	State   string    // active state, or decode.NotLoaded
	Changed time.Time // when the state was entered, as far as it was observed
	// Each invocation starts once. Its end is a stop, a crash or, if nobody knows which, an unknown
	// end. So it always holds that
	// Starts + FirstSeenRunning = Stops + Crashes + Unknown + (1 if the unit is running).
	Starts, Stops, Crashes, Unknown uint64
	// Restarts are the restarts that systemd scheduled.
	Restarts uint64
	// FirstSeenRunning is 1 if the unit was running when it was first seen, and otherwise 0. If an
	// imported file had counts that do not balance, it is the number that makes them balance.
	FirstSeenRunning int64
	// CrashCauses counts the crashes by result.
	CrashCauses []CauseCount
	// LastCrash is nil if there was none. Life is nil until the unit is seen. Both are shared, so they
	// must not be changed.
	LastCrash *Crash
	Life      *classify.Life
	// Times are how long it was up, down and so on.
	Times Times
	// ChangedUntrusted is true if Changed is certainly wrong.
	ChangedUntrusted bool
	// LoggedUnloaded is true once it was logged that systemd has no such unit.
	LoggedUnloaded bool
	// Folded is only for a glob: how many of its units systemd has unloaded. Their counts are part of
	// these counts.
	Folded uint64
	// AtLeast is true once something may have happened that the monitor did not see and the journal
	// could not show. The counts are then lower bounds.
	AtLeast bool
	// Dropped is true only in a copy of the state file: the unit was then removed from the file itself.
	// Restored is true once the counts of all these copies are part of these counts.
	Dropped, Restored bool
}

// A CauseCount is the number of crashes with one result.
type CauseCount struct {
	Result  string
	Crashes uint64
}

// A Crash is a run that did not end well.
type Crash struct {
	Time       time.Time
	Cause      classify.Cause
	Invocation string
	// Untrusted is true if Time is certainly wrong.
	Untrusted bool
	// Clock is CLOCK_MONOTONIC at that time, in µs, and Boot is its boot. Both are zero if they are not
	// known.
	Clock uint64
	Boot  string
}

// An Event is a transition and the counts after it. None may be lost.
type Event struct {
	classify.Transition
	// Untrusted is true if Time is certainly wrong: the wall clock had not been
	// set yet.
	Untrusted bool
	// Tally is shared, so it must not be changed.
	Tally *Tally
}

// step counts the transition of an event. boot is the current boot.
func step(tally Tally, e Event, boot string) Tally {
	tally.Unit, tally.Life, tally.AtLeast = e.Unit, e.Life, tally.AtLeast || e.AtLeast
	switch e.Kind {
	case classify.Seen:
		tally.enter(e)
		// An imported state file may hold counters that do not balance.
		tally.FirstSeenRunning = int64(tally.ends()) - int64(tally.Starts)
		if e.Life.Running() {
			tally.FirstSeenRunning++
		}
	case classify.Moved:
		tally.enter(e)
	case classify.CaughtUp:
		if tally.State == "" { // a glob that was not known before
			tally.enter(e)
		}
	case classify.Started:
		tally.Starts++
	case classify.Stopped:
		tally.Stops++
	case classify.Crashed:
		tally.Crashes++
		tally.CrashCauses = addCause(tally.CrashCauses, e.Cause.Result, 1)
		tally.lastCrash(e, boot)
	case classify.UnknownEnd:
		tally.Unknown++
	case classify.Restarted:
		n := e.Times()
		tally.Restarts += n
		if e.Missed {
			tally.Starts += n
			tally.Unknown += n
		}
	}
	tally.LoggedUnloaded = tally.State == decode.NotLoaded
	return tally
}

// enter notes the new state. A unit has not changed if it is first seen in the state that an
// imported file has.
func (t *Tally) enter(into Event) {
	if into.To != t.State || t.Changed.IsZero() {
		t.State, t.Changed, t.ChangedUntrusted = into.To, into.Time, into.Untrusted
	}
}

// lastCrash notes a crash. A crash in an open gap may be older than the last one that is known. If no record
// tells when it was, it is older than what was watched since the gap began.
func (t *Tally) lastCrash(e Event, boot string) {
	crash := &Crash{Time: e.Time, Cause: e.Cause, Invocation: e.Invocation.String(), Untrusted: e.Untrusted, Clock: e.Clock}
	if e.Clock > 0 {
		crash.Boot = boot
	}
	switch {
	case e.Recovered && crash.before(t.LastCrash, boot):
	case e.InGap && !e.Recovered && t.LastCrash != nil && e.Life != nil && t.LastCrash.Time.After(e.Life.Opened):
	default:
		t.LastCrash = crash
	}
}

// ends returns how many runs have ended, in whatever way.
func (t *Tally) ends() uint64 { return t.Stops + t.Crashes + t.Unknown }

// add adds the counts of a unit that systemd has unloaded.
func (t *Tally) add(unit *Tally, boot string) {
	t.Folded++
	t.Starts, t.Stops, t.Crashes, t.Unknown = t.Starts+unit.Starts, t.Stops+unit.Stops, t.Crashes+unit.Crashes, t.Unknown+unit.Unknown
	t.Restarts, t.FirstSeenRunning, t.AtLeast = t.Restarts+unit.Restarts, t.FirstSeenRunning+unit.FirstSeenRunning, t.AtLeast || unit.AtLeast
	for _, c := range unit.CrashCauses {
		t.CrashCauses = addCause(t.CrashCauses, c.Result, c.Crashes)
	}
	if t.LastCrash.before(unit.LastCrash, boot) {
		t.LastCrash = unit.LastCrash
	}
}

// addCause returns causes with more crashes. It returns a new slice, because tallies on their way
// share the old one.
func addCause(causes []CauseCount, result string, crashes uint64) []CauseCount {
	causes = slices.Clone(causes)
	for i := range causes {
		if causes[i].Result == result {
			causes[i].Crashes += crashes
			return causes
		}
	}
	return append(causes, CauseCount{result, crashes})
}
