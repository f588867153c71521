package tell

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"service-monitor/stages/bus/plan"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
)

// Health says in a word how a unit is.
type Health string

// The healths. Units are shown in this order, so those that need attention come first.
const (
	GaveUp    Health = "gave-up"    // it is down, and systemd does not restart it: the start limit was hit, or the restart failed
	CrashLoop Health = "crash-loop" // it crashes again and again, and systemd restarts it
	Failed    Health = "failed"     // it is down after a crash, and systemd does not restart it
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
	Day       int64     // crashes in the last 24 hours
	Loop      int64     // crashes in the last series, in which each follows the one before within near
	LoopSince time.Time // when that series began
	last      time.Time
	oneshot   bool   // the last run that was watched ended well without ever being up
	well      bool   // the last run ended well
	gaveUp    string // why systemd gave up, since the last start
	refused   bool   // systemd gave up, and has left the unit inactive
	starts    startList
	told      int64 // crashes with its last record
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
	until := r.Until
	if until.IsZero() {
		until = r.Time
	}
	if p.Loop == 0 || r.Time.Sub(p.last) > near {
		p.Loop, p.LoopSince = 0, r.Time
	}
	p.Loop, p.last = p.Loop+r.Delta.Crashes, until
	if now.Sub(until) < 24*time.Hour {
		p.Day += r.Delta.Crashes
	}
}

// end notes how a run ended, and what systemd did then. Only a oneshot goes from activating to inactive at its end. A record of
// what nobody watched has another state in From.
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
		p.well = r.Result == "success"
		if r.Kind == store.Stop && r.Flags&(store.Recovered|store.AtLeast) == 0 {
			p.oneshot = p.well && r.From == "activating"
		}
	}
}

// every returns how long it was from one crash to the next in that row.
func (p *Past) every() time.Duration {
	return p.last.Sub(p.LoopSince) / time.Duration(max(p.Loop-1, 1))
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
	if u.LastCrash == nil || u.told == 0 || more <= 0 || now.Sub(u.LastCrash.Time) >= 24*time.Hour {
		return
	}
	u.Add(&store.Record{Kind: store.Many, Time: u.LastCrash.Time, Delta: store.Counts{Crashes: more}, After: store.Counts{Starts: u.starts.counted, Crashes: int64(u.Crashes)}}, now)
}

