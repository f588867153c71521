package bus

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/history"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
)

// Stage is the source of the pipeline.
type Stage struct {
	log        logrus.FieldLogger
	maxRetries int

	watch    atomic.Pointer[watch.Set]
	refused  atomic.Uint64
	reported uint64
	quiet    time.Time // no report of refused signals before

	link    *link.Link   // nil while there is none
	opened  chan opening // the outcome of the attempt under way
	retry   *time.Timer  // armed between attempts
	retries int
	since   time.Time // when the bus was lost; zero at start
	met     bool      // connected before
	ever    bool      // synced before

	rules    []string
	requests map[uint32]request
	queue    []string // units whose snapshot is to be asked for
	asked    int      // snapshots on their way
	lists    int      // lists of units on their way
	units    map[string]*unit

	subscribed bool

	out []Signal // what is to be sent

	before  map[string]Known // units that an earlier process monitored, until the first list is there
	ending  bool             // the machine is going down
	state   catchup.State
	gap     gap
	reports chan report // of what works with the journal
	outage  outage
	silence silence
	said    string // why the journal lacks something, as it was said last
	audit   audit
	doubts  chan struct{}            // holds a token while there is a Doubt
	doubted *time.Timer              // armed while a gap is to begin because of one
	again   time.Time                // not before
	cursor  history.Place            // from where the journal is to be read after the next gap
	cursors map[string]history.Place // of units, at the start of the process, until the first gap is over
	lost    bool                     // what an earlier process knew is lost; until the first gap is over
	globs   map[string]history.Place // that were in force when the last gap was over, and up to where their units are known
	crowd   crowd
}

// New returns a source that continues from the units that an earlier process knew. It
// gives up, with ErrNoBus, when the bus cannot be reached at start and not in
// maxRetries further attempts either. As often as auditEvery (never if it is 0) it
// makes sure that systemd still announces what happens.
func New(log logrus.FieldLogger, known map[string]Known, maxRetries int, auditEvery time.Duration) *Stage {
	s := &Stage{
		log: log, before: known, maxRetries: maxRetries, opened: make(chan opening, 1), retry: time.NewTimer(0),
		units: make(map[string]*unit), reports: make(chan report), outage: outage{retry: time.NewTimer(0)}, audit: newAudit(auditEvery),
		doubts: make(chan struct{}, 1), doubted: time.NewTimer(0), cursors: make(map[string]history.Place), globs: make(map[string]history.Place),
	}
	s.retry.Stop()
	s.doubted.Stop()
	s.outage.retry.Stop()
	return s
}

// ReadBack says, before Run, that what an earlier process knew is lost. The source then
// tells what the journal has, as far back as it reaches.
func (s *Stage) ReadBack() { s.lost, s.cursor = true, history.Beginning }

// of is what is known of a unit.
func (s *Stage) of(name string) unit {
	if u := s.units[name]; u != nil {
		return *u
	}
	return unit{}
}

// note is where to note what becomes known of a unit.
func (s *Stage) note(name string) *unit {
	u := s.units[name]
	if u == nil {
		u = new(unit)
		s.units[name] = u
	}
	return u
}

type port = pipeline.Port[List, Signal]

// send sends a signal on, with others if there are more.
func (s *Stage) send(ctx context.Context, p *port, signal Signal) error {
	if s.out = append(s.out, signal); len(s.out) < pipeline.BatchSize {
		return nil
	}
	return s.flush(ctx, p)
}

func (s *Stage) flush(ctx context.Context, p *port) error {
	err := p.Send(ctx, s.out...)
	clear(s.out)
	s.out = s.out[:0]
	return err
}

// A request is what a reply is awaited for.
type request struct {
	member   string
	unit     string
	name     string // systemd's own for the unit, where GetAll asks for that
	property string // of Get, where it is one of PID 1 itself
	again    bool   // a second look, or another list
}

// audit makes sure, now and then, that everything is known. The state of a unit
// that announced no change must be as old as when it was last looked at, or
// systemd has forgotten who subscribed. Where units did change, what they
// announced is compared with the journal; that also moves the place from where
// it would have to be read after a gap, so that this never is much.
type audit struct {
	every time.Duration
	timer *time.Timer
}

func newAudit(every time.Duration) audit {
	a := audit{every: every, timer: time.NewTimer(0)}
	a.timer.Stop()
	return a
}

func (a *audit) again() {
	if a.every > 0 {
		a.timer.Reset(a.every)
	}
}

func (a *audit) stop() { a.timer.Stop() }

// A report is what a goroutine that works with the journal has to say: a Past, or
// that something is done. An error says why it could not be.
type report struct {
	past history.Past
	done catchup.Input // Missed for a Past
	err  error
}

// outage is why the journal cannot be read, and since when.
type outage struct {
	since time.Time
	why   error
	retry *time.Timer // armed while the journal is left alone
}

// An opening is the outcome of an attempt to connect.
type opening struct {
	link *link.Link
	err  error
}
