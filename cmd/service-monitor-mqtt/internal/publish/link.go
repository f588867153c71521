package publish

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"service-monitor/cmd/service-monitor-mqtt/internal/topics"
)

// lasting is how long a connection must have lasted to count as a stable one. After a stable one, the next
// attempt comes soon.
const lasting = time.Minute

// connect connects, and publishes that the monitor is there.
func (s *Stage) connect(ctx context.Context, now time.Time) {
	will := s.o.Scheme.Offline(now)
	heard := func(m topics.Message) {
		if string(m.Payload) != "online" {
			return
		}
		select {
		case s.births <- struct{}{}:
		default: // one is as good as many
		}
	}
	s.jobs, s.dialed = nil, nil
	s.out.Write(func() (int, error) {
		conn, err := s.o.Connect(ctx, will, heard)
		if err == nil {
			s.dialed = conn
		}
		return 0, err
	})
}

// connected notes that there is a connection. The broker may have forgotten everything.
func (s *Stage) connected(now time.Time) {
	s.conn, s.dialed, s.since = s.dialed, nil, now
	s.plan.again()
}

// lost delivers when the connection is lost.
func (s *Stage) lost() <-chan struct{} {
	if s.conn == nil || s.out.Busy() { // a write notices it by itself
		return nil
	}
	return s.conn.Done()
}

// dropped notes that the connection was lost while nothing was written.
func (s *Stage) dropped(now time.Time) {
	s.trouble(s.conn.Err(), 0)
	s.drop(now)
	s.out.Nudge()
}

// drop closes the connection. If the broker was restarted, each gateway of a fleet has lost its connection. They
// do not come back at the same moment.
func (s *Stage) drop(now time.Time) {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // there is nobody to say goodbye to
	s.conn.Close(ctx)
	s.conn = nil
	if s.short++; now.Sub(s.since) >= lasting {
		s.short = 0
	}
	wait := min(firstRetry<<min(s.short, 10), lastRetry)
	s.notBefore = now.Add(wait/2 + rand.N(wait))
}

// end says goodbye. What is not published yet is published when the program runs again.
func (s *Stage) end(ctx context.Context, now time.Time) error {
	if s.conn != nil {
		_, _ = s.conn.Publish(ctx, []topics.Message{s.o.Scheme.Stopped(now)}) // if it fails, there is the last will
		s.conn.Close(ctx)
	}
	if s.saving != nil {
		s.saved(<-s.saving)
	}
	if err := s.o.Cursor.Close(); err != nil {
		return fmt.Errorf("%s: %w", unsaved, err)
	}
	return nil
}
