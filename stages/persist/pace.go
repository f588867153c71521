package persist

import "time"

// Flash writes are bounded however many changes there are: a burst of saves,
// and then one per refill.
const (
	burst  = 10
	refill = time.Minute
	// Units that are seen for the first time come one right after the other, as at
	// a start, and are saved together: gap is what is longer than between two of
	// them, and gather how long the first may wait for the others.
	gap    = time.Millisecond
	gather = 100 * time.Millisecond
)

// pace says when to save. It holds no clock.
type pace struct {
	quiet, deadline time.Duration

	first, last time.Time // the first and the last change that is not saved; zero for none
	urgent      bool
	soon        bool      // but not without what comes right behind it
	spent       int       // saves of the burst that are not refilled
	refilled    time.Time // up to when spent is right
}

// changed takes a change in; an urgent one is not debounced.
func (p *pace) changed(now time.Time, urgent bool) {
	if p.first.IsZero() {
		p.first = now
	}
	p.last = now
	p.urgent = p.urgent || urgent
}

// changedSoon takes a change in that is not debounced, but others come with it.
func (p *pace) changedSoon(now time.Time) {
	p.changed(now, false)
	p.soon = true
}

// due is when to save, zero when there is nothing to save. It is counted from
// the first change, so that changes that keep coming cannot put it off.
func (p *pace) due() time.Time {
	if p.first.IsZero() {
		return time.Time{}
	}
	quiet, deadline := p.quiet, p.deadline
	if p.soon {
		quiet, deadline = min(quiet, gap), min(deadline, gather)
	}
	due := p.last.Add(quiet)
	if end := p.first.Add(deadline); end.Before(due) {
		due = end
	}
	if p.urgent {
		due = p.first
	}
	if p.spent >= burst {
		if next := p.refilled.Add(refill); next.After(due) {
			due = next
		}
	}
	return due
}

// taken says that what was changed is being saved. If that fails, it is changed.
func (p *pace) taken() { p.first, p.last, p.urgent, p.soon = time.Time{}, time.Time{}, false, false }

// saved says that what was taken is saved.
func (p *pace) saved(now time.Time) {
	for p.spent > 0 && !now.Before(p.refilled.Add(refill)) {
		p.spent--
		p.refilled = p.refilled.Add(refill)
	}
	if p.spent == 0 {
		p.refilled = now
	}
	p.spent++
}
