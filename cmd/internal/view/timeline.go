package view

import (
	"slices"
	"strings"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
)

// The phases of a Span.
const (
	up         = "up"
	down       = "down" // after a crash
	stopped    = "stopped"
	unobserved = "unobserved" // nobody watched, or the history does not go back so far
)

// A Timeline is how units were in a time.
type Timeline struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Units []Line    `json:"units"`
}

// A Line is how a unit was.
type Line struct {
	Unit    string `json:"unit"`
	Spans   []Span `json:"spans"`
	Crashes []Mark `json:"crashes"`
}

// A Span is a phase. Its times are in seconds after Timeline.From.
type Span struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Phase string  `json:"phase"`
	// Mixed is true if the unit was up and down by turns, and no record tells when. Up is the part of the
	// time in which it was up.
	Mixed bool     `json:"mixed,omitempty"`
	Up    *float64 `json:"up,omitempty"`
}

// A Mark is one crash, or several that are in one record.
type Mark struct {
	At    float64  `json:"at"`
	Count int64    `json:"count"`
	Until *float64 `json:"until,omitempty"` // when the last of several was
}

// A Tracer makes a timeline. All records of the history are added, in their order.
type Tracer struct {
	clock    *tell.Clock
	from, to time.Time
	wants    func(unit string) bool
	units    map[string]*trace
	counted  time.Time // the counters have all that happened until then; zero if they may lack something
	gaps     []gap     // when nobody watched, in their order
	last     time.Time // of the last record that the monitor wrote about what it saw itself
	stopped  time.Time // when the monitor has stopped; zero if it has started since
}

// A gap is a time in which nobody watched.
type gap struct{ from, to time.Time }

// A trace is what the records say of a unit. Before the time that is asked for, only the last phase
// counts.
type trace struct {
	before string    // the last phase before the first step
	at     time.Time // when that began
	steps  []step
	marks  []Mark
}

// A step is a record of a unit: how the unit was before it and after it.
type step struct {
	at, until time.Time
	back      time.Duration // how long the unit was as was says, before the record
	was, is   string        // empty if the record does not tell
	up        float64       // the part of a folded record in which the unit was up; negative if that is not known
	mixed     bool
	later     bool // it was read in the journal later
}

// NewTracer returns a tracer for a time that ends with a status. The status may be of the last moment in
// which somebody watched.
func NewTracer(s *tell.Status, hours int, wants func(unit string) bool) *Tracer {
	t := &Tracer{clock: &s.Clock, from: s.Now.Add(-time.Duration(hours) * time.Hour), to: s.Now, wants: wants, units: map[string]*trace{}}
	if !s.Behind {
		t.counted = s.AsOf
	}
	return t
}

// Add adds a record. The caller may use it again.
func (t *Tracer) Add(r *store.Record) {
	r = t.clock.Placed(r)
	at, until := r.Time, r.Until
	if until.IsZero() {
		until = at
	}
	if r.Kind == store.Monitor {
		t.watch(r)
	}
	if r.Flags&store.Recovered == 0 && r.Kind != store.Gap && until.After(t.last) {
		t.last = until
	}
	if r.Unit == "" || !t.wants(r.Unit) {
		return
	}
	u := t.units[r.Unit]
	if u == nil {
		u = &trace{}
		t.units[strings.Clone(r.Unit)] = u
	}
	if r.Delta.Crashes > 0 && !until.Before(t.from) {
		u.marks = append(u.marks, t.mark(at, until, r))
	}
	st, ok := stepOf(r, u.phase())
	if !ok {
		return
	}
	st.at, st.until, st.later = at, until, r.Flags&store.Recovered != 0
	if until.Before(t.from) && len(u.steps) == 0 {
		u.before, u.at = st.is, until
		return
	}
	u.steps = append(u.steps, st)
}

// watch takes a record of the monitor itself.
func (t *Tracer) watch(r *store.Record) {
	if r.To == store.Stopped {
		t.stopped = r.Time
		return
	}
	from := t.stopped
	if from.IsZero() { // it was killed
		from = t.last
	}
	if t.stopped = (time.Time{}); !from.IsZero() && r.Time.After(from) && r.Time.After(t.from) {
		t.gaps = append(t.gaps, gap{from, r.Time})
	}
}

