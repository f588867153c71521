// Package persist is the persister: it saves the tallies, soon but not often.
package persist

import (
	"context"
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
	KeepRemoved()
}

// Stage is the persister.
type Stage struct {
	log   logrus.FieldLogger
	store Store
	units map[string]count.Tally
	pace  pace

	kept    bool      // a copy from before the removal of units
	failing time.Time // since when saving fails; zero while it does not
	retry   time.Duration
	again   time.Time
	quiet   time.Time // no report before
}

// New returns a persister of units, which are saved already, that saves a
// change when no other has come for quiet, and at the latest after deadline.
func New(log logrus.FieldLogger, store Store, units map[string]count.Tally, quiet, deadline time.Duration) *Stage {
	return &Stage{log: log, store: store, units: maps.Clone(units), pace: pace{quiet: quiet, deadline: deadline}}
}

type port = pipeline.Port[count.Event, pipeline.None]

// Run saves until the events end, and then once more.
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
			return ctx.Err()
		}
		if due := s.due(); !due.IsZero() {
			timer.Reset(time.Until(due))
		}
	}
}

func (s *Stage) take(e count.Event, now time.Time) {
	unit := e.Tally.Unit
	if e.Kind == classify.Forgotten {
		if !s.kept {
			s.store.KeepRemoved()
			s.kept = true
		}
		delete(s.units, unit)
		s.pace.changed(now, false)
		return
	}
	s.pace.changed(now, e.Tally.Crashes > s.units[unit].Crashes)
	s.units[unit] = e.Tally
}

func (s *Stage) due() time.Time {
	due := s.pace.due()
	if !due.IsZero() && due.Before(s.again) {
		due = s.again
	}
	return due
}

func (s *Stage) save(p *port, now time.Time) {
	err := s.store.Save(s.units)
	if err == nil {
		s.pace.saved(now)
		s.kept = false
		if !s.failing.IsZero() {
			s.log.WithField("failed_for", now.Sub(s.failing).Round(time.Second)).Info("saved state again")
			s.failing, s.retry, s.again = time.Time{}, 0, time.Time{}
			p.Nudge()
		}
		return
	}
	if s.failing.IsZero() {
		s.failing = now
		p.Nudge()
	}
	s.retry = min(max(2*s.retry, firstRetry), lastRetry)
	s.again = now.Add(s.retry)
	if now.After(s.quiet) {
		s.quiet = now.Add(reportEvery)
		s.log.WithFields(logrus.Fields{"error": err, "retry": s.retry}).Error("cannot save state; monitoring goes on")
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
