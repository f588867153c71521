package view

import (
	"maps"
	"slices"
	"strings"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/bus/plan"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
)

// A model is what is known. It does nothing but hold that.
type model struct {
	units map[string]*unit
	pasts map[string]*tell.Past
	about feed.Monitor
	// base is what all units have in common: the clocks, how far the history goes back, and when the
	// monitor has stopped.
	base      tell.Status
	itself    store.Record // the last record of the monitor itself
	seq       uint64       // of the last record
	connected bool
	troubles  []string        // with the connection, or with the files
	listed    map[string]bool // the units that the feed has told since it began
}

// A unit is what is known of a unit.
type unit struct {
	tally *count.Tally
	plan  *plan.Plan
	since uint64 // what model.seq was when it changed last
	shown tell.Health
}

func newModel(host string) *model {
	return &model{units: map[string]*unit{}, pasts: map[string]*tell.Past{}, listed: map[string]bool{}, base: tell.Status{Host: host}}
}

// A moment is a time by all clocks.
type moment struct {
	now       time.Time
	boot      string
	monotonic uint64
}

// at sets the clocks.
func (m *model) at(t moment) {
	m.base.Now, m.base.Clock.Now = t.now, t.now
	m.base.Clock.Boot, m.base.Clock.Since = t.boot, t.monotonic
}

// forget lets go of what the history has, because it is read once more.
func (m *model) forget() {
	clear(m.pasts)
	m.seq, m.itself, m.base.Since = 0, store.Record{}, time.Time{}
	m.base.Clock = tell.Clock{Now: m.base.Clock.Now, Boot: m.base.Clock.Boot, Since: m.base.Clock.Since}
}

// record takes the next record of the chronicle.
func (m *model) record(r *store.Record) {
	m.seq = r.Seq
	r = m.base.Clock.Right(r)
	m.base.Clock.Add(r)
	m.base.Reach(r)
	if r.Kind == store.Monitor {
		m.itself = *r
	}
	if r.Unit == "" {
		return
	}
	if r.Kind == store.Forgotten { // units of a glob come and go, and there may be any number of them
		delete(m.pasts, r.Unit)
		return
	}
	past := m.pasts[r.Unit]
	if past == nil {
		past = &tell.Past{}
		m.pasts[strings.Clone(r.Unit)] = past
	}
	past.AddLately(r, &m.base.Clock)
}

// tidy lets go of what counts no more.
func (m *model) tidy() {
	for _, past := range m.pasts {
		past.Forget(&m.base.Clock)
	}
}

// put takes the newest tally of a unit. It reports whether that tells anything new.
func (m *model) put(t *count.Tally) bool {
	if ask.Pattern(t) {
		return false
	}
	u := m.units[t.Unit]
	if u != nil && keyOf(u.tally) == keyOf(t) {
		u.tally = t
		return false
	}
	if u == nil {
		u = &unit{}
		m.units[t.Unit] = u
	}
	u.tally, u.plan, u.since = t, nil, m.seq
	return true
}

// A key is different after each change of a unit.
type key struct {
	active, sub                             string
	starts, stops, crashes, unknown, repeat uint64
	retrying, gaveUp, atLeast               bool
	changed, crashed                        int64
}

func keyOf(t *count.Tally) key {
	k := key{active: t.State, starts: t.Starts, stops: t.Stops, crashes: t.Crashes, unknown: t.Unknown, repeat: t.Restarts, atLeast: t.AtLeast, changed: t.Changed.Unix()}
	if l := t.Life; l != nil {
		k.sub, k.retrying, k.gaveUp = l.SubState, l.Retrying, l.GivenUp
	}
	if c := t.LastCrash; c != nil {
		k.crashed = c.Time.Unix()
	}
	return k
}

// status returns the present status of the units that are wanted. It shares nothing with the model that
// changes.
func (m *model) status(wants func(unit string) bool) *tell.Status {
	s := m.base
	s.Clock = s.Clock.Clone()
	s.Troubles = slices.Concat(m.about.Troubles, m.troubles)
	if m.connected {
		s.AsOf, s.Stopped, s.Monitor, s.Behind = s.Now, time.Time{}, m.about, false
	}
	s.Behind = s.Behind || m.about.CatchingUp // it tells its units one by one, before it is connected
	if s.Troubles == nil && m.connected {
		s.Troubles = []string{}
	}
	for _, name := range slices.Sorted(maps.Keys(m.units)) {
		if wants(name) {
			s.Units = append(s.Units, m.unit(name))
		}
	}
	return &s
}

// unit returns what is known of a unit.
func (m *model) unit(name string) *tell.Unit {
	u := m.units[name]
	told := &tell.Unit{Tally: u.tally, Plan: u.plan}
	if past := m.pasts[name]; past != nil {
		told.Past = past.At(m.base.Now)
	}
	told.CatchUp(m.base.Now)
	return told
}
