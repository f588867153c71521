package publish

import (
	"context"
	"time"

	"service-monitor/cmd/internal/tell"
	"service-monitor/pipeline"
)

// refreshes is how often a unit that crashes in a loop is looked at. The loop is over when it has not
// crashed for a while, and nothing tells that.
const refreshes = 15 * time.Second

// refresh has the view look at the units again as long as one of them crashes in a loop. Otherwise
// nothing wakes an idle program.
func (s *Stage) refresh(ctx context.Context, now time.Time) {
	switch {
	case !s.plan.loops():
		s.refreshAt = time.Time{}
	case s.refreshAt.IsZero():
		s.refreshAt = now.Add(refreshes)
	case s.refreshing == nil && !now.Before(s.refreshAt):
		s.refreshAt = now.Add(refreshes)
		s.refreshing = pipeline.Aside(func() error { return s.o.View.Refresh(ctx) })
	}
}

// loops reports whether a unit crashes in a loop.
func (p *plan) loops() bool {
	for _, u := range p.units {
		if u.state.Health == tell.CrashLoop {
			return true
		}
	}
	return false
}
