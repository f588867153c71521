package count

import (
	"time"

	"service-monitor/stages/journald/records"
)

// epoch is when this program was begun: nothing that it sees was before. A board
// without a clock of its own boots in 1970.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	// slack is by how much the wall clock may be off without a word. NTP sets it
	// by less all the time, and what happens is seen a little later.
	slack = time.Minute
	// zones is by how much last_change_time may be misread: it has no time zone,
	// and there are some from 12 h behind UTC to 14 h ahead.
	zones = 26 * time.Hour
	// lifetime is more than a gateway's: a crash that seems older is not.
	lifetime = 20 * 365 * 24 * time.Hour
)

// A Moment is one instant by both clocks.
type Moment struct {
	Time  time.Time // the wall clock, which is set now and then
	Clock uint64    // CLOCK_MONOTONIC in µs, which never is
	// Boot is what Clock counts from, as 32 hexadecimal digits. It is empty where a
	// sandbox hides it.
	Boot string
}

// Now returns this moment.
func Now() Moment {
	boot := records.Boot()
	clock := records.Clock() // first: what is derived from it is never later than it was
	return Moment{time.Now(), clock, boot}
}

// at returns the moment of a time that this process has read. Go reads both
// clocks at once, and subtracts by the one that is not set.
func (m Moment) at(t time.Time) Moment {
	return m.after(t.Sub(m.Time), t)
}

// after returns a moment that is later by d, when the wall clock shows t.
func (m Moment) after(d time.Duration, t time.Time) Moment {
	return Moment{t.Round(0), uint64(max(0, int64(m.Clock)+d.Microseconds())), m.Boot}
}

// since is how long after another moment this one is. They are of one boot.
func (m Moment) since(o Moment) time.Duration {
	return time.Duration(int64(m.Clock)-int64(o.Clock)) * time.Microsecond
}

// clock judges the wall clock.
type clock struct {
	floor time.Time // what is before it is wrong
	right Moment    // the wall clock was not set since, as far as is known
}

// newClock returns the judge of a process that begins now. What an earlier one
// has saved was before. In the same boot, this also tells whether the clock was
// set since: the place in the journal was read by both clocks.
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

// trusts reports whether nothing proves that a time is wrong.
func (c *clock) trusts(t time.Time) bool { return !t.Before(c.floor.Add(-slack)) }

// take takes in a moment at which something happened. set is true if the clock
// was set before it; from is what it would show otherwise.
//
// To set it back is an act, of a person or of NTP, who know better than a clock
// that ran on by itself. So what was later than that is no longer believed,
// unless the new time is certainly wrong.
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

// age is how long ago a crash was; ok is false where nobody can know.
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

// in reports whether a crash was in a boot, and when by its clock. What has a
// clock but no boot was counted by this process.
func (c *Crash) in(boot string) bool { return c.Clock > 0 && (c.Boot == "" || c.Boot == boot) }

// before reports whether a crash was before another, as seen from a boot.
func (c *Crash) before(o *Crash, boot string) bool {
	if c == nil || o == nil {
		return c == nil && o != nil
	}
	switch here, there := c.in(boot), o.in(boot); {
	case here && there:
		return c.Clock < o.Clock
	case here != there: // nothing is later than this boot
		return there
	case c.Untrusted != o.Untrusted:
		return c.Untrusted
	}
	return c.Time.Before(o.Time)
}

// doubt marks the times of a tally that are later than now, which is trusted,
// and reports whether there were any.
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
