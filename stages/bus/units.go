package bus

import (
	"sync/atomic"

	"service-monitor/stages/bus/history"
)

// A unit is what the source itself knows of one. There are thousands, so all of it is in
// one map.
type unit struct {
	// entered is when it entered the state in which an audit saw it last, 0 where it
	// is not loaded.
	entered uint64
	quiet   bool // it announced no change since then
	there   bool // systemd had it when it was heard of last, or has a unit file of it
	round   int  // of the crowd, in which it was heard of last
	known   bool // it was ever handed on
	asked   bool // its snapshot is asked for, in this connection,
	present bool // and is there
	fresh   bool // it announces all that ever happens to it, and has not begun
}

// unasked takes back that its snapshot is asked for, or there.
func (u *unit) unasked() { u.asked, u.present = false, false }

// A crowd is the units that only globs name. They come and go: each connection to a socket
// with Accept=yes is one. Those that systemd has unloaded, and that have no unit file, are
// folded into the sums of their glob. So what the monitor costs follows what is loaded.
type crowd struct {
	listing map[string]bool                 // what the lists have shown so far
	files   map[string]bool                 // units that have a unit file
	there   atomic.Pointer[map[string]bool] // and what they had shown when all had come
	came    int                             // units that came since
	lists   int                             // lists on their way with which it is looked who has gone
	// round is how often the lists were asked for, and asked the place then. What began
	// before that, and of which nothing was heard since, can be folded: when the journal is
	// read again, it is known by the place that it was counted.
	round int
	asked history.Place
	// listed is the same of the lists of a gap: what happened to a unit later is announced.
	listed history.Place
}

// grows notes that a unit has come, and reports whether it is time to look who has gone.
// That costs a list of what is there, so it is done when that many have come.
func (c *crowd) grows() bool {
	c.came++
	size := 0
	if there := c.there.Load(); there != nil {
		size = len(*there)
	}
	return c.came == max(fewest, size)
}

// fewest is how many units may come by a glob before it is looked whether as many have gone.
const fewest = 128
