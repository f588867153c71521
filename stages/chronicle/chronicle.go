// Package chronicle writes what happens to each unit into a store of bounded size.
//
// What the records of a unit add up to is what the counters say. So an event that is counted again,
// because the monitor was killed before it could save the state, is not written again: its number is
// in the chronicle already. If numbers are missing instead, one record makes up for them.
package chronicle

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/zone"
)

const (
	// wait is how long a record waits for others, so that a crash and the restart that follows are one
	// write.
	wait = time.Second
	// backlog is how many records may wait while the disk is slow. What comes then is made up for
	// later.
	backlog = 4096
	// These are about a failing disk, as those of the state file are.
	firstRetry = time.Second
	lastRetry  = time.Minute
	slow       = 15 * time.Second
	patience   = 200 * time.Millisecond
)

// These are what a record of kind Monitor says. After Stopped, the chronicle and the state file fit,
// unless it has the flag Untold: then the next start brings them together.
const (
	Started = "started"
	Stopped = "stopped"
)

// A Store keeps records; *store.Store is one. Append may block for as long as it likes.
type Store interface {
	Append(records []store.Record) (written int, err error)
}

// Stage is the chronicler.
type Stage struct {
	log      logrus.FieldLogger
	units    map[string]*unit
	families map[string]*budget
	folding  map[string]*unit // those that have a fold
	folded   store.Counts     // those of the unit that was folded last, if its glob was not told yet
	boot     string
	waiting  []store.Record // until due
	due      time.Time      // zero if nothing waits
	disk     pipeline.Queue[store.Record]
}

// A unit is what the chronicle knows of a unit.
type unit struct {
	has     store.Counts // what its records add up to, and those that wait
	is      store.Counts // what the last event has counted
	settled bool         // the two should be equal: nothing is being told again
	gone    bool         // the state file does not have it, and nothing was told of it
	told    bool         // a record of it is in the store, or waits
	unseen  bool         // the record from which its counts begin was dropped
	budget  budget
	fold    *store.Record // the record of which repeated events become a part
	end     time.Time     // when the fold collects no more
	due     time.Time     // when to write it: sooner than that if nothing comes
	storm   bool          // each event becomes a part of a fold
	written int           // how many folds were written in this storm
	gaveUp  time.Time     // when that was recorded last
}

// New returns a stage that writes to a store. has is what the records of each unit in the store add
// up to, and known are the units of the state file. The store is nil if there is none.
func New(log logrus.FieldLogger, disk Store, has map[string]store.Counts, known map[string]*count.Tally) *Stage {
	s := &Stage{log: log, units: map[string]*unit{}, families: map[string]*budget{}, folding: map[string]*unit{}, boot: records.Boot()}
	for name, counts := range has {
		u := &unit{has: counts, is: counts, gone: true, told: true}
		if tally := known[name]; tally != nil {
			u.is, u.gone = Counts(tally), false
		}
		s.units[name] = u
	}
	if disk == nil {
		return s
	}
	s.disk = pipeline.Queue[store.Record]{
		Outlet: pipeline.Outlet{
			Retry: firstRetry, RetryMax: lastRetry, Slow: slow, TooLong: errors.New("the disk does not answer"), Patience: patience,
			Fault: func(since time.Time) string { return "cannot write the history " + zone.Since(since) },
			Fails: func(err error, _ time.Duration) {
				s.log.WithError(err).Error("cannot write the history; monitoring goes on, and so do the counts")
			},
			Works: func(after time.Duration) {
				s.log.WithField("after", after.Round(time.Second)).Info("the history is written again")
			},
		},
		Limit:   backlog,
		Out:     disk.Append,
		Missing: func(int) []store.Record { return nil }, // settle makes up for them
	}
	return s
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run writes events until they end or ctx is cancelled. Then it writes what still waits.
func (s *Stage) Run(ctx context.Context, p *port) error {
	s.disk.Nudge = p.Nudge
	timer := time.NewTimer(0)
	timer.Stop()
	s.monitor(Started, 0, time.Now())
	armed := time.Time{}
	events := p.In
	for {
		select {
		case batch, ok := <-events:
			now := time.Now()
			if !ok {
				events = nil
				s.end(now)
				break
			}
			for i := range batch {
				s.take(&batch[i], now)
			}
		case w := <-s.disk.Done():
			if err := s.disk.Ended(w); err != nil {
				s.lacks(err)
				return nil
			}
		case <-s.disk.Timer():
			s.disk.Turn()
		case <-timer.C:
			armed = time.Time{}
			s.turn(time.Now())
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Status: s.disk.Status()})
			continue
		case <-ctx.Done():
			if events != nil {
				s.end(time.Now())
			}
			s.finish()
			return ctx.Err()
		}
		if s.disk.Out == nil { // there is no store
			s.waiting, s.due = nil, time.Time{}
		}
		s.disk.Begin()
		if events == nil && s.disk.Drained() {
			return nil
		}
		if next := s.next(); !next.Equal(armed) {
			if armed = next; next.IsZero() {
				timer.Stop()
			} else {
				timer.Reset(time.Until(next))
			}
		}
	}
}

