package count

import (
	"sync/atomic"
	"time"

	"service-monitor/stages/classify"
)

// counters are what others may want to know of the keeper. It writes them once for each batch, and
// anybody may read them.
type counters struct {
	recovered atomic.Uint64
	floor     atomic.Int64 // clock.floor, in ns since 1970
}

// show notes how many of these events were read in the journal later, and how the clock is.
func (c *counters) show(now *clock, events []Event) {
	c.floor.Store(now.floor.UnixNano())
	n := uint64(0)
	for i := range events {
		if events[i].Recovered && isCount(events[i].Kind) {
			n += events[i].Times()
		}
	}
	if n > 0 {
		c.recovered.Add(n)
	}
}

// isCount reports whether facts of a kind are counted.
func isCount(k classify.Kind) bool {
	switch k {
	case classify.Started, classify.Stopped, classify.Crashed, classify.UnknownEnd, classify.Restarted:
		return true
	}
	return false
}

// Recovered returns how many events were read in the journal later. Any goroutine may call it.
func (s *Stage) Recovered() uint64 { return s.counters.recovered.Load() }

// ClockTrusted reports whether nothing proves that the wall clock is wrong now. Any goroutine may call it.
func (s *Stage) ClockTrusted() bool {
	c := clock{floor: time.Unix(0, s.counters.floor.Load())}
	return c.trusts(time.Now())
}
