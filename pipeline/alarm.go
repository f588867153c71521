package pipeline

import "time"

// An Alarm is a timer for the loop of a stage. Each time round, the loop sets it to the time when
// something is due. If that is still the same time, Set costs nothing.
type Alarm struct {
	timer *time.Timer
	at    time.Time // zero if it is not set
}

// Set sets the alarm. The zero time means that nothing is due.
func (a *Alarm) Set(at time.Time) {
	switch {
	case at.Equal(a.at):
		return
	case at.IsZero():
		a.timer.Stop()
	case a.timer == nil:
		a.timer = time.NewTimer(time.Until(at))
	default:
		a.timer.Reset(time.Until(at))
	}
	a.at = at
}

// C delivers when something is due. The stage then calls Off.
func (a *Alarm) C() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}

// Off notes that the alarm went off. Then it can be set to the same time again.
func (a *Alarm) Off() { a.at = time.Time{} }
