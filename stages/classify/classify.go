// Package classify is the transition classifier: a pure function over two
// states of a unit that says what happened between them.
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
	units map[string]*Life // what was told of them, where nothing is new since
	// doubt asks the source to begin a gap; doubtful are the units of which nothing
	// is believed until it has.
	doubt    func()
	doubtful map[string]bool
}

// New returns a classifier that continues from what an earlier process knew. It
// calls doubt where changes do not tell what happened, and the journal has to;
// doubt must not block.
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
				return p.Send(ctx, s.untold(time.Now())...)
			}
			facts = facts[:0]
			for _, update := range updates {
				facts = s.classify(facts, update)
			}
			if err := p.Send(ctx, facts...); err != nil {
				return err
			}
		case q := <-p.Probes:
			facts = nil // with the room for a storm's, as the stream does
			q.Answer(pipeline.Answer{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// classify appends what happened to facts.
func (s *Stage) classify(facts []Transition, u decode.Update) []Transition {
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

// life is what is known of a unit.
func (s *Stage) life(unit string) Life {
	if l := s.units[unit]; l != nil {
		return *l
	}
	return Life{}
}

// keep keeps the life of a unit: the very one that was told, if that is all, for
// whoever is told keeps it as well.
func (s *Stage) keep(unit string, life Life, facts []Transition) {
	if n := len(facts); n > 0 && *facts[n-1].Life == life {
		s.units[unit] = facts[n-1].Life
	} else if s.life(unit) != life {
		s.units[unit] = &life
	}
}

// unclear reports whether a change is no use: the end of an invocation was not
// announced. systemd announces a state before it enters the next one, but not
// before the next invocation, so where both happen at once the end of one that
// failed to start is told under the name of the next, and no longer with its result.
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

// untold returns the starts that were announced and wait for their change.
func (s *Stage) untold(now time.Time) (facts []Transition) {
	for _, unit := range slices.Sorted(maps.Keys(s.units)) {
		t := telling{life: s.life(unit), facts: facts, base: Transition{Unit: unit, Time: now, Source: Change}}
		t.tellStart()
		facts = t.facts
	}
	return facts
}
