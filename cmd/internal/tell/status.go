package tell

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/bus/plan"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/feed"
)

// Health says in a word how a unit is.
type Health string

// The healths. Units are shown in this order, so those that need attention come first.
const (
	GaveUp    Health = "gave-up"    // it is down, and systemd does not start it: the start limit was hit, or the restart failed
	CrashLoop Health = "crash-loop" // it crashes again and again, and systemd restarts it
	Failed    Health = "failed"     // it is down after a crash, and systemd does not restart it, or only after RestartSec=infinity
	NotLoaded Health = "not-loaded" // systemd has no such unit
	Unknown   Health = "unknown"    // it was not seen yet
	Starting  Health = "starting"   // it starts, stops, or waits for its restart
	Stopped   Health = "stopped"    // it is down, and its last run ended well
	ExitedOK  Health = "exited-ok"  // it has done what it is for: a oneshot
	Running   Health = "running"
)

var healths = []struct {
	health    Health
	mark      string
	plain     string // the mark in ASCII
	words     string
	attention bool
}{
	{GaveUp, "×", "x", "gave up", true},
	{CrashLoop, "↻", "@", "crash loop", true},
	{Failed, "×", "x", "failed", true},
	{NotLoaded, "?", "?", "not loaded", true},
	{Unknown, "?", "?", "unknown", false},
	{Starting, "◌", "-", "starting", false},
	{Stopped, "○", "o", "stopped", false},
	{ExitedOK, "●", "*", "exited ok", false},
	{Running, "●", "*", "running", false},
}

func (h Health) rank() int {
	for i, row := range healths {
		if row.health == h {
			return i
		}
	}
	return len(healths)
}

// Attention reports whether somebody has to look after the unit.
func (h Health) Attention() bool { return healths[h.rank()].attention }

// looping is how many crashes make a loop, if each follows the one before within near.
const looping = 3

// A Past is what the history has of a unit.
type Past struct {
	Uptime
	Day       int64     // crashes in the last 24 hours, as of the last record or of At
	Loop      int64     // crashes in the last series, in which each follows the one before within near
	LoopSince time.Time // when that series began
	began     instant   // the same, by both clocks
	last      instant   // when the last crash was
	oneshot   bool      // the last run that was watched ended well without ever being up
	well      bool      // the last run ended well
	gaveUp    string    // why systemd gave up, since the last start
	refused   bool      // systemd gave up, and has left the unit inactive
	starts    startList
	told      int64 // crashes with its last record
	recent    []recentCrashes
}

// These are crashes of the last 24 hours, and when the last one of them was.
type recentCrashes struct {
	until   time.Time
	crashes int64
}

// Add adds a record of the unit. Records come in their order.
func (p *Past) Add(r *store.Record, now time.Time) {
	p.told = r.After.Crashes
	p.add(r)
	p.end(r)
	p.starts.add(r)
	switch {
	case r.Kind == store.Stop || r.Kind == store.Seen:
		p.Loop = 0
		return
	case r.Delta.Crashes <= 0 || r.Flags&store.Untold != 0:
		return
	}
	first, last := instants(r)
	if p.Loop == 0 || p.last.until(first) > near {
		p.Loop, p.LoopSince, p.began = 0, r.Time, first
	}
	p.Loop, p.last = p.Loop+r.Delta.Crashes, last
	if now.Sub(last.at) < day {
		p.Day += r.Delta.Crashes
		p.recent = append(p.recent, recentCrashes{last.at, r.Delta.Crashes})
	}
}

// At returns a copy of the past, as it is now. now must not be before the last record that was added. The
// copy stays as it is if more records are added to p.
func (p *Past) At(now time.Time) Past {
	then := *p
	then.Day = 0
	for _, l := range p.recent {
		if now.Sub(l.until) < day {
			then.Day += l.crashes
		}
	}
	then.recent, then.stretches, then.starts.list = slices.Clip(p.recent), slices.Clip(p.stretches), slices.Clip(p.starts.list)
	return then
}

// AddLately is like Add, but it keeps nothing that counts no more, because it was more than 24 hours ago.
func (p *Past) AddLately(r *store.Record, c *Clock) {
	n := len(p.stretches)
	if p.Add(r, c.Now); len(p.stretches) > n && c.old(&p.stretches[n]) {
		p.stretches = p.stretches[:n]
	}
}

// Forget lets go of what counts no more by now. Whoever keeps a past for days calls it now and then.
func (p *Past) Forget(c *Clock) {
	p.recent = without(p.recent, func(l recentCrashes) bool { return c.Now.Sub(l.until) >= day })
	p.stretches = without(p.stretches, func(s stretch) bool { return c.old(&s) })
}

