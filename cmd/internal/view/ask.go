package view

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/pipeline"
)

// ErrEnded is the error of whoever asks a view that has ended.
var ErrEnded = errors.New("this program is about to end; ask again")

// ask has the view call f when it is complete. f must not keep what changes.
func (s *Stage) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case s.asks <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-s.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Snapshot is how all is at a moment.
type Snapshot struct {
	*tell.Status
	Connected bool
	Seq       uint64 // of the last record that is in it
}

// All is for whoever wants each unit.
func All(string) bool { return true }

// Now returns how the units are that are wanted.
func (s *Stage) Now(ctx context.Context, wants func(unit string) bool) (now Snapshot, err error) {
	err = s.ask(ctx, func() { now = Snapshot{s.model.status(wants), s.model.connected, s.model.seq} })
	return now, err
}

// planFor is how long a status may wait for the answer of systemd.
const planFor = 40 * time.Millisecond

// WithPlans returns how all units are, and what systemd does next with those that need attention, if
// systemd answers quickly.
func (s *Stage) WithPlans(ctx context.Context) (now Snapshot, err error) {
	var asked <-chan struct{}
	if err = s.ask(ctx, func() { asked = s.plan() }); err != nil {
		return now, err
	}
	if asked != nil {
		timeout := time.NewTimer(planFor)
		defer timeout.Stop()
		select {
		case <-asked:
		case <-timeout.C:
		case <-ctx.Done():
		}
	}
	return s.Now(ctx, All)
}

// plan asks systemd what it does next, unless nothing has changed since. It returns a channel that is
// closed when systemd has answered, or nil.
func (s *Stage) plan() <-chan struct{} {
	if !s.replan {
		return nil
	}
	if s.planned == nil {
		st, planner := s.model.status(All), s.planner
		s.replan = false
		s.planned = pipeline.Aside(func() *tell.Status { planner.Add(st); return st })
	}
	c := make(chan struct{})
	s.waiting = append(s.waiting, c)
	return c
}

// Since returns the units that have changed since a record was the last one. The others are as they were.
func (s *Stage) Since(ctx context.Context, seq uint64) (events []Event, err error) {
	err = s.ask(ctx, func() {
		s.follow()
		events = s.since(seq)
	})
	return events, err
}

// Everything returns the state of the monitor and of all units. Nobody asks systemd because of it.
func (s *Stage) Everything(ctx context.Context) (events []Event, err error) {
	err = s.ask(ctx, func() { events = s.since(0) })
	return events, err
}

func (s *Stage) since(seq uint64) (events []Event) {
	before := s.out
	s.out = nil
	s.showMonitor()
	for _, name := range slices.Sorted(maps.Keys(s.model.units)) {
		if s.model.units[name].since >= seq {
			s.show(name)
		}
	}
	events, s.out = s.out, before
	return events
}

// Has reports whether there is such a unit.
func (s *Stage) Has(ctx context.Context, name string) (has bool, err error) {
	err = s.ask(ctx, func() { has = s.model.units[name] != nil })
	return has, err
}

// Refresh sends on what has changed only because time has passed: a loop of crashes is over after a while.
func (s *Stage) Refresh(ctx context.Context) error { return s.ask(ctx, s.refresh) }

// Follow does the same for somebody who follows. So systemd is asked again, too.
func (s *Stage) Follow(ctx context.Context) error {
	return s.ask(ctx, func() { s.refresh(); s.follow() })
}

func (s *Stage) refresh() {
	for _, name := range slices.Sorted(maps.Keys(s.model.units)) {
		if s.model.unit(name).Health(s.model.base.Now) != s.model.units[name].shown && s.model.connected {
			s.changed(name)
		}
	}
}

const (
	// followed is how long after somebody has followed systemd is asked after each change.
	followed = time.Minute
	// planGap is the shortest time between two questions to systemd. Each costs it some time.
	planGap = time.Second
)

// follow notes that somebody follows.
func (s *Stage) follow() { s.planUntil = s.model.base.Now.Add(followed) }

// soon makes sure that systemd is asked about what has changed, if somebody follows.
func (s *Stage) soon() {
	if s.replan && s.planned == nil && s.pace == nil && s.model.base.Now.Before(s.planUntil) {
		s.pace = time.After(planGap)
	}
}

// Quoted returns the name of a unit that is gone as JSON.
func Quoted(name string) []byte {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(struct { // it can be encoded
		Unit string `json:"unit"`
	}{name})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
