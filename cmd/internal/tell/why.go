package tell

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/decode"
)

// beside is how long before or after a crash another event may be, to be shown with it.
const beside = 5 * time.Second

// A crash is a record of one crash or of several.
type crash struct {
	store.Record
	run time.Duration // how long the run took; negative if that is not known
}

// at returns when it crashed, or when it did so last.
func (c *crash) at() time.Time {
	if c.Until.IsZero() {
		return c.Time
	}
	return c.Until
}

// A Why is what there is to say about the crashes of a unit. Records come in their order, first all for
// Add, and then the same ones for Near.
type Why struct {
	Status  *Status // as of when
	Unit    *Unit
	Number  int64 // which crash is asked for; 0 for the last one
	Uptime  Availability
	Boxes   []blackbox.Box // of the unit, the oldest first
	Full    bool           // all lines of a box
	crashes []crash
	began   *store.Record
	stop    *store.Record // the last stop; nil if a crash came after it
	end     store.Kind    // how the last run ended
	near    []store.Record
}

// Add adds a record of any unit.
func (y *Why) Add(r *store.Record) {
	if r.Unit != y.Unit.Unit {
		return
	}
	r = y.Status.Clock.Right(r)
	y.Unit.Add(r, y.Status.Now)
	keep := *r
	switch {
	case r.Kind == store.Start:
		y.began = &keep
		return
	case r.Delta.Crashes > 0 && r.Flags&store.Untold == 0:
		c := crash{keep, -1}
		if r.Kind == store.Crash {
			c.run = ran(y.began, r)
		}
		y.crashes, y.stop = append(y.crashes, c), nil
	case r.Kind == store.Stop:
		y.stop = &keep
	case r.Kind == store.Restart || r.Kind == store.GaveUp || r.Kind == store.State, r.Delta.Restarts > 0 && r.Delta.Restarts == r.Delta.Sum():
		return // no run began or ended
	}
	if y.began = nil; r.Delta.Crashes+r.Delta.Stops+r.Delta.Unknown > 0 {
		y.end = lastEnd(r)
	}
}

// CatchUp adds the crashes that are counted, but that the history does not have yet. It is called between
// Add and Near.
func (y *Why) CatchUp() {
	u, last := y.Unit, y.Unit.LastCrash
	more := int64(u.Crashes) - u.told
	u.CatchUp(y.Status.Now)
	if last == nil || more <= 0 || y.Status.Since.IsZero() || last.Time.Before(y.Status.Since) {
		return
	}
	r := store.Record{Kind: store.Crash, Time: last.Time, Boot: last.Boot, Monotonic: last.Clock, Unit: u.Unit, Result: last.Cause.Result, Code: last.Cause.Code, Status: last.Cause.Status}
	switch {
	case u.told == 0: // it has no record, and so many may be older than the history
		more = 1
	case more > 1:
		r.Kind = store.Many
	}
	r.Delta.Crashes, r.After = more, chronicle.Counts(u.Tally)
	var id decode.Invocation
	_ = id.UnmarshalText([]byte(last.Invocation)) // else it is not known
	r.Invocation = id
	y.crashes, y.stop, y.end = append(y.crashes, crash{r, -1}), nil, store.Crash
}

// chosen returns the crash that is asked for; nil if the history does not have it.
func (y *Why) chosen() *crash {
	for i := len(y.crashes) - 1; i >= 0; i-- {
		c := &y.crashes[i]
		if y.Number == 0 || y.Number <= c.After.Crashes && y.Number > c.After.Crashes-c.Delta.Crashes {
			return c
		}
	}
	return nil
}

// Has reports whether the history has the crash that is asked for.
func (y *Why) Has() bool { return y.chosen() != nil }

// Near adds a record of any unit. The report tells it if it is near the crash.
func (y *Why) Near(r *store.Record) {
	c := y.chosen()
	if c == nil || r.Unit == y.Unit.Unit || r.Kind == store.Seen || r.Kind == store.Restart || len(y.near) == 9 {
		return
	}
	at := *y.Status.Clock.Right(r)
	if r.Kind == store.Gap {
		at.Time = seen(r)
	}
	if d := at.Time.Sub(c.Time); d > -beside && d < beside {
		y.near = append(y.near, at)
	}
}

// A Field is one thing that the report says. An empty name goes on with the one before.
type Field struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// A fieldList collects fields.
type fieldList []Field

func (l *fieldList) add(name, format string, args ...any) {
	*l = append(*l, Field{name, fmt.Sprintf(format, args...)})
}

// Write writes the report.
func (y *Why) Write(w io.Writer, s Screen) {
	s.wrap(w, "", y.headline(s.Zone))
	fmt.Fprintln(w)
	for _, f := range y.fields(s.Zone) {
		s.wrap(w, fmt.Sprintf("  %-9s ", f.Name), f.Text)
	}
	c := y.chosen()
	if box := y.box(c); box != nil {
		y.writeWords(w, s, box, c)
	}
	y.writeCommands(w, s, "Look further", y.further())
	y.writeCommands(w, s, "To start it when it is mended", y.mended())
}

