// Package cases is a table of what can happen to a service. Each case has units for a real
// systemd, a script, and how often each unit has started, stopped and crashed afterwards.
//
// No two cases share a unit, so all of them may run in one machine at the same time, under one
// monitor. Nothing here subscribes to systemd's signals, so a monitor that forgets to subscribe
// gets none.
package cases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"service-monitor/test/gateway"
)

const (
	limit    = 5 * time.Minute // only a case that hangs takes so long
	together = 12              // how many cases run at the same time
)

// A Case is one life of one or more units.
type Case struct {
	Name   string
	Units  map[string]string // unit files that exist from the start
	Files  map[string]string // other files: text by path
	Script []Step

	// Since is the first version of systemd for the case; 0 if the case is for all versions
	// that Debian still ships.
	Since int

	// Reloads is true if the script calls daemon-reload. systemd then forgets how often a
	// unit was started within its start limit interval. So the case must not run at the
	// same time as a case that needs the start limit.
	Reloads bool

	// Want has the counts of each unit at the end. Its Last crash is that of the unit's
	// properties, with ExecMainCode and ExecMainStatus. The journal may have less of it.
	Want map[string]gateway.Tally
}

// A Step is either a line of sh(1), which must succeed, or a unit and the counts that it must
// have before the next step.
type Step struct {
	Shell string
	Unit  string
	Until gateway.Tally
}

func sh(line string) Step { return Step{Shell: line} }

func until(unit string, t gateway.Tally) Step { return Step{Unit: unit, Until: t} }

// Known returns the cases for a version of systemd.
func Known(all []Case, version int) []Case {
	return slices.DeleteFunc(slices.Clone(all), func(c Case) bool { return version < c.Since })
}

// Install adds the files and units of the cases to the options of a machine.
func Install(o *gateway.Options, cases []Case) {
	if o.Units == nil {
		o.Units = map[string]string{}
	}
	if o.Files == nil {
		o.Files = map[string]string{}
	}
	o.Files[firstPath] = first
	for _, c := range cases {
		maps.Copy(o.Units, c.Units)
		maps.Copy(o.Files, c.Files)
	}
}

// Run runs the script in a machine in which the case is installed. It returns when the journal
// shows the wanted counts of each unit. The units might still change afterwards, so the caller
// should check them with [Match] at the end.
func (c Case) Run(ctx context.Context, m *gateway.Machine) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for i, step := range c.Script {
		if err := step.run(ctx, m); err != nil {
			return fmt.Errorf("case %q, step %d: %w", c.Name, i+1, err)
		}
	}
	for unit, want := range c.Want {
		if err := until(unit, want).run(ctx, m); err != nil {
			return fmt.Errorf("case %q, at the end: %w", c.Name, err)
		}
	}
	return nil
}

// RunAll runs many cases at a time, because most of the time they wait. It begins with the cases
// that do not disturb others. An error names its case.
func RunAll(ctx context.Context, m *gateway.Machine, all []Case) error {
	var calm, reloading []Case
	for _, c := range all {
		if c.Reloads {
			reloading = append(reloading, c)
		} else {
			calm = append(calm, c)
		}
	}
	return errors.Join(runTogether(ctx, m, calm), runTogether(ctx, m, reloading))
}

func runTogether(ctx context.Context, m *gateway.Machine, some []Case) error {
	var (
		group  sync.WaitGroup
		places = make(chan struct{}, together)
		errs   = make([]error, len(some))
	)
	for i, c := range some {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			errs[i] = c.Run(ctx, m)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (s Step) run(ctx context.Context, m *gateway.Machine) error {
	if s.Shell != "" {
		_, err := m.Run(ctx, "sh", "-ec", s.Shell)
		return err
	}
	err := m.Await(ctx, s.Unit, func(t gateway.Tally) bool { return counts(t) == counts(s.Until) })
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("want %+v: %w", s.Until, err)
	}
	return err
}

// Match reports whether a tally of the journal is the wanted one. The journal does not always say
// how the main process ended at the last crash, so that may be missing.
func Match(want, truth gateway.Tally) bool {
	if truth.Last.Code == "" {
		want.Last.Code, want.Last.Status = "", 0
	}
	return MatchExactly(want, truth)
}

// MatchExactly reports whether a tally is the wanted one, including the end of the main process.
// It ignores whether a core was dumped, and Scheduled.
func MatchExactly(want, got gateway.Tally) bool {
	return counts(want) == counts(got) && plain(want.Last) == plain(got.Last)
}

// counts returns a tally without the cause and without Scheduled. With a reload in between, no
// single value of Scheduled is right.
func counts(t gateway.Tally) gateway.Tally {
	t.Last, t.Scheduled = gateway.Crash{}, 0
	return t
}

// plain replaces "dumped" by "killed". Whether a core is dumped depends on the host's
// kernel.core_pattern, and LimitCORE= does not always prevent it.
func plain(c gateway.Crash) gateway.Crash {
	if c.Result == "core-dump" {
		c.Result = "signal"
	}
	if c.Code == "dumped" {
		c.Code = "killed"
	}
	return c
}
