// Package chronicle writes what happens to each unit into a store of bounded size.
//
// The records of a unit add up to its counts. If the monitor was killed before it saved the state,
// it counts some events again. The counts show which of these are in the chronicle already, and
// they are not written again. If records are missing instead, one record makes up for them.
package chronicle

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/zone"
)

const (
	// wait is how long a record waits for others, so that a crash and the restart that follows are one
	// write.
	wait = time.Second
	// early is how many events may wait until the store is opened. It is opened a moment after the
	// start, because that takes time, and READY=1 does not need the store.
	early = 2048
	// earliest is how many events may wait while it is being opened, or cannot be opened. Any more are
	// dropped, and made up for later.
	earliest = 4 * early
	// These times are about a store that cannot be opened.
	firstOpen = time.Minute
	lastOpen  = time.Hour
	// again is how long after the store was opened the units of Opened.Gone may come again.
	again = 10 * time.Minute
	// backlog is how many records may wait while the disk is slow. Any more are dropped, and made
	// up for later.
	backlog = 1024
	// If many records wait, they are written at once.
	many = 256
	// These times are about a disk that fails.
	firstRetry = time.Second
	lastRetry  = time.Minute
	slow       = 15 * time.Second
	patience   = 200 * time.Millisecond
)

// A Store keeps records; *store.Store is one. Its methods may block for as long as they like. Append
// gives the records their numbers.
type Store interface {
	Append(records []store.Record) (written int, err error)
	Close()
}

// Opened is an open store, and what the records of each unit in it add up to.
type Opened struct {
	Store Store // nil if it could not be opened
	Has   map[string]store.Counts
	// Gone has the units that were forgotten in the life of a monitor that was killed.
	Gone map[string]store.Counts
	// Clocks is the last record that has Time and Monotonic of the same moment.
	Clocks store.Record
	// Gap is the last record of kind Gap.
	Gap store.Record
}

// A Saver saves the counts.
type Saver interface {
	// Ended returns a channel that is closed when nothing will be saved any more.
	Ended() <-chan struct{}
	// All reports then whether everything is saved.
	All() bool
}

// Stage is the chronicler.
type Stage struct {
	log      logrus.FieldLogger
	open     func() Opened
	saver    Saver                   // nil if nobody saves the counts
	known    map[string]*count.Tally // as of the first of the early events
	early    []count.Event           // the events that came before the store was open
	skipped  map[string]bool         // units of which early events were dropped, and whether nothing is being told again
	opening  <-chan Opened
	unopened time.Time     // since when the store cannot be opened; zero if it can
	openWait time.Duration // how long to wait until it is tried again
	openAt   time.Time     // when that is
	store    Store         // nil until it is open
	units    map[string]*unit
	families map[string]*budget
	all      budget                  // of all units together
	folding  map[string]*unit        // the units that have a fold
	soonest  time.Time               // no fold is due before; zero if there is none
	gone     map[string]store.Counts // Opened.Gone, as long as these units may come again
	partial  bool                    // the monitor was aborted before all events had come
	retold   map[string]bool         // the tallies that events of the past may still change
	folded   store.Counts            // the counts of the unit that was folded last, until its glob is told
	forgetAt time.Time               // when gone is not needed any more
	boot     string
	clock    func() uint64   // CLOCK_MONOTONIC in µs
	right    count.Moment    // by which both clocks are compared
	gap      store.Record    // of the gap that was opened last; it is open if the record says so
	unread   map[string]bool // the units of which the journal could not be read
	own      budget          // for records about the monitor itself
	waiting  []store.Record  // until due
	due      time.Time       // zero if nothing waits
	disk     pipeline.Queue[store.Record]
	alarm    pipeline.Alarm // for turn
}

// New returns a stage that writes to the store that open opens. open may block for as long as it
// likes, and logs its errors itself. If it fails, it is called again later. If open is nil, there is no store.
// known are the units of the state file.
func New(log logrus.FieldLogger, open func() Opened, known map[string]*count.Tally) *Stage {
	s := &Stage{
		log: log, open: open, known: known, units: map[string]*unit{}, families: map[string]*budget{}, folding: map[string]*unit{}, unread: map[string]bool{}, retold: map[string]bool{},
		boot: records.Boot(), clock: records.Clock, all: budget{all: true},
	}
	s.disk = pipeline.Queue[store.Record]{
		Outlet: pipeline.Outlet{
			Retry: firstRetry, RetryMax: lastRetry, Slow: slow, TooLong: errors.New("the disk does not answer"), Patience: patience,
			TroubleStatus: func(since time.Time) string { return "cannot write the history " + zone.Since(since) },
			OnTrouble: func(err error, _ time.Duration) {
				s.log.WithError(err).Error("cannot write the history; monitoring goes on, and so do the counts")
			},
			OnRecovered: func(after time.Duration) {
				s.log.WithField("after", after.Round(time.Second)).Info("the history is written again")
			},
		},
		Limit:   backlog,
		Out:     func(records []store.Record) (int, error) { return s.store.Append(records) },
		Missing: func(int) []store.Record { return nil }, // settle makes up for them
	}
	return s
}

