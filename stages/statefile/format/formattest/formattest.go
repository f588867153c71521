// Package formattest makes tallies and records for tests of the state file.
package formattest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// Running returns a running unit that this monitor has seen. Its counts balance.
func Running(unit string, starts uint64) *count.Tally {
	return &count.Tally{
		Unit: unit, State: "active", Changed: time.Date(2025, 7, 7, 10, 15, 23, 0, time.Local), Starts: starts, Stops: starts - 3, Crashes: 2, Restarts: 1,
		CrashCauses: []count.CauseCount{{Result: "signal", Crashes: 2}},
		LastCrash:   &count.Crash{Time: time.Date(2025, 7, 7, 10, 15, 22, 0, time.UTC), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: "01"},
		Life:        &classify.Life{ActiveState: "active", SubState: "running", Invocation: decode.Invocation{1}, Ran: true},
	}
}

// Python returns a unit as the Python monitor writes it into its file.
func Python(name, state, time, starts, stops, crashes, unloaded string) string {
	return fmt.Sprintf(`%q: {"last_state": %s, "last_change_time": %s, "starts": %s, "stops": %s, "crashes": %s, "logged_unloaded": %s}`,
		name, state, time, starts, stops, crashes, unloaded)
}

// Counts returns the counts of all units in a short form.
func Counts(units map[string]*count.Tally) string {
	var parts []string
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		u := units[unit]
		parts = append(parts, fmt.Sprintf("%s %s %d/%d/%d", strings.TrimSuffix(unit, ".service"), u.State, u.Starts, u.Stops, u.Crashes))
	}
	return strings.Join(parts, ", ")
}

// Full returns a tally in which every field is set.
func Full() *count.Tally {
	invocation := decode.Invocation{1, 2, 0xff}
	return &count.Tally{
		Unit: `a-b@c\x2dd.service`, State: "activating", Changed: time.Date(2025, 7, 7, 10, 15, 23, 0, time.Local), ChangedUntrusted: true,
		Starts: 1 << 53, Stops: 3, Crashes: 4, Restarts: 5, FirstSeenRunning: -7, LoggedUnloaded: false,
		CrashCauses: []count.CauseCount{{Result: "exit-code", Crashes: 1}, {Result: "signal", Crashes: 3}},
		LastCrash: &count.Crash{
			Time: time.Date(2025, 7, 7, 10, 15, 23, 123456789, time.UTC), Cause: classify.Cause{Result: "signal", Code: 2, Status: 9}, Invocation: invocation.String(),
			Untrusted: true, Clock: 1 << 50, Boot: "0123456789abcdef0123456789abcdef",
		},
		Times: count.Times{
			Spent: count.Spent{count.Up: 4*365*24*time.Hour + 123456*time.Microsecond, count.Down: time.Minute, count.Stopped: time.Hour, count.Unobserved: 3 * time.Microsecond},
			Phase: count.Down, At: time.Date(2025, 7, 7, 10, 15, 23, 123456789, time.UTC), Clock: 1 << 50, Boot: "0123456789abcdef0123456789abcdef",
		},
		Life: &classify.Life{
			ActiveState: "activating", SubState: "auto-restart", Invocation: invocation, NRestarts: 5, Entered: 1 << 60,
			Ran: true, Ended: true, StartOwed: true, Retrying: true, GivenUp: true,
		},
	}
}

// Many returns n units that have crashed.
func Many(n int) map[string]*count.Tally {
	units := make(map[string]*count.Tally)
	for i := range n {
		tally := Full()
		tally.Unit = fmt.Sprintf("bench-%d.service", i)
		units[tally.Unit] = tally
	}
	return units
}