func (s *Stage) finish() {
	if s.disk.Out == nil {
		return
	}
	if err := s.disk.Finish(); err != nil {
		s.lacks(err)
	}
}

// lacks tells that the last records could not be written. That is no failure of the monitor: it has
// the counts.
func (s *Stage) lacks(err error) {
	s.log.WithError(err).Error("cannot write the end of the history; the next start makes up for it")
}

// monitor records that the monitor itself has started or stopped.
func (s *Stage) monitor(what string, f store.Flags, now time.Time) {
	s.add(store.Record{Kind: store.Monitor, Flags: f, Time: zone.Local(now), Monotonic: records.Clock(), Boot: s.boot, To: what}, now)
}

// add lets a record wait for others.
func (s *Stage) add(r store.Record, now time.Time) {
	if u := s.units[r.Unit]; u != nil {
		if u.told = true; u.unseen && r.Kind != store.Seen {
			u.unseen = false
			s.add(store.Record{Kind: store.Seen, Time: r.Time, Unit: r.Unit, After: r.After.Minus(r.Delta)}, now)
		}
	}
	if s.waiting = append(s.waiting, r); s.due.IsZero() {
		s.due = now.Add(wait)
	}
}

// next returns when to call turn; zero if nothing waits.
func (s *Stage) next() time.Time {
	next := s.due
	for _, u := range s.folding {
		if next.IsZero() || u.due.Before(next) {
			next = u.due
		}
	}
	return next
}

// turn writes what is due.
func (s *Stage) turn(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(s.folding)) {
		if u := s.folding[name]; !now.Before(u.due) {
			s.unfold(name, u, now)
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
	s.waiting, s.due = s.waiting[:0:0], time.Time{}
}

// drop notes what the store lacks, because there was no room for these records.
func (s *Stage) drop(records []store.Record) {
	over := map[string]bool{} // what comes before in the records is of a unit that is forgotten
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
		default: // it is told at the end
			s.units[r.Unit] = &unit{has: r.After, is: r.After, gone: true, told: true}
			over[r.Unit] = true
		}
	}
}

// end writes everything that waits, and that the monitor has stopped.
func (s *Stage) end(now time.Time) {
	var open store.Flags
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		u := s.units[name]
		if u.gone {
			s.add(store.Record{Kind: store.Forgotten, Time: zone.Local(now), Unit: name, After: u.has}, now)
		}
		if u.settled {
			s.settle(name, u, now)
		}
		if !u.gone && u.has != u.is { // it was still being told again
			open = store.Untold
		}
		if u.fold != nil {
			s.unfold(name, u, now)
		}
		if u.unseen {
			s.add(store.Record{Kind: store.Seen, Time: zone.Local(now), Unit: name, After: u.has}, now)
		}
	}
	s.monitor(Stopped, open, now)
	if s.disk.Out != nil {
		s.write()
		s.disk.Close()
	}
}

