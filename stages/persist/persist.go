// Package persist saves the tallies: soon after a change, but not often.
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
	// After a failed save the next attempt waits firstRetry, and then longer each time, up
	// to lastRetry.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// slow is longer than a save should take on any disk. A save has two fsync(2), and
	// on a bad card each of them often takes five seconds.
	slow = 15 * time.Second
	// lookEvery is how often to look whether the saved file is still there.
	lookEvery = time.Minute
	// starting is how long after the start the saves of new units do not count for the
	// burst of the pace. At the start all units are new, and READY=1 waits until they are
	// saved. If they come one by one, they need more saves than a burst has.
	starting = time.Minute
)

// A Store keeps the saved tallies; statefile.File is one. One method is called at a
// time, and each may block for as long as it likes.
type Store interface {
	Save(units map[string]*count.Tally) error
	// KeepRemoved keeps a copy of the stored tallies. It is called before units are removed
	// from them.
	KeepRemoved() error
	// Lost returns an error if the saved tallies are not there any more.
	Lost() error
}

// Stage saves the tallies to a store.
type Stage struct {
	log   logrus.FieldLogger
	store Store
	units map[string]*count.Tally
	pace  pace

	disk    pipeline.Outlet
	behind  map[string]*count.Tally // changes during a save, because the save reads units; nil for a unit that is forgotten
	removed map[string]*count.Tally // units that are forgotten and will be removed, with their last tally
	copying map[string]*count.Tally // removed units; the save under way has to keep a copy of them first
	seen    bool                    // new units have come since the last save began
	owed    bool                    // the save under way has new units, and READY=1 waits for it
	looking bool                    // the write under way looks whether the file is still there, and saves only if not
	next    time.Time               // when to look next
	fresh   time.Time               // when the time of starting is over
	ended   chan struct{}           // closed at the end
	all     bool                    // everything is saved; set before ended is closed
}

// New returns a stage that begins with units that are saved already. It saves a change
// when no other change has come for quiet, and at the latest after deadline. It saves a
// crash sooner.
func New(log logrus.FieldLogger, store Store, units map[string]*count.Tally, quiet, deadline time.Duration) *Stage {
	s := &Stage{log: log, store: store, units: make(map[string]*count.Tally), removed: make(map[string]*count.Tally), ended: make(chan struct{}), pace: pace{quiet: quiet, deadline: deadline}}
	maps.Copy(s.units, units)
	s.disk = pipeline.Outlet{
		Retry: firstRetry, RetryMax: lastRetry, Slow: slow, TooLong: errors.New("the disk does not answer"),
		OnTrouble: s.reportTrouble, OnRecovered: s.reportRecovered, TroubleStatus: func(since time.Time) string { return "cannot save state " + zone.Since(since) },
	}
	return s
}

// Failures returns how many saves have failed. Any goroutine may call it.
func (s *Stage) Failures() uint64 { return s.disk.Failures() }

// Ended returns a channel that is closed when nothing will be saved any more.
func (s *Stage) Ended() <-chan struct{} { return s.ended }

// All reports whether everything is saved. It may be called when Ended is closed.
func (s *Stage) All() bool { return s.all }

type port = pipeline.Port[count.Event, pipeline.None]

// Run saves until the events end or ctx is cancelled. Then it saves once more what is left.
func (s *Stage) Run(ctx context.Context, p *port) error {
	defer close(s.ended)
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
			q.Answer(pipeline.Answer{Trouble: s.disk.Trouble(), DelaysReady: s.delaysReady(time.Now())})
			if s.mayLook(time.Now()) {
				s.look()
			}
			continue
		case <-ctx.Done():
			err := s.disk.Finish(s.saveLeft, s.saved)
			s.all = err == nil && events == nil
			return errors.Join(ctx.Err(), err)
		}
		if s.turn(time.Now()); s.disk.Closed() && !s.disk.Busy() {
			s.all = true
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
		// Counts from a gap are saved when the gap is complete, together with the journal
		// cursor of its end. Until then the old counters belong to the old cursor.
		return
	}
	if e.Kind == classify.Forgotten {
		if s.removed[unit] == nil { // otherwise the unit has come back, counted from zero, and is forgotten again
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
		return // a Latest edge may deliver an older tally of a glob after a newer one
	}
	// A Latest edge may have replaced the event Seen by a later event of the same unit.
	first := e.Kind == classify.Seen || !saved.Life.Known() && e.Tally.Life.Known() || opened(saved.Life) != opened(e.Tally.Life)
	s.seen = s.seen || first
	crashed, caughtUp := e.Tally.Crashes > saved.Crashes, e.Kind == classify.CaughtUp
	switch {
	case first, caughtUp && crashed: // a crash in the past: no restart follows, and its lines are written
		s.pace.changed(now, soon)
	case crashed:
		s.pace.changed(now, crash)
	default:
		s.pace.changed(now, normal)
	}
	s.put(unit, e.Tally)
}

// opened returns when the open gap of a unit began; zero if there is none. People look
// for it in the file, so it is saved soon.
func opened(l *classify.Life) time.Time {
	if l == nil {
		return time.Time{}
	}
	return l.Opened
}

// tally returns the last tally of a unit; a zero tally if there is none.
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

// put sets the tally of a unit; nil removes the unit. During a save it only notes the
// change, because the save reads the units. saved applies it.
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

// delaysReady reports whether new units will be saved soon but are not saved yet. READY=1 waits
// for that: if the monitor were killed before, nobody would know that it had watched
// them, and what happened to them until the next start would not be counted. READY=1
// does not wait for a disk that fails, because systemd's start timeout would expire.
func (s *Stage) delaysReady(now time.Time) bool {
	return s.disk.Failing().IsZero() && (s.owed || s.seen && (s.disk.Busy() || s.pace.due().Before(now.Add(time.Second))))
}

// turn saves if a save is due and the disk is ready. After the last event all that is not
// saved is due.
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

// saveLeft begins to save if there are unsaved changes, and reports whether there are.
func (s *Stage) saveLeft() bool {
	if s.pace.due().IsZero() {
		return false
	}
	s.save()
	return true
}

// save begins to save all units. If some were removed, it first makes a copy that has
// them, with their last counts.
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

// copy saves the state with the removed units, and has the store keep a copy of it.
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

// write begins to write to the store. Until the write has ended, only it may use s.units.
func (s *Stage) write(write func() error) {
	s.behind = make(map[string]*count.Tally)
	s.disk.Write(func() (int, error) { return 0, write() })
}

// mayLook reports whether to look now. The watchdog's probes ask it: they wake the monitor
// anyway, and a timer of its own would wake an idle machine once more.
func (s *Stage) mayLook(now time.Time) bool {
	return s.disk.Ready() && !s.disk.Closed() && s.pace.due().IsZero() && !now.Before(s.next)
}

// look begins to look whether the saved state is still there. Somebody may have removed
// the file or its directory. A unit that does not change would never cause another save.
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

// saved handles the result of a save. It returns an error if the stage is at its end and
// unsaved changes are lost.
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

func (s *Stage) reportTrouble(err error, retry time.Duration) {
	why := logrus.Fields{"error": err}
	if retry > 0 {
		why["retry"] = retry
	}
	s.log.WithFields(why).Error("state is not saved; monitoring goes on")
}

func (s *Stage) reportRecovered(after time.Duration) {
	s.log.WithField("failed_for", after.Round(time.Second)).Info("state is saved again")
}