// Outlast lets the history end after the last save, so that its last record says whether the saved counts
// fit. It is set before Run.
func (s *Stage) Outlast(saver Saver) { s.saver = saver }

type port = pipeline.Port[count.Event, store.Record]

// Run writes events until they end or ctx is cancelled. Then it writes what still waits. It sends
// each record that is on the disk.
func (s *Stage) Run(ctx context.Context, p *port) error {
	if s.open == nil {
		return ignore(ctx, p)
	}
	s.disk.Nudge = p.Nudge
	s.monitor(store.Started, 0, time.Now())
	events, saved := p.In, (<-chan struct{})(nil)
	for {
		select {
		case batch, ok := <-events:
			if !ok {
				events, saved = nil, s.saved()
			}
			if s.takeAll(batch, time.Now()); !ok {
				s.begin()
			}
		case <-saved:
			saved = nil
		case o := <-s.opening:
			if o.Store == nil && events == nil {
				return nil
			}
			s.opened(o, time.Now())
			p.Nudge()
		case w := <-s.disk.Done():
			_ = p.Send(ctx, s.disk.Written(w)...) // it fails only if ctx is done
			if err := s.disk.Ended(w); err != nil {
				s.lacks(err)
				return nil
			}
		case <-s.disk.Timer():
			s.disk.Turn()
		case <-s.alarm.C():
			s.alarm.Off()
			s.turn(time.Now())
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Trouble: s.trouble()})
			continue
		case <-ctx.Done():
			s.partial = events != nil
			s.finish()
			return ctx.Err()
		}
		if s.store != nil {
			if events == nil {
				s.rest(time.Now())
			}
			if events == nil && saved == nil {
				s.end(time.Now())
			}
			if s.disk.Begin(); s.disk.Closed() && s.disk.Drained() {
				s.store.Close()
				return nil
			}
		}
		s.alarm.Set(s.next())
	}
}

// trouble says what is wrong, for the status.
func (s *Stage) trouble() string {
	if !s.unopened.IsZero() {
		return s.disk.TroubleStatus(s.unopened)
	}
	return s.disk.Trouble()
}

// monitor records that the monitor itself has started or stopped.
func (s *Stage) monitor(what string, f store.Flags, now time.Time) {
	s.add(store.Record{Kind: store.Monitor, Flags: f, Time: zone.Local(now), Monotonic: s.moment(now).Clock, Boot: s.boot, To: what}, now)
}

// add lets a record wait for others.
func (s *Stage) add(r store.Record, now time.Time) {
	if u := s.units[r.Unit]; u != nil {
		if u.told = true; u.unseen && r.Kind != store.Seen {
			u.unseen = false
			s.add(store.Record{Kind: store.Seen, Time: r.Time, Unit: r.Unit, After: r.After.Minus(r.Delta)}, now)
		}
	}
	if len(s.waiting) == 0 && r.Kind != store.Clock {
		s.compare(now) // once for each write
	}
	if s.waiting = append(s.waiting, r); s.due.IsZero() {
		s.due = now.Add(wait)
	}
	if len(s.waiting) >= many {
		s.write()
		s.disk.Begin()
	}
}

// next returns when to call turn; zero if nothing waits.
func (s *Stage) next() time.Time {
	switch {
	case s.opening != nil:
		return time.Time{}
	case !s.unopened.IsZero():
		return s.openAt
	}
	if s.due.IsZero() || !s.soonest.IsZero() && s.soonest.Before(s.due) {
		return s.soonest
	}
	return s.due
}

// turn writes what is due.
func (s *Stage) turn(now time.Time) {
	if s.store == nil {
		s.begin()
		return
	}
	if !s.soonest.IsZero() && !now.Before(s.soonest) {
		s.soonest = time.Time{}
		for _, name := range slices.Sorted(maps.Keys(s.folding)) {
			switch u := s.folding[name]; {
			case !now.Before(u.due):
				s.unfold(name, u, now)
			case s.soonest.IsZero() || u.due.Before(s.soonest):
				s.soonest = u.due
			}
		}
	}
	if !s.due.IsZero() && !now.Before(s.due) {
		s.write()
	}
}

// write gives the records that wait to the disk.
func (s *Stage) write() {
	for i, r := range s.waiting {
		if !s.disk.Add(r) {
			s.drop(s.waiting[i:])
			break
		}
	}
	if s.waiting, s.due = s.waiting[:0:0], (time.Time{}); time.Now().After(s.forgetAt) && s.gap.To != store.GapOpened && len(s.unread) == 0 {
		s.gone = nil
	}
}

// drop notes that the store will lack these records, because there was no room for them.
func (s *Stage) drop(records []store.Record) {
	over := map[string]bool{} // units of which all earlier records are of a life that is forgotten
	for _, r := range slices.Backward(records) {
		u := s.units[r.Unit]
		switch {
		case r.Unit == "" || over[r.Unit]:
		case r.Kind != store.Seen && r.Kind != store.Forgotten:
			if u != nil {
				u.has = u.has.Minus(r.Delta)
			}
		case u != nil:
			u.unseen, over[r.Unit] = true, true
		default: // end records that it is forgotten
			s.units[r.Unit] = &unit{has: r.After, is: r.After, gone: true, told: true}
			over[r.Unit] = true
		}
	}
}
