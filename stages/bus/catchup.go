package bus

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
)

// phase is where the source is between a gap, a time in which nobody watched,
// and watching.
//
// A mark is left in the journal, then the snapshots are asked for, and then the
// journal is read, in one go: to start journalctl(1) takes longer than all else.
// Everything up to the mark is told as it is read, however much it is. What
// came into the journal behind it, until the snapshots were there, is put in order
// with them: little, so it can be compared run by run with the changes that were
// held back meanwhile.
type phase uint8

const (
	marking  phase = iota // in the journal, what is told as it is read
	asking                // for the snapshots
	reading               // in the journal, up to the mark
	closing               // reading on, up to behind the snapshots
	settling              // awaiting the changes of all that was read
	watching
)

// heldBytes bounds the changes that are held back until the journal is read.
// More come only where units change faster than that can be done.
const heldBytes = 4 << 20

// catchUp accounts for a gap: before the process, while the bus was lost, while
// signals did not fit.
type catchUp struct {
	phase  phase
	reader *history.Reader // nil where the journal cannot be read
	told   chan told
	over   bool // the gap has begun anew while the journal was read: snapshots are to be asked for behind that

	from       history.Place // where the reader began
	place      history.Place // the mark before the snapshots
	partial    bool          // an audit: only the units that have changed are asked for
	held       []Signal
	bytes      int
	window     map[string]*recent // what was read behind the mark
	restarts   map[string]uint32  // scheduled up to the mark
	late       bool               // a snapshot came that is younger than what was read
	spoken     map[string]bool    // units of which the journal told something
	continuous bool               // no change was missed that was announced,
	dropped    map[string]int     // but for those of these units
}

// told is what the goroutine that works with the journal hands on: a Past, that the
// mark is left, that it was reached, or that the end is.
type told struct {
	past history.Past
	what milestone
	err  error // with which it ends
}

type milestone uint8

const (
	underWay milestone = iota
	marked
	reached
	end
)

func newCatchUp() catchUp { return catchUp{told: make(chan told), phase: watching} }

// begin begins a gap, or begins it anew.
func (s *Stage) begin(ctx context.Context, p *port) error {
	c := &s.catchUp
	switch c.phase {
	case marking:
		c.forget() // the snapshots are not asked for yet
		return nil
	case reading:
		c.forget()
		c.over = true
		return nil
	case closing:
		c.over = true
		return nil
	case watching:
		c.reader, c.from = history.NewReader(s.cursor, s.wanted, s.tell(ctx)), s.cursor
		c.spoken, c.restarts = make(map[string]bool), make(map[string]uint32)
	}
	// All that is in the journal is true, wherever the snapshots stand.
	for unit, w := range c.window {
		if err := s.past(ctx, p, history.Past{Unit: unit, Runs: w.runs, Tell: len(w.runs), Restarts: w.restarts}); err != nil {
			return err
		}
	}
	c.forget()
	s.audit.stop()
	c.phase = asking
	if c.reader != nil {
		c.phase = marking
		s.mark(ctx)
	}
	return nil
}

// asks reports whether snapshots may be asked for.
func (c *catchUp) asks() bool { return c.phase == asking || c.phase >= settling }

// forget drops what was held back: newer snapshots will be asked for.
func (c *catchUp) forget() {
	c.held, c.bytes, c.window = nil, 0, make(map[string]*recent)
	c.late, c.continuous, c.dropped = false, false, nil
	c.partial = false
}

// startOver begins a gap while the connection stays, and asks for all units.
// Changes were dropped of some, or none where PID 1 has come back.
func (s *Stage) startOver(ctx context.Context, p *port, dropped map[string]int) error {
	watched := s.catchUp.phase == watching
	for serial, r := range s.requests {
		if r.member == "GetAll" || r.member == getProperty {
			delete(s.requests, serial)
		}
	}
	s.queue, s.asked = s.watch.Load().Names(), 0
	if err := s.begin(ctx, p); err != nil {
		return err
	}
	s.catchUp.continuous, s.catchUp.dropped = watched, dropped
	return nil
}

