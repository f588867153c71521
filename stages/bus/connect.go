package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/link"
	"service-monitor/stages/journald/records"
)

// connect begins an attempt, in a goroutine of its own because it may block.
func (s *Stage) connect() {
	units := func(objectPath []byte) (string, bool) { return s.watch.Load().Unit(objectPath) }
	go func() {
		l, err := link.Open(units, isWanted, &s.refused)
		s.opened <- opening{l, err}
	}()
}

// failed handles an error of the connection, or of an attempt to connect, and schedules the next
// attempt. If the state of the units was never received and maxRetries is used up, it returns
// ErrNoBus.
func (s *Stage) failed(p *port, err error) error {
	if err == nil {
		return nil
	}
	what := "cannot reach the system bus"
	if s.link != nil {
		what, s.since = "lost the system bus", time.Now()
		if s.disconnect(); s.state.Watches() {
			s.left = records.Clock()
		}
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

// ErrNoBus ends the bus stage if it cannot reach the bus at start.
var ErrNoBus = errors.New("no system bus")
