package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
	"service-monitor/stages/bus/link"
)

// An opening is the outcome of an attempt to connect.
type opening struct {
	link *link.Link
	err  error
}

// connect begins an attempt, in a goroutine of its own because it may block.
func (s *Stage) connect() {
	units := func(objectPath []byte) (string, bool) { return s.watch.Load().Unit(objectPath) }
	go func() {
		l, err := link.Open(units, isWanted, &s.refused)
		s.opened <- opening{l, err}
	}()
}

func (s *Stage) connected(ctx context.Context, p *port, o opening) error {
	if o.err != nil {
		return s.failed(p, o.err)
	}
	s.link = o.link
	s.rules, s.requests, s.queue, s.asked, s.lists, s.crowd.lists = nil, make(map[uint32]request), nil, 0, 0, 0
	for _, u := range s.units {
		u.unasked()
	}
	s.log.Info("connected to the system bus")
	first := !s.met
	s.met = true
	if !first || s.state.Watches() { // or the gap began with the process
		if err := s.step(ctx, p, catchup.Missed); err != nil {
			return err
		}
	}
	return s.failed(p, s.subscribe())
}

// failed treats an error of the connection, or of making one: it is made anew,
// for ever if it was good once, and otherwise as often as is allowed.
func (s *Stage) failed(p *port, err error) error {
	if err == nil {
		return nil
	}
	what := "cannot reach the system bus"
	if s.link != nil {
		what, s.since = "lost the system bus", time.Now()
		s.disconnect()
	}
	if !s.ever && s.retries >= s.maxRetries {
		return fmt.Errorf("%w: %w (tried %d times)", ErrNoBus, err, s.retries+1)
	}
	delay := min(firstRetry<<min(s.retries, 16), lastRetry)
	if s.ever && s.retries == 0 {
		delay = 0 // a bus that was restarted is back at once
	}
	s.retries++
	s.retry.Reset(delay)
	s.log.WithFields(logrus.Fields{"error": err, "retry": delay}).Warn(what)
	p.Nudge()
	return nil
}

func (s *Stage) disconnect() {
	if s.link != nil {
		s.link.Close()
		s.link = nil
	}
}