// Health returns how the unit is.
func (u *Unit) Health(now time.Time) Health {
	loop := u.Loop >= looping && now.Sub(u.last) < near
	l := u.Life
	switch {
	case u.State == decode.NotLoaded:
		return NotLoaded
	case !l.Known():
		return Unknown
	case l.GivenUp && l.Retrying && (u.State == "failed" || u.refused && u.State == "inactive" || strings.HasPrefix(l.SubState, autoRestart)):
		return GaveUp
	case loop && u.State != "inactive" && u.State != "failed", loop && l.Retrying && !l.GivenUp:
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

// Status is what is known of all units at a moment.
type Status struct {
	Now     time.Time
	Host    string
	AsOf    time.Time // the time of all this
	Stopped time.Time // when the monitor stopped; zero if it runs
	Since   time.Time // how far the history goes back; zero if there is none
	// Troubles say what is wrong with the monitor itself.
	Troubles []string
	Units    []*Unit
	Clock    Clock
	Asking   int  // how many units systemd should have been asked about, if that are too many
	Asked    int  // and how many it was asked about
	Wide     bool // more columns, and no end of the line
}

// Attention returns how many units somebody has to look after.
func (s *Status) Attention() (n int) {
	for _, u := range s.Units {
		if u.Health(s.Now).Attention() {
			n++
		}
	}
	return n
}

// Ordered returns the units, those that need attention first.
func (s *Status) Ordered() []*Unit {
	units := slices.Clone(s.Units)
	slices.SortStableFunc(units, func(a, b *Unit) int {
		return cmp.Or(cmp.Compare(a.Health(s.Now).rank(), b.Health(s.Now).rank()), strings.Compare(a.Unit, b.Unit))
	})
	return units
}

// Write writes the status as a table.
func (s *Status) Write(w io.Writer, screen Screen) {
	units := s.Ordered()
	head := fmt.Sprintf(": all %s well", plural(int64(len(units)), "service"))
	if n := s.Attention(); n > 0 {
		head = fmt.Sprintf(": %d of %s", n, plural(int64(len(units)), "service"))
		head += map[bool]string{true: " needs attention", false: " need attention"}[n == 1]
	}
	right := "  as of " + s.AsOf.In(screen.Zone).Format("2006-01-02 15:04:05 -07")
	room := max(screen.Width-utf8.RuneCountInString(head+right), 8)
	host := s.Host
	if utf8.RuneCountInString(host) > room {
		host = fit(host, room, screen.ASCII)
	}
	head = host + head
	screen.line(w, head+strings.Repeat(" ", max(0, screen.Width-utf8.RuneCountInString(head+right)))+right)
	if !s.Stopped.IsZero() {
		screen.line(w, fmt.Sprintf("THE MONITOR IS NOT RUNNING since %s (%s ago)", s.Stopped.In(screen.Zone).Format("2006-01-02 15:04:05"), s.ago(s.Stopped)))
	}
	for _, trouble := range s.Troubles {
		screen.wrap(w, "THE MONITOR: ", trouble)
	}
	fmt.Fprintln(w)
	columns := s.columns(screen)
	width := s.nameWidth(units, columns, screen)
	s.head(w, columns, width, screen)
	least := false
	for _, u := range units {
		least = least || u.AtLeast
		s.row(w, u, columns, width, screen)
	}
	fmt.Fprintln(w)
	if least {
		screen.line(w, "+ at least: something happened that nobody saw and that no record tells.")
	}
	if s.Asking > s.Asked {
		screen.line(w, fmt.Sprintf("What systemd does next is known for the first %d of %d services.", s.Asked, s.Asking))
	}
	if !s.Since.IsZero() {
		screen.line(w, fmt.Sprintf("The history goes back to %s (%s).", s.Since.In(screen.Zone).Format("2006-01-02 15:04"), Span(s.Now.Sub(s.Since))))
	}
	if s.Stopped.IsZero() {
		screen.line(w, "More: service-monitor history SERVICE, and journalctl -u SERVICE")
	} else {
		screen.line(w, "To go on counting: systemctl start service-monitor")
	}
}

// ago returns how long ago something was; a dash if that is not known, or if the time is still to
// come.
func (s *Status) ago(t time.Time) string {
	if t.IsZero() || t.After(s.Now.Add(time.Second)) {
		return "–"
	}
	if d := s.Now.Sub(t).Truncate(time.Second); d > 0 {
		return Span(d)
	}
	return "0 s"
}

// explain says why a unit needs attention, and what follows from that.
func (s *Status) explain(u *Unit, h Health, zone *time.Location) string {
	cause := "nobody knows why"
	if u.LastCrash != nil {
		cause = Cause(u.LastCrash.Cause.Result, u.LastCrash.Cause.Code, u.LastCrash.Cause.Status)
	}
	tail := s.tail(u, h, zone)
	switch {
	case h == CrashLoop:
		text := fmt.Sprintf("%s; %d times since %s", cause, u.Loop, u.LoopSince.In(zone).Format("15:04"))
		if p := u.current(); p == nil || !nearLimit(s.used(u), p) { // else there is no room for it
			text += ", every " + Span(u.every())
		}
		return strings.TrimSuffix(text+"; "+tail, "; ")
	case h == NotLoaded:
		return "systemd has no such unit; is monitored_services spelt right?"
	case tail != "":
		return cause + "; " + tail
	}
	return ""
}

// narrower returns a screen that is so many columns narrower.
func (s Screen) narrower(by int) Screen {
	if s.Width > 0 {
		s.Width = max(s.Width-by, 1)
	}
	return s
}
