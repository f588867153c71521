package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/pipeline"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/feed"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/zone"
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

// Stage is the view.
type Stage struct {
	log       logrus.FieldLogger
	config    config.Config
	boot      string
	model     *model
	asks      chan func()
	ended     chan struct{}
	loaded    bool   // all is known for the first time
	heard     bool   // the feed has told all units
	away      error  // why nobody tells anything; nil if somebody does
	told      uint64 // the last record that was sent on
	reading   <-chan batch
	anew      bool // the history has to be read from its beginning
	more      bool // there is more to read when reading has ended
	saving    <-chan saved
	planned   <-chan *tell.Status
	planner   ask.Planner
	replan    bool // units have changed since systemd was asked
	pace      <-chan time.Time
	planUntil time.Time // how long systemd is asked after each change
	waiting   []chan struct{}
	touched   map[string]bool // units of which there are new records
	said      string          // what was sent on of the monitor itself
	out       []Event
}

// New returns a view of the files and the feed of a configuration.
func New(log logrus.FieldLogger, c config.Config) *Stage {
	return &Stage{
		log: log, config: c, boot: records.Boot(), model: newModel(hostname()), asks: make(chan func()), ended: make(chan struct{}),
		planner: ask.Planner{}, touched: map[string]bool{},
	}
}

type port = pipeline.Port[News, Event]

// Run keeps the view until there are no more news.
func (s *Stage) Run(ctx context.Context, p *port) error {
	defer close(s.ended)
	s.read(ctx)
	for {
		asks := s.asks
		if !s.loaded {
			asks = nil
		}
		select {
		case batch, ok := <-p.In:
			if !ok {
				return nil
			}
			s.now()
			for i := range batch {
				s.take(ctx, &batch[i])
			}
		case b := <-s.reading:
			s.now()
			s.took(ctx, &b)
		case f := <-s.saving:
			s.now()
			s.saved(&f)
		case st := <-s.planned:
			s.now()
			s.plans(st)
		case <-s.pace:
			s.pace = nil
			s.now()
			s.plan()
		case f := <-asks:
			s.now()
			f()
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{DelaysReady: !s.loaded})
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		s.soon()
		out := s.out
		s.out = s.out[:0]
		if err := p.Send(ctx, out...); err != nil {
			return err
		}
	}
}

// now sets the clocks of the model.
func (s *Stage) now() {
	s.model.at(moment{zone.Local(time.Now()), s.boot, records.Clock()})
}

// read begins to read what is new in the chronicle.
func (s *Stage) read(ctx context.Context) {
	if s.reading != nil {
		s.more = true
		return
	}
	if s.more = false; s.anew {
		s.anew = false
		s.model.forget()
	}
	s.reading = read(ctx, history(s.config), s.model.seq)
}

// take takes what the feed tells.
func (s *Stage) take(ctx context.Context, n *News) {
	switch {
	case n.Away != nil:
		s.left(ctx, n.Away)
	case n.Monitor != nil:
		s.monitor(ctx, n.Monitor)
	case s.away != nil: // it is another monitor
	case n.Unit != nil:
		s.model.told[n.Unit.Name] = true
		s.put(n.Unit.Tally())
	case n.Gone != "":
		s.gone(n.Gone)
	case n.Complete:
		s.complete(ctx)
	case n.Seq > s.model.seq:
		s.read(ctx)
	}
}

// left notes that nobody tells anything any more. What was saved is read after the history.
func (s *Stage) left(ctx context.Context, why error) {
	s.away, s.heard = why, false
	s.model.connected = false
	s.model.about = feed.Monitor{}
	s.read(ctx)
	s.news()
}

func (s *Stage) monitor(ctx context.Context, m *feed.Monitor) {
	if m.State != s.config.State.File {
		s.left(ctx, errOther{fmt.Errorf("the monitor on %s has another state file than %s; name that with --persistence-file",
			config.Show(s.config.Feed.Socket), config.Show(s.config.State.File))})
		return
	}
	s.away = nil
	s.model.about = *m
	clear(s.model.told)
	if s.heard {
		s.news()
	}
}

// errOther is the error for a monitor that has another state file.
type errOther struct{ error }

