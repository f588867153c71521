// Package decode is the property decoder. systemd sends the state of a unit in halves; the decoder
// makes complete states of them.
package decode

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus"
)

// Kind says how an Update came about.
type Kind uint8

// The kinds of Update.
const (
	Changed   Kind = iota // systemd announced it
	Snapshot              // the source asked for it; what happened since the update before is in Runs, or unknown
	Forgotten             // the unit is no longer monitored
	Past                  // what the journal has; the properties mean nothing
	Unloaded              // systemd has unloaded a unit that only a glob names
	Pattern               // the unit is a glob: all units that it names are known up to the cursor
	kinds
)

var kindNames = [kinds]string{"changed", "snapshot", "forgotten", "past", "unloaded", "pattern"}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// An Update is the complete state of one unit.
type Update struct {
	Kind Kind
	Unit string
	Time time.Time // when it was read from the bus
	Properties
	// Account is that of the signal. If an update that is no Snapshot has a Cursor, the journal has
	// nothing of the unit before it.
	bus.Account
}

// refusedEvery is the shortest time between two reports of malformed signals.
const refusedEvery = time.Minute

// Stage is the property decoder.
type Stage struct {
	log    logrus.FieldLogger
	walker walker
	units  map[string]*Properties // pointers, because a map keeps free room for values

	refused    int
	nextReport time.Time
	malformed  atomic.Uint64
}

// Refused returns how many signals were not well-formed. Any goroutine may call it.
func (s *Stage) Refused() uint64 { return s.malformed.Load() }

// New returns a decoder that knows no unit yet.
func New(log logrus.FieldLogger) *Stage {
	return &Stage{log: log, walker: walker{make(map[string]string)}, units: make(map[string]*Properties)}
}

// Run decodes signals until they end.
func (s *Stage) Run(ctx context.Context, p *pipeline.Port[bus.Signal, Update]) error {
	var updates []Update
	for {
		select {
		case signals, ok := <-p.In:
			if !ok {
				return nil
			}
			updates = updates[:0]
			for _, signal := range signals {
				if update, ok := s.step(signal); ok {
					updates = append(updates, update)
				}
				signal.Buffer.Release()
			}
			if err := p.Send(ctx, updates...); err != nil {
				return err
			}
		case q := <-p.Probes:
			updates = nil // free the room that a storm took, as the stream does
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step works on a signal. ok is false if the state is not complete with it. systemd announces every
// change by the Service half and then the Unit half, each in full, so the state is complete with the
// Unit half (measured on systemd 247 to 257).
func (s *Stage) step(in bus.Signal) (out Update, ok bool) {
	out = Update{Unit: in.Unit, Time: in.Time, Account: in.Account}
	if p := s.units[in.Unit]; p != nil {
		out.Properties = *p
	}
	before := out.Invocation
	switch in.Kind {
	case bus.Forgotten:
		delete(s.units, in.Unit)
		out.Kind = Forgotten
		return out, true
	case bus.Missing:
		out.Kind = Snapshot
		out.Properties = Properties{LoadState: "not-found", ActiveState: "inactive", SubState: "dead"}
		if in.New {
			out.LoadState = "loaded"
		}
	case bus.Past:
		out.Kind = Past
		return out, true
	case bus.Unloaded:
		delete(s.units, in.Unit)
		out.Kind = Unloaded
		return out, true
	case bus.Pattern:
		out.Kind = Pattern
		return out, true
	case bus.Unchanged:
		return out, out.ActiveState != ""
	case bus.Snapshot, bus.Checked:
		out.Properties = Properties{}
		if in.Kind == bus.Snapshot {
			out.Kind = Snapshot
		}
		if err := s.walker.snapshot(in.Body, in.Order, &out.Properties); err != nil || out.ActiveState == "" {
			s.refuse(in)
			return out, false
		}
		if out.Name == in.Unit {
			out.Name = in.Unit // one string is enough
		}
	case bus.Changed:
		if !s.change(in, &out.Properties) {
			return out, false
		}
		if out.Invocation != before {
			out.LoadState = "loaded" // it has run, so it is loaded; no signal says so
		}
	}
	s.keep(in.Unit, out.Properties)
	return out, true
}

// change takes one half of a change in. It reports whether the state is complete with it.
func (s *Stage) change(in bus.Signal, p *Properties) (complete bool) {
	half, err := s.walker.changed(in.Body, in.Order, p)
	switch {
	case err != nil || half == unitHalf && p.ActiveState == "":
		s.refuse(in)
		return false
	case half == serviceHalf:
		s.keep(in.Unit, *p)
	}
	return half == unitHalf
}

func (s *Stage) keep(unit string, p Properties) {
	kept := s.units[unit]
	if kept == nil {
		kept = new(Properties)
		s.units[unit] = kept
	}
	*kept = p
}

// refuse counts a malformed body, and logs the number at most once per refusedEvery.
func (s *Stage) refuse(in bus.Signal) {
	s.malformed.Add(1)
	s.refused++
	if in.Time.Before(s.nextReport) {
		return
	}
	s.log.WithFields(logrus.Fields{"unit": in.Unit, "signals": s.refused}).Warn("refused malformed signals")
	s.refused, s.nextReport = 0, in.Time.Add(refusedEvery)
}
