package chronicle

import (
	"strings"
	"time"
)

const (
	// burst is how many records in a row a unit may have of its own: those of some 20 crashes with
	// their restarts.
	burst = 60
	// A unit regains one of them every regain: 4,300 a month. So the usual size has room for a month of
	// ten units that do nothing but crash.
	regain = 10 * time.Minute
	// All units together may have burstOfAll records in a row, and regain one every second. So a
	// storm of many units takes neither memory nor many writes.
	burstOfAll  = 1000
	regainOfAll = time.Second
	// The first folds of a storm stand for shortest each. Every ten folds that doubles, up to longest.
	shortest = time.Minute
	longest  = time.Hour
	// A fold to which nothing comes for so long is written.
	pause = 10 * time.Minute
)

// A budget is how many more records somebody may have. The zero budget is full, and that of a unit.
type budget struct {
	spent int
	since time.Time // when the last one was regained
	all   bool      // it is that of all units
}

// rates returns how large the budget is, and how soon one record is regained.
func (b *budget) rates() (most int, every time.Duration) {
	if b.all {
		return burstOfAll, regainOfAll
	}
	return burst, regain
}

// spend takes one record from the budget, and reports whether there was one.
func (b *budget) spend(now time.Time) bool {
	b.rest(now)
	if most, _ := b.rates(); b.spent >= most {
		return false
	}
	b.spent++
	return true
}

// rest gives back what was regained.
func (b *budget) rest(now time.Time) {
	if b.spent == 0 {
		b.since = now
	}
	_, every := b.rates()
	if n := int(now.Sub(b.since) / every); n > 0 {
		b.spent, b.since = max(0, b.spent-n), b.since.Add(time.Duration(n)*every)
	}
}

// rested reports whether half of the budget is there again.
func (b *budget) rested(now time.Time) bool {
	b.rest(now)
	return b.spent <= burst/2
}

// exhaust leaves nothing in the budget.
func (b *budget) exhaust(now time.Time) { b.spent, b.since = burst, now }

// period returns for how long the next fold collects, if so many were written before.
func period(written int) time.Duration { return min(shortest<<min(written/10, 10), longest) }

// family returns the budget for new units of the same kind, such as the instances of a template: they
// may come and go all the time. It is nil if the unit is none of these.
func (s *Stage) family(name string) *budget {
	prefix, _, instance := strings.Cut(name, "@")
	if !instance {
		if !strings.HasPrefix(name, "run-") { // as systemd-run(1) names them
			return nil
		}
		prefix = "run-"
	}
	if s.families[prefix] == nil {
		s.families[prefix] = &budget{}
	}
	return s.families[prefix]
}