// take records an event.
func (s *Stage) take(e *count.Event, now time.Time) {
	switch e.Kind {
	case classify.Folded, classify.Forgotten:
		s.forget(e, now)
		return
	}
	u := s.known(e, now)
	s.folded = store.Counts{}
	u.is, u.gone = Counts(e.Tally), false
	u.settled = !e.Recovered
	switch e.Kind {
	case classify.GaveUp:
		s.gaveUp(u, e, now)
	case classify.CaughtUp:
		delta := u.is.Minus(u.has)
		if e.Recovered && min(delta.Starts, delta.Stops, delta.Crashes, delta.Unknown, delta.Restarts) < 0 {
			u.settled = true // the sum of a glob, which is counted again and may still grow
			break
		}
		if e.Life.Pending() == 0 && (e.Life == nil || e.Life.Opened.IsZero()) {
			s.settle(e.Unit, u, now)
		} else {
			u.settled = false
		}
	case classify.Started, classify.Stopped, classify.Crashed, classify.UnknownEnd, classify.Restarted:
		s.counted(u, e, now)
	}
}

// known returns what is known of the unit of an event. If that is nothing, a record says from which
// counts the unit begins.
func (s *Stage) known(e *count.Event, now time.Time) *unit {
	u := s.units[e.Unit]
	if u != nil && (e.Kind != classify.Seen || e.Recovered) {
		return u // if it is seen again in the journal, the monitor was killed before it could save it
	}
	r := s.record(e, store.Seen)
	r.Rule, r.Result, r.Code, r.Status, r.From = "", "", 0, 0, ""
	r.After = Counts(e.Tally).Minus(store.Single(kindOf(e.Kind), flags(e)))
	if e.Tally.Folded > 0 {
		r.After = r.After.Minus(s.folded)
	}
	u = &unit{has: r.After}
	s.units[e.Unit] = u
	if f := s.family(e.Unit); f != nil && !f.spend(now) {
		u.storm = true // so many of its kind come and go that each is a part of its glob's sum only
		u.budget.exhaust(now)
		return u
	}
	s.add(r, now)
	return u
}

// forget records that the unit is gone, or is no longer monitored.
func (s *Stage) forget(e *count.Event, now time.Time) {
	u := s.units[e.Unit]
	if u == nil {
		return
	}
	s.folded = u.is
	if !u.told { // nobody has read of it, and nobody will
		delete(s.folding, e.Unit)
		delete(s.units, e.Unit)
		return
	}
	if u.fold != nil {
		s.unfold(e.Unit, u, now)
	}
	delete(s.units, e.Unit)
	r := s.record(e, store.Forgotten)
	r.After = u.has
	s.add(r, now)
}

// counted records an event that is counted, unless it is in the chronicle already.
func (s *Stage) counted(u *unit, e *count.Event, now time.Time) {
	r := s.record(e, kindOf(e.Kind))
	n, has := number(r.Kind, u.is), number(r.Kind, u.has)
	if n <= has {
		return
	}
	if lacks := n - has - 1; lacks > 0 {
		s.untold(e.Unit, u, only(r.Kind, lacks), now)
	}
	r.Delta = store.Single(r.Kind, r.Flags)
	s.put(u, r, now)
}

// settle makes the records of a unit add up to its counts.
func (s *Stage) settle(name string, u *unit, now time.Time) {
	if delta := u.is.Minus(u.has); delta != (store.Counts{}) {
		s.untold(name, u, delta, now)
	}
}

// untold records counts of which no event came.
func (s *Stage) untold(name string, u *unit, delta store.Counts, now time.Time) {
	r := store.Record{Kind: store.Many, Flags: store.Untold, Time: zone.Local(now), Until: zone.Local(now), Monotonic: records.Clock(), Boot: s.boot, Unit: name, Delta: delta}
	if glob(name) { // the counts of units that are gone
		r.Flags = 0
	}
	s.put(u, r, now)
}

// put adds a record of a unit to those that wait, or to the unit's fold.
func (s *Stage) put(u *unit, r store.Record, now time.Time) {
	u.has = u.has.Plus(r.Delta)
	r.After = u.has
	if u.storm && u.fold == nil && u.budget.rested(now) {
		u.storm, u.written = false, 0
	}
	if !u.storm && u.budget.spend(now) {
		s.add(r, now)
		return
	}
	u.storm = true
	u.budget.exhaust(now)
	if u.fold == nil {
		u.fold, u.end = &store.Record{Kind: store.Many, Time: r.Time, Unit: r.Unit}, now.Add(period(u.written))
		s.folding[r.Unit] = u
	}
	if u.due = now.Add(pause); u.end.Before(u.due) {
		u.due = u.end
	}
	join(u.fold, &r)
}

