package bus

import (
	"sync/atomic"

	"service-monitor/stages/journald/records"
)

// A unit is what the source itself knows of one. There may be thousands, so one map holds
// all of it.
type unit struct {
	// entered is when the unit entered the state in which the last audit saw it. It is 0 where
	// systemd had not loaded the unit.
	entered   uint64
	unchanged bool // it has announced no change since then
	there     bool // systemd had it when we last heard of it, or has a unit file for it
	round     int  // the crowd's round in which we last heard of it
	known     bool // we have sent something about it before
	asked     bool // we have asked for its snapshot in this connection
	present   bool // and the snapshot has come
	late      bool // it was seen first while the journal could not be read, and is counted from the place of its glob on
	fresh     bool // its first change is still to come, and it will announce all that happens to it
}

// unasked forgets that the snapshot was asked for, and that it came.
func (u *unit) unasked() { u.asked, u.present = false, false }

// A crowd is the units that only globs name. They come and go: each connection to a socket
// with Accept=yes is one. When systemd has unloaded such a unit, and it has no unit file, its
// counts are folded into the sums of its glob. So the monitor costs as much as what is loaded.
type crowd struct {
	listing map[string]bool                 // loaded units, from the lists that have come so far
	files   map[string]bool                 // units that have a unit file
	there   atomic.Pointer[map[string]bool] // both, once all lists had come
	came    int                             // units that have come since then
	lists   int                             // lists on their way that show which units have gone
	dropped bool                            // changes were dropped that came before what is being handled
	// round counts how often the lists were asked for. asked is the place in the journal at
	// that time. A unit can be folded if it is not on the lists and was last heard of in an
	// earlier round: when the journal is read again, the place shows that it was counted.
	round int
	asked records.Place
	// listed is the place at which the lists of the last gap were asked for. What happened to a
	// unit after that was announced.
	listed records.Place
}

// grows notes that a unit has come, and reports whether it is time to look who has gone.
// That costs a list of what is there, so it is done when that many have come.
func (c *crowd) grows() bool {
	c.came++
	size := 0
	if there := c.there.Load(); there != nil {
		size = len(*there)
	}
	return c.came >= max(fewest, size) // size may have shrunk
}

// fewest is the least number of units that come before the crowd looks which have gone.
const fewest = 128
