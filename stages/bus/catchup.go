package bus

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/history"
)

// step takes in what happened, and does what follows from it. What an action brings
// about at once is taken in behind it.
func (s *Stage) step(ctx context.Context, p *port, in catchup.Input) error {
	next, actions := s.state.Step(in)
	s.state = next
	for _, action := range actions {
		if err := s.do(ctx, p, action); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) do(ctx context.Context, p *port, action catchup.Action) error {
	g := &s.gap
	switch action {
	case catchup.Begin:
		s.begin(ctx)
	case catchup.Abandon:
		g.reader = nil
	case catchup.LeaveMark:
		reader := g.reader
		go func() { s.report(ctx, catchup.Marked, catchup.MarkFailed, reader.Mark()) }()
	case catchup.TellKept:
		return s.tellKept(ctx, p)
	case catchup.Drop:
		g.drop()
	case catchup.DropKept:
		g.dropKept()
	case catchup.GoBlind:
		g.reader = nil
	case catchup.AskAll:
		s.queueAll()
		fallthrough
	case catchup.Ask:
		return s.ifLinked(p, func() error { return errors.Join(s.askSilence(), s.askSnapshots()) })
	case catchup.ReadJournal:
		s.read(ctx)
	case catchup.Ping:
		return s.ifLinked(p, s.ping)
	case catchup.HandOver:
		return s.handOver(ctx, p)
	case catchup.HandOpen:
		return s.handOpen(ctx, p)
	case catchup.TryLater:
		s.outage.retry.Reset(s.state.Delay())
	case catchup.Try:
		go func() { s.report(ctx, catchup.TrySucceeded, catchup.TryFailed, history.Try(ctx)) }()
	}
	return nil
}

// ifLinked does what needs the bus. Where it is lost, all is asked for when it is back.
func (s *Stage) ifLinked(p *port, do func() error) error {
	if s.link == nil {
		return nil
	}
	return s.failed(p, do())
}

// begin begins to account for a gap.
func (s *Stage) begin(ctx context.Context) {
	s.audit.stop()
	s.outage.retry.Stop()
	s.gap = gap{
		reader: history.NewReader(s.cursor, s.wanted, s.passing, s.tell(ctx)), from: s.cursor, here: history.Here(),
		restarts: make(map[string]uint32), spoken: make(map[string]bool),
	}
}

// startOver accounts for a gap while the connection stays, and asks for all units.
// Changes were dropped of some, or none where PID 1 has come back.
func (s *Stage) startOver(ctx context.Context, p *port, dropped map[string]int) error {
	watched := s.state.Watches()
	s.queueAll()
	if err := s.step(ctx, p, catchup.Missed); err != nil {
		return err
	}
	s.gap.continuous, s.gap.dropped = watched, dropped
	return nil
}

// queueAll has the snapshots of all units asked for, and no longer awaits those that
// were.
func (s *Stage) queueAll() {
	for serial, r := range s.requests {
		if r.unit != "" {
			delete(s.requests, serial)
		}
	}
	s.queue, s.asked = s.names(), 0
}

// advance goes on when every snapshot is there.
func (s *Stage) advance(ctx context.Context, p *port) error {
	switch {
	case !s.synced():
		return nil
	case s.gap.late && s.state.Settles():
		return s.step(ctx, p, catchup.Late) // systemd was reloaded meanwhile
	}
	return s.step(ctx, p, catchup.Synced)
}

// emit sends a signal on, or holds it back.
func (s *Stage) emit(ctx context.Context, p *port, signal Signal) error {
	if s.state.Watches() {
		return s.send(ctx, p, signal)
	}
	g := &s.gap
	g.late = g.late || s.state.Settles() && signal.Kind != Changed && (s.of(signal.Unit).known || s.appeared(signal.Unit))
	if g.hold(signal) {
		return nil
	}
	if !s.state.Reads() { // or the journal tells it anyway
		s.log.WithFields(logrus.Fields{"signals": len(g.held)}).Warn("fell behind; reading in the journal again")
	}
	return s.startOver(ctx, p, nil)
}

// learn takes in what is reported of the journal.
func (s *Stage) learn(ctx context.Context, p *port, r report) error {
	switch r.done {
	case catchup.Missed:
		return s.heard(ctx, p, r.past)
	case catchup.MarkFailed:
		if !s.met {
			r.done = catchup.TooEarly
		}
	case catchup.Read:
		s.gap.mark = s.gap.reader.Marked()
		if s.link == nil && s.state.Phase == catchup.Closing {
			// Nobody can say that all was announced. The next snapshots can.
			if err := s.step(ctx, p, catchup.Missed); err != nil {
				return err
			}
		}
	case catchup.TrySucceeded:
		if s.link != nil && s.state.Watches() {
			return s.compare(ctx, p, s.watch.Load().Names())
		}
		return nil // a gap is accounted for as soon as there is a bus
	}
	if r.err != nil && r.done != catchup.TooEarly {
		s.fails(r.err)
	}
	if err := s.step(ctx, p, r.done); err != nil {
		return err
	}
	return s.advance(ctx, p)
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
