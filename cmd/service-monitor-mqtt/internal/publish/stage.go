// Package publish publishes what the monitor knows: how each unit is, retained by the broker, and what
// happens, in order and at least once each. The chronicle is its queue. The cursor moves only when the broker
// has acknowledged. So a kill or a power cut loses nothing, but may repeat something.
package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/cmd/internal/view"
	"service-monitor/cmd/service-monitor-mqtt/internal/cursor"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/pipeline"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/zone"
)

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	slow       = 10 * time.Second
	// rereads is how long to wait before the chronicle is read again after an error.
	rereads = 10 * time.Second
	// calm is how long nothing must have been written before memory is given back.
	calm = 10 * time.Second
	// forgives is after which time all is published again if the broker has refused a part of it.
	forgives = time.Hour
	// mostRefused is of how many topics it is logged that the broker refuses them.
	mostRefused = 1000
	// spread is in how long the gateways of a fleet answer a consumer that has come. All at once would be too
	// much for it.
	spread = 5 * time.Second
	// farewell is how long a stop may take at the broker.
	farewell = 3 * time.Second
)

// A Conn is a connection to the broker. broker.Conn is one.
type Conn interface {
	Publish(ctx context.Context, messages []topics.Message) (acked int, err error)
	Done() <-chan struct{}
	Err() error
	Close(ctx context.Context)
}

// A View knows how all is. view.Stage is one.
type View interface {
	Everything(ctx context.Context) ([]view.Event, error)
	Refresh(ctx context.Context) error
}

// A Cursor keeps the position. cursor.File is one.
type Cursor interface {
	Moved(cursor.Position) error
	Due() time.Time
	Save() error
	Close() error
}

// Options are what a stage needs.
type Options struct {
	Log logrus.FieldLogger
	// Connect connects to the broker, with this last will. heard is called with what others announce.
	Connect func(ctx context.Context, will topics.Message, heard func(topics.Message)) (Conn, error)
	// Explain says in a line why the broker cannot be used.
	Explain func(error) string
	Scheme  topics.Scheme
	Under   string // where the retained messages of this configuration are, see Under
	Cursor  Cursor
	At      cursor.Position
	History string // the directory of the chronicle
	Crashes bool   // publish black boxes
	LeftOut func(unit string) bool
	Rate    int // messages about events, a second
	// Calm is called when nothing was written for a while.
	Calm func()
	// View is asked for how all is, and told to look again.
	View View
}

// Stage publishes.
type Stage struct {
	o          Options
	plan       *plan
	out        pipeline.Outlet
	rate       rate
	conn       Conn
	dialed     Conn // the result of the write under way, if that connects
	since      time.Time
	short      int           // how many connections in a row were lost soon
	notBefore  time.Time     // do not connect before
	jobs       []job         // of the write under way
	turn       bool          // it is the turn of events, and not of states
	births     chan struct{} // gets a token when a consumer has come
	againAt    time.Time     // when to publish all once more for it; zero if it has all
	reading    <-chan reading
	reread     time.Time
	unread     error // why the chronicle cannot be read
	looking    <-chan func()
	asking     <-chan []view.Event // how all is
	saving     <-chan error
	saveAgain  time.Time
	refreshing <-chan error
	refreshAt  time.Time
	alarm      pipeline.Alarm
	said       string          // the last trouble that was logged; empty if it is over
	troubled   time.Time       // since when
	blocked    bool            // the broker refuses events
	refused    map[string]bool // topics of which it is logged that the broker refuses them
	unboxed    bool            // it is logged that a box cannot be read
	calmAt     time.Time       // when to call Calm; zero if that was done
	ended      bool            // the input has ended
}

// unsaved is what it means if the cursor cannot be saved.
const unsaved = "cannot save the cursor; if the power fails now, more events are published twice"

// New returns a stage.
func New(o Options) *Stage {
	s := &Stage{o: o, plan: newPlan(o.Scheme, o.At, o.Under, o.LeftOut), rate: newRate(o.Rate), births: make(chan struct{}, 1), refused: map[string]bool{}}
	s.plan.boxes.now = time.Now
	if o.Crashes {
		s.plan.boxes.dir = blackbox.Beside(o.History)
	}
	s.out = pipeline.Outlet{
		Retry: firstRetry, RetryMax: lastRetry, Jitter: 0.5, Slow: slow, TooLong: errors.New("the broker does not answer"),
		OnTrouble:     s.trouble,
		TroubleStatus: func(since time.Time) string { return "cannot use the broker " + zone.Since(since) },
	}
	return s
}

// trouble logs why the broker cannot be used, unless that is what was logged before. A link may be down for
// days.
func (s *Stage) trouble(err error, _ time.Duration) {
	if s.said == "" {
		s.troubled = time.Now()
	}
	if text := s.o.Explain(err); text != s.said {
		s.said = text
		s.o.Log.Error(text + "; trying again, and nothing is lost meanwhile")
	}
}

// well logs that the trouble is over. A connection is not enough for that: a broker may end it at the first
// message.
func (s *Stage) well(now time.Time) {
	if s.said != "" {
		s.o.Log.WithField("after", now.Sub(s.troubled).Round(time.Second)).Info("the broker can be used again")
		s.said = ""
	}
}

// publishAgain has all published once more, at that time or before.
func (s *Stage) publishAgain(at time.Time) {
	if s.againAt.IsZero() || at.Before(s.againAt) {
		s.againAt = at
	}
}

type port = pipeline.Port[view.Event, pipeline.None]

