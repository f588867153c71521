package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/bus/wire"
)

const (
	getProperty = "Get"
	// stateChange is when a unit's state was entered, in µs since boot.
	stateChange = "StateChangeTimestampMonotonic"
)

// audit makes sure, now and then, that systemd announces what happens: the state
// of a unit that announced no change must be as old as when it was last looked
// at. Where units did change, it also moves the place from where the journal
// would have to be read, so that this never is much.
type audit struct {
	every  time.Duration
	timer  *time.Timer
	marked chan mark
	// quiet are the units that announced no change, and when each entered its
	// state, as far as it was looked at.
	quiet map[string]uint64
	place history.Place // the mark before the snapshots that are asked for
}

type mark struct {
	place history.Place
	err   error
}

var errForgotten = errors.New("systemd no longer announces what happens")

func newAudit(every time.Duration) audit {
	a := audit{every: every, timer: time.NewTimer(0), marked: make(chan mark, 1), quiet: make(map[string]uint64)}
	a.timer.Stop()
	return a
}

// begin begins to watch the units of these snapshots.
func (a *audit) begin(snapshots []Signal) {
	clear(a.quiet)
	for _, s := range snapshots {
		switch s.Kind {
		case Snapshot, Missing:
			a.quiet[s.Unit] = glimpse(s).entered
		case Changed:
			delete(a.quiet, s.Unit)
		}
	}
	a.again()
}

func (a *audit) again() {
	if a.every > 0 {
		a.timer.Reset(a.every)
	}
}

func (a *audit) stop() { a.timer.Stop() }

// changed notes that a unit has announced something.
func (a *audit) changed(unit string) { delete(a.quiet, unit) }

func (a *audit) forget(unit string) { delete(a.quiet, unit) }

// check begins an audit. Units that changed get a snapshot, behind a mark in the
// journal if that can be read; the others are looked at.
func (s *Stage) check(ctx context.Context) error {
	a := &s.audit
	if s.link == nil || s.catchUp.phase != watching {
		return nil // it begins when what was missed is caught up with
	}
	for _, unit := range slices.Sorted(maps.Keys(a.quiet)) {
		if err := s.look(request{member: getProperty, unit: unit}); err != nil {
			return err
		}
	}
	if s.cursor == "" || len(a.quiet) == len(s.units) {
		a.again()
		return nil
	}
	go func() {
		r := history.NewReader("", func(string) bool { return false }, func(history.Past) error { return nil })
		err := r.Read(ctx)
		a.marked <- mark{r.Place(), err} // there is at most one at a time
	}()
	return nil
}

// look asks when a unit has entered its state.
func (s *Stage) look(r request) error {
	return s.ask(r, link.Systemd, watch.Escape(r.unit), link.Properties, "org.freedesktop.systemd1.Unit", stateChange)
}

// looked compares a unit that announced nothing with what it was.
func (s *Stage) looked(r request, it link.Item) error {
	a := &s.audit
	was, quiet := a.quiet[r.unit]
	body := wire.NewReader(it.Body, it.Order)
	sig := string(body.Variant())
	now := body.Uint64()
	switch {
	case it.Err != nil || sig != "t" || !body.Done() || !quiet || now == was:
		return nil
	case now == 0 || was == 0:
		a.quiet[r.unit] = now // unloaded meanwhile, or loaded: neither is a change
		return nil
	case !r.again:
		// The change may be on its way. It comes before the next answer.
		r.again = true
		return s.look(r)
	}
	return fmt.Errorf("%w: %s has changed", errForgotten, r.unit)
}

// renew asks for the snapshots of the units that have changed, now that a mark
// is in the journal.
func (s *Stage) renew(m mark) error {
	s.audit.again()
	if m.err != nil || s.link == nil || s.catchUp.phase != watching {
		return nil // the old place is good, too
	}
	s.audit.place = m.place
	for unit := range s.units {
		if _, quiet := s.audit.quiet[unit]; quiet {
			continue
		}
		if err := s.ask(request{member: "GetAll", unit: unit, check: true}, link.Systemd, watch.Escape(unit), link.Properties, ""); err != nil {
			return err
		}
	}
	return nil
}

// checked hands on a snapshot. With the last of them, the place is one from
// where the journal can be read for every unit.
func (s *Stage) checked(ctx context.Context, p *port, r request, it link.Item) error {
	a := &s.audit
	if _, ok := s.watch.Load().Known(r.unit); ok && it.Err == nil && s.catchUp.phase == watching {
		signal := Signal{Kind: Checked, Unit: r.unit, Body: it.Body, Order: it.Order, Time: it.Time, Cursor: a.place}
		a.quiet[r.unit] = glimpse(signal).entered
		if err := p.Send(ctx, signal); err != nil {
			return err
		}
	}
	for _, r := range s.requests {
		if r.check {
			return nil
		}
	}
	if s.catchUp.phase != watching {
		return nil
	}
	s.cursor = a.place
	for _, unit := range slices.Sorted(maps.Keys(s.units)) {
		if !s.known[unit] {
			continue
		}
		if err := p.Send(ctx, Signal{Kind: Unchanged, Unit: unit, Time: it.Time, Cursor: a.place}); err != nil {
			return err
		}
	}
	return nil
}