func (t *Tracer) mark(at, until time.Time, r *store.Record) Mark {
	m := Mark{At: t.seconds(at), Count: r.Delta.Crashes}
	if until.After(at) {
		end := t.seconds(until)
		m.Until = &end
	}
	return m
}

// seconds returns a time in seconds after the beginning, to the millisecond.
func (t *Tracer) seconds(at time.Time) float64 {
	return float64(at.Sub(t.from).Milliseconds()) / 1000
}

// phase returns the phase after the last record.
func (u *trace) phase() string {
	if n := len(u.steps); n > 0 {
		return u.steps[n-1].is
	}
	return u.before
}

// last returns when the last phase began of which there is a record.
func (u *trace) last() time.Time {
	if n := len(u.steps); n > 0 {
		return u.steps[n-1].until
	}
	return u.at
}

// stepOf returns what a record says of its unit. is is the phase before it. ok is false if it says nothing
// of phases.
func stepOf(r *store.Record, is string) (s step, ok bool) {
	s.up = -1
	switch r.Kind {
	case store.Start:
		s.is = up
		if r.Down > 0 {
			s.was, s.back = down, r.Down
		}
	case store.Stop:
		s.was, s.back, s.is = up, r.Up, stopped
	case store.Crash:
		s.was, s.back, s.is = up, r.Up, down
	case store.UnknownEnd:
		s.is = stopped
	case store.Seen:
		s.is = phaseOf(r.To)
	case store.Forgotten:
		s.is = unobserved
	case store.Many:
		s = many(r, is)
	default:
		if r.Flags&store.Missed == 0 {
			return s, false
		}
		s.is = stopped
	}
	return s, true
}

// many returns what a folded record says. What its counts add to starts and to ends says whether the unit
// was up at its end.
func many(r *store.Record, is string) step {
	s := step{mixed: true, up: -1, is: is}
	if total := r.Up + r.Down; total > 0 {
		s.up = float64(r.Up) / float64(total)
	}
	switch d := r.Delta; {
	case d.Starts > d.Stops+d.Crashes+d.Unknown:
		s.is = up
	case d.Starts < d.Stops+d.Crashes+d.Unknown && d.Crashes > 0:
		s.is = down
	case d.Starts < d.Stops+d.Crashes+d.Unknown:
		s.is = stopped
	}
	if r.Flags&store.Untold != 0 { // nobody wrote down what was
		s.mixed, s.was, s.is = false, unobserved, ""
	}
	return s
}

// phaseOf returns the phase of an active state.
func phaseOf(state string) string {
	switch state {
	case "active", "reloading", "refreshing":
		return up
	case "failed":
		return down
	case "inactive":
		return stopped
	}
	return ""
}

// present returns the phase in which a unit is, and since when.
func present(t *count.Tally) (phase string, since time.Time) {
	l := t.Life
	switch {
	case l.Running():
		phase = up
	case t.State == "inactive":
		phase = stopped
	case t.LastCrash != nil && l != nil && l.Ended && l.Invocation.String() == t.LastCrash.Invocation:
		phase = down
	default:
		phase = phaseOf(t.State)
	}
	if !t.ChangedUntrusted {
		since = t.Changed
	}
	return phase, since
}

// byTime orders steps by their times. Records that were read in the journal later are older than those
// before them.
func byTime(a, b step) int { return a.at.Compare(b.at) }

// Timeline returns the timeline of the units of a status.
func (t *Tracer) Timeline(s *tell.Status) *Timeline {
	out := &Timeline{From: t.from, To: t.to, Units: []Line{}}
	if !s.Stopped.IsZero() && s.AsOf.Before(t.to) {
		t.gaps = append(t.gaps, gap{s.AsOf, t.to})
	}
	for _, u := range s.Units {
		if !t.wants(u.Unit) {
			continue
		}
		tr := t.units[u.Unit]
		if tr == nil {
			tr = &trace{}
		}
		slices.SortStableFunc(tr.steps, byTime)
		line := Line{Unit: u.Unit, Spans: t.draw(tr, u.Tally), Crashes: []Mark{}}
		line.Crashes = append(line.Crashes, tr.marks...)
		out.Units = append(out.Units, line)
	}
	return out
}
