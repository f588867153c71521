// Package count is the counter keeper: it counts the transitions of each unit.
package count

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
)

// A Tally is all that is counted of one unit, a state.
type Tally struct {
	Unit    string
	State   string    // active state, or "unloaded"
	Changed time.Time // when the state was entered, as far as it was observed
	// Of each invocation: starts, and stops or crashes. So always
	// Starts + Before = Stops + Crashes + (1 if it is running).
	Starts, Stops, Crashes uint64
	// Restarts are those that systemd scheduled.
	Restarts uint64
	// Before balances what was not counted: 1 if it was running when first seen.
	Before int64
	// Causes counts the crashes by result.
	Causes []CauseCount
	// LastCrash is zero when there was none.
	LastCrash Crash
	// Told is true once it was logged that systemd has no such unit.
	Told bool
	// AtLeast is true once something may have happened that was not seen and that
	// the journal could not tell: the counts are lower bounds.
	AtLeast bool
	Life    classify.Life
}

// A CauseCount is the number of crashes with one result.
type CauseCount struct {
	Result  string
	Crashes uint64
}

// A Crash is the end of a run that did not end well.
type Crash struct {
	Time       time.Time
	Cause      classify.Cause
	Invocation string
}

// An Event is a transition and the counters after it, a fact.
type Event struct {
	classify.Transition
	Tally Tally
}

// unloaded is the state of a unit that systemd does not have.
const unloaded = "unloaded"

// Stage is the counter keeper.
type Stage struct {
	units map[string]Tally
}

// New returns a keeper that continues from what an earlier process counted.
func New(known map[string]Tally) *Stage {
	units := maps.Clone(known)
	if units == nil {
		units = make(map[string]Tally)
	}
	return &Stage{units: units}
}

// Run counts transitions until they end.
func (s *Stage) Run(ctx context.Context, p *pipeline.Port[classify.Transition, Event]) error {
	for {
		select {
		case transition, ok := <-p.In:
			if !ok {
				return nil
			}
			if err := p.Send(ctx, s.count(transition)); err != nil {
				return err
			}
			p.Nudge()
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Status: s.status(time.Now())})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Stage) count(t classify.Transition) Event {
	tally := step(s.units[t.Unit], t)
	s.units[t.Unit] = tally
	if t.Kind == classify.Forgotten {
		delete(s.units, t.Unit)
	}
	return Event{t, tally}
}

// step counts one transition.
func step(tally Tally, t classify.Transition) Tally {
	tally.Unit, tally.Life, tally.AtLeast = t.Unit, t.Life, tally.AtLeast || t.AtLeast
	switch t.Kind {
	case classify.Seen:
		tally.enter(t)
		// An imported state file may hold counters that do not balance.
		tally.Before = int64(tally.Stops+tally.Crashes) - int64(tally.Starts)
		if t.Life.Running() {
			tally.Before++
		}
	case classify.Moved:
		tally.enter(t)
	case classify.Started:
		tally.Starts += 1 + t.Missed
		tally.Stops += t.Missed
	case classify.Stopped:
		tally.Stops++
	case classify.Crashed:
		tally.Crashes++
		tally.Causes = addCause(tally.Causes, t.Cause.Result)
		tally.LastCrash = Crash{t.Time, t.Cause, t.Invocation.String()}
	case classify.Restarted:
		tally.Restarts++
	}
	tally.Told = tally.State == unloaded
	return tally
}

// enter takes the new state in. A unit that is found in the state that an
// imported file tells of has not changed.
func (t *Tally) enter(into classify.Transition) {
	if into.To != t.State || t.Changed.IsZero() {
		t.State, t.Changed = into.To, into.Time
	}
}

// addCause returns causes with one more crash. It is a new slice, because
// tallies that share the old one are on their way.
func addCause(causes []CauseCount, result string) []CauseCount {
	causes = slices.Clone(causes)
	for i := range causes {
		if causes[i].Result == result {
			causes[i].Crashes++
			return causes
		}
	}
	return append(causes, CauseCount{result, 1})
}

// status says how the services are, for people.
func (s *Stage) status(now time.Time) string {
	if len(s.units) == 0 {
		return "" // the bus says why
	}
	active := 0
	var last Tally
	for _, tally := range s.units {
		if tally.State == "active" || tally.State == "reloading" {
			active++
		}
		if tally.LastCrash.Time.After(last.LastCrash.Time) {
			last = tally
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "watching %d services, %d active", len(s.units), active)
	if last.Crashes > 0 {
		fmt.Fprintf(&b, ", last crash %s %s", last.Unit, ago(now.Sub(last.LastCrash.Time)))
	}
	return b.String()
}

// ago says how long something is past, roughly: the status is sent again with
// each round in which it reads differently.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}
