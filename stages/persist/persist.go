// Package persist is the persister: it saves the tallies, soon but not often.
package persist

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/zone"
)

// Saving that fails is tried again, less and less often, and reported at most
// once a minute, as is saving that takes longer than any disk should: two
// fsync(2) of five seconds each are a bad card's everyday life.
const (
	firstRetry  = time.Second
	lastRetry   = time.Minute
	reportEvery = time.Minute
	lookEvery   = time.Minute // at most, whether what is saved is still there
	slow        = 15 * time.Second
	// starting is how long the saves of what is seen for the first time are not
	// counted as those of a storm. A start sees all units so, and is not over before
	// they are saved; if they come one by one, that is more than a burst.
	starting = time.Minute
)

var errSlow = errors.New("the disk does not answer")

// A Store is where tallies are saved; File is one. Its methods are not called at
// the same time, and may block for as long as they like.
type Store interface {
	Save(units map[string]*count.Tally) error
	// KeepRemoved keeps a copy of what is stored, before units are removed.
	KeepRemoved() error
	// Lost returns an error where what was saved is not there any more.
	Lost() error
}

// Stage is the persister.
type Stage struct {
	log   logrus.FieldLogger
	store Store
	units map[string]*count.Tally
	pace  pace

	saving  <-chan error            // the outcome of the save under way; nil while there is none
	behind  map[string]*count.Tally // what became of units, which it reads meanwhile; nil where they are forgotten
	began   time.Time               // when that was
	removed map[string]*count.Tally // units that are to be removed, as they were
	copying map[string]*count.Tally // those of them that the save under way has not kept a copy of
	seen    bool                    // units for the first time since the last save began
	owed    bool                    // the save under way has them
	looking bool                    // the save under way only looks, and saves what is lost
	next    time.Time               // no look before
	fresh   time.Time               // until when it is the start

	failing  time.Time // since when saving fails; zero while it does not
	reported bool      // that it fails
	retry    time.Duration
	again    time.Time // no attempt before
	quiet    time.Time // no report before
}

// New returns a persister of units, which are saved already, that saves a
// change when no other has come for quiet, and at the latest after deadline, and a
// crash sooner.
func New(log logrus.FieldLogger, store Store, units map[string]*count.Tally, quiet, deadline time.Duration) *Stage {
	s := &Stage{log: log, store: store, units: make(map[string]*count.Tally), removed: make(map[string]*count.Tally), pace: pace{quiet: quiet, deadline: deadline}}
	maps.Copy(s.units, units)
	return s
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run saves until the events end, or an abort, and then once more.
func (s *Stage) Run(ctx context.Context, p *port) error {
	timer := time.NewTimer(0)
	timer.Stop()
	s.fresh = time.Now().Add(starting)
	s.next = time.Now().Add(lookEvery)
	events, failing, last := p.In, s.failing, false
	for {
		select {
		case batch, ok := <-events:
			if !ok {
				events = nil
			}
			now := time.Now()
			for i := range batch {
				s.take(&batch[i], now)
			}
		case err := <-s.saving:
			if last {
				return err
			}
			owed := s.owed
			if s.saved(err, time.Now()); owed {
				p.Nudge()
			}
		case <-timer.C:
			s.turn(time.Now())
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Status: s.status(), Owing: s.owing(time.Now())})
			if !s.mayLook(time.Now()) {
				continue
			}
			s.look(time.Now())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.abort())
		}
		if events == nil && s.saving == nil {
			if s.pace.due().IsZero() {
				return nil
			}
			last = true // all is lost that cannot be saved now
			s.save(time.Now())
		}
		if timer.Stop(); !s.due().IsZero() {
			timer.Reset(time.Until(s.due()))
		}
		if s.failing != failing {
			failing = s.failing
			p.Nudge()
		}
	}
}

func (s *Stage) take(e *count.Event, now time.Time) {
	unit := e.Tally.Unit
	if e.Recovered {
		// What is told of a gap is saved when all of it is, with the journal cursor
		// that belongs to it. Until then the old counters belong to the old cursor.
		return
	}
	if e.Kind == classify.Forgotten {
		if s.removed[unit] == nil { // or it came back meanwhile, and counted from zero
			s.removed[unit] = e.Tally
		}
		s.put(unit, nil)
		s.pace.changed(now, normal)
		return
	}
	if e.Kind == classify.Folded {
		s.put(e.Unit, nil)
		s.pace.changed(now, normal)
	}
	saved := s.tally(unit)
	if e.Tally.Folded < saved.Folded {
		return // Latest delivers what is older of a glob behind what is newer
	}
	// Latest may have replaced Seen itself by what came behind it.
	first := e.Kind == classify.Seen || !saved.Life.Known() && e.Tally.Life.Known() || opened(saved.Life) != opened(e.Tally.Life)
	s.seen = s.seen || first
	crashed, caughtUp := e.Tally.Crashes > saved.Crashes, e.Kind == classify.CaughtUp
	switch {
	case first, caughtUp && crashed: // no restart follows what is past, and its lines are written
		s.pace.changed(now, soon)
	case crashed:
		s.pace.changed(now, crash)
	default:
		s.pace.changed(now, normal)
	}
	s.put(unit, e.Tally)
}

