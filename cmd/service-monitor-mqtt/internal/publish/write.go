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
	if jobs := p.box(); len(jobs) > 0 {
		return jobs
	}
	if room := s.rate.room(now); room > 0 && p.backlog.waits() {
		if s.blocked { // what is published behind a refused event comes again
			room = 1
		}
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
	now, jobs := time.Now(), s.jobs
	for _, j := range jobs[:min(w.N, len(jobs))] {
		if j.acked != nil {
			j.acked()
		}
	}
	refused := errors.Is(w.Err, broker.ErrRefused)
	if refused && w.N < len(jobs) && jobs[w.N].refused != nil {
		s.without(jobs[w.N], w.Err, now)
		w.Err, refused = nil, false
	}
	s.jobs, s.calmAt = nil, now.Add(calm)
	s.plan.backlog.settle()
	s.moved()
	_ = s.out.Ended(w) // it is never the last attempt: the cursor remembers what is left
	switch {
	case w.Err != nil && !refused:
		if w.N < len(jobs) && jobs[w.N].failed != nil {
			jobs[w.N].failed()
		}
		s.drop(now)
	case w.Err != nil:
		s.blocked = true
	case jobs == nil:
		s.connected(now)
	case !s.blocked || jobs[0].refused == nil: // only events are not refused for good
		s.blocked = false
		s.well(now)
	}
}

// without goes on without a message that the broker refuses, and logs that once for each topic. Events wait
// until the broker takes them, but how all is and last words must not hold them up. After a while all is tried
// once more: somebody may have changed what the broker allows.
func (s *Stage) without(j job, err error, now time.Time) {
	j.refused()
	s.publishAgain(now.Add(forgives))
	if !s.refused[j.Topic] && len(s.refused) < mostRefused {
		s.refused[j.Topic] = true
		s.o.Log.Error(s.o.Explain(err) + "; going on without that")
	}
}

// moved keeps the position.
func (s *Stage) moved() {
	if err := s.o.Cursor.Moved(s.plan.at); err != nil {
		s.o.Log.Warn(err)
	}
}