// wanted reports whether the journal is to be read for a unit.
func (s *Stage) wanted(name string) bool {
	_, ok := s.watch.Load().Named(name)
	return ok
}

// tell hands on what a reader has read.
func (s *Stage) tell(ctx context.Context) func(history.Past) error {
	return func(past history.Past) error { return s.post(ctx, told{past: past}) }
}

func (s *Stage) post(ctx context.Context, t told) error {
	select {
	case s.catchUp.told <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mark leaves a mark in the journal, in a goroutine of its own because journald
// may be busy.
func (s *Stage) mark(ctx context.Context) {
	reader := s.catchUp.reader
	go func() { _ = s.post(ctx, told{what: marked, err: reader.Mark()}) }()
}

// read reads the journal up to now, likewise because that may take long.
func (s *Stage) read(ctx context.Context) {
	reader := s.catchUp.reader
	go func() {
		err := reader.Read(ctx, func() error { return s.post(ctx, told{what: reached}) })
		_ = s.post(ctx, told{what: end, err: err})
	}()
}

// told takes what the journal tells.
func (s *Stage) told(ctx context.Context, p *port, t told) error {
	c := &s.catchUp
	if t.err != nil && !s.met {
		c.phase, c.reader = watching, nil // nothing is lost yet: it is tried again when there is a bus
		return nil
	}
	if t.err != nil {
		s.log.WithField("error", t.err).Warn("cannot tell what happened while nobody watched; counts are at least right")
		c.reader, s.cursor, c.place = nil, "", ""
	}
	switch {
	case t.what == underWay && c.phase == closing && t.past.Cut == "":
		unit := s.monitored(t.past.Unit)
		if _, ok := s.watch.Load().Known(unit); !ok && s.appeared(unit) {
			s.watch.Store(s.watch.Load().With(unit))
			s.await(unit)
		}
		c.collect(unit, t.past)
		return nil
	case t.what == underWay:
		return s.past(ctx, p, t.past)
	case t.what == reached:
		c.phase = closing
		return nil
	case t.what == marked:
		c.phase = asking
		if s.link == nil {
			return nil
		}
		if err := s.askSnapshots(); err != nil {
			return s.failed(p, err)
		}
		return s.advance(ctx, p)
	}
	if c.over || s.link == nil {
		c.over, c.phase = false, asking
		if err := s.begin(ctx, p); err != nil || s.link == nil {
			return err
		}
		return s.failed(p, s.askSnapshots()) // where the journal cannot be read
	}
	if c.reader != nil {
		c.place = c.reader.Marked()
	}
	return s.settle(ctx, p)
}

// advance goes on when every snapshot is there.
func (s *Stage) advance(ctx context.Context, p *port) error {
	c := &s.catchUp
	switch {
	case !s.synced():
	case c.phase == asking && c.reader != nil:
		c.phase = reading
		s.read(ctx)
	case c.phase == asking:
		return s.settle(ctx, p)
	case c.phase == settling && c.late: // systemd was reloaded meanwhile
		return s.startOver(ctx, p, nil)
	case c.phase == settling:
		return s.caughtUp(ctx, p)
	}
	return nil
}

// settle asks for a sign from PID 1: before it, it has sent the changes of all
// that it had written into the journal.
func (s *Stage) settle(ctx context.Context, p *port) error {
	s.catchUp.phase = settling
	return s.failed(p, s.ping())
}

// monitored is the unit that is monitored by the name that PID 1 writes.
func (s *Stage) monitored(name string) string {
	unit, _ := s.watch.Load().Named(name)
	return unit
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
		s.catchUp.restarts[units[0]] = past.Restarts
	}
	for _, unit := range units {
		if unit == "" || !s.of(unit).known && (past.Cut != "" || !s.appeared(unit)) {
			continue
		}
		if own := s.cursors[unit]; own != "" && past.Place != "" && past.Place.Boot() != own.Boot() && past.Place.Before(own) {
			continue // of a boot before the one that is known of the unit
		}
		if w := s.watch.Load(); past.Cut == "" {
			if _, ok := w.Known(unit); !ok { // a glob's, of which no change was handed on
				s.watch.Store(w.With(unit))
				s.await(unit)
			}
		}
		s.note(unit).known, s.catchUp.spoken[unit] = true, true
		signal := Signal{Kind: Past, Unit: unit, Time: past.At, Account: Account{
			Runs: past.Runs, Tell: past.Tell, Cut: past.Cut, From: s.catchUp.from, Restarts: past.Restarts,
		}}
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	return nil
}

// appeared reports whether a unit that is not known was not there before: a glob
// has named it since the last gap, and it would have been seen.
func (s *Stage) appeared(unit string) bool { return s.ever && watch.Match(s.globs, unit) }

// emit sends a signal on, or holds it back.
func (s *Stage) emit(ctx context.Context, p *port, signal Signal) error {
	c := &s.catchUp
	if c.phase == watching {
		return s.send(ctx, p, signal)
	}
	if signal.Kind == Changed { // snapshots are as many as there are units, and were asked for
		signal.Body = bytes.Clone(signal.Body) // where it lies, much else may
		c.bytes += len(signal.Body)
	}
	c.held = append(c.held, signal)
	c.late = c.late || c.phase == settling && signal.Kind != Changed && (s.of(signal.Unit).known || s.appeared(signal.Unit))
	if c.bytes <= heldBytes {
		return nil
	}
	if c.phase != reading { // or the journal tells it anyway
		s.log.WithFields(logrus.Fields{"signals": len(c.held)}).Warn("fell behind; reading in the journal again")
	}
	return s.startOver(ctx, p, nil)
}

// caughtUp hands on what was held back: of each unit what the journal has told
// behind the mark, the snapshot, and the changes after it. The changes before
// it are in the journal or, where that has nothing of the unit, are all there is.
func (s *Stage) caughtUp(ctx context.Context, p *port) error {
	c := &s.catchUp
	held := c.held
	last := make(map[string]int)
	for i, signal := range held {
		if signal.Kind == Snapshot || signal.Kind == Missing {
			last[signal.Unit] = i
		}
	}
	w, told := s.watch.Load(), c.reader != nil && (c.from != "" || c.partial) && !c.reader.Lossy()
	var out []Signal
	for i, signal := range held {
		unit := signal.Unit
		at, ok := last[unit]
		_, monitored := w.Known(unit)
		all := c.continuous && c.dropped[unit] == 0 && s.of(unit).known && !c.spoken[unit] // that happened
		switch {
		case !monitored || !ok || i < at && (signal.Kind != Changed || !all):
			continue
		case i == at:
			c.relate(&signal, held[i+1:])
			signal.Cursor, signal.Told = c.place, all || told && !glimpse(signal).muted
			signal.New = !s.of(unit).known && s.appeared(unit)
		}
		out = append(out, signal)
	}
	if c.reader != nil {
		if c.reader.Lossy() {
			s.log.Warn("the journal lacks some of what happened while nobody watched; counts are at least right")
		}
		s.cursor = c.place
	}
	if c.partial && told {
		for _, unit := range w.Names() {
			if _, asked := last[unit]; !asked && s.of(unit).known && !c.spoken[unit] {
				out = append(out, Signal{Kind: Unchanged, Unit: unit, Time: time.Now(), Account: Account{Cursor: c.place}})
			}
		}
	}
	s.watchOver(out, c.partial)
	c.forget()
	c.phase, c.reader = watching, nil
	s.ever, s.retries = true, 0
	s.globs = slices.Clone(w.Globs)
	s.cursors = nil // a map that is cleared keeps its room
	for _, signal := range out {
		s.note(signal.Unit).known = true
		if err := s.send(ctx, p, signal); err != nil {
			return err
		}
	}
	p.Nudge()
	return nil
}

// ping asks PID 1 for a sign of life.
func (s *Stage) ping() error {
	return s.ask(request{member: "Ping"}, link.Systemd, link.ManagerPath, "org.freedesktop.DBus.Peer")
}
