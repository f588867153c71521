package tell

import (
	"maps"
	"time"

	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
)

// day is the time for which the availability is told.
const day = 24 * time.Hour

// A Clock knows how long ago something was, even if the wall clock was wrong for a while.
type Clock struct {
	Now   time.Time
	Boot  string               // the present one
	Since uint64               // CLOCK_MONOTONIC of Now, in µs
	boots map[string]time.Time // when each boot began, by the wall clock once it was set
}

// Add learns from a record when its boot began.
func (c *Clock) Add(r *store.Record) {
	if r.Boot == "" || r.Monotonic == 0 || r.Flags&(store.Untrusted|store.Recovered) != 0 {
		return
	}
	if c.boots == nil {
		c.boots = map[string]time.Time{}
	}
	at := r.Time
	if !r.Until.IsZero() {
		at = r.Until
	}
	c.boots[r.Boot] = at.Add(-micros(r.Monotonic))
}

// Clone returns a clock that learns nothing of what this one learns.
func (c Clock) Clone() Clock {
	c.boots = maps.Clone(c.boots)
	return c
}

// ago returns how long ago something was. Its time is monotonic in a boot, or at by the wall clock.
// A time that is not known is zero.
func (c *Clock) ago(boot string, monotonic uint64, at time.Time) (ago time.Duration, known bool) {
	switch began, told := c.boots[boot]; {
	case monotonic > 0 && boot == c.Boot && c.Since >= monotonic:
		return micros(c.Since - monotonic), true
	case monotonic > 0 && told:
		at = began.Add(micros(monotonic))
	}
	if at.IsZero() || at.After(c.Now) {
		return 0, false
	}
	return c.Now.Sub(at), true
}

// When returns the time of something that happened in a boot when CLOCK_MONOTONIC was at a number of µs. It is told by
// the present wall clock, whatever that was then. known is false if nobody knows when that boot began.
func (c *Clock) When(boot string, monotonic uint64) (at time.Time, known bool) {
	if boot == "" || monotonic == 0 {
		return time.Time{}, false
	}
	ago, known := c.ago(boot, monotonic, time.Time{})
	return c.Now.Add(-ago), known
}

// An instant is a time by both clocks. clock is CLOCK_MONOTONIC of a boot, in µs; 0 if it is not known.
type instant struct {
	at    time.Time
	boot  string
	clock uint64
}

// instants returns when the first and the last event of a record were.
func instants(r *store.Record) (first, last instant) {
	first, last = instant{r.Time, r.Boot, r.Monotonic}, instant{seen(r), r.Boot, r.Monotonic}
	if took := uint64(max(0, last.at.Sub(first.at)).Microseconds()); first.clock > took {
		first.clock -= took
	} else if took > 0 {
		first.clock = 0
	}
	return first, last
}

// until returns how long it was from one instant to another. The wall clock may be set between them, so that it
// tells that only if nothing else does.
func (i instant) until(end instant) time.Duration {
	if i.clock > 0 && i.boot != "" && i.boot == end.boot && end.clock >= i.clock {
		return micros(end.clock - i.clock)
	}
	return end.at.Sub(i.at)
}

// here returns how long ago an instant of this boot was, by the clock that nobody can set.
func (c *Clock) here(i instant) (ago time.Duration, known bool) {
	if i.boot == "" || i.boot != c.Boot {
		return 0, false
	}
	return c.ago(i.boot, i.clock, time.Time{})
}

// Right returns a record with the right time, if the wall clock was not set at that time and was set
// later in the same boot.
func (c *Clock) Right(r *store.Record) *store.Record {
	if r.Flags&store.Untrusted == 0 || r.Boot == "" || r.Boot != c.Boot || r.Monotonic == 0 || r.Monotonic > c.Since {
		return r
	}
	right := *r
	by := c.Now.Add(-micros(c.Since - r.Monotonic)).Sub(seen(r))
	if right.Time = r.Time.Add(by); !r.Until.IsZero() {
		right.Until = r.Until.Add(by)
	}
	right.Flags &^= store.Untrusted
	return &right
}

