package format

import (
	"time"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// secondsRecord is how long a unit was in each phase, and the phase that goes on. It began at Clock, in
// µs of CLOCK_MONOTONIC in Boot, and by the wall clock at Since. To keep the file small, Boot and Since
// are left out if the life's cursor shows both: it has the time of both clocks.
type secondsRecord struct {
	Up         float64   `json:"up,omitzero"`
	Down       float64   `json:"down,omitzero"`
	Stopped    float64   `json:"stopped,omitzero"`
	Unobserved float64   `json:"unobserved,omitzero"`
	Phase      string    `json:"phase,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Boot       string    `json:"boot_id,omitempty"`
	Clock      uint64    `json:"monotonic_usec,omitempty"`
}

// times returns the times of a record. Records of earlier versions have none.
func (s *secondsRecord) times(l *classify.Life) (t count.Times) {
	if s == nil {
		return t
	}
	t.Spent = count.Seconds{Up: s.Up, Down: s.Down, Stopped: s.Stopped, Unobserved: s.Unobserved}.Spent()
	if t.Phase = count.PhaseNamed(s.Phase); t.Phase == count.NoPhase {
		return t
	}
	t.At, t.Clock, t.Boot = s.Since, s.Clock, s.Boot
	if t.Boot == "" {
		if t.Boot = bootOf(l); t.Boot == "" { // the clock could belong to any boot
			t.Clock = 0
		} else if t.At.IsZero() && t.Clock > 0 {
			wall, clock := l.Cursor.Made()
			t.At = wall.Add(time.Duration(int64(t.Clock)-int64(clock)) * time.Microsecond).UTC()
		}
	}
	return t
}

// newSeconds returns the record of times; nil if there are none.
func newSeconds(t count.Times, l *classify.Life) *secondsRecord {
	if t == (count.Times{}) {
		return nil
	}
	is := t.Spent.Seconds()
	s := &secondsRecord{Up: is.Up, Down: is.Down, Stopped: is.Stopped, Unobserved: is.Unobserved, Phase: t.Phase.String()}
	if t.Boot != "" {
		s.Boot, s.Clock = t.Boot, t.Clock
	}
	if !t.At.IsZero() {
		s.Since = t.At.UTC()
	}
	if s.Clock > 0 && s.Boot == bootOf(l) && !t.At.IsZero() {
		s.Boot, s.Since = "", time.Time{}
	}
	return s
}

// bootOf returns the boot of a life's cursor; empty if that does not have the time of both clocks.
func bootOf(l *classify.Life) string {
	if !l.Known() {
		return ""
	}
	if _, clock := l.Cursor.Made(); clock == 0 {
		return ""
	}
	return l.Cursor.Boot()
}