// complete is called when the feed has told all units.
func (s *Stage) complete(ctx context.Context) {
	for name := range s.model.units {
		if !s.model.told[name] {
			s.gone(name)
		}
	}
	clear(s.model.told)
	s.heard, s.model.connected = true, true
	s.anew = s.loaded // it may be another history
	s.read(ctx)
}

func (s *Stage) put(t *count.Tally) {
	if s.model.put(t) && s.loaded {
		s.changed(t.Unit)
	}
}

func (s *Stage) gone(name string) {
	if s.model.units[name] == nil {
		return
	}
	delete(s.model.units, name)
	delete(s.model.pasts, name)
	if s.loaded {
		s.out = append(s.out, Event{Kind: Gone, Data: quoted(name)})
	}
}

// took takes records of the chronicle.
func (s *Stage) took(ctx context.Context, b *batch) {
	for i := range b.records {
		r := &b.records[i]
		s.model.record(r)
		if s.loaded && r.Seq > s.told {
			s.tell(r)
		}
	}
	if !b.end {
		s.model.tidy()
		return
	}
	s.reading = nil
	s.unread(b.err)
	s.model.tidy()
	if s.more || s.anew {
		s.read(ctx)
		return
	}
	for name := range s.touched {
		if s.model.units[name] != nil {
			s.changed(name)
		}
	}
	clear(s.touched)
	switch {
	case s.away != nil:
		s.saving = readSaved(s.config, s.model.itself, s.away)
	case s.heard:
		if s.model.seq < s.told { // somebody has removed the history, and this is another one
			s.told = s.model.seq
			s.out = append(s.out, Event{Kind: Reset, Seq: s.told, Data: []byte("{}")})
		}
		s.news()
		s.load()
	}
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

// unread notes why the history cannot be read.
func (s *Stage) unread(err error) {
	s.model.troubles = nil
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && (s.config.History.Size == 0 || s.fresh()):
	case errors.Is(err, fs.ErrNotExist):
		s.trouble("there is no history in %s yet", config.Show(history(s.config)))
	case errors.Is(err, fs.ErrPermission):
		s.trouble("cannot read the history: %v; run this as a member of the group service-monitor", err)
	default:
		s.trouble("cannot read the history: %v", err)
	}
}

// begins is how long a monitor that was just started may have no history yet.
const begins = 10 * time.Second

func (s *Stage) fresh() bool { return s.away == nil && s.model.base.Now.Sub(s.model.about.Since) < begins }

func (s *Stage) trouble(format string, args ...any) {
	s.model.troubles = append(s.model.troubles, fmt.Sprintf(format, args...))
}

// saved takes what the monitor has saved.
func (s *Stage) saved(f *saved) {
	s.saving = nil
	if s.away == nil {
		return // it is back
	}
	s.model.base.AsOf, s.model.base.Stopped = f.status.AsOf, f.status.Stopped
	s.model.troubles = append(s.model.troubles, f.status.Troubles...)
	var other errOther
	switch {
	case errors.As(s.away, &other):
		s.trouble("%v", s.away)
	case errors.Is(s.away, fs.ErrPermission):
		s.trouble("cannot listen to the monitor: %v; run this as a member of the group service-monitor", s.away)
	}
	switch {
	case errors.Is(f.err, fs.ErrPermission):
		s.trouble("cannot read the files of the monitor: %v; run this as a member of the group service-monitor", f.err)
	case errors.Is(f.err, fs.ErrNotExist):
		s.trouble("there are no files of a monitor at %s; start the monitor (systemctl start service-monitor), or name its state file with --persistence-file", config.Show(s.config.State.File))
	case f.err != nil:
		s.trouble("%v", f.err)
	default:
		for name := range s.model.units {
			if f.units[name] == nil {
				s.gone(name)
			}
		}
		for _, t := range f.units {
			s.put(t)
		}
	}
	s.news()
	s.load()
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
	u := s.model.units[name]
	st := s.model.status(func(string) bool { return false })
	told := s.model.unit(name)
	u.shown = st.UnitHealth(told)
	s.write(Changed, func(w io.Writer) error { return st.WriteUnit(w, told) })
}

// news sends the state of the monitor itself on if it is another one.
func (s *Stage) news() {
	m := s.model
	is := fmt.Sprintf("%v %v %v %q", m.connected, m.base.Stopped, m.base.Since, m.status(func(string) bool { return false }).Troubles)
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
