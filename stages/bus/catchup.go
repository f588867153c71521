package bus

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/journald/records"
)

// step gives the state machine an input, and carries out the actions that it returns.
func (s *Stage) step(ctx context.Context, p *port, in catchup.Input) error {
	if s.state.Watches() {
		s.leaves(in)
	}
	next, actions := s.state.Step(in)
	s.state = next
	for _, action := range actions {
		if err := s.do(ctx, p, action); err != nil {
			return err
		}
	}
	return nil
}

// leaves notes that the source may cease to watch.
func (s *Stage) leaves(in catchup.Input) {
	switch in {
	case catchup.Missed:
		s.counters.gaps.Add(1)
	case catchup.Compare:
	default:
		return
	}
	if s.left == 0 {
		s.left = records.Clock()
	}
}

// seenUntil returns until when the source has watched, CLOCK_MONOTONIC in µs; 0 if it has watched nothing
// yet.
func (s *Stage) seenUntil() uint64 {
	switch {
	case !s.ever:
		return 0
	case s.left == 0:
		return records.Clock()
	}
	return s.left
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
		if s.passed == nil {
			s.passed = make(map[uint64]bool)
		}
		for _, run := range g.passed {
			s.passed[run] = true
		}
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
		go func() { s.report(ctx, catchup.TrySucceeded, catchup.TryFailed, records.Try(ctx)) }()
	}
	return nil
}

// ifLinked does something that needs the bus. Without a bus it does nothing: the next connection
// asks for everything anyway.
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
		reader: records.NewReader(s.cursor, s.wanted, s.passing, s.tell(ctx)), from: s.cursor, here: records.Here(),
		restarts: make(map[string]uint32), spoken: make(map[string]bool),
	}
}

// startOver begins a gap while the connection stays, and asks for all units. dropped says of
// which units changes were dropped, and how many.
func (s *Stage) startOver(ctx context.Context, p *port, dropped map[string]int) error {
	watched := s.state.Watches()
	s.queueAll()
	if err := s.step(ctx, p, catchup.Missed); err != nil {
		return err
	}
	s.gap.continuous, s.gap.dropped = watched, dropped
	return nil
}

// queueAll queues the snapshots of all units. Replies to earlier requests are then ignored.
func (s *Stage) queueAll() {
	for serial, r := range s.requests {
		if r.unit != "" {
			delete(s.requests, serial)
		}
	}
	s.queue, s.asked = s.names(), 0
}

// advance goes on with the gap when every snapshot has come.
func (s *Stage) advance(ctx context.Context, p *port) error {
	switch {
	case !s.synced():
		return nil
	case s.gap.late && s.state.Settles():
		return s.step(ctx, p, catchup.Late) // a reload of systemd made us ask again
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

// learn works on a report of a goroutine that works with the journal.
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
			// Without a bus, nobody knows whether everything was announced. The next
			// snapshots will show it.
			if err := s.step(ctx, p, catchup.Missed); err != nil {
				return err
			}
		}
	case catchup.TrySucceeded:
		if s.link != nil && s.state.Watches() {
			return s.compare(ctx, p, s.watch.Load().Names())
		}
		return nil // the next connection begins a gap
	}
	if r.err != nil && r.done != catchup.TooEarly {
		s.fails(r.err)
	}
	if err := s.step(ctx, p, r.done); err != nil {
		return err
	}
	return s.advance(ctx, p)
}

// compare begins a gap in which nothing was missed, so that these units are compared with the
// journal.
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

// check begins an audit. It asks for the units that announced nothing, and compares those that
// changed with the journal.
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
		if !s.units[unit].unchanged {
			continue
		}
		if err := s.askEntered(request{member: getProperty, unit: unit}); err != nil {
			return s.failed(p, err)
		}
	}
	var changed []string
	for _, unit := range s.watch.Load().Names() {
		if !s.of(unit).unchanged {
			changed = append(changed, unit)
		}
	}
	if len(changed) == 0 || s.state.Open() { // or that is tried anyway
		return nil
	}
	return s.compare(ctx, p, changed)
}
