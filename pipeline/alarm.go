package pipeline

import "time"

// An Alarm is a timer that a stage sets each time round its loop, to the time when something is due.
// Setting it again to the same time costs nothing.
type Alarm struct {
	timer *time.Timer
	at    time.Time // zero if it is not set
}

// Set sets the alarm; the zero time means that nothing is due.
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

// C delivers the time when the alarm goes off. The stage then calls Off.
func (a *Alarm) C() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}

// Off says that the alarm went off, so that it can be set to the same time again.
func (a *Alarm) Off() { a.at = time.Time{} }
