package bus

import (
	"context"
	"slices"

	"service-monitor/stages/bus/history"
)

// phase is where the source is between a gap and watching.
type phase uint8

const (
	asking   phase = iota // for snapshots, which say until when the gap lasted
	reading               // in the journal what happened in it
	watching              // what happens
)

// catchUp accounts for a time in which nobody watched: before the process, while
// the bus was lost, while signals did not fit. What PID 1 says from the first
// snapshot on is held back until the journal was read up to there. While it is
// read, what comes waits in the link's backlog, which is bounded.
type catchUp struct {
	phase phase
	held  []Signal
	read  chan outcome
	turn  int // of this gap; the outcome of an earlier one is of no use
}

type outcome struct {
	turn int
	runs history.Runs
	err  error
}

func newCatchUp() catchUp { return catchUp{read: make(chan outcome, 1)} }

// begin begins a gap, or begins it anew.
func (c *catchUp) begin() {
	c.phase = asking
	c.turn++
}

// emit sends a signal on, or holds it back.
func (s *Stage) emit(ctx context.Context, p *port, signal Signal) error {
	if s.catchUp.phase == watching {
		return p.Send(ctx, signal)
	}
	s.catchUp.held = append(s.catchUp.held, signal)
	return nil
}

// readJournal reads what happened in the gap, now that every snapshot is there.
func (s *Stage) readJournal(ctx context.Context) {
	if s.catchUp.phase != asking {
		return
	}
	s.catchUp.phase = reading
	turn, cursor, w := s.catchUp.turn, s.cursor, s.watch.Load()
	go func() {
		runs, err := history.Read(ctx, cursor, func(unit string) bool {
			_, ok := w.Named(unit)
			return ok
		})
		select {
		case s.catchUp.read <- outcome{turn, runs, err}:
		case <-ctx.Done():
		}
	}()
}

// caughtUp hands on what was held back, and with each unit's snapshot what
// happened to it in the gap.
func (s *Stage) caughtUp(ctx context.Context, p *port, o outcome) error {
	if s.link == nil || o.turn != s.catchUp.turn {
		return nil
	}
	held := s.catchUp.held
	if o.err != nil {
		s.log.WithField("error", o.err).Warn("across times when nobody watches, counts are lower bounds")
	} else {
		s.advance(o.runs.Cursor)
		held = s.explain(held, o.runs)
	}
	s.catchUp.held, s.catchUp.phase = nil, watching
	s.ever, s.retries = true, 0
	for _, signal := range held {
		if err := p.Send(ctx, signal); err != nil {
			return err
		}
	}
	p.Nudge()
	return nil
}

// advance moves the cursor for the next gap. It has to lie before the snapshots:
// what happened between them and the end of what was read is told by signals,
// and those are lost with the bus or with this process before they are counted.
// What is read again is not counted again.
func (s *Stage) advance(end string) {
	switch {
	case s.before != "":
		s.cursor = s.before
	case s.cursor == "": // the journal can be read only since now
		s.cursor = end
	}
}

// explain puts the runs of each unit to its snapshot, the last one if there are
// several. What was held back of the unit before is in the runs.
func (s *Stage) explain(held []Signal, runs history.Runs) []Signal {
	w := s.watch.Load()
	of := make(map[string][]history.Run)
	for name, runs := range runs.Units {
		if unit, ok := w.Named(name); ok {
			of[unit] = runs
		}
	}
	var explained []Signal
	done := make(map[string]bool)
	for _, signal := range slices.Backward(held) {
		switch {
		case done[signal.Unit]:
			continue
		case signal.Kind == Snapshot:
			done[signal.Unit] = true
			signal.Cursor, signal.Runs, signal.Cut = s.cursor, of[signal.Unit], runs.Cut
		}
		explained = append(explained, signal)
	}
	slices.Reverse(explained)
	return explained
}

// oldest returns the cursor of the earliest time. What lies between it and the
// others is read again; no run is counted twice.
func oldest(cursors []string) string {
	var first string
	for _, c := range cursors {
		if c != "" && (first == "" || history.CursorTime(c) < history.CursorTime(first)) {
			first = c
		}
	}
	return first
}
