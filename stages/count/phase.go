package count

import "time"

// Phase says whether a unit does what it is for.
type Phase uint8

// The phases of a unit.
const (
	NoPhase    Phase = iota // it was not seen yet, or it is a glob
	Up                      // there is a run
	Down                    // the last run crashed, and no other one has begun
	Stopped                 // the last run ended well, or somebody released the unit after a crash
	Unobserved              // nobody watched, and nothing proves what was
	phases
)

var phaseNames = [phases]string{"", "up", "down", "stopped", "unobserved"}

// String returns the name of the phase. It is empty for NoPhase.
func (p Phase) String() string { return phaseNames[min(p, phases-1)] }

// Phases are all phases that take time.
var Phases = [...]Phase{Up, Down, Stopped, Unobserved}

// PhaseNamed returns the phase with a name; NoPhase if there is none.
func PhaseNamed(name string) Phase {
	for _, p := range Phases {
		if p.String() == name {
			return p
		}
	}
	return NoPhase
}

// Spent is how long a unit was in each phase. It is measured by CLOCK_MONOTONIC, in whole
// microseconds. A time that includes a reboot is measured by the wall clock.
type Spent [phases]time.Duration

// Times are how long a unit was in each phase, since it was first seen.
type Times struct {
	// Spent goes up to the beginning of the present phase. No time in it ever goes down.
	Spent Spent
	// Phase is the present phase. It began at Clock, in µs of CLOCK_MONOTONIC in the boot Boot, and by
	// the wall clock at At. A time that is not known is zero.
	Phase Phase
	Clock uint64
	Boot  string
	At    time.Time
}

// SpentAt returns how long the unit was in each phase up to a moment, if its present phase lasts until
// then.
func (t Times) SpentAt(m Moment) Spent {
	spent := t.Spent
	if t.Phase != NoPhase {
		spent[t.Phase] += t.until(m)
	}
	return spent
}

// until returns how long after the beginning of the present phase a moment is; 0 if that is not known.
func (t Times) until(m Moment) time.Duration {
	switch {
	case t.Clock > 0 && m.Clock > 0 && t.Boot == m.Boot:
		return max(0, m.since(Moment{Clock: t.Clock}))
	case t.At.IsZero() || m.Time.IsZero():
		return 0
	}
	return max(0, m.Time.Sub(t.At)).Truncate(time.Microsecond)
}
