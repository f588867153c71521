package count

import (
	"strings"
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/decode"
)

// SpentAt returns how long the unit was in each phase up to a moment, if its present phase lasts until
// then.
func (t Times) SpentAt(m Moment) Spent {
	if t.Phase != NoPhase && !m.before(t.since()) {
		t.Spent[t.Phase] += between(t.since(), m)
	}
	return t.Spent
}

// since returns when the present phase began.
func (t *Times) since() Moment { return Moment{t.At, t.Clock, t.Boot} }

// between returns how long a moment is after an earlier one; 0 if that is not known. In one boot that
// is measured by CLOCK_MONOTONIC, and otherwise by the wall clock. If the wall clock is not known, it
// is how long the later boot has lasted, because it cannot be less.
func between(from, to Moment) time.Duration {
	if from.Boot == to.Boot && from.Clock > 0 && to.Clock > 0 {
		return max(0, to.since(from))
	}
	switch {
	case !from.Time.IsZero() && !to.Time.IsZero():
		return max(0, to.Time.Sub(from.Time)).Truncate(time.Microsecond)
	case from.Boot != "" && to.Boot != "" && from.Boot != to.Boot:
		return time.Duration(to.Clock) * time.Microsecond
	}
	return 0
}

// before reports whether a moment is certainly before another one.
func (m Moment) before(o Moment) bool {
	switch {
	case m.Boot == o.Boot && m.Clock > 0 && o.Clock > 0:
		return m.Clock < o.Clock
	case m.Boot != o.Boot && m.Clock > 0: // facts come in order, so its boot is the later one
		return false
	}
	return !m.Time.IsZero() && m.Time.Before(o.Time)
}

// advance goes on to a moment, at which another phase begins. The old phase lasted until then, unless
// lost is true. Then it is proven only until the moment proof, and nobody knows what was later.
func (t *Times) advance(m, proof Moment, lost bool, to Phase) {
	from := t.since()
	if t.Phase == NoPhase {
		t.begin(to, m)
		return
	}
	if m.Clock == 0 && m.Boot == from.Boot && from.Clock > 0 {
		m.Clock = from.Clock + uint64(between(Moment{Time: from.Time}, Moment{Time: m.Time}).Microseconds())
	}
	if m.before(from) {
		m = from
	}
	// What follows a reboot is measured from the proof, because the wall clock may have been set before.
	usable := proof.Clock > 0 && (proof.Boot == from.Boot || proof.Boot == m.Boot)
	if !usable || proof.before(from) {
		proof = from
	}
	if m.before(proof) {
		proof = m
	}
	rest := t.Phase
	if lost {
		rest = Unobserved
	}
	t.Spent[t.Phase] += between(from, proof)
	t.Spent[rest] += between(proof, m)
	t.begin(to, m)
}

func (t *Times) begin(p Phase, m Moment) { t.Phase, t.At, t.Clock, t.Boot = p, m.Time, m.Clock, m.Boot }

// add adds the times of a unit that is over.
func (s *Spent) add(more Spent) {
	for p := range s {
		s[p] += more[p]
	}
}

// spend goes on to an event of the unit. was is the life of the unit before it. now is when the event
// happened. Until proof, the monitor saw everything.
func (t *Times) spend(e *Event, was *classify.Life, now, proof Moment) {
	if e.InGap || e.Life != nil && e.Life.Pattern {
		return // what is read later of an open gap is in a time that has been told as unobserved
	}
	opened := gaps(e.Life) > gaps(was)
	lost := e.AtLeast || e.Missed || opened || e.Kind == classify.UnknownEnd || e.Kind == classify.Seen
	to := e.phase(t.Phase)
	if opened && e.Kind != classify.Forgotten {
		to = phaseOf(e.Life)
	}
	rebooted := e.Kind == classify.CaughtUp && t.Boot != now.Boot && !e.Recovered
	if to == t.Phase && !lost && !rebooted && e.Kind != classify.Seen {
		return
	}
	if e.Kind != classify.UnknownEnd && e.Source == classify.Snapshot && e.Life != nil {
		now = entered(e.Life, now, proof)
	}
	t.advance(now, proof, lost, to)
}

// entered returns when a unit entered the state that a snapshot shows. systemd says so, but only the
// time since the last proof is in question.
func entered(l *classify.Life, now, proof Moment) Moment {
	at := Moment{Clock: l.StateEntered, Boot: now.Boot}
	if now.Clock == 0 || at.Clock == 0 || at.Clock >= now.Clock || proof.Boot == now.Boot && at.Clock < proof.Clock {
		return now
	}
	if !now.Time.IsZero() {
		at.Time = now.Time.Add(-now.since(at))
	}
	return at
}

// phase returns the phase after an event. was is the one before.
func (e *Event) phase(was Phase) Phase {
	switch e.Kind {
	case classify.Forgotten, classify.Folded:
		return NoPhase
	case classify.Started:
		return Up
	case classify.Stopped:
		return Stopped
	case classify.Crashed:
		return Down
	case classify.Seen:
		return phaseOf(e.Life)
	case classify.UnknownEnd:
		if e.Recovered {
			return Unobserved
		}
		return phaseOf(e.Life)
	case classify.Restarted:
		if e.Missed {
			return Unobserved
		}
	case classify.Moved:
		if was == Down && e.Releases() {
			return Stopped
		}
	case classify.CaughtUp:
		if was == NoPhase || was == Unobserved || e.Life.Running() != (was == Up) {
			return phaseOf(e.Life)
		}
		if l := e.Life; was == Down && l.ActiveState == "inactive" && l.Job == 0 && !l.GivenUp {
			return Stopped // somebody stopped it before 257, while it was inactive before a restart
		}
	}
	return was
}

// phaseOf returns the phase that a state of systemd shows.
func phaseOf(l *classify.Life) Phase {
	switch {
	case !l.Known():
		return NoPhase
	case l.Running():
		return Up
	case l.ActiveState == "failed", strings.HasPrefix(l.SubState, "auto-restart"):
		return Down
	}
	return Stopped
}

// Releases reports whether somebody has stopped or reset a unit that had crashed, so that it is not
// down any more. Before 257 a restart that is scheduled makes the unit inactive, too.
func (e *Event) Releases() bool {
	return e.To == decode.NotLoaded || e.To == "inactive" && (e.From == "failed" || e.Life == nil || e.Life.Scheduled == 0)
}

// Fit reports whether the present phase can be that of a life.
func (t *Times) Fit(l *classify.Life) bool {
	return t.Phase == NoPhase || t.Phase == Unobserved || !l.Known() || l.Running() == (t.Phase == Up)
}

// gaps returns how many gaps of a life are open.
func gaps(l *classify.Life) int {
	if l == nil || l.Gaps == nil {
		return 0
	}
	return len(*l.Gaps)
}

// lastProof returns the newest moment at which an earlier process is known to have watched.
func lastProof(known map[string]*Tally, boot string) (proof Moment) {
	newest := func(m Moment) {
		switch {
		case m.Clock == 0 || m.Boot == "" || proof.Boot == boot && m.Boot != boot:
		case proof.Clock == 0, m.Boot == boot && proof.Boot != boot, proof.before(m):
			proof = m
		}
	}
	for _, t := range known {
		newest(t.Times.since())
		if t.Life != nil {
			wall, clock := t.Life.Cursor.Made()
			newest(Moment{wall, clock, t.Life.Cursor.Boot()})
		}
	}
	return proof
}
