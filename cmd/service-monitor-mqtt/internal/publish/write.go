package publish

import (
	"context"
	"errors"
	"time"

	"service-monitor/cmd/service-monitor-mqtt/internal/broker"
	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
	"service-monitor/pipeline"
)

// write begins to connect, or to publish what is next.
func (s *Stage) write(ctx context.Context, now time.Time) {
	if s.conn == nil {
		if !now.Before(s.notBefore) {
			s.connect(ctx, now)
		}
		return
	}
	jobs := s.choose(now)
	if len(jobs) == 0 {
		return
	}
	s.jobs = jobs
	messages := make([]topics.Message, len(jobs))
	for i := range jobs {
		messages[i] = jobs[i].Message
	}
	conn := s.conn
	s.out.Write(func() (int, error) { return conn.Publish(ctx, messages) })
}

// choose returns what to publish now. After a connect, how all is comes before what has happened. Later the
// two take turns, so that a unit that changes all the time holds up nothing.
func (s *Stage) choose(now time.Time) []job {
	p := s.plan
	if !p.loaded {
		return nil
	}
	if p.greets || !s.turn {
		if jobs := p.states(now); len(jobs) > 0 {
			s.turn = true
			return jobs
		}
	}
	p.greets, s.turn = false, false
	if jobs := p.crashes(); len(jobs) > 0 {
		return jobs
	}
	if room := s.rate.room(now); room > 0 && p.backlog.waits() {
		jobs := p.events(room, now)
		if s.rate.take(now, len(jobs)); len(jobs) > 0 {
			return jobs
		}
		p.backlog.settle() // nothing of these records is published
		s.moved()
	}
	return p.states(now)
}

// done takes the outcome of a write.
func (s *Stage) done(w pipeline.Written) {
	for _, j := range s.jobs[:min(w.N, len(s.jobs))] {
		if j.acked != nil {
			j.acked()
		}
	}
	connected := s.jobs == nil
	s.jobs, s.calmAt = nil, time.Now().Add(calm)
	s.plan.backlog.settle()
	s.moved()
	_ = s.out.Ended(w) // it is never the last attempt: the cursor remembers what is left
	switch {
	case connected && w.Err == nil:
		s.connected(time.Now())
	case w.Err != nil && !errors.Is(w.Err, broker.ErrRefused):
		s.drop()
	}
}

// moved keeps the position.
func (s *Stage) moved() {
	if err := s.o.Cursor.Moved(s.plan.at); err != nil {
		s.o.Log.Warn(err)
	}
}
