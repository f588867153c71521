package bus

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
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

// ping asks PID 1 for a sign of life. Before it, PID 1 has sent the changes of all
// that it had written into the journal.
func (s *Stage) ping() error {
	return s.ask(request{member: pingCall}, link.Systemd, link.ManagerPath, "org.freedesktop.DBus.Peer")
}

// appeared reports whether all that the journal has of a unit that is not known is to be
// counted: a glob has named it since the last gap, and it would have been seen; or
// what was known of it is lost.
func (s *Stage) appeared(unit string) bool { return s.lost || s.came(unit) }

// came reports whether a glob has named a unit since the last gap.
func (s *Stage) came(unit string) bool {
	for glob := range s.globs {
		if watch.Match([]string{glob}, unit) {
			return true
		}
	}
	return false
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
