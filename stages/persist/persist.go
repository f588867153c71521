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

const (
	// firstRetry and lastRetry bound how long to wait after a save that has failed.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// slow is longer than a save should take on any disk: two fsync(2) of five seconds
	// each are a bad card's everyday life.
	slow      = 15 * time.Second
	lookEvery = time.Minute // at most, whether what is saved is still there
	// starting is how long the saves of what is seen for the first time are not
	// counted as those of a storm. A start sees all units so, and is not over before
	// they are saved; if they come one by one, that is more than a burst.
	starting = time.Minute
)

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

	disk    pipeline.Outlet
	behind  map[string]*count.Tally // what became of units during a save, which reads s.units; nil where they are forgotten
	removed map[string]*count.Tally // units that are to be removed, as they were
	copying map[string]*count.Tally // those of them that the save under way has not kept a copy of
	seen    bool                    // units for the first time since the last save began
	owed    bool                    // the save under way has them
	looking bool                    // the save under way only looks, and saves what is lost
	next    time.Time               // no look before
	fresh   time.Time               // until when it is the start
}

// New returns a persister of units, which are saved already, that saves a
// change when no other has come for quiet, and at the latest after deadline, and a
// crash sooner.
func New(log logrus.FieldLogger, store Store, units map[string]*count.Tally, quiet, deadline time.Duration) *Stage {
	s := &Stage{log: log, store: store, units: make(map[string]*count.Tally), removed: make(map[string]*count.Tally), pace: pace{quiet: quiet, deadline: deadline}}
	maps.Copy(s.units, units)
	s.disk = pipeline.Outlet{
		Retry: firstRetry, RetryMax: lastRetry, Slow: slow, TooLong: errors.New("the disk does not answer"),
		Fails: s.fails, Works: s.works, Fault: func(since time.Time) string { return "cannot save state " + zone.Since(since) },
	}
	return s
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run saves until the events end, or an abort, and then once more.
func (s *Stage) Run(ctx context.Context, p *port) error {
	s.disk.Nudge = p.Nudge
	s.fresh = time.Now().Add(starting)
	s.next = time.Now().Add(lookEvery)
	timer := time.NewTimer(0)
	timer.Stop()
	events := p.In
	for {
		select {
		case batch, ok := <-events:
			if !ok {
				events = nil
				s.disk.Close()
			}
			now := time.Now()
			for i := range batch {
				s.take(&batch[i], now)
			}
		case w := <-s.disk.Done():
			owed := s.owed
			if err := s.saved(w); err != nil {
				return err
			}
			if owed {
				p.Nudge()
			}
		case <-s.disk.Timer():
			s.disk.Turn()
		case <-timer.C:
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Status: s.disk.Status(), Owing: s.owing(time.Now())})
			if s.mayLook(time.Now()) {
				s.look()
			}
			continue
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.disk.Finish(s.saveLeft, s.saved))
		}
		if s.turn(time.Now()); s.disk.Closed() && !s.disk.Busy() {
			return nil
		}
		if timer.Stop(); s.disk.Ready() && !s.pace.due().IsZero() {
			timer.Reset(time.Until(s.pace.due()))
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
	case s.disk.Busy():
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
	return s.disk.Failing().IsZero() && (s.owed || s.seen && !s.disk.Busy() && s.pace.due().Before(now.Add(time.Second)))
}

// turn saves what is due, if the disk is ready. At the end all is due that is not saved.
func (s *Stage) turn(now time.Time) {
	switch due := s.pace.due(); {
	case !s.disk.Ready():
	case s.disk.Closed():
		s.saveLeft()
	case due.IsZero() || now.Before(due):
	default:
		s.save()
	}
}

// saveLeft saves what is not saved, and reports whether there is something.
func (s *Stage) saveLeft() bool {
	if s.pace.due().IsZero() {
		return false
	}
	s.save()
	return true
}

// save begins to save all units. Where some are removed, they are saved once more, with
// all that is not saved of them yet, for a copy of that.
func (s *Stage) save() {
	s.owed, s.seen = s.seen, false
	s.pace.taken()
	s.copying, s.removed = s.removed, make(map[string]*count.Tally)
	s.write(func() error {
		if len(s.copying) > 0 {
			if err := s.copy(); err != nil {
				return err
			}
		}
		return s.store.Save(s.units)
	})
}

// copy saves the removed units once more, and keeps a copy of that.
func (s *Stage) copy() error {
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
	return nil
}

// write begins to write to the store. Until that has ended, the units are the write's.
func (s *Stage) write(write func() error) {
	s.behind = make(map[string]*count.Tally)
	s.disk.Write(func() (int, error) { return 0, write() })
}

// mayLook reports whether to look now. It is asked in the rounds of the watchdog, which wake
// the monitor anyway: a timer of its own would wake an idle machine once more.
func (s *Stage) mayLook(now time.Time) bool {
	return s.disk.Ready() && !s.disk.Closed() && s.pace.due().IsZero() && !now.Before(s.next)
}

// look begins to look whether what is saved is still there. Somebody may have
// removed it, with its directory perhaps, and a unit at rest gives no reason to save
// it again.
func (s *Stage) look() {
	s.looking = true
	s.write(func() error {
		lost := s.store.Lost()
		if lost == nil {
			return nil
		}
		s.log.WithField("error", lost).Error("the saved state is gone; saving it again")
		return s.store.Save(s.units)
	})
}

// saved takes the outcome of a save in. It returns an error when all is lost that is
// not saved.
func (s *Stage) saved(w pipeline.Written) error {
	now := time.Now()
	unpaced := s.looking || s.owed && now.Before(s.fresh)
	err := s.disk.Ended(w)
	s.owed, s.looking = false, false
	s.next = now.Add(lookEvery)
	for unit, tally := range s.behind {
		s.put(unit, tally)
	}
	s.behind = nil
	maps.Copy(s.removed, s.copying)
	switch {
	case w.Err != nil:
		s.pace.changed(s.disk.Began(), atOnce)
	case !unpaced:
		s.pace.saved(now, len(s.units))
	}
	return err
}

func (s *Stage) fails(err error, retry time.Duration) {
	why := logrus.Fields{"error": err}
	if retry > 0 {
		why["retry"] = retry
	}
	s.log.WithFields(why).Error("state is not saved; monitoring goes on")
}

func (s *Stage) works(after time.Duration) {
	s.log.WithField("failed_for", after.Round(time.Second)).Info("state is saved again")
}
