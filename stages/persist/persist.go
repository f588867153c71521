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
)

// Saving that fails is tried again, less and less often, and reported at most
// once a minute.
const (
	firstRetry  = time.Second
	lastRetry   = time.Minute
	reportEvery = time.Minute
)

// A Store is where tallies are saved; File is one.
type Store interface {
	Save(units map[string]count.Tally) error
	// KeepRemoved keeps a copy of what is stored, before units are removed.
	KeepRemoved() error
}

// Stage is the persister.
type Stage struct {
	log   logrus.FieldLogger
	store Store
	units map[string]count.Tally
	pace  pace

	kept     bool      // a copy from before the removal of units
	failing  time.Time // since when saving fails; zero while it does not
	reported bool      // that it fails
	retry    time.Duration
	again    time.Time // no attempt before
	quiet    time.Time // no report before
}

// New returns a persister of units, which are saved already, that saves a
// change when no other has come for quiet, and at the latest after deadline.
func New(log logrus.FieldLogger, store Store, units map[string]count.Tally, quiet, deadline time.Duration) *Stage {
	s := &Stage{log: log, store: store, units: make(map[string]count.Tally), pace: pace{quiet: quiet, deadline: deadline}}
	maps.Copy(s.units, units)
	return s
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run saves until the events end, or an abort, and then once more.
func (s *Stage) Run(ctx context.Context, p *port) error {
	timer := time.NewTimer(0)
	timer.Stop()
	for {
		select {
		case event, ok := <-p.In:
			if !ok {
				return s.finish()
			}
			s.take(event, time.Now())
		case <-timer.C:
			s.save(p, time.Now())
		case q := <-p.Probes:
			q.Answer(pipeline.Answer{Status: s.status()})
			continue
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.finish())
		}
		if due := s.due(); !due.IsZero() {
			timer.Reset(time.Until(due))
		}
	}
}

func (s *Stage) take(e count.Event, now time.Time) {
	unit := e.Tally.Unit
	if e.Recovered {
		// What is told of a gap is saved when all of it is, with the journal cursor
		// that belongs to it. Until then the old counters belong to the old cursor.
		return
	}
	if e.Kind == classify.Forgotten {
		s.keepRemoved()
		delete(s.units, unit)
		s.pace.changed(now, false)
		return
	}
	s.pace.changed(now, e.Tally.Crashes > s.units[unit].Crashes)
	s.units[unit] = e.Tally
}

// keepRemoved keeps one copy of the units that are removed together.
func (s *Stage) keepRemoved() {
	if s.kept {
		return
	}
	s.kept = true
	if err := s.store.KeepRemoved(); err != nil {
		s.log.WithField("error", err).Warn("units are removed from the state without a copy")
	}
}

func (s *Stage) due() time.Time {
	due := s.pace.due()
	if !due.IsZero() && due.Before(s.again) {
		due = s.again
	}
	return due
}

func (s *Stage) save(p *port, now time.Time) {
	was := s.failing
	if err := s.store.Save(s.units); err != nil {
		s.failed(err, now)
	} else {
		s.saved(now)
	}
	if s.failing != was {
		p.Nudge()
	}
}

func (s *Stage) saved(now time.Time) {
	s.pace.saved(now)
	s.kept = false
	if s.reported {
		s.log.WithField("failed_for", now.Sub(s.failing).Round(time.Second)).Info("state is saved again")
	}
	s.failing, s.reported, s.retry, s.again = time.Time{}, false, 0, time.Time{}
}

func (s *Stage) failed(err error, now time.Time) {
	if s.failing.IsZero() {
		s.failing = now
	}
	s.retry = min(max(2*s.retry, firstRetry), lastRetry)
	s.again = now.Add(s.retry)
	if !now.Before(s.quiet) {
		s.quiet, s.reported = now.Add(reportEvery), true
		s.log.WithFields(logrus.Fields{"error": err, "retry": s.retry}).Error("state is not saved; monitoring goes on")
	}
}

// finish saves what is not saved. All is lost that cannot be saved now.
func (s *Stage) finish() error {
	if s.pace.due().IsZero() {
		return nil
	}
	return s.store.Save(s.units)
}

func (s *Stage) status() string {
	if s.failing.IsZero() {
		return ""
	}
	return "cannot save state since " + s.failing.Format("15:04:05")
}