// Run publishes until the view ends.
func (s *Stage) Run(ctx context.Context, p *port) error {
	writes, cancel := context.WithCancel(ctx)
	defer cancel()
	s.out.Nudge = p.Nudge
	events := p.In
	for {
		select {
		case batch, ok := <-events:
			for i := range batch {
				s.plan.take(&batch[i])
			}
			if !ok {
				events, s.ended = nil, true
				defer time.AfterFunc(farewell, cancel).Stop()
			}
		case w := <-s.out.Done():
			s.done(w)
		case <-s.out.Timer():
			s.out.Turn()
		case <-s.lost():
			s.dropped(time.Now())
		case <-s.births:
			s.publishAgain(time.Now().Add(rand.N(spread)))
		case r := <-s.reading:
			s.took(r)
		case f := <-s.looking:
			s.looking = nil
			f()
		case all := <-s.asking:
			s.asking = nil
			s.plan.everything(all)
		case err := <-s.saving:
			s.saved(err)
		case <-s.refreshing:
			s.refreshing = nil
		case <-s.alarm.C():
			s.alarm.Off()
		case q := <-p.Probes:
			q.Answer(s.answer())
			continue
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.o.Cursor.Close())
		}
		now := time.Now()
		if s.ended && !s.out.Busy() {
			return s.end(writes, now)
		}
		s.begin(writes, now)
		s.alarm.Set(s.next(now))
	}
}

// begin begins all that can be done now, beside the loop.
func (s *Stage) begin(ctx context.Context, now time.Time) {
	p := s.plan
	if !s.againAt.IsZero() && !now.Before(s.againAt) {
		s.againAt = time.Time{}
		p.again()
	}
	if s.out.Ready() && !s.ended {
		s.write(ctx, now)
	}
	if s.reading == nil && p.backlog.hungry() && !now.Before(s.reread) {
		dir, seq, mark, known, old := s.o.History, p.at.Seq, p.at.Mark, len(p.at.Units) > 0, p.backlog.old
		p.backlog.more = false
		s.reading = pipeline.Aside(func() reading {
			r := readSynced(dir, seq, mark, known)
			r.old = old
			return r
		})
	}
	if s.asking == nil && p.unknown && !s.ended {
		p.unknown = false
		s.asking = pipeline.Aside(func() []view.Event {
			all, _ := s.o.View.Everything(ctx) // it fails only at the end
			return all
		})
	}
	if due := p.boxes.due(); s.looking == nil && !due.IsZero() && !now.Before(due) {
		dir, list := p.boxes.dir, p.boxes.take(now)
		s.looking = pipeline.Aside(func() func() {
			found, missing, err := look(dir, list)
			return func() { s.looked(found, missing, err) }
		})
	}
	if due := s.o.Cursor.Due(); s.saving == nil && !due.IsZero() && !now.Before(due) && !now.Before(s.saveAgain) {
		s.saving = pipeline.Aside(s.o.Cursor.Save)
	}
	s.refresh(ctx, now)
	if !s.calmAt.IsZero() && !now.Before(s.calmAt) {
		s.calmAt = time.Time{}
		s.o.Calm()
	}
}

func (s *Stage) took(r reading) {
	s.reading = nil
	s.plan.backlog.took(r)
	if r.err == nil {
		if s.unread != nil {
			s.o.Log.Info("the history can be read again")
		}
		s.unread = nil
		return
	}
	s.reread = time.Now().Add(rereads)
	if s.unread == nil {
		s.o.Log.WithError(r.err).Error("cannot read the history, so what happens is not published until it can be read")
	}
	s.unread = r.err
}

func (s *Stage) looked(found []blackbox.Box, missing []crash, err error) {
	if err != nil && !s.unboxed {
		s.o.Log.WithError(err).Error("cannot read the last words of a crash, so they are not published")
	}
	s.unboxed = err != nil
	s.plan.boxes.took(found, missing)
}

func (s *Stage) saved(err error) {
	if s.saving = nil; err != nil {
		s.o.Log.WithError(err).Warn(unsaved)
		s.saveAgain = time.Now().Add(lastRetry)
	}
}

// next returns when something is due that no channel tells.
func (s *Stage) next(now time.Time) (at time.Time) {
	soonest := func(when time.Time) {
		if at.IsZero() || when.Before(at) {
			at = when
		}
	}
	b := &s.plan.backlog
	switch {
	case s.out.Busy() || !s.out.Ready():
	case s.conn == nil:
		soonest(s.notBefore)
	case s.plan.loaded && b.waits():
		soonest(s.rate.when(len(b.records)))
	}
	if b.hungry() && s.reading == nil {
		soonest(s.reread)
	}
	if due := s.plan.boxes.due(); s.looking == nil && !due.IsZero() {
		soonest(due)
	}
	if due := s.o.Cursor.Due(); s.saving == nil && !due.IsZero() {
		if due.Before(s.saveAgain) {
			due = s.saveAgain
		}
		soonest(due)
	}
	if !s.againAt.IsZero() {
		soonest(s.againAt)
	}
	if !s.refreshAt.IsZero() && s.refreshing == nil {
		soonest(s.refreshAt)
	}
	if !s.calmAt.IsZero() {
		soonest(s.calmAt)
	}
	return at
}

// answer says how it goes, for STATUS=.
func (s *Stage) answer() pipeline.Answer {
	a := pipeline.Answer{Trouble: s.out.Trouble()}
	if s.unread != nil {
		a.Trouble = fmt.Sprintf("cannot read the history: %v", s.unread)
	}
	switch {
	case a.Trouble != "":
	case s.blocked:
		a.Trouble = s.said
	case s.conn != nil:
		a.Status = "connected to the broker"
	case !s.out.Busy() && !s.notBefore.IsZero():
		a.Status = "has lost the broker, and connects again at " + zone.Local(s.notBefore).Format(time.TimeOnly)
	}
	return a
}