// without returns a list without some of its elements. The list itself is not changed.
func without[T any](list []T, old func(T) bool) (kept []T) {
	if !slices.ContainsFunc(list, old) {
		return list
	}
	for _, e := range list {
		if !old(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

// end notes how a run ended, and what systemd did then. Only a oneshot goes from activating to inactive
// at its end. A record of what nobody watched has another state in From.
func (p *Past) end(r *store.Record) {
	switch {
	case r.Kind == store.GaveUp:
		p.gaveUp, p.refused = r.Result, r.To == "inactive"
	case r.Delta.Starts > 0:
		p.gaveUp, p.refused = "", false
	}
	switch d := r.Delta; {
	case r.Kind == store.Seen || r.Flags&store.Untold != 0:
		p.oneshot, p.well = false, false
	case d.Crashes > 0 || d.Unknown > 0:
		p.well = false
	case d.Stops > 0:
		p.well = r.Result == "success" || r.Kind == store.Many // which has no result if nothing crashed
		if r.Kind == store.Stop && r.Flags&(store.Recovered|store.AtLeast) == 0 {
			p.oneshot = p.well && r.From == "activating"
		}
	}
}

// every returns how long it was from one crash to the next in the last series, on average.
func (p *Past) every() time.Duration {
	return p.began.until(p.last) / time.Duration(max(p.Loop-1, 1))
}

// A Unit is what is known of a unit.
type Unit struct {
	*count.Tally
	Past
	Plan *plan.Plan // nil if systemd was not asked, or did not answer
}

// CatchUp adds the crashes that are counted, but not yet in the history. In a storm, many crashes
// come into the history as one record, up to an hour later.
func (u *Unit) CatchUp(now time.Time) {
	more := int64(u.Crashes) - u.told
	if u.LastCrash == nil || u.told == 0 || more <= 0 || now.Sub(u.LastCrash.Time) >= day {
		return
	}
	u.Add(&store.Record{Kind: store.Many, Time: u.LastCrash.Time, Boot: u.LastCrash.Boot, Monotonic: u.LastCrash.Clock, Delta: store.Counts{Crashes: more}, After: store.Counts{Starts: u.starts.counted, Crashes: int64(u.Crashes)}}, now)
}

// Health returns how the unit is.
func (u *Unit) Health(now time.Time) Health {
	quiet := now.Sub(u.last.at) // negative if the clock was set back, and then nobody knows
	loop := u.Loop >= looping && quiet > -slack && quiet < near
	l := u.Life
	switch {
	case u.State == decode.NotLoaded:
		return NotLoaded
	case !l.Known():
		return Unknown
	case u.givenUp():
		return GaveUp
	case u.waitsForEver():
		return Failed
	case loop && u.State != "inactive" && u.State != "failed", loop && l.Retrying && !l.GivenUp && !u.released(now):
		return CrashLoop
	case u.State == "failed":
		return Failed
	case u.State == "active" && l.SubState == "exited", u.State == "inactive" && u.oneshot && u.well:
		return ExitedOK
	case u.State == "active", u.State == "reloading", u.State == "refreshing":
		return Running
	case u.State == "inactive", u.State == "maintenance":
		return Stopped
	}
	return Starting
}

// givenUp reports whether systemd does not start the unit any more: it refused a start, or a restart failed. A
// unit that is failed after a gap is given up, too, for all that its life says, until the journal is read. The
// history may say that of it before.
func (u *Unit) givenUp() bool {
	l := u.Life
	switch {
	case !l.GivenUp, isQueued(u.current()):
		return false
	case u.State == "failed":
		return l.Retrying || u.gaveUp != "" || l.Opened.IsZero()
	}
	return u.refused && u.State == "inactive" || strings.HasPrefix(l.SubState, autoRestart)
}

// released reports whether somebody has stopped a unit that was to be restarted. Before 257 it is inactive
// for a moment before its restart, too.
func (u *Unit) released(now time.Time) bool {
	return u.Times.Phase == count.Stopped || u.State == "inactive" && now.Sub(u.Changed) > soon
}

// Status is what is known of all units at a moment.
type Status struct {
	Now     time.Time
	Host    string
	AsOf    time.Time // the time of all this
	Stopped time.Time // when the monitor stopped; zero if it runs
	Since   time.Time // how far the history goes back; zero if there is none
	// Troubles say what is wrong with the monitor itself.
	Troubles []string
	// Behind is true if the monitor may have counted more than this: it was killed, or could not save its last, and
	// has not caught up yet. Without a history nobody knows, and it is false.
	Behind bool
	// Monitor is what the monitor has told of itself; zero if none runs.
	Monitor feed.Monitor
	Units   []*Unit
	Clock   Clock
	ToAsk   int  // how many units there were to ask systemd about
	Asked   int  // about how many it was asked: not about all if they are too many
	Wide    bool // more columns, and no end of the line
}

// Blind reports whether the monitor runs without a connection to systemd, and says so. Then nobody sees what
// happens. It counts that later.
func (s *Status) Blind() bool {
	n := s.Monitor.Counters
	return n != nil && !n.Connected && len(s.Troubles) > 0
}

// Moment returns the moment of AsOf, by both clocks.
func (s *Status) Moment() count.Moment {
	clock := int64(s.Clock.Since) - max(0, s.Now.Sub(s.AsOf)).Microseconds()
	return count.Moment{Time: s.AsOf, Clock: uint64(max(0, clock)), Boot: s.Clock.Boot}
}

// health returns how a unit is, or how it was when the monitor ended. A loop of then stays a loop,
// however long ago that is.
func (s *Status) health(u *Unit) Health { return u.Health(s.AsOf) }

// Attention returns how many units somebody has to look after.
func (s *Status) Attention() (n int) {
	for _, u := range s.Units {
		if s.health(u).Attention() {
			n++
		}
	}
	return n
}

// Names returns the names of the units.
func (s *Status) Names() []string {
	names := make([]string, len(s.Units))
	for i, u := range s.Units {
		names[i] = u.Unit
	}
	return names
}

// Ordered returns the units, those that need attention first.
func (s *Status) Ordered() []*Unit {
	units := slices.Clone(s.Units)
	slices.SortStableFunc(units, func(a, b *Unit) int {
		return cmp.Or(cmp.Compare(s.health(a).rank(), s.health(b).rank()), strings.Compare(a.Unit, b.Unit))
	})
	return units
}
