package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/stages/bus"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/test/recording"
)

// player is a first stage that sends what was recorded.
type player []bus.Signal

func (y player) Run(ctx context.Context, p *pipeline.Port[pipeline.None, bus.Signal]) error {
	return p.Send(ctx, y...)
}

// auditor is a last stage that fails at the first count that does not balance.
type auditor struct{ events int }

func (a *auditor) Run(_ context.Context, p *pipeline.Port[count.Event, pipeline.None]) error {
	for events := range p.In {
		for _, e := range events {
			a.events++
			// Nothing is imported, so a unit was running when it was first seen, or not.
			if faults := e.Tally.Check(); faults != nil || e.Tally.Before != 0 && e.Tally.Before != 1 {
				return fmt.Errorf("event %d: %q of %+v", a.events, faults, e)
			}
		}
	}
	return nil
}

// TestRecordingsBalance wants the counts to balance after each event of what
// real systemds sent. The state file shows them now and then only.
func TestRecordingsBalance(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*", "*.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	for _, file := range files {
		r, err := recording.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		g := pipeline.New(nil)
		a := &auditor{}
		updates := pipeline.Add(g, "decode", pipeline.Source(g, "player", player(r.Signals)), decode.New(logrus.StandardLogger()))
		transitions := pipeline.Add(g, "classify", updates, classify.New(nil, func() {}))
		pipeline.Sink(g, "auditor", pipeline.Add(g, "count", transitions, count.New(logrus.StandardLogger(), nil, count.Now())), a)
		if err := g.Run(t.Context()); err != nil || a.events == 0 {
			t.Errorf("%s: %d events: %v", file, a.events, err)
		}
	}
}