// opened is since when a gap is open. People look for that in the file.
func opened(l *classify.Life) time.Time {
	if l == nil {
		return time.Time{}
	}
	return l.Opened
}

// tally is what is known of a unit, zero where nothing is.
func (s *Stage) tally(unit string) count.Tally {
	tally, ok := s.behind[unit]
	if !ok {
		tally = s.units[unit]
	}
	if tally == nil {
		return count.Tally{}
	}
	return *tally
}

// put changes what is known of a unit, or will once nobody else reads it: nil where it
// is forgotten.
func (s *Stage) put(unit string, tally *count.Tally) {
	switch {
	case s.saving != nil:
		s.behind[unit] = tally
	case tally == nil:
		delete(s.units, unit)
	default:
		s.units[unit] = tally
	}
}

// owing reports whether units were seen for the first time and that is about to
// be saved. Only then the monitor is ready: were it killed before, nobody would
// know that it had watched them, and what happened meanwhile would not count. A
// disk that fails is not waited for: systemd would end the start in the end.
func (s *Stage) owing(now time.Time) bool {
	return s.failing.IsZero() && (s.owed || s.seen && s.due().Before(now.Add(time.Second)))
}

// due is when the next turn is, to save or to say that it takes long.
func (s *Stage) due() time.Time {
	switch due := s.pace.due(); {
	case s.saving != nil && s.failing.IsZero():
		return s.began.Add(slow)
	case s.saving != nil:
		return time.Time{}
	case due.IsZero():
		return time.Time{}
	case due.Before(s.again):
		return s.again
	default:
		return due
	}
}

func (s *Stage) turn(now time.Time) {
	if s.saving == nil {
		s.save(now)
		return
	}
	s.report(logrus.Fields{"error": errSlow}, s.began, now)
}

// save begins to save all units. Where some are removed, they are saved once more, with
// all that is not saved of them yet, for a copy of that.
func (s *Stage) save(now time.Time) {
	s.began = now
	s.owed, s.seen = s.seen, false
	s.pace.taken()
	s.behind = make(map[string]*count.Tally)
	s.copying, s.removed = s.removed, make(map[string]*count.Tally)
	s.saving = pipeline.Aside(func() error {
		if len(s.copying) > 0 {
			before := maps.Clone(s.units)
			for unit, tally := range s.copying {
				dropped := *tally
				dropped.Dropped = true
				before[unit] = &dropped
			}
			if err := s.store.Save(before); err != nil {
				return err
			}
			clear(s.copying)
			if err := s.store.KeepRemoved(); err != nil {
				s.log.WithField("error", err).Warn("units are removed from the state without a copy")
			}
		}
		return s.store.Save(s.units)
	})
}

// mayLook reports whether to look now. It is asked in the rounds of the watchdog, which wake
// the monitor anyway: a timer of its own would wake an idle machine once more.
func (s *Stage) mayLook(now time.Time) bool {
	return s.saving == nil && s.pace.due().IsZero() && !now.Before(s.next)
}

// look begins to look whether what is saved is still there. Somebody may have
// removed it, with its directory perhaps, and a unit at rest gives no reason to save
// it again.
func (s *Stage) look(now time.Time) {
	s.began, s.looking = now, true
	s.behind = make(map[string]*count.Tally)
	s.saving = pipeline.Aside(func() error {
		lost := s.store.Lost()
		if lost == nil {
			return nil
		}
		s.log.WithField("error", lost).Error("the saved state is gone; saving it again")
		return s.store.Save(s.units)
	})
}

// saved takes the outcome of a save in.
func (s *Stage) saved(err error, now time.Time) {
	unpaced := s.looking || s.owed && now.Before(s.fresh)
	s.saving, s.owed, s.looking = nil, false, false
	s.next = now.Add(lookEvery)
	for unit, tally := range s.behind {
		s.put(unit, tally)
	}
	s.behind = nil
	maps.Copy(s.removed, s.copying)
	if err != nil {
		s.pace.changed(s.began, atOnce)
		s.retry = min(max(2*s.retry, firstRetry), lastRetry)
		s.again = now.Add(s.retry)
		s.report(logrus.Fields{"error": err, "retry": s.retry}, now, now)
		return
	}
	if !unpaced {
		s.pace.saved(now, len(s.units))
	}
	if s.reported {
		s.log.WithField("failed_for", now.Sub(s.failing).Round(time.Second)).Info("state is saved again")
	}
	s.failing, s.reported, s.retry, s.again = time.Time{}, false, 0, time.Time{}
}

func (s *Stage) report(why logrus.Fields, since, now time.Time) {
	if s.failing.IsZero() {
		s.failing = since
	}
	if !now.Before(s.quiet) {
		s.quiet, s.reported = now.Add(reportEvery), true
		s.log.WithFields(why).Error("state is not saved; monitoring goes on")
	}
}

// abort saves what is not saved, and waits for that. All is lost that cannot be
// saved now.
func (s *Stage) abort() error {
	if s.saving != nil {
		s.saved(<-s.saving, time.Now())
	}
	if s.pace.due().IsZero() {
		return nil
	}
	s.save(time.Now())
	return <-s.saving
}

func (s *Stage) status() string {
	if s.failing.IsZero() {
		return ""
	}
	return "cannot save state " + zone.Since(s.failing)
}
