package count

import (
	"time"

	"service-monitor/stages/journald/records"
)

// epoch is when this program was begun. Nothing that it sees was earlier. A board without a clock of
// its own boots in 1970.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	// slack is how far the wall clock may be off without notice. NTP often sets it by less, and the
	// monitor sees events a little later than they happen.
	slack = time.Minute
	// zones is how far last_change_time may be misread. It has no time zone, and zones reach from 12 h
	// behind UTC to 14 h ahead.
	zones = 26 * time.Hour
	// lifetime is longer than a gateway lives. A crash that seems older is not.
	lifetime = 20 * 365 * 24 * time.Hour
)

// A Moment is one instant by both clocks.
type Moment struct {
	Time  time.Time // the wall clock, which may be set
	Clock uint64    // CLOCK_MONOTONIC in µs, which is never set
	// Boot is the boot that Clock counts from, as 32 hexadecimal digits. It is empty if a sandbox hides
	// it.
	Boot string
}

// Now returns this moment.
func Now() Moment {
	boot := records.Boot()
	clock := records.Clock() // first, so that no time derived from it is too late
	return Moment{time.Now(), clock, boot}
}

// at returns the moment of a time that this process has read. Go reads both clocks at once, and
// subtracts by the one that is never set.
func (m Moment) at(t time.Time) Moment {
	return m.after(t.Sub(m.Time), t)
}

// after returns the moment that is later by d, with t on the wall clock.
func (m Moment) after(d time.Duration, t time.Time) Moment {
	return Moment{t.Round(0), uint64(max(0, int64(m.Clock)+d.Microseconds())), m.Boot}
}

// since returns how long after another moment this one is. Both are of one boot.
func (m Moment) since(o Moment) time.Duration {
	return time.Duration(int64(m.Clock)-int64(o.Clock)) * time.Microsecond
}

// clock judges the wall clock.
type clock struct {
	floor time.Time // an earlier time is wrong
	right Moment    // the last moment at which the wall clock was set or known to be right
}

// newClock returns the judge for a process that begins now. What an earlier process saved was
// before. In the same boot, this also shows whether the clock was set since: the place in the journal
// has the time of both clocks.
func newClock(known map[string]*Tally, now Moment) clock {
	c := clock{floor: epoch, right: now}
	c.right.Time = now.Time.Round(0)
	var newest records.Place
	for _, t := range known {
		if !t.ChangedUntrusted {
			c.raise(t.Changed.Add(-zones))
		}
		if t.LastCrash != nil && !t.LastCrash.Untrusted {
			c.raise(t.LastCrash.Time)
		}
		if t.Life == nil {
			continue
		}
		wall, clock := t.Life.Cursor.Made()
		if p := t.Life.Cursor; p.Boot() == now.Boot && clock > 0 && newest.Before(p) {
			newest, c.right.Time, c.right.Clock = p, wall, clock
		}
	}
	return c
}

func (c *clock) raise(t time.Time) {
	if t.After(c.floor) {
		c.floor = t
	}
}

// trusts reports whether a time may be right: nothing proves that it is wrong.
func (c *clock) trusts(t time.Time) bool { return !t.Before(c.floor.Add(-slack)) }

// take notes a moment at which something happened. set is true if the clock was set before it.
// from is what the clock would show otherwise.
//
// A person or NTP sets the clock back on purpose, and knows better than a clock that ran by itself.
// So times after the new time are no longer believed, unless the new time is certainly wrong.
func (c *clock) take(m Moment) (from time.Time, set bool) {
	from = c.right.Time.Add(m.since(c.right))
	off := m.Time.Sub(from)
	if off.Abs() < slack {
		return from, false
	}
	c.right = m
	if off < 0 && m.Time.After(epoch) && m.Time.Before(c.floor) {
		c.floor = m.Time
	}
	return from, true
}

// age returns how long ago a crash was. ok is false if nobody can know.
func (c *clock) age(crash *Crash, now Moment) (d time.Duration, ok bool) {
	if crash == nil {
		return 0, false
	}
	if crash.in(now.Boot) {
		d = now.since(Moment{Clock: crash.Clock})
		return d, d > -slack
	}
	if crash.Untrusted || crash.Time.Before(epoch) || !c.trusts(now.Time) {
		return 0, false
	}
	d = now.Time.Sub(crash.Time)
	return d, -slack < d && d < lifetime
}

// in reports whether a crash was in a boot and has the clock of that boot. A crash with a clock but
// no boot was counted by this process.
func (c *Crash) in(boot string) bool { return c.Clock > 0 && (c.Boot == "" || c.Boot == boot) }

// before reports whether a crash was before another, as seen from a boot.
func (c *Crash) before(o *Crash, boot string) bool {
	if c == nil || o == nil {
		return c == nil && o != nil
	}
	switch here, there := c.in(boot), o.in(boot); {
	case here && there:
		return c.Clock < o.Clock
	case here != there: // no crash is later than this boot
		return there
	case c.Untrusted != o.Untrusted:
		return c.Untrusted
	}
	return c.Time.Before(o.Time)
}

// doubt marks the times of a tally that are later than now, which is trusted. It reports whether
// there were any.
func (t *Tally) doubt(now time.Time) bool {
	late := func(at time.Time, known bool) bool { return !known && at.After(now.Add(slack)) }
	changed, crash := late(t.Changed, t.ChangedUntrusted), t.LastCrash != nil && late(t.LastCrash.Time, t.LastCrash.Untrusted)
	t.ChangedUntrusted = t.ChangedUntrusted || changed
	if crash {
		doubted := *t.LastCrash
		doubted.Untrusted, t.LastCrash = true, &doubted
	}
	return changed || crash
}
