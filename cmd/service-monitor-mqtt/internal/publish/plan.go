package publish

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// together is how many messages are published at once.
const together = 32

// A job is a message, and what its acknowledgement means. acked may be nil. refused is called if the broker
// refuses the message; if it is nil, the message is tried again. failed is called if the connection is lost
// before the message is acknowledged; it may be nil.
type job struct {
	topics.Message
	acked, refused, failed func()
}

// A plan knows what to publish next. It does no I/O.
type plan struct {
	scheme  topics.Scheme
	leftOut func(unit string) bool
	at      cursor.Position
	under   string // where this configuration has its retained messages
	units   map[string]*unit
	monitor topics.Monitor
	told    uint64          // counts what the view told of the monitor
	changes uint64          // counts the changes of units
	rounds  uint64          // counts how often all has to be published
	online  bool            // the present state of the monitor is published
	greets  bool            // how all is has to be published before anything that has happened
	loaded  bool            // all units are known
	unknown bool            // the view has to be asked for how all is
	heard   bool            // the view has told how the monitor is
	fresh   map[string]bool // units of which the state is published, and no event yet
	backlog backlog
	boxes   boxes
}

// A unit is what is known of a unit, and what of it is published.
type unit struct {
	state     topics.Unit
	changed   uint64 // which change of all units was its last one
	sent      uint64 // the change that the broker has acknowledged
	most      uint64 // the events that the last state of it counts
	announced bool
}

func newPlan(s topics.Scheme, at cursor.Position, under string, leftOut func(string) bool) *plan {
	if at.Units == nil {
		at.Units = map[string]uint64{}
	}
	p := &plan{scheme: s, at: at, under: under, units: map[string]*unit{}, fresh: map[string]bool{}}
	p.leftOut = func(unit string) bool { return s.LeftOut(unit) || leftOut(unit) }
	p.backlog.more = true
	return p
}

// take takes what the view tells.
func (p *plan) take(e *view.Event) {
	switch e.Kind {
	case view.Changed:
		if u, err := topics.ParseUnit(e.Data); err == nil && !p.leftOut(u.Unit) {
			p.put(u)
		}
	case view.Gone:
		if u, err := topics.ParseUnit(e.Data); err == nil {
			delete(p.units, u.Unit)
			p.unknown = !p.loaded // an answer of before might bring it back
		}
	case view.Monitor:
		if m, err := topics.ParseMonitor(e.Data); err == nil {
			p.monitor, p.heard, p.online = m, true, false
			p.told++
		}
	case view.Ready:
		p.unknown, p.backlog.more = true, true
	case view.Told:
		p.backlog.more = true
	case view.Reset:
		p.backlog.forget()
	}
}

// everything takes how all was when the view was asked. What the view has told since then is newer.
func (p *plan) everything(all []view.Event) {
	if p.unknown {
		return // it is asked once more
	}
	for i := range all {
		switch e := &all[i]; e.Kind {
		case view.Monitor:
			if !p.heard {
				p.take(e)
			}
		case view.Changed:
			if u, err := topics.ParseUnit(e.Data); err == nil && p.units[u.Unit] == nil {
				p.take(e)
			}
		}
	}
	p.loaded = true
}

func (p *plan) put(state topics.Unit) {
	u := p.units[state.Unit]
	if u == nil {
		u = &unit{}
		p.units[state.Unit] = u
	}
	if u.changed > 0 && reflect.DeepEqual(u.state, state) {
		return
	}
	p.changes++
	u.state, u.changed = state, p.changes
}

// again notes that everything that is retained has to be published once more: the broker may have
// forgotten it.
func (p *plan) again() {
	p.online, p.greets = false, true
	p.rounds++ // what is on its way belongs to the round before
	for _, u := range p.units {
		u.sent, u.announced = 0, false
	}
}

// states returns the next messages about how all is now, the newest first.
func (p *plan) states(now time.Time) (jobs []job) {
	if !p.loaded {
		return nil
	}
	if p.moving() { // what it clears may be what this configuration publishes under the same topic
		if old := p.moved(); len(old) > 0 {
			return old
		}
	}
	if !p.online {
		told, round := p.told, p.rounds
		done := func() { p.online = told == p.told && round == p.rounds }
		jobs = orElse(p.add(jobs, done, p.scheme.Online(p.monitor, now)...), done)
	}
	for _, u := range p.dirty() {
		if len(jobs) >= together {
			return jobs
		}
		jobs = append(jobs, p.state(u)...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.at.Units)) {
		if p.units[name] == nil && len(jobs) < together {
			done := func() { delete(p.at.Units, name) }
			jobs = append(jobs, orElse(p.add(nil, done, p.scheme.Gone(name)...), done)...)
		}
	}
	return jobs
}

// dirty returns the units that the broker does not know as they are, the one that has changed last first. A
// monitor that was killed has saved less than it has told. Until it has counted that again, a unit with fewer
// events than before waits, so that no counter goes down.
func (p *plan) dirty() (list []*unit) {
	for name, u := range p.units {
		fewer := p.monitor.Behind && total(&u.state) < max(p.at.Units[name], u.most)
		if u.sent < u.changed && !fewer {
			list = append(list, u)
		}
	}
	slices.SortFunc(list, func(a, b *unit) int { return cmp.Compare(b.changed, a.changed) })
	return list
}

func (p *plan) state(u *unit) (jobs []job) {
	state, change, round := u.state, u.changed, p.rounds
	if !u.announced {
		done := func() { u.announced = round == p.rounds }
		jobs = orElse(p.add(nil, done, p.scheme.Announce(state.Unit)...), done)
	}
	sent := func() {
		if round == p.rounds {
			u.sent, u.most = change, total(&state)
		}
	}
	return append(jobs, orElse(p.add(nil, func() {
		sent()
		if _, known := p.at.Units[state.Unit]; !known && p.units[state.Unit] == u {
			p.at.Units[state.Unit], p.fresh[state.Unit] = total(&state), true
		}
	}, p.scheme.State(&state)...), sent)...)
}

// moved returns messages that clear what an earlier configuration has left at the broker.
func (p *plan) moved() (jobs []job) {
	old, err := schemeUnder(p.at.Under)
	done := func() { p.at.Under = p.under }
	if err != nil { // there was no earlier one
		done()
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.at.Units)) {
		jobs = p.add(jobs, nil, old.Gone(name)...)
	}
	return orElse(p.add(jobs, done, old.Clear()...), done)
}

// orElse says what to do if the broker refuses one of the jobs, so that the others do not wait for it.
func orElse(jobs []job, refused func()) []job {
	for i := range jobs {
		jobs[i].refused = refused
	}
	return jobs
}

// add adds messages to the jobs. acked is called when the broker has acknowledged the last one.
func (p *plan) add(jobs []job, acked func(), messages ...topics.Message) []job {
	if len(messages) == 0 {
		return then(jobs, acked)
	}
	for _, m := range messages {
		jobs = append(jobs, job{Message: m})
	}
	jobs[len(jobs)-1].acked = acked
	return jobs
}

// then calls f when the last of the jobs is acknowledged. If there is none, that is now.
func then(jobs []job, f func()) []job {
	if f == nil {
		return jobs
	}
	if len(jobs) == 0 {
		f()
		return jobs
	}
	last := &jobs[len(jobs)-1]
	before := last.acked
	last.acked = func() {
		if before != nil {
			before()
		}
		f()
	}
	return jobs
}
