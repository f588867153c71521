package count

import (
	"fmt"

	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

// MaxCount is the highest count that is possible: one per microsecond for three hundred years. The
// limit also keeps sums from overflowing.
const MaxCount = 1 << 53

// Check returns what cannot be true of a tally: one line for each fault, in the words of the state
// file, or nil. The counts must balance. Each known run began once, or was running already when the
// unit was first seen. Each has ended once (as a stop, as a crash, or nobody knows how), or is still
// running.
//
// An imported file has counts of another monitor, which may not balance. When the unit is first seen,
// Before is set so that they do. So Before may be any number. Before the unit is seen, nothing is
// known of its runs, and only the counts themselves are checked.
func (t Tally) Check() []string {
	var f faults
	f.counters(t)
	f.crashes(t)
	f.times(t)
	if t.Life.Known() {
		f.balance(t)
		f.life(t)
	}
	return f
}

type faults []string

// add adds a fault if there is one.
func (f *faults) add(fault bool, format string, args ...any) {
	if fault {
		*f = append(*f, fmt.Sprintf(format, args...))
	}
}

func (f *faults) counters(t Tally) {
	f.add(t.State == "", "last_state is missing")
	for _, c := range []struct {
		key   string
		count uint64
	}{{"starts", t.Starts}, {"stops", t.Stops}, {"crashes", t.Crashes}, {"unknown", t.Unknown}, {"restarts", t.Restarts}} {
		f.add(c.count > MaxCount, "%s %d is more than there can have been", c.key, c.count)
	}
}

// times checks how long the unit was in each phase.
func (f *faults) times(t Tally) {
	for _, p := range Phases {
		f.add(t.Times.Spent[p] < 0 || t.Times.Spent[p] > maxSpent, "seconds has %v for %s, which cannot be", t.Times.Spent[p], p)
	}
	f.add(!t.Times.Fit(t.Life), "seconds has the phase %s, which does not fit to life", t.Times.Phase)
}

// crashes checks what is known of crashes beside their number. Crashes that another monitor counted
// have no cause, so there may be more crashes than causes.
func (f *faults) crashes(t Tally) {
	var caused, last uint64
	for _, c := range t.CrashCauses {
		caused += min(c.Crashes, MaxCount) // so that the sum cannot wrap around
		if t.LastCrash != nil && c.Result == t.LastCrash.Cause.Result {
			last = c.Crashes
		}
		end := classify.Cause{Result: c.Result}
		f.add(!end.Crash(), "crash_causes has %q, which is no crash", c.Result)
	}
	f.add(caused > t.Crashes, "crash_causes add up to %d, more than crashes %d", caused, t.Crashes)
	f.add(t.LastCrash == nil && caused > 0, "last_crash is missing, but crash_causes add up to %d", caused)
	if c := t.LastCrash; c != nil {
		f.add(last == 0, "last_crash has the result %q, crash_causes has not", c.Cause.Result)
	}
}

// Balancing returns the FirstSeenRunning with which the counts balance. The life must be known.
func (t Tally) Balancing() int64 { return firstSeenRunning(&t, t.Life) }

func (f *faults) balance(t Tally) {
	running := int64(0)
	if t.Life.Running() {
		running = 1
	}
	pending, rest := t.Life.Pending(), ""
	if pending != 0 {
		rest = fmt.Sprintf(" %+d not counted yet in open gaps", -pending)
	}
	f.add(t.FirstSeenRunning != t.Balancing(),
		"starts %d + running_when_first_seen %d is not stops %d + crashes %d + unknown %d + %d running now by life%s",
		t.Starts, t.FirstSeenRunning, t.Stops, t.Crashes, t.Unknown, running, rest)
}

// life checks the unit's life against itself and against the tally.
func (f *faults) life(t Tally) {
	l := t.Life
	f.add(t.State != l.ActiveState, "last_state %q is not life's active_state %q", t.State, l.ActiveState)
	f.add(t.LoggedUnloaded != (t.State == decode.NotLoaded), "logged_unloaded is %t, but last_state is %q", t.LoggedUnloaded, t.State)
	f.add(l.Invocation.IsZero() && !l.Ended, "life has no invocation, but ended is not true")
	f.add(l.StartOwed && l.Ended, "life has both untold and ended")
	f.add(l.GivenUp && !l.Ended, "life has given_up, but ended is not true")
	f.add(uint64(l.Scheduled) > t.Restarts, "restarts %d is less than life's scheduled %d", t.Restarts, l.Scheduled)
}
