package bus

import (
	"sync/atomic"

	"service-monitor/stages/bus/link"
)

// Counts are what the source has done so far.
type Counts struct {
	Connected  bool   // to the system bus
	Reconnects uint64 // connections after the first one
	Received   uint64 // signals about monitored units
	Refused    uint64 // signals that are not from systemd, or not well-formed
	Gaps       uint64 // how often it had to find out what it had missed; the first time at its start
	GapOpen    bool   // the journal could not be read for the last gap
}

// counters are what Counts are made of. The source writes them once for each batch, and anybody may read
// them.
type counters struct {
	connected, gapOpen         atomic.Bool
	reconnects, received, gaps atomic.Uint64
}

// Counts returns what the source has done so far. Any goroutine may call it.
func (s *Stage) Counts() Counts {
	c := &s.counters
	return Counts{
		Connected: c.connected.Load(), Reconnects: c.reconnects.Load(), Received: c.received.Load(), Refused: s.refused.Load(),
		Gaps: c.gaps.Load(), GapOpen: c.gapOpen.Load(),
	}
}

// show lets others see how the source is.
func (s *Stage) show() {
	s.counters.connected.Store(s.link != nil)
	s.counters.gapOpen.Store(s.outage.why != nil)
}

// count counts the signals among these items, and those that were dropped.
func (c *counters) count(items []link.Item, dropped map[string]int) {
	n := uint64(0)
	for i := range items {
		if items[i].Kind == link.Signal {
			n++
		}
	}
	for _, signals := range dropped {
		n += uint64(signals)
	}
	if n > 0 {
		c.received.Add(n)
	}
}
