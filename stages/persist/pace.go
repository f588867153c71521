package persist

import "time"

// Flash wears out, so the number of saves is bounded, however many changes there are:
// first a burst of saves, then one save per refill time. A save writes more if there are
// more units, so the refill time grows with the number of units. It has a limit, because
// changes that are not saved are in the journal alone. If a save had to wait for the
// refill, the storm goes on, and the next refill takes twice as long.
const (
	burst     = 10
	refill    = time.Minute // for each perRefill units
	perRefill = 16          // units; they are 11 kB in the file
	refills   = 16          // the longest refill time is refills * refill
)

// After a crash the unit soon comes to rest: systemd restarts it after 100 ms, unless
// RestartSec= says otherwise. The save waits for that, so that crash and restart are
// one save.
const (
	rest     = 300 * time.Millisecond // without a change means that the unit is at rest
	restless = time.Second            // is how long a crash waits at most
)

// When the monitor starts, it sees many units for the first time, one right after the
// other. They are saved together.
const (
	gap    = time.Millisecond       // without another unit means that all have come
	gather = 100 * time.Millisecond // is how long the first unit waits for the others at most
)

// An urgency says how long a change may wait.
type urgency int

const (
	normal urgency = iota // until nothing has changed for quiet, or until the deadline
	crash                 // until the unit is at rest: see rest, restless
	soon                  // until nothing comes right behind it: see gap, gather
	atOnce                // not at all
)

// pace says when to save. It holds no clock.
type pace struct {
	quiet, deadline time.Duration

	first, last time.Time // the first and the last unsaved change; zero if there is none
	crashed     time.Time // the first unsaved crash
	soon        bool      // there is an unsaved change of urgency soon
	urgent      bool      // there is an unsaved change of urgency atOnce
	units       int       // how many units the last save wrote
	took        time.Time // the first change in the last save, which may be under way
	lasts       int       // how many saves in a row had to wait for the refill: the storm lasts
	spent       int       // saves of the burst that are used up
	refilled    time.Time // when a save was last given back to the burst
}

// changed notes an unsaved change.
func (p *pace) changed(now time.Time, u urgency) {
	if p.first.IsZero() {
		p.first = now
	}
	if u == crash && p.crashed.IsZero() {
		p.crashed = now
	}
	p.last = now
	p.soon, p.urgent = p.soon || u == soon, p.urgent || u == atOnce
}

// due returns when to save; zero if there is nothing to save. Each wait has a limit that
// runs from the first change, so that later changes cannot put the save off for ever.
func (p *pace) due() time.Time {
	if p.first.IsZero() {
		return time.Time{}
	}
	due := earlier(p.last.Add(p.quiet), p.first.Add(p.deadline))
	if !p.crashed.IsZero() {
		due = earlier(due, earlier(p.last.Add(rest), p.crashed.Add(restless)))
	}
	if p.soon {
		due = earlier(due, earlier(p.last.Add(gap), p.first.Add(gather)))
	}
	if p.urgent {
		due = p.first
	}
	if p.spent >= burst {
		if next := p.refilled.Add(p.refill()); next.After(due) {
			due = next
		}
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// refill returns how long it takes until a burst that is used up gets one save back.
func (p *pace) refill() time.Duration {
	n := max(p.units+perRefill-1, perRefill) / perRefill
	return refill * time.Duration(min(n<<min(p.lasts, 8), refills))
}

// taken notes that a save of all changes begins. If the save fails, the caller calls
// changed again.
func (p *pace) taken() {
	p.took = p.first
	p.first, p.last, p.crashed, p.soon, p.urgent = time.Time{}, time.Time{}, time.Time{}, false, false
}

// saved notes that the save has succeeded, and how many units it wrote.
func (p *pace) saved(now time.Time, units int) {
	waited := p.spent >= burst && p.took.Before(p.refilled.Add(p.refill()))
	p.units = units
	for p.spent > 0 && !now.Before(p.refilled.Add(p.refill())) {
		p.spent--
		p.refilled = p.refilled.Add(p.refill())
	}
	if p.spent == 0 {
		p.refilled = now
	}
	p.spent++
	if p.lasts++; !waited {
		p.lasts = 0
	}
}
