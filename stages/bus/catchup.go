package bus

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
)

// A report is what a goroutine that works with the journal has to say: a Past, or
// that something is done. An error says why it could not be.
type report struct {
	past history.Past
	done catchup.Input // Missed for a Past
	err  error
}

// outage is why the journal cannot be read, and since when.
type outage struct {
	since time.Time
	why   error
	retry *time.Timer // armed while the journal is left alone
}

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

// wanted reports whether the journal is to be read for a unit.
func (s *Stage) wanted(name string) bool {
	_, ok := s.watch.Load().Named(name)
	return ok
}

// tell hands on what a reader has read.
func (s *Stage) tell(ctx context.Context) func(history.Past) error {
	return func(past history.Past) error { return s.post(ctx, report{past: past}) }
}

func (s *Stage) post(ctx context.Context, r report) error {
	select {
	case s.reports <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Stage) report(ctx context.Context, done, failed catchup.Input, err error) {
	if err != nil {
		done = failed
	}
	_ = s.post(ctx, report{done: done, err: err})
}

// read reads the journal up to now, in a goroutine of its own because that may take
// long.
func (s *Stage) read(ctx context.Context) {
	reader := s.gap.reader
	go func() {
		err := reader.Read(ctx, func() error { return s.post(ctx, report{done: catchup.Reached}) })
		s.report(ctx, catchup.Read, catchup.ReadFailed, err)
	}()
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

// fails notes why the journal cannot be read, and says so once.
func (s *Stage) fails(why error) {
	if s.outage.why == nil {
		s.outage.since = time.Now()
		s.log.WithField("error", why).Warn("cannot tell what happened while nobody watched; trying again until the journal can be read")
	}
	s.outage.why = why
}

// advance goes on when every snapshot is there.
func (s *Stage) advance(ctx context.Context, p *port) error {
	switch {
	case !s.synced():
		return nil
	case s.gap.late && (s.state.Phase == catchup.Settling || s.state.Phase == catchup.BlindSettling):
		return s.step(ctx, p, catchup.Late) // systemd was reloaded meanwhile
	}
	return s.step(ctx, p, catchup.Synced)
}

// ping asks PID 1 for a sign of life. Before it, PID 1 has sent the changes of all
// that it had written into the journal.
func (s *Stage) ping() error {
	return s.ask(request{member: pingCall}, link.Systemd, link.ManagerPath, "org.freedesktop.DBus.Peer")
}

// monitored is the unit that is monitored by the name that PID 1 writes.
func (s *Stage) monitored(name string) string {
	unit, _ := s.watch.Load().Named(name)
	return unit
}

// heard takes in what the journal tells. What lies before the mark is handed on.
func (s *Stage) heard(ctx context.Context, p *port, past history.Past) error {
	if !s.state.Keeps() || past.Cut != "" {
		return s.past(ctx, p, past)
	}
	unit := s.monitored(past.Unit)
	if _, ok := s.watch.Load().Known(unit); !ok && s.appeared(unit) {
		s.watch.Store(s.watch.Load().With(unit))
		s.await(unit)
	}
	s.gap.keep(unit, past)
	return nil
}

// tellKept hands on what was kept of the journal.
func (s *Stage) tellKept(ctx context.Context, p *port) error {
	for unit, w := range s.gap.kept {
		if err := s.past(ctx, p, history.Past{Unit: unit, Runs: w.runs, Tell: len(w.runs), Restarts: w.restarts}); err != nil {
			return err
		}
	}
	return nil
}

// past sends on what the journal tells of units that are known, or that a glob
// names and that appeared in the gap. Others are counted from when they are seen.
func (s *Stage) past(ctx context.Context, p *port, past history.Past) error {
	units := []string{s.monitored(past.Unit)}
	if past.Cut != "" {
		units = s.watch.Load().Names()
	}
	if past.At.IsZero() {
		past.At = time.Now()
	}
	if past.Cut == "" {
		s.gap.restarts[units[0]] = past.Restarts
	}
	for _, unit := range units {
		if !s.concerns(unit, &past) {
			continue
		}
		signal := Signal{Kind: Past, Unit: unit, Time: past.At, Account: Account{
			Runs: past.Runs, Tell: past.Tell, Cut: past.Cut, Boot: cmp.Or(past.Place.Boot(), s.gap.here.Boot()), Lossy: past.Lossy, From: s.gap.from, Restarts: past.Restarts,
		}}
		if past.Over && !s.of(unit).known {
			delete(s.gap.restarts, unit)
			if err := s.pass(ctx, p, signal); err != nil {
				return err
			}
			continue
		}
		s.enlist(unit)
		s.note(unit).known, s.gap.spoken[unit] = true, true
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	return nil
}

// concerns reports whether a unit is to be told of a past. Of one that is not known, what
// began before the place up to which its glob is known is counted already.
func (s *Stage) concerns(unit string, past *history.Past) bool {
	known := s.of(unit).known
	if unit == "" || !known && (past.Cut != "" || !s.appeared(unit)) {
		return false
	}
	own := s.cursors[unit]
	if !known {
		own = s.globs[s.watch.Load().Pattern(unit)]
	}
	switch {
	case own == "" || past.Place == "":
		return true
	case past.Place.Boot() != own.Boot():
		return !past.Place.Before(own) // or it is of a boot before the one that is known of the unit
	case known:
		return true
	}
	_, counted := own.Made()
	first := slices.IndexFunc(past.Runs[:past.Tell], func(r history.Run) bool { return r.Clock >= counted })
	if first < 0 {
		return false
	}
	past.Runs, past.Tell = past.Runs[first:], past.Tell-first
	return true
}

// enlist watches a unit of which only the journal has told so far. If it is there, it is
// asked for.
func (s *Stage) enlist(unit string) {
	w := s.watch.Load()
	if _, ok := w.Known(unit); ok {
		return
	}
	if s.watch.Store(w.With(unit)); !s.passing(unit) {
		s.await(unit)
	}
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
	settling := s.state.Phase == catchup.Settling || s.state.Phase == catchup.BlindSettling
	g.late = g.late || settling && signal.Kind != Changed && (s.of(signal.Unit).known || s.appeared(signal.Unit))
	if g.hold(signal) {
		return nil
	}
	if !s.state.Reads() { // or the journal tells it anyway
		s.log.WithFields(logrus.Fields{"signals": len(g.held)}).Warn("fell behind; reading in the journal again")
	}
	return s.startOver(ctx, p, nil)
}

// handOver hands on what was held back, when the journal was read.
func (s *Stage) handOver(ctx context.Context, p *port) error {
	g := &s.gap
	loss := s.loss()
	if loss != "" && loss != s.said && g.from != "" {
		s.log.WithField("why", loss).Warn("the journal lacks some of what happened while nobody watched; counts are at least right")
	}
	s.said = loss
	if s.outage.why != nil {
		s.log.WithField("open_for", time.Since(s.outage.since).Round(time.Second)).Info("the journal was read; the gap is closed")
		s.outage.why = nil
	}
	s.cursor, s.lost = g.mark, false
	return s.finishGap(ctx, p, (g.from != "" || g.partial) && loss == "")
}

// loss is why the journal lacks something of this gap, empty if it has all.
func (s *Stage) loss() string {
	g := &s.gap
	lost := ""
	if s.lost {
		lost = "what was counted before is lost"
	}
	return cmp.Or(lost, g.reader.Loss(), s.silence.why(), g.lost())
}

// handOpen hands on what was held back. What happened before the snapshots nobody has
// told yet.
func (s *Stage) handOpen(ctx context.Context, p *port) error {
	if s.cursor == "" {
		s.cursor = s.gap.here
	}
	return s.finishGap(ctx, p, false)
}

// finishGap hands on, of each unit, what was kept of the journal, the snapshot, and the
// changes after it. The changes before it are in the journal or, where that has
// nothing of the unit, are all there is. told says whether the journal has told all.
func (s *Stage) finishGap(ctx context.Context, p *port, told bool) error {
	g, w := &s.gap, s.watch.Load()
	last := g.lastSnapshots()
	var out []Signal
	for i, signal := range g.held {
		unit := signal.Unit
		at, ok := last[unit]
		_, monitored := w.Known(unit)
		all := g.missedNothing(unit) && s.of(unit).known // that happened
		switch {
		case !monitored || !ok || i < at && (signal.Kind != Changed || !all):
			continue
		case i == at:
			g.relate(&signal, g.held[i+1:])
			signal.Muted = glimpse(signal).muted
			signal.Told = all || told && !signal.Muted
			signal.New = !s.of(unit).known && s.came(unit)
			s.place(&signal)
		}
		out = append(out, signal)
	}
	if g.partial && told {
		for _, unit := range w.Names() {
			if _, asked := last[unit]; !asked && s.of(unit).known && !g.spoken[unit] {
				out = append(out, Signal{Kind: Unchanged, Unit: unit, Time: time.Now(), Account: Account{Cursor: g.mark}})
			}
		}
	}
	gone := s.gone(last)
	for _, unit := range gone {
		signal := Signal{Kind: Missing, Unit: unit, Time: time.Now(), Account: Account{Clock: history.Clock(), Told: told}}
		g.relate(&signal, nil)
		s.place(&signal)
		out = append(out, signal)
	}
	if g.reader != nil || len(s.globs) == 0 {
		out = append(out, s.patterns(w, cmp.Or(g.mark, g.here))...)
	}
	s.watchOver(out, g.partial)
	s.gap = gap{}
	s.ever, s.retries = true, 0
	s.cursors = nil // a map that is cleared keeps its room
	for _, signal := range out {
		if signal.Kind != Pattern {
			s.note(signal.Unit).known = true
		}
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	p.Nudge()
	return s.fold(ctx, p, gone...)
}

// place puts to a snapshot from where to read the journal after the next gap. Where the
// journal could not be read, that is where it was to be read from now, and the
// snapshot says so.
func (s *Stage) place(snapshot *Signal) {
	g := &s.gap
	snapshot.Boot = g.here.Boot()
	if g.reader != nil {
		snapshot.Cursor = g.mark
		return
	}
	snapshot.Unread, snapshot.Cursor, snapshot.Opened = true, g.here, s.outage.since.Round(0).UTC()
}
