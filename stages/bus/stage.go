package bus

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/journald/records"
)

// Stage is the source of the pipeline.
type Stage struct {
	log   logrus.FieldLogger
	watch atomic.Pointer[watch.Set] // the units that are monitored
	units map[string]*unit
	crowd crowd
	out   []Signal // collected here before it is sent

	connection
	questions
	recovery

	counters counters
	refused  atomic.Uint64 // signals; the goroutine of the link counts them
	reported uint64        // how many of them were logged
	quiet    time.Time     // the next report of refused signals comes no sooner
	ending   bool          // the machine is going down
}

// connection is the connection to the system bus, and the attempts to make one.
type connection struct {
	link       *link.Link   // nil while there is none
	opened     chan opening // receives the outcome of the attempt under way
	retry      *time.Timer  // runs until the next attempt
	retries    int
	maxRetries int
	since      time.Time // when the bus was lost; zero at start
	met        bool      // there was a connection before
	ever       bool      // the state of every unit was sent before
	rules      []string  // the match rules of this connection
}

// questions are what PID 1 was asked in this connection and has not answered yet, and
// what it is to be asked next.
type questions struct {
	requests   map[uint32]request
	queue      []string // units to ask for a snapshot
	asked      int      // snapshots on their way
	lists      int      // lists of units on their way
	subscribed bool     // PID 1 sends signals
}

// recovery is how the source learns what happened while nobody watched.
type recovery struct {
	before  map[string]Known         // units that an earlier process monitored, until the first list of services is there
	state   catchup.State            // says what to do next
	gap     gap                      // the one that is being accounted for
	cursor  records.Place            // where reading the journal begins after the next gap
	cursors map[string]records.Place // likewise for single units, until the journal was read
	passed  map[uint64]bool          // likewise, by a reading that failed later
	globs   map[string]records.Place // the globs that were in force at the last gap, and up to where their units are counted
	lost    bool                     // the saved state was lost, and the journal was not read back yet
	reports chan report              // from the goroutines that work with the journal
	outage  outage
	silence silence
	said    string // the last reason that was logged for what the journal lacks
	audit   audit
	doubts  chan struct{} // holds a token while there is a Doubt
	doubted *time.Timer   // runs until a doubt begins a gap
	again   time.Time     // a doubt begins no gap before
	left    uint64        // when the source ceased to watch, CLOCK_MONOTONIC in µs; 0 while it watches
}

// New returns a source that continues from the units that an earlier process knew. It
// gives up, with ErrNoBus, when the bus cannot be reached at start and not in
// maxRetries further attempts either. As often as auditEvery (never if it is 0) it
// makes sure that systemd still announces what happens.
func New(log logrus.FieldLogger, known map[string]Known, maxRetries int, auditEvery time.Duration) *Stage {
	s := &Stage{
		log: log, units: make(map[string]*unit),
		connection: connection{opened: make(chan opening, 1), retry: time.NewTimer(0), maxRetries: maxRetries},
		recovery: recovery{
			before: known, cursors: make(map[string]records.Place), globs: make(map[string]records.Place),
			reports: make(chan report), outage: outage{retry: time.NewTimer(0)}, audit: newAudit(auditEvery),
			doubts: make(chan struct{}, 1), doubted: time.NewTimer(0),
		},
	}
	s.retry.Stop()
	s.doubted.Stop()
	s.outage.retry.Stop()
	return s
}

// ReadBack makes the source recover all that the journal has, as far back as it reaches. It
// is called before Run, when the saved state was lost.
func (s *Stage) ReadBack() { s.lost, s.cursor = true, records.Beginning }

// of returns what is known of a unit.
func (s *Stage) of(name string) unit {
	if u := s.units[name]; u != nil {
		return *u
	}
	return unit{}
}

// note returns where to write what becomes known of a unit.
func (s *Stage) note(name string) *unit {
	u := s.units[name]
	if u == nil {
		u = new(unit)
		s.units[name] = u
	}
	return u
}

type port = pipeline.Port[List, Signal]

// send collects a signal. A full batch goes to the next stage at once.
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

// A request is a call whose reply has not come yet.
type request struct {
	member   string
	unit     string
	name     string // the name that GetAll asks for: the unit, or what the unit is an alias of
	property string // the property of PID 1 itself that Get asks for
	bus      bool   // the bus itself is asked, and not PID 1
	again    bool   // the same is asked a second time, or it is a list of the crowd
}

// An audit checks now and then that no change was missed. A unit that announced no change must
// still be in the state in which the last audit saw it. If it is not, systemd has forgotten
// that we subscribed. Where units did announce changes, these are compared with the journal.
// That also moves the cursor on, so that there is never much to read after a gap.
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

// A report comes from a goroutine that works with the journal. It carries a Past, or says
// that something is done, or why that failed.
type report struct {
	past records.Past
	done catchup.Input // Missed where it carries a Past
	err  error
}

// An outage is a time in which the journal cannot be read.
type outage struct {
	since time.Time
	why   error
	retry *time.Timer // runs until the next try
}

// An opening is the outcome of an attempt to connect.
type opening struct {
	link *link.Link
	err  error
}
