package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/bus/wire"
)

const (
	getProperty = "Get"
	// stateChange is when a unit's state was entered, in µs since boot.
	stateChange = "StateChangeTimestampMonotonic"
)

var errForgotten = errors.New("systemd no longer announces what happens")

// audit makes sure, now and then, that everything is known. The state of a unit
// that announced no change must be as old as when it was last looked at, or
// systemd has forgotten who subscribed. Where units did change, what they
// announced is compared with the journal; that also moves the place from where
// it would have to be read after a gap, so that this never is much.
type audit struct {
	every time.Duration
	timer *time.Timer
}

func newAudit(every time.Duration) audit {
	a := audit{every: every, timer: time.NewTimer(0)}
	a.timer.Stop()
	return a
}

// watchOver begins to audit the units of these signals, or more of them.
func (s *Stage) watchOver(signals []Signal, more bool) {
	if !more {
		for _, u := range s.units {
			u.quiet = false
		}
	}
	for _, signal := range signals {
		u := s.note(signal.Unit)
		switch signal.Kind {
		case Snapshot, Missing:
			u.quiet, u.entered = true, glimpse(signal).entered
		case Changed:
			u.quiet = false
		}
	}
	s.audit.again()
}

func (a *audit) again() {
	if a.every > 0 {
		a.timer.Reset(a.every)
	}
}

func (a *audit) stop() { a.timer.Stop() }

// check audits. It ends when what the units announced is compared with the
// journal, or at once where that can not be read or none has changed.
func (s *Stage) check(ctx context.Context, p *port) error {
	if s.link == nil || !s.state.Watches() {
		return nil // it begins when what was missed is caught up with
	}
	s.audit.again()
	if s.crowd.came > 0 {
		if err := s.askLoaded(true); err != nil {
			return s.failed(p, err)
		}
	}
	for _, unit := range slices.Sorted(maps.Keys(s.units)) {
		if !s.units[unit].quiet {
			continue
		}
		if err := s.look(request{member: getProperty, unit: unit}); err != nil {
			return s.failed(p, err)
		}
	}
	var changed []string
	for _, unit := range s.watch.Load().Names() {
		if !s.of(unit).quiet {
			changed = append(changed, unit)
		}
	}
	if len(changed) == 0 || s.state.Open() { // or that is tried anyway
		return nil
	}
	return s.compare(ctx, p, changed)
}

// compare accounts for a gap in which nothing was missed, of units.
func (s *Stage) compare(ctx context.Context, p *port, units []string) error {
	if err := s.step(ctx, p, catchup.Compare); err != nil {
		return err
	}
	s.gap.partial, s.gap.continuous = true, true
	for _, unit := range units {
		s.await(unit)
	}
	return nil
}

// look asks when a unit has entered its state.
func (s *Stage) look(r request) error {
	return s.ask(r, link.Systemd, watch.Escape(r.unit), link.Properties, "org.freedesktop.systemd1.Unit", stateChange)
}

// looked compares a unit that announced nothing with what it was.
func (s *Stage) looked(r request, it link.Item) error {
	was := s.of(r.unit)
	body := wire.NewReader(it.Body, it.Order)
	sig := string(body.Variant())
	now := body.Uint64()
	switch {
	case it.Err != nil || sig != "t" || !body.Done() || !was.quiet || now == was.entered:
		return nil
	case now == 0 || was.entered == 0:
		s.note(r.unit).entered = now // unloaded meanwhile, or loaded: neither is a change
		return nil
	case !r.again:
		// The change may be on its way. It comes before the next answer.
		r.again = true
		return s.look(r)
	}
	return fmt.Errorf("%w: %s has changed", errForgotten, r.unit)
}
