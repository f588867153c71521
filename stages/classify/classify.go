// Package classify is the transition classifier. It compares two states of a unit, and says
// what happened between them.
package classify

import (
	"context"
	"maps"
	"slices"
	"time"

	"service-monitor/pipeline"
	"service-monitor/stages/decode"
)

// Stage is the transition classifier.
type Stage struct {
	units map[string]*Life // the life of each unit, shared with its last fact if nothing is new since
	// doubt asks the source to begin a gap. Nothing is believed of the doubtful units until it has.
	doubt    func()
	doubtful map[string]bool
}

// New returns a classifier that continues from what an earlier process knew. It calls doubt if
// changes do not show what happened, so that the journal is read. doubt must not block.
func New(known map[string]*Life, doubt func()) *Stage {
	units := maps.Clone(known)
	if units == nil {
		units = make(map[string]*Life)
	}
	return &Stage{units: units, doubt: doubt, doubtful: make(map[string]bool)}
}

type port = pipeline.Port[decode.Update, Transition]

// Run classifies updates until they end.
func (s *Stage) Run(ctx context.Context, p *port) error {
	var facts []Transition
	for {
		select {
		case updates, ok := <-p.In:
			if !ok {
				return p.Send(ctx, s.owedStarts(time.Now())...)
			}
			facts = facts[:0]
			for _, update := range updates {
				facts = s.classify(facts, update)
			}
			if err := p.Send(ctx, facts...); err != nil {
				return err
			}
		case q := <-p.Probes:
			facts = nil // free the room that a storm took, as the stream does
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// classify appends to facts what an update shows.
func (s *Stage) classify(facts []Transition, u decode.Update) []Transition {
	// What was announced does not show what happened, and the journal cannot be read. So the source is
	// wrong if it says that every change has reached us.
	if s.doubtful[u.Unit] && u.Unread {
		u.Complete = false
	}
	if s.unclear(u) {
		return facts
	}
	life, facts := step(facts, s.life(u.Unit), u)
	if !life.Known() {
		delete(s.units, u.Unit)
	} else {
		s.keep(u.Unit, life, facts)
	}
	return facts
}

// life returns what is known of a unit.
func (s *Stage) life(unit string) Life {
	if l := s.units[unit]; l != nil {
		return *l
	}
	return Life{}
}

// keep keeps the life of a unit. If the last fact has the same life, the two share it. The
// stages behind share it as well.
func (s *Stage) keep(unit string, life Life, facts []Transition) {
	if n := len(facts); n > 0 && *facts[n-1].Life == life {
		s.units[unit] = facts[n-1].Life
	} else if s.life(unit) != life {
		s.units[unit] = &life
	}
}

// unclear reports whether a change is of no use, because the end of an invocation was not
// announced. systemd announces a state before it enters the next one, but not always before the
// next invocation. If an invocation fails to start and the next one begins at once, its end is
// announced under the name of the next, and its result is lost.
func (s *Stage) unclear(u decode.Update) bool {
	if u.Kind != decode.Changed {
		if u.Kind != decode.Past {
			delete(s.doubtful, u.Unit)
		}
		return false
	}
	l := s.life(u.Unit)
	if !s.doubtful[u.Unit] && u.Invocation != l.Invocation && !l.Invocation.IsZero() && !l.Ended {
		s.doubtful[u.Unit] = true
		s.doubt()
	}
	return s.doubtful[u.Unit]
}

// owedStarts returns the starts that were announced and whose change has not come.
func (s *Stage) owedStarts(now time.Time) (facts []Transition) {
	for _, unit := range slices.Sorted(maps.Keys(s.units)) {
		d := deduction{life: s.life(unit), facts: facts, base: Transition{Unit: unit, Time: now, Source: Change}}
		d.addStart()
		facts = d.facts
	}
	return facts
}