// join makes a record a part of a fold.
func join(fold, r *store.Record) {
	fold.Flags |= r.Flags &^ store.Missed
	fold.Until, fold.Monotonic, fold.Boot = r.Time, r.Monotonic, r.Boot
	fold.Delta, fold.After = fold.Delta.Plus(r.Delta), r.After
	if r.Invocation != [16]byte{} {
		fold.Invocation = r.Invocation
	}
	if r.Result != "" && (r.Kind == store.Crash || fold.Result == "") {
		fold.Result, fold.Code, fold.Status = r.Result, r.Code, r.Status
	}
}

// unfold writes the fold of a unit.
func (s *Stage) unfold(name string, u *unit, now time.Time) {
	u.fold.After = u.has // a record before it may have been dropped
	s.add(*u.fold, now)
	u.fold, u.written = nil, u.written+1
	delete(s.folding, name)
}

// gaveUp records that systemd gave up. In a storm it is recorded as often as the folds are.
func (s *Stage) gaveUp(u *unit, e *count.Event, now time.Time) {
	switch {
	case u.fold != nil && now.Sub(u.gaveUp) < period(u.written):
		return
	case u.fold != nil:
		s.unfold(e.Unit, u, now)
	case !u.storm && !u.budget.spend(now):
		return
	}
	r := s.record(e, store.GaveUp)
	r.After, u.gaveUp = u.has, now
	s.add(r, now)
}

// record returns a record of an event.
func (s *Stage) record(e *count.Event, k store.Kind) store.Record {
	r := store.Record{
		Kind: k, Flags: flags(e), Time: zone.Local(e.Time), Monotonic: e.Clock, Unit: e.Unit,
		From: e.From, To: e.To, SubState: e.SubState, Result: e.Cause.Result, Code: e.Cause.Code, Status: e.Cause.Status, Invocation: e.Invocation,
	}
	if e.Rule != classify.NoRule {
		r.Rule = e.Rule.String()
	}
	if r.Monotonic > 0 {
		r.Boot = s.boot
	}
	return r
}

func flags(e *count.Event) (f store.Flags) {
	for _, is := range []struct {
		so   bool
		flag store.Flags
	}{{e.Recovered, store.Recovered}, {e.AtLeast, store.AtLeast}, {e.Untrusted, store.Untrusted}, {e.Missed, store.Missed}} {
		if is.so {
			f |= is.flag
		}
	}
	return f
}

func kindOf(k classify.Kind) store.Kind {
	switch k {
	case classify.Started:
		return store.Start
	case classify.Stopped:
		return store.Stop
	case classify.Crashed:
		return store.Crash
	case classify.UnknownEnd:
		return store.UnknownEnd
	case classify.Restarted:
		return store.Restart
	}
	return store.None
}

// Counts returns the counts of a tally.
func Counts(t *count.Tally) store.Counts {
	return store.Counts{Starts: int64(t.Starts), Stops: int64(t.Stops), Crashes: int64(t.Crashes), Unknown: int64(t.Unknown), Restarts: int64(t.Restarts)}
}

// number returns the count that a kind of event adds to.
func number(k store.Kind, c store.Counts) int64 {
	switch k {
	case store.Start:
		return c.Starts
	case store.Stop:
		return c.Stops
	case store.Crash:
		return c.Crashes
	case store.UnknownEnd:
		return c.Unknown
	}
	return c.Restarts
}

// only returns n events of a kind.
func only(k store.Kind, n int64) (c store.Counts) {
	switch k {
	case store.Start:
		c.Starts = n
	case store.Stop:
		c.Stops = n
	case store.Crash:
		c.Crashes = n
	case store.UnknownEnd:
		c.Unknown = n
	case store.Restart:
		c.Restarts = n
	}
	return c
}

// glob reports whether a unit of the state file is a glob with the counts of units that are gone.
func glob(name string) bool { return strings.ContainsAny(name, "*?[") }
