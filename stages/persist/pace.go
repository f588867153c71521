package persist

import "time"

// Flash writes are bounded however many changes there are: a burst of saves,
// and then one per refill. What a save writes grows with the units, and so does
// the refill, up to a limit: what is not saved is in the journal alone. If that is not
// enough, as changes have waited for it, the next takes longer.
const (
	burst     = 10
	refill    = time.Minute // for each so many units, which are 11 kB
	perRefill = 16
	refills   = 10
	lasting   = 5 // times as long
)

// A crash is saved when its unit has come to rest, which is soon: systemd restarts
// it after 100 ms where RestartSec= says nothing else, and both are one save.
const (
	rest     = 300 * time.Millisecond
	restless = time.Second // is long enough
)

// Units that are seen for the first time come one right after the other, as at
// a start, and are saved together: gap is what is longer than between two of
// them, and gather how long the first may wait for the others.
const (
	gap    = time.Millisecond
	gather = 100 * time.Millisecond
)

// An urgency says how long a change may wait.
type urgency int

const (
	normal urgency = iota // for quiet, or the deadline
	crash                 // for rest
	soon                  // for what comes right behind it
	atOnce
)

// pace says when to save. It holds no clock.
type pace struct {
	quiet, deadline time.Duration

	first, last time.Time // the first and the last change that is not saved; zero for none
	crashed     time.Time // the first of them that is a crash
	soon        bool      // one of them hardly waits
	urgent      bool      // or not at all
	units       int       // that were saved last
	took        time.Time // the first change of those that were taken last
	lasts       bool      // the storm: what was saved last had waited for a refill
	spent       int       // saves of the burst that are not refilled
	refilled    time.Time // up to when spent is right
}

// changed takes a change in.
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

// due is when to save, zero when there is nothing to save. It is counted from
// the first change, so that changes that keep coming cannot put it off.
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

// refill is how long it takes until another save of a storm may be made.
func (p *pace) refill() time.Duration {
	n := max(p.units+perRefill-1, perRefill) / perRefill
	if p.lasts {
		n *= lasting
	}
	return refill * time.Duration(min(n, refills))
}

// taken says that what was changed is being saved. If that fails, it is changed.
func (p *pace) taken() {
	p.took = p.first
	p.first, p.last, p.crashed, p.soon, p.urgent = time.Time{}, time.Time{}, time.Time{}, false, false
}

// saved says that what was taken is saved, which is so many units.
func (p *pace) saved(now time.Time, units int) {
	lasts := p.spent >= burst && p.took.Before(p.refilled.Add(p.refill()))
	p.units = units
	for p.spent > 0 && !now.Before(p.refilled.Add(p.refill())) {
		p.spent--
		p.refilled = p.refilled.Add(p.refill())
	}
	if p.spent == 0 {
		p.refilled = now
	}
	p.spent++
	p.lasts = lasts
}
