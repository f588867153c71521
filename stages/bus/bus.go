// Package bus is the source: it watches the changes of the monitored units on
// the system bus (org.freedesktop.systemd1(5)) and hands them on in the order
// in which PID 1 sent them, each unit's snapshot first.
package bus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/link"
	"service-monitor/stages/bus/watch"
	"service-monitor/stages/journald/records"
	"service-monitor/stages/zone"
)

const (
	firstRetry     = 250 * time.Millisecond // doubled for each further one
	lastRetry      = 30 * time.Second
	refusedEvery   = time.Minute      // at most one report
	doubtGap       = time.Second      // at least, between two gaps that doubts begin
	pingLimit      = time.Second      // for PID 1 to answer when the source stops
	slowRead       = 10 * time.Second // after that, the status says that the journal is being read
	connectingText = "connecting to the system bus"
)

// Doubt makes the source read the journal, as after a gap. A later stage calls it when it saw
// something that cannot be all that happened. It may be called from any goroutine, and never
// blocks.
func (s *Stage) Doubt() {
	select {
	case s.doubts <- struct{}{}:
	default:
	}
}

// Run connects when the first list of services has come, and ends when the lists end.
func (s *Stage) Run(ctx context.Context, p *port) error {
	defer s.disconnect()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of what reads the journal
	for {
		s.show()
		var received <-chan struct{}
		if s.link != nil && !s.state.Keeps() {
			received = s.link.Ready()
		}
		var err error
		select {
		case lists, ok := <-p.In:
			if !ok {
				if err := s.finish(ctx, p); err != nil {
					return err
				}
				return s.flush(ctx, p)
			}
			for i := 0; i < len(lists) && err == nil; i++ {
				err = s.apply(ctx, p, lists[i])
			}
		case <-received:
			err = s.receive(ctx, p)
		case o := <-s.opened:
			err = s.connected(ctx, p, o)
		case <-s.retry.C:
			s.connect()
		case r := <-s.reports:
			err = s.learn(ctx, p, r)
		case <-s.outage.retry.C:
			err = s.step(ctx, p, catchup.RetryDue)
		case <-s.doubts:
			s.doubted.Reset(time.Until(s.again))
		case <-s.doubted.C:
			err = s.resolve(ctx, p)
		case <-s.audit.timer.C:
			err = s.check(ctx, p)
		case q := <-p.Probes:
			s.out = nil // with the room for a storm's, as the stream does
			q.Answer(s.answer())
		case <-ctx.Done():
			return ctx.Err()
		}
		if err == nil {
			err = s.flush(ctx, p)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Stage) answer() pipeline.Answer {
	switch {
	case s.link == nil && s.ever:
		return pipeline.Answer{DelaysReady: true, Trouble: "bus lost " + zone.Since(s.since)}
	case s.link == nil:
		return pipeline.Answer{DelaysReady: true, Trouble: connectingText}
	}
	s.reportRefused(time.Now())
	return pipeline.Answer{DelaysReady: !s.synced() || !s.state.Watches(), Trouble: cmp.Or(s.openGap(), s.reading())}
}

// reading is the part of the status that says that it takes long to read the journal.
func (s *Stage) reading() string {
	if since := s.gap.reading; s.state.Reads() && time.Since(since) > slowRead {
		return "reading the journal " + zone.Since(since)
	}
	return ""
}

// openGap is the part of the status that says since when the journal cannot be read, and why.
func (s *Stage) openGap() string {
	if s.outage.why == nil {
		return ""
	}
	return fmt.Sprintf("gap open %s: %v", zone.Since(s.outage.since), s.outage.why)
}

// apply begins to monitor the services of a list, instead of those of the last.
func (s *Stage) apply(ctx context.Context, p *port, list List) error {
	old := s.watch.Load()
	first := old == nil
	if first {
		old = watch.New(slices.Collect(maps.Keys(s.before)))
		for unit, known := range s.before {
			s.cursor = oldest(s.cursor, known.Cursor, records.Boot())
			s.cursors[unit] = known.Cursor
			if watch.IsGlob(unit) {
				s.globs[unit] = known.Cursor
			} else {
				s.note(unit).known = true
			}
			if known.Name != "" {
				old = old.Aliased(unit, known.Name)
			}
		}
		s.before = nil
		// An earlier process was to read all of the journal, and could not.
		s.lost = s.lost || s.cursor == records.Beginning
	}
	next := watch.New(list.Services).Keeping(old)
	s.watch.Store(next)
	dropped := slices.DeleteFunc(old.Names(), func(unit string) bool { return watch.Match(list.Services, unit) })
	for glob := range s.globs {
		if !slices.Contains(next.Globs, glob) {
			dropped = append(dropped, glob)
			delete(s.globs, glob)
		}
	}
	if err := s.beginGlobs(ctx, p, old.Globs); err != nil {
		return err
	}
	for _, unit := range dropped {
		delete(s.units, unit)
		if err := s.send(ctx, p, Signal{Kind: Forgotten, Unit: unit, Time: time.Now()}); err != nil {
			return err
		}
	}
	switch {
	case first:
		// While the connection is made, the mark is left.
		if err := s.step(ctx, p, catchup.Missed); err != nil {
			return err
		}
		s.connect()
	case s.link != nil:
		return s.failed(p, s.subscribe())
	}
	return nil
}

// finish sends on what PID 1 had said before the stop. PID 1 answers in order, so its answer
// to a ping comes after all of that. What a gap still holds back is neither counted nor saved:
// the next process reads it in the journal.
func (s *Stage) finish(ctx context.Context, p *port) error {
	if s.link == nil || !s.state.Watches() {
		return nil
	}
	limit := time.After(pingLimit)
	for err := s.ping(); err == nil && s.asking(pingCall); {
		select {
		case <-s.link.Ready():
			if err := s.receive(ctx, p); err != nil || s.link == nil {
				return err
			}
		case q := <-p.Probes:
			q.Answer(s.answer())
		case <-limit:
			return s.receive(ctx, p)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// receive works on what the connection has read.
func (s *Stage) receive(ctx context.Context, p *port) error {
	if s.link == nil {
		return nil
	}
	items, dropped := s.link.Get()
	defer clear(items) // or their bodies stay
	s.counters.count(items, dropped)
	s.crowd.dropped = len(dropped) > 0
	defer func() { s.crowd.dropped = false }()
	for _, it := range items {
		if err := s.handle(ctx, p, it); err != nil {
			return err
		}
		if s.link == nil {
			return nil
		}
	}
	if len(dropped) > 0 {
		if !s.state.Reads() { // or the journal tells it anyway
			signals := 0
			for _, n := range dropped {
				signals += n
			}
			s.log.WithFields(logrus.Fields{"units": len(dropped), "signals": signals}).Warn("fell behind and dropped signals; reading in the journal what they were")
		}
		// All units are asked for: an audit has asked only for those that changed.
		if err := s.startOver(ctx, p, dropped); err != nil {
			return err
		}
		if err := s.failed(p, s.askLoaded(false)); err != nil || s.link == nil {
			return err // only the list may know of a unit that has come
		}
	}
	s.reportRefused(time.Now())
	if err := s.askSnapshots(); err != nil {
		return s.failed(p, err)
	}
	return s.advance(ctx, p)
}

func (s *Stage) handle(ctx context.Context, p *port, it link.Item) error {
	switch it.Kind {
	case link.Signal:
		return s.handOn(ctx, p, it)
	case link.Reply:
		return s.replied(ctx, p, it)
	case link.Reloaded:
		s.queue = append(s.queue, s.names()...)
		return s.failed(p, s.askLists(true))
	case link.NewOwner:
		// PID 1 may have forgotten its subscribers: before systemd 257 it does so when it
		// loses the bus itself. The match rules belong to the bus, and stay.
		s.log.Info("systemd has a new name on the bus; subscribing again")
		s.lists, s.crowd.lists = 0, 0
		maps.DeleteFunc(s.requests, func(_ uint32, r request) bool { return !r.bus }) // it asks for all of that again
		if err := s.startOver(ctx, p, nil); err != nil {
			return err
		}
		return s.failed(p, s.inquire())
	case link.Lost:
		return s.failed(p, it.Err)
	}
	return nil
}

// resolve begins a gap because of a doubt. A gap that is there already, or the next
// connection, resolves the doubt as well.
func (s *Stage) resolve(ctx context.Context, p *port) error {
	if s.link == nil || !s.state.Watches() {
		return nil
	}
	s.again = time.Now().Add(doubtGap)
	if err := s.startOver(ctx, p, nil); err != nil {
		return err
	}
	return s.failed(p, s.askSnapshots())
}

// reportRefused logs, at most once a minute, that signals were refused.
func (s *Stage) reportRefused(now time.Time) {
	n := s.refused.Load()
	if n > s.reported && now.After(s.quiet) {
		s.log.WithField("signals", n-s.reported).Warn("refused signals that are not from systemd or not well-formed")
		s.reported, s.quiet = n, now.Add(refusedEvery)
	}
}