// Placed does what Right does, and also for a boot before in which the wall clock was set later.
func (c *Clock) Placed(r *store.Record) *store.Record {
	began, told := c.boots[r.Boot]
	if right := c.Right(r); right != r || r.Flags&store.Untrusted == 0 || r.Monotonic == 0 || !told {
		return right
	}
	right := *r
	by := began.Add(micros(r.Monotonic)).Sub(seen(r))
	if right.Time = r.Time.Add(by); !r.Until.IsZero() {
		right.Until = r.Until.Add(by)
	}
	right.Flags &^= store.Untrusted
	return &right
}

func micros(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }

// A stretch is a time in which a unit was up or down. If a record stands for several events, the
// unit was both by turns.
type stretch struct {
	boot     string
	clock    uint64 // when it ended
	at       time.Time
	long     time.Duration // zero if the unit was only up or only down
	up, down time.Duration
}

// old reports whether a stretch was over more than 24 hours ago.
func (c *Clock) old(s *stretch) bool {
	ago, known := c.ago(s.boot, s.clock, s.at)
	return known && ago >= day
}

// An Uptime is how long a unit was up, and how long it was down after a crash. Other times do not
// count: the unit was stopped, the machine was off, or nobody knows.
type Uptime struct {
	stretches    []stretch
	up, down     time.Duration
	downs, falls int64 // how often it was down, and how often it crashed
}

// add adds a record of the unit.
func (u *Uptime) add(r *store.Record) {
	if r.Delta.Crashes > 0 && r.Flags&store.Untold == 0 {
		u.falls += r.Delta.Crashes
	}
	if r.Up == 0 && r.Down == 0 {
		return
	}
	s := stretch{boot: r.Boot, clock: r.Monotonic, at: r.Time, up: r.Up, down: r.Down}
	if !r.Until.IsZero() {
		s.at, s.long = r.Until, r.Until.Sub(r.Time)
	}
	if r.Flags&store.Untrusted != 0 {
		s.at = time.Time{}
	}
	if u.up, u.down = u.up+r.Up, u.down+r.Down; r.Down > 0 {
		u.downs += max(1, r.Delta.Starts)
	}
	u.stretches = append(u.stretches, s)
}

// An Availability is what an Uptime comes to. What is not known is negative.
type Availability struct {
	Day     float64       // up / (up + down) in the last 24 hours
	Down    time.Duration // how long it was down in the last 24 hours
	Between time.Duration // how long it was up for each crash since the history begins (MTBF)
	Repair  time.Duration // how long it was down after a crash (MTTR)
}

// Availability returns what the uptime comes to. span is the phase in which the unit is. Its last
// part does not count, which is until long, because nobody has seen the unit since.
func (u *Uptime) Availability(span chronicle.Span, c *Clock, until time.Duration) Availability {
	var up, down time.Duration // in the last day
	for _, s := range u.stretches {
		ago, known := c.ago(s.boot, s.clock, s.at)
		if !known {
			continue
		}
		for _, part := range []struct{ is, of *time.Duration }{{&s.up, &up}, {&s.down, &down}} {
			if s.long > 0 {
				*part.of += time.Duration(float64(*part.is) * float64(within(ago, s.long)) / float64(s.long))
			} else {
				*part.of += within(ago, *part.is)
			}
		}
	}
	total := u.up
	if ago, known := c.ago(span.Boot, span.Clock, span.At); known && ago > until {
		switch span.Phase {
		case count.Up:
			up += within(until, ago-until)
			total += ago - until
		case count.Down:
			down += within(until, ago-until)
		}
	}
	a := Availability{Day: -1, Down: -1, Between: -1, Repair: -1}
	if up+down > 0 {
		a.Day, a.Down = float64(up)/float64(up+down), down
	}
	if u.falls > 0 {
		a.Between = total / time.Duration(u.falls)
	}
	if u.downs > 0 {
		a.Repair = u.down / time.Duration(u.downs)
	}
	return a
}

// within returns how much of a stretch was in the last 24 hours. long is how long the stretch was,
// and ago how long ago it ended.
func within(ago, long time.Duration) time.Duration { return max(0, min(long, day-ago)) }
