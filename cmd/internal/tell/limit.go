package tell

import (
	"service-monitor/stages/bus/plan"
	"service-monitor/stages/chronicle/store"
)

// mostStarts is how many records of starts are kept of a unit, for its start limit.
const mostStarts = 64

// A startList is the last starts of a unit, the oldest first.
type startList struct {
	list    []startRecord
	counted int64 // the starts with the last record
}

// A startRecord is a start, or several, up to a time. It may also only say what is known of the starts
// before that time.
type startRecord struct {
	boot   string
	clock  uint64 // CLOCK_MONOTONIC in µs
	starts int64
	apart  bool // they may have been at different times
	lost   bool // there may have been any number of others before
}

// add adds a record of the unit.
func (s *startList) add(r *store.Record) {
	s.counted = r.After.Starts
	b := startRecord{boot: r.Boot, clock: r.Monotonic, starts: r.Delta.Starts, apart: r.Kind == store.Many}
	b.lost = r.Flags&(store.AtLeast|store.Untold) != 0 || b.starts > 0 && (b.boot == "" || b.clock == 0)
	if b.starts == 0 && !b.lost && r.Kind != store.Seen {
		return
	}
	if len(s.list) == mostStarts {
		s.list = s.list[1:] // and not by moving the others: see Past.At
	}
	s.list = append(s.list, b)
}

// A window counts starts as systemd does: it begins with the first start that comes after the last
// window has ended (ratelimit_below() of systemd).
type window struct {
	interval uint64 // in µs
	begin    uint64
	starts   int64
	last     uint64 // no start that is not counted came after that; 0 if that is not known
	sure     bool   // begin and starts are known
}

// add adds starts up to a time.
func (w *window) add(b startRecord) {
	switch {
	case b.lost:
		w.sure = false
	case b.starts == 0:
	case w.sure && w.starts > 0 && w.holds(b.clock):
		w.starts += b.starts
	case b.apart: // a window begins with one of them, but with which one?
		w.sure = false
	case w.sure, w.last > 0 && b.clock > w.last+w.interval: // whichever window there was is over
		w.sure, w.begin, w.starts = true, b.clock, b.starts
	}
	w.last = b.clock
}

func (w *window) holds(clock uint64) bool { return clock <= w.begin+w.interval }

// used returns how many starts of its start limit a unit has used, by what the history has and what was
// counted since. It is negative if that is not known. systemd shows its own number to nobody: it begins
// anew after reset-failed or daemon-reload, and it has starts in it whose Condition…= was not met.
func (s *Status) used(u *Unit) int64 {
	p := u.Plan
	if p == nil || !p.Limited() || p.Interval == plan.Forever || !s.AsOf.Equal(s.Now) || u.Life == nil || !u.Life.Opened.IsZero() {
		return -1
	}
	fresh := window{interval: uint64(p.Interval.Microseconds()), sure: true}
	w := window{interval: fresh.interval}
	for _, b := range u.starts.list {
		if b.boot != "" && b.boot != s.Clock.Boot {
			w = fresh // no start of this boot was before
		} else {
			w.add(b)
		}
	}
	switch more := int64(u.Tally.Starts) - u.starts.counted; {
	case more == 1 && u.Life.Begun > w.last:
		w.add(startRecord{clock: u.Life.Begun, starts: 1})
	case more != 0:
		w.add(startRecord{clock: s.Clock.Since, starts: more, apart: true, lost: more < 0})
	}
	switch {
	case !w.sure || w.starts > int64(p.Burst): // the start limit would have refused the last one
		return -1
	case !w.holds(s.Clock.Since):
		return 0
	}
	return w.starts
}

// nearLimit reports whether most of the starts that the start limit allows are used.
func nearLimit(used int64, p *plan.Plan) bool { return used > 0 && used*5 >= int64(p.Burst)*4 }

// endless reports whether the start limit allows restarts for ever: there is none, or so many restarts
// take longer than its interval.
func endless(p *plan.Plan) bool {
	return !p.Limited() || float64(p.Pause)*float64(p.Burst) > float64(p.Interval)
}
