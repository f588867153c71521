package view

import (
	"context"
	"fmt"
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
	again     bool // it is being read from its beginning once more, so only a part of it is known
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
		log: log, config: c, boot: records.Boot(), model: newModel(ask.Hostname()), asks: make(chan func()), ended: make(chan struct{}),
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
		if !s.loaded || s.again {
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
		s.anew, s.again = false, s.loaded
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
		s.model.listed[n.Unit.Name] = true
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
	clear(s.model.listed)
	if s.heard {
		s.news()
	}
}

// errOther is the error for a monitor that has another state file.
type errOther struct{ error }

// complete is called when the feed has told all units.
func (s *Stage) complete(ctx context.Context) {
	for name := range s.model.units {
		if !s.model.listed[name] {
			s.gone(name)
		}
	}
	clear(s.model.listed)
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
		s.out = append(s.out, Event{Kind: Gone, Data: Quoted(name)})
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
		return
	}
	s.reading = nil
	s.unread(b.err)
	s.model.tidy()
	if s.more || s.anew {
		s.read(ctx)
		return
	}
	s.again = false
	for name := range s.touched {
		if s.model.units[name] != nil {
			s.changed(name)
		}
	}
	clear(s.touched)
	switch {
	case s.away != nil:
		s.saving = readSaved(s.config, s.model.itself, b.err, s.away)
	case s.heard:
		if s.model.seq < s.told && !store.Ended(history(s.config)) { // somebody has removed the history, and this is another one
			s.told = s.model.seq
			s.out = append(s.out, Event{Kind: Reset, Seq: s.told, Data: []byte("{}")})
		}
		s.news()
		s.load()
	}
}
