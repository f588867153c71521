package count

import (
	"math"
	"time"
)

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

// Seconds are times as files and sockets have them.
type Seconds struct {
	Up         float64 `json:"up"`
	Down       float64 `json:"down"`
	Stopped    float64 `json:"stopped"`
	Unobserved float64 `json:"unobserved"`
}

// Seconds returns the times as seconds.
func (s Spent) Seconds() Seconds {
	return Seconds{s[Up].Seconds(), s[Down].Seconds(), s[Stopped].Seconds(), s[Unobserved].Seconds()}
}

// Spent returns the times, in whole microseconds. A number that cannot be is taken for 0.
func (s Seconds) Spent() (spent Spent) {
	for p, seconds := range map[Phase]float64{Up: s.Up, Down: s.Down, Stopped: s.Stopped, Unobserved: s.Unobserved} {
		if seconds > 0 && seconds < maxSpent.Seconds() {
			spent[p] = time.Duration(math.Round(seconds*1e6)) * time.Microsecond
		}
	}
	return spent
}

// maxSpent is longer than any unit lives.
const maxSpent = 200 * 365 * 24 * time.Hour
