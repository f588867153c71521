package view

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle/store"
)

// The kinds of Event.
const (
	Ready   = "ready" // the view is complete for the first time; ID is its last record
	Told    = "event"
	Changed = "unit"
	Gone    = "gone"
	Monitor = "monitor"
	Reset   = "reset" // the history is another one than before
)

// An Event is something for those who follow.
type Event struct {
	Kind string
	Seq  uint64 // of a Told, or of a Ready
	Part int    // which one of several of the same record, from 1 on; 0 for the last
	Data []byte // one line of JSON
}

// ID returns the identity of an event, with which a listener can go on after it.
func (e *Event) ID() string {
	if e.Part > 0 {
		return strconv.FormatUint(e.Seq-1, 10) + "." + strconv.Itoa(e.Part)
	}
	return strconv.FormatUint(e.Seq, 10)
}

// tell sends a record on.
func (s *Stage) tell(r *store.Record) {
	if s.told = r.Seq; r.Unit != "" {
		s.touched[r.Unit] = true
	}
	if r.Kind == store.Clock { // times of before are right only now
		s.anew = true
	}
	s.out = append(s.out, Events(r)...)
}

// Events returns what is told of a record.
func Events(r *store.Record) (list []Event) {
	var b bytes.Buffer
	_ = tell.WriteJSON(&b, r) // every record can be encoded
	for line := range bytes.Lines(b.Bytes()) {
		list = append(list, Event{Kind: Told, Seq: r.Seq, Part: len(list) + 1, Data: bytes.TrimSuffix(line, []byte("\n"))})
	}
	if len(list) > 0 {
		list[len(list)-1].Part = 0
	}
	return list
}

// load notes that the view is complete.
func (s *Stage) load() {
	if s.loaded {
		return
	}
	s.loaded, s.replan, s.told = true, true, s.model.seq
	for name, u := range s.model.units { // nobody knows how they were before
		u.since, u.shown = s.told, s.model.unit(name).Health(s.model.base.Now)
	}
	s.out = append(s.out, Event{Kind: Ready, Seq: s.told})
}

// changed sends the present state of a unit on.
func (s *Stage) changed(name string) {
	s.model.units[name].since = s.model.seq
	s.replan = true
	s.show(name)
}

func (s *Stage) show(name string) {
	if s.again { // it is shown when all is known again
		s.touched[name] = true
		return
	}
	u := s.model.units[name]
	st := s.model.status(func(string) bool { return false })
	told := s.model.unit(name)
	u.shown = st.UnitHealth(told)
	s.write(Changed, func(w io.Writer) error { return st.WriteUnit(w, told) })
}

// news sends the state of the monitor itself on if it is another one.
func (s *Stage) news() {
	m := s.model
	st := m.status(func(string) bool { return false })
	is := fmt.Sprintf("%v %v %v %v %q", m.connected, m.base.Stopped, m.base.Since, st.Behind, st.Troubles)
	if s.loaded && is != s.said {
		s.said = is
		s.showMonitor()
	}
}

func (s *Stage) showMonitor() {
	st := s.model.status(func(string) bool { return false })
	s.write(Monitor, func(w io.Writer) error { return st.WriteMonitor(w, s.model.connected) })
}

func (s *Stage) write(kind string, encode func(io.Writer) error) {
	var b bytes.Buffer
	_ = encode(&b) // it can be encoded
	s.out = append(s.out, Event{Kind: kind, Data: bytes.TrimSuffix(b.Bytes(), []byte("\n"))})
}

// plans takes what systemd does next.
func (s *Stage) plans(st *tell.Status) {
	s.planned = nil
	for _, told := range st.Units {
		if u := s.model.units[told.Unit]; u != nil && told.Plan != nil && keyOf(u.tally) == keyOf(told.Tally) && u.plan != told.Plan {
			u.plan = told.Plan
			u.since = s.model.seq
			s.show(told.Unit)
		}
	}
	for _, c := range s.waiting {
		close(c)
	}
	s.waiting = nil
}
