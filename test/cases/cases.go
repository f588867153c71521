// Package cases is the table of what can happen to a service: units for a real
// systemd, what is done to them, and how often each has then been started,
// stopped and crashed.
//
// No two cases share a unit, so all of them may run in one machine at the same
// time, under one monitor. Nothing here subscribes to systemd's signals; a
// monitor that forgets to will see none.
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
	limit    = 20 * time.Second // far more than any case takes
	together = 12               // cases that run at the same time
)

// Case is one life of one or more units.
type Case struct {
	Name   string
	Units  map[string]string // unit files that are there from the start
	Files  map[string]string // other files: text by path
	Script []Step

	// Since is the first version of systemd that has what the case is about,
	// or 0 if all have it that Debian still ships.
	Since int

	// Reloads is set if the script calls daemon-reload. That makes systemd
	// forget how often a unit was started within its start limit interval,
	// so such a case must not run at the same time as one that counts on it.
	Reloads bool

	// Want is how each unit's life stands in the end. Its Last crash is what
	// the unit's properties say at that crash, ExecMainCode and
	// ExecMainStatus included, of which the journal may know less.
	Want map[string]gateway.Tally
}

// Step is either a line of sh(1), which must succeed, or a unit and how its
// life must stand before the next step.
type Step struct {
	Shell string
	Unit  string
	Until gateway.Tally
}

func sh(line string) Step { return Step{Shell: line} }

func until(unit string, t gateway.Tally) Step { return Step{Unit: unit, Until: t} }

// Known returns those of the cases that are for a version of systemd.
func Known(all []Case, version int) []Case {
	return slices.DeleteFunc(slices.Clone(all), func(c Case) bool { return version < c.Since })
}

// Install adds what the cases need to the options of a machine.
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

// Run plays the script in a machine in which the case is installed, and
// returns once the journal shows each unit's life as wanted. Whether anything
// happens to them after that is for the caller to check, with [Match], when
// all is over.
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

// RunAll runs cases, many at a time: most of what they do is wait. First come
// all those that disturb no other. An error names its case.
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

// Match tells whether what the journal tells of a unit is what is wanted. Of
// how the last crash's main process ended, the journal does not always tell.
func Match(want, truth gateway.Tally) bool {
	if truth.Last.Code == "" {
		want.Last.Code, want.Last.Status = "", 0
	}
	return MatchExactly(want, truth)
}

// MatchExactly tells whether a tally is the wanted one, the end of the main
// process included. Whether a core was dumped makes no difference, nor does
// Scheduled.
func MatchExactly(want, got gateway.Tally) bool {
	return counts(want) == counts(got) && plain(want.Last) == plain(got.Last)
}

// counts is a tally without the cause, and without Scheduled, for which no
// number is the right one when a reload comes in between.
func counts(t gateway.Tally) gateway.Tally {
	t.Last, t.Scheduled = gateway.Crash{}, 0
	return t
}

// plain takes a dumped core for none. Whether there is one depends on the
// host's kernel.core_pattern, and LimitCORE= does not always prevent it.
func plain(c gateway.Crash) gateway.Crash {
	if c.Result == "core-dump" {
		c.Result = "signal"
	}
	if c.Code == "dumped" {
		c.Code = "killed"
	}
	return c
}
