package chronicle

import (
	"strings"
	"time"
)

const (
	// burst is how many records a unit may have at once. Some 20 crashes with their restarts take
	// so many.
	burst = 60
	// A unit regains one record every regain, which is 4,300 a month. So the default size has room
	// for a month of ten units that do nothing but crash.
	regain = 10 * time.Minute
	// All units together may have burstOfAll records at once, and regain one every regainOfAll. So
	// a storm of many units takes little memory and few writes.
	burstOfAll  = 1000
	regainOfAll = time.Second
	// pause is how long a fold waits for its next event. If none comes, the fold is written.
	pause = 10 * time.Minute
)

// A budget is how many more records a unit may have, or all units together. The zero budget is that
// of a unit, and full.
type budget struct {
	spent int
	since time.Time // when a record was regained last
	all   bool      // it is the budget of all units together
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

// rest gives back the records that were regained since the last call.
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

// periods are how long the folds of a storm collect events: the first five a minute, the next five five
// minutes, and so on. A write wears the flash.
var periods = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// period returns how long the next fold of a storm collects events. written is how many folds of
// that storm were written before.
func period(written int) time.Duration { return periods[min(written/5, len(periods)-1)] }

// family returns the budget of all new units of a kind, such as the instances of a template. Such
// units may come and go all the time. For any other unit it returns nil.
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