// fields returns what the report says, one thing after the other.
func (y *Why) fields(zone *time.Location) []Field {
	var list fieldList
	u, field := y.Unit, list.add
	field("State", "%s", y.state())
	if at := y.Status.Stopped; !at.IsZero() {
		field("But", "the monitor is not running since %s; what came later is not here", at.In(zone).Format(time.DateTime))
	}
	for _, trouble := range y.Status.Troubles {
		field("But", "the monitor: %s", trouble)
	}
	c := y.chosen()
	switch {
	case c != nil:
		y.crashFields(field, c, zone)
	case u.LastCrash != nil:
		field("Cause", "%s", Explain(u.LastCrash.Cause.Result, u.LastCrash.Cause.Code, u.LastCrash.Cause.Status))
		field("Last", "%s, which the history does not have; invocation %.16s", u.LastCrash.Time.In(zone).Format(time.DateTime), u.LastCrash.Invocation)
	}
	if y.stop != nil && y.Number == 0 {
		field("Stopped", "%s, %s ago: %s", y.stop.Time.In(zone).Format(time.DateTime), spanText(y.Status.longSinceEnd(y.stop)), Explain(y.stop.Result, y.stop.Code, y.stop.Status))
	}
	if next := y.Status.next(u, zone); next != "" {
		field("What next", "%s", next)
	} else if u.State == decode.NotLoaded {
		field("What next", "nothing, until there is such a unit. Is the name in monitored_services spelt right, and is the package installed?")
	}
	field("Counts", "%s", y.counts())
	if !y.Status.Since.IsZero() {
		field("24 h", "%s", y.day())
		if usual := y.usual(); usual != "" {
			field("Usually", "%s", usual)
		}
		field("History", "goes back to %s", y.Status.Since.In(zone).Format("2006-01-02 15:04"))
	}
	y.nearFields(field, zone)
	if box := y.box(c); box != nil {
		usedField(field, box)
	}
	return list
}

// day says how the last 24 hours were.
func (y *Why) day() string {
	text := plural(y.Unit.Day, "crash")
	if y.Uptime.Day >= 0 {
		text = percent(y.Uptime.Day) + " up; " + text
	}
	if y.Uptime.Down > 0 {
		text += ", down for " + Span(y.Uptime.Down) + " in all"
	}
	return text
}

// usual says how long the unit was up and down on average, since the history begins.
func (y *Why) usual() string {
	var words []string
	if y.Uptime.Between >= 0 {
		words = append(words, "up for "+Span(y.Uptime.Between)+" for each crash")
	}
	if y.Uptime.Repair >= 0 {
		words = append(words, "down for "+Span(y.Uptime.Repair)+" after it")
	}
	return strings.Join(words, ", ")
}

// crashFields adds what is known of a crash.
func (y *Why) crashFields(field func(name, format string, args ...any), c *crash, zone *time.Location) {
	field("Cause", "%s", Explain(c.Result, c.Code, c.Status))
	when := c.at().In(zone).Format(time.DateTime)
	if ago, known := y.Status.longSinceEnd(&c.Record); known {
		when += ", " + spanText(ago, known) + " ago"
	}
	if c.run >= 0 {
		when += ", after " + Span(c.run)
	}
	if c.Invocation != [16]byte{} {
		when += "; invocation " + hex.EncodeToString(c.Invocation[:8])
	}
	switch {
	case y.Number == 0:
		field("Last", "%s", when)
	case y.Number < c.After.Crashes: // nobody knows more of this one
		took := ""
		if !c.Until.IsZero() {
			took = " from " + c.Time.In(zone).Format(time.DateTime) + " to " + c.Until.In(zone).Format(time.DateTime)
		}
		field(fmt.Sprintf("No. %d", y.Number), "one of %d%s; the last of them: %s", c.Delta.Crashes, took, when)
	default:
		field(fmt.Sprintf("No. %d", y.Number), "%s", when)
	}
	if u := y.Unit; y.loops() {
		field("A loop", "every %s since %s", Span(u.every()), u.LoopSince.In(zone).Format(time.DateTime))
	}
	if rule := ruleWords(c.Rule); rule != "" {
		field("Counted", "%s", rule)
	}
	if flags := flagWords(c.Flags); flags != "" {
		field("But", "%s", flags)
	}
	if len(y.crashes) > 1 {
		var words []string
		for _, c := range y.causes() {
			words = append(words, fmt.Sprintf("%d × %s", c.Crashes, c.Text))
		}
		field("All", "%s", strings.Join(words, ", "))
	}
}

// loops reports whether the unit crashes again and again.
func (y *Why) loops() bool { return y.Unit.Loop > 1 && y.Status.health(y.Unit) == CrashLoop }

// A cause is how often a unit crashed in one way.
type cause struct {
	Text    string `json:"status_text"`
	Crashes int64  `json:"crashes"`
}

// causes returns how often each cause was, in the order in which they came.
func (y *Why) causes() []cause {
	list := []cause{}
	for _, c := range y.crashes {
		text := Cause(c.Result, c.Code, c.Status)
		i := slices.IndexFunc(list, func(c cause) bool { return c.Text == text })
		if i < 0 {
			i, list = len(list), append(list, cause{Text: text})
		}
		list[i].Crashes += c.Delta.Crashes
	}
	return list
}

// nearFields adds what happened to other units near the crash.
func (y *Why) nearFields(field func(name, format string, args ...any), zone *time.Location) {
	name := "Near it"
	for _, r := range y.near {
		what := r.Kind.String()
		switch r.Kind {
		case store.Many:
			what = events(r.Delta)
		case store.Crash:
			what += ": " + Cause(r.Result, r.Code, r.Status)
		case store.Monitor, store.Clock, store.Gap:
			what = aboutItself(&r)
		case store.State:
			what, _ = stateWords(&r)
		}
		field(name, "%s %s", r.Time.In(zone).Format("15:04:05"), strings.TrimSpace(short(r.Unit)+" "+what))
		name = ""
	}
}
