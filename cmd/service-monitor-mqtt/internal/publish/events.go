package publish

import (
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/stages/chronicle/store"
)

// events returns the next messages about what has happened, in the order of the chronicle. Each record
// moves the cursor when the broker has acknowledged all its messages.
func (p *plan) events(most int, now time.Time) (jobs []job) {
	b := &p.backlog
	if b.lost != nil && (!p.loaded || p.moving()) {
		return nil // it is not known yet how all is
	}
	if b.lost != nil {
		jobs = p.lost(now)
	}
	for i := range b.records {
		if len(jobs) >= most {
			break
		}
		r, old := &b.records[i], b.old
		jobs = p.add(jobs, func() {
			if p.backlog.old == old {
				p.acked(r)
			}
		}, p.record(r)...)
	}
	return jobs
}

func (p *plan) moving() bool { return p.at.Under != p.under }

// record returns the messages of a record.
func (p *plan) record(r *store.Record) (list []topics.Message) {
	if r.Unit != "" && p.leftOut(r.Unit) {
		return nil
	}
	for _, e := range tell.Events(r) {
		list = append(list, p.scheme.Event(&e)...)
	}
	return list
}

// acked notes that the broker has all of a record.
func (p *plan) acked(r *store.Record) {
	p.at.Seq, p.at.Mark = r.Seq, cursor.Mark(r)
	switch {
	case r.Unit == "":
	case p.leftOut(r.Unit):
	case r.Kind == store.Forgotten && p.units[r.Unit] == nil:
		delete(p.at.Units, r.Unit)
	default:
		p.at.Units[r.Unit] = sum(r.After)
		delete(p.fresh, r.Unit)
		p.boxes.crashed(r)
	}
	p.backlog.done++
}

// lost returns the message about records that made room for others before they were published.
func (p *plan) lost(now time.Time) []job {
	var l topics.Lost
	for name, before := range p.before() {
		switch was, known := p.at.Units[name]; {
		case !known || p.fresh[name]: // it came meanwhile, and nobody knows with which counts
			l.AtLeast = l.AtLeast || before > 0
		case before > was:
			l.Events += before - was
			l.Units++
		}
	}
	old := p.backlog.old
	done := func() {
		if p.backlog.old != old {
			return // it was about another chronicle
		}
		for name, before := range p.before() {
			p.at.Units[name] = before
		}
		p.backlog.lost = nil
		clear(p.fresh)
	}
	if l.Events == 0 || p.at.Seq == 0 {
		done()
		return nil
	}
	return p.add(nil, done, p.scheme.Lost(l, now)...)
}

// before returns how many events of each unit are older than what the chronicle has.
func (p *plan) before() map[string]uint64 {
	all := map[string]uint64{}
	for name, u := range p.units {
		all[name] = total(&u.state)
	}
	for name, n := range p.backlog.lost {
		if !p.leftOut(name) {
			all[name] = n
		}
	}
	return all
}

func sum(c store.Counts) uint64 { return uint64(max(c.Sum(), 0)) }

func total(u *topics.Unit) uint64 { return u.Starts + u.Stops + u.Crashes + u.Unknown + u.Restarts }
