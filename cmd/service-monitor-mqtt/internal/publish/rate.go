package publish

import "time"

// A rate bounds how many messages about events are published in a second. After a pause, a few may go at once.
type rate struct {
	every time.Duration // for one event
	burst int
	full  time.Time // when burst events may go at once
}

func newRate(perSecond int) rate {
	return rate{every: time.Second / time.Duration(perSecond), burst: max(1, min(perSecond/5, together))}
}

// room returns how many events may go now.
func (r *rate) room(now time.Time) int {
	if r.full.Before(now) {
		return r.burst
	}
	return r.burst - int((r.full.Sub(now)+r.every-1)/r.every)
}

// when returns when there is room for so many events, or for a burst if they are more.
func (r *rate) when(events int) time.Time {
	return r.full.Add(-r.every * time.Duration(r.burst-min(events, r.burst)))
}

// take notes that events go now.
func (r *rate) take(now time.Time, events int) {
	if r.full.Before(now) {
		r.full = now
	}
	r.full = r.full.Add(r.every * time.Duration(events))
}
